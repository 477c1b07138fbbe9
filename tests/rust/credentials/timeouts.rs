//! Timeouts from arguments and the environment.

use std::time::Duration;

use lmtokens::testing::credentials::{Arguments, Timeouts};
use lmtokens::testing::error::ErrorKind;

use super::{pair_arguments, resolve};

fn timeouts(variable: &str) -> Timeouts {
    resolve(&pair_arguments(), &[("LM_TIMEOUT", variable)]).unwrap().timeouts
}

#[test]
fn defaults_are_thirty_seconds_in_total_and_ten_to_connect() {
    let standard = resolve(&pair_arguments(), &[]).unwrap().timeouts;
    assert_eq!(standard, Timeouts { connect: Duration::from_secs(10), total: Duration::from_secs(30) });
    assert_eq!(standard, Timeouts::default());
}

#[test]
fn the_variable_is_in_seconds_and_the_argument_wins() {
    assert_eq!(timeouts("45").total, Duration::from_secs(45));
    assert_eq!(timeouts("45").connect, Duration::from_secs(10));
    assert_eq!(timeouts(" 2.5\n").total, Duration::from_millis(2500));
    assert!(timeouts("2.5").connect <= Duration::from_millis(2500));
    let given = Timeouts::from_seconds(Some(1.0), 5.0).unwrap();
    let arguments = Arguments { timeouts: Some(given), ..pair_arguments() };
    assert_eq!(resolve(&arguments, &[("LM_TIMEOUT", "45")]).unwrap().timeouts, given);
}

#[test]
fn invalid_timeouts_are_rejected() {
    for refused in ["0", "-1", "soon", "30s", "1e9", "nan", "NaN", "inf", "-inf", "1,5", "0x10", " "] {
        let error = resolve(&pair_arguments(), &[("LM_TIMEOUT", refused)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{refused:?}");
        assert!(error.to_string().contains("LM_TIMEOUT") && error.to_string().contains("seconds"), "{error}");
    }
    for refused in [0.0, -0.0, -1.0, 86_400.5, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for (connect, total) in [(None, refused), (Some(refused), 30.0)] {
            let error = Timeouts::from_seconds(connect, total).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Argument, "{refused}");
            assert!(error.to_string().contains("seconds") && error.to_string().contains("86400"), "{error}");
        }
    }
    assert_eq!(Timeouts::from_seconds(None, 86_400.0).unwrap().total, Duration::from_secs(86_400));
}

#[test]
fn the_connect_timeout_never_exceeds_the_total() {
    let timeouts = Timeouts::from_seconds(Some(60.0), 5.0).unwrap();
    assert!(timeouts.connect <= timeouts.total);
}

/// A timeout of zero would fail every request.
#[test]
fn an_accepted_timeout_is_above_zero() {
    for seconds in [f64::MIN_POSITIVE, 1e-300, 1e-12] {
        if let Ok(timeouts) = Timeouts::from_seconds(None, seconds) {
            assert!(timeouts.total > Duration::ZERO, "{seconds}");
        }
    }
}
