//! Times of the portal: seconds since 1970-01-01 UTC in tokens, milliseconds in signatures.
//!
//! Durations are `90s 30m 24h 7d` or a number of seconds.
//!
//! A number in another unit is a time before 2001 or after the year 9999, when there is no portal, and is refused.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};

/// The last second of the year 9999, after which dates need more than four digits.
pub(crate) const END_OF_9999: i64 = 253_402_300_799;

/// The last millisecond of the year 9999.
pub(crate) const END_OF_9999_MS: u64 = 253_402_300_799_999;

/// The times of a portal, in seconds. As seconds, the minutes and days since 1970 and the seconds since the start of a
/// machine are less, and milliseconds are more.
const SECONDS: RangeInclusive<i64> = 1_000_000_000..=END_OF_9999;

/// The times of a portal, in milliseconds.
const MILLISECONDS: RangeInclusive<u64> = 1_000_000_000_000..=END_OF_9999_MS;

/// A point in time, down to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timestamp {
    /// Whole seconds since 1970-01-01 UTC, rounded down.
    pub(crate) seconds: i64,
    /// Whether a fraction of a second follows.
    pub(crate) has_fraction: bool,
}

impl Timestamp {
    /// The accepted values of an argument, for messages.
    pub(crate) const EXPECTED: &str = "an aware datetime, or seconds (not milliseconds) since 1970-01-01 UTC";

    /// Checks a number of seconds; 0 means never.
    pub(crate) fn from_seconds(name: &str, seconds: f64) -> Result<Self> {
        #[allow(clippy::cast_possible_truncation, reason = "a number that does not fit is out of range")]
        let whole = seconds.floor() as i64;
        if seconds == 0.0 || SECONDS.contains(&whole) {
            return Ok(Self { seconds: whole, has_fraction: seconds.fract() != 0.0 });
        }
        let (first, last) = (SECONDS.start(), SECONDS.end());
        let expected =
            format_args!("{}: 0, or from {first} (in 2001) to {last} (the end of 9999)", Self::EXPECTED);
        Err(Error::invalid(name, seconds, expected))
    }
}

/// The accepted times of a signature, for messages.
pub(crate) const EXPECTED_MILLISECONDS: &str = "milliseconds since 1970-01-01 UTC: 0, or from 1000000000000 (in 2001) to \
                                                253402300799999 (the end of 9999)";

/// Checks the time of a signature; 0 is for test vectors.
pub(crate) fn milliseconds(name: &str, number: i64) -> Result<u64> {
    match u64::try_from(number) {
        Ok(milliseconds) if milliseconds == 0 || MILLISECONDS.contains(&milliseconds) => Ok(milliseconds),
        _ if SECONDS.contains(&number) => Err(Error::argument(format!(
            "invalid {name} {number}, which is a number of seconds; expected {EXPECTED_MILLISECONDS}; multiply it by 1000"
        ))),
        _ => Err(Error::invalid(name, number, EXPECTED_MILLISECONDS)),
    }
}

/// When a token expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// This long after its create.
    After(Duration),
    /// At a time, seconds since 1970-01-01 UTC.
    At(i64),
}

/// Ten years, the longest time span of a token. Milliseconds and times since 1970 are more.
const MAX_SPAN: Duration = Duration::from_secs(315_360_000);

/// Checks a time span of a rotation.
pub(crate) fn check_span(name: &str, span: Duration) -> Result<()> {
    if span <= MAX_SPAN {
        return Ok(());
    }
    Err(Error::invalid(name, format_args!("{} s", span.as_secs()), "at most 315360000 s (ten years)"))
}

impl Expiry {
    /// The default of a temporary token.
    #[cfg(feature = "python")]
    pub(crate) const ONE_HOUR: Self = Self::After(Duration::from_secs(3600));

    /// The accepted values, for messages.
    pub(crate) const EXPECTED: &str = "an aware datetime, or a timedelta, a number of seconds (not milliseconds) or a str \
                                       such as \"30d\" from now, above 0 and at most 315360000 (ten years)";

    /// Checks a number of seconds from the create of the token, rounded up to whole seconds.
    pub(crate) fn after(name: &str, seconds: f64) -> Result<Self> {
        Duration::try_from_secs_f64(seconds.ceil())
            .ok()
            .and_then(Self::after_duration)
            .ok_or_else(|| Error::invalid(name, seconds, Self::EXPECTED))
    }

    fn after_duration(duration: Duration) -> Option<Self> {
        (Duration::ZERO < duration && duration <= MAX_SPAN).then_some(Self::After(duration))
    }

    /// Returns the time at which a token expires that is created now, seconds since 1970-01-01 UTC.
    #[must_use]
    pub fn time(self, now_ms: u64) -> i64 {
        match self {
            Self::After(duration) => {
                let time = Duration::from_millis(now_ms) + duration;
                i64::try_from(time.as_secs()).unwrap_or(END_OF_9999).min(END_OF_9999)
            }
            Self::At(time) => time.min(END_OF_9999),
        }
    }
}

impl FromStr for Expiry {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let expected = "more than 0 and at most 3650d (ten years)";
        Self::after_duration(duration(text)?)
            .ok_or_else(|| Error::invalid("duration", format_args!("{text:?}"), expected))
    }
}

/// Reads a duration: a number of seconds, or of the unit that follows it.
pub(crate) fn duration(text: &str) -> Result<Duration> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let seconds = match unit {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    let number = text.strip_suffix(unit).and_then(|number| number.parse::<u64>().ok());
    let total = seconds.zip(number).and_then(|(seconds, number)| number.checked_mul(seconds));
    total.map(Duration::from_secs).ok_or_else(|| {
        Error::invalid("duration", format_args!("{text:?}"), "90s, 30m, 24h, 7d or a number of seconds")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("30m", 1800),
            ("24h", 86_400),
            ("7d", 604_800),
            ("007d", 604_800),
        ] {
            assert_eq!(duration(text).ok(), Some(Duration::from_secs(seconds)), "{text:?}");
        }
        for text in [
            "",
            "s",
            "d",
            "-1",
            "+1",
            "1.5h",
            "1 d",
            " 1d",
            "1d ",
            "1D",
            "1w",
            "1d12h",
            "\u{661}d",
            "9999999999999999999d",
        ] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_expiry_is_after_now_and_within_ten_years() {
        assert_eq!("30d".parse::<Expiry>().ok(), Some(Expiry::After(Duration::from_secs(2_592_000))));
        assert_eq!("3650d".parse::<Expiry>().ok(), Some(Expiry::After(MAX_SPAN)));
        for text in ["0", "0d", "3651d", "1801353600", "1801353600000"] {
            assert!(text.parse::<Expiry>().is_err(), "{text:?}");
        }
        assert_eq!(Expiry::after("expires", 0.1).ok(), Some(Expiry::After(Duration::from_secs(1))));
        for seconds in [0.0, -1.0, -0.5, f64::NAN, f64::INFINITY, 315_360_000.5, 1e300] {
            assert!(Expiry::after("expires", seconds).is_err(), "{seconds}");
        }
    }

    #[test]
    fn an_expiry_counts_from_the_create() {
        assert_eq!(Expiry::After(Duration::from_secs(60)).time(1_700_000_000_999), 1_700_000_060);
        assert_eq!(Expiry::At(1_700_000_000).time(0), 1_700_000_000);
        assert_eq!(Expiry::At(i64::MAX).time(0), END_OF_9999);
    }
}
