//! What the portal refuses, and what is known here of the reason.

use std::sync::Arc;

use lmtokens::client::Client;
use lmtokens::clock::Clock;
use lmtokens::credentials::{Credentials, Identity, Provenance};
use lmtokens::error::{Error, ErrorKind};
use lmtokens::ids::AdminId;
use lmtokens::operation::Operation as _;
use lmtokens::sandbox::{FaultKind, NewToken, NewUser, Settings, Signature};
use lmtokens::tokens::{self, User};

use super::{Setting, add, advice, assert_plain, lmv1_of, operation};
use crate::support::{closed_port, identity, pair, secret};

impl Setting {
    /// The same portal, called as somebody else.
    fn called_as(self, credentials: Credentials) -> Self {
        let client = Client::new(identity(&self.portal.base_url(), credentials), None);
        Self { client, ..self }
    }

    async fn refusal(&self) -> Error {
        let error = self.add().await.unwrap_err();
        assert_plain(self, &error, ErrorKind::Authentication, 401, Some(1401));
        assert_eq!(self.made().len(), 0);
        error
    }

    fn signature(&self) -> Signature {
        self.portal.record()[0].signature
    }
}

#[tokio::test]
async fn a_wrong_key_is_diagnosed_and_not_tried_again() {
    let setting = Setting::start();
    let access_id = setting.portal.access_id().to_owned();
    let setting =
        setting.called_as(Credentials::from_pair(Some(&access_id), secret("unit+test(key)")).unwrap());
    let error = setting.refusal().await;
    assert_eq!(setting.signature(), Signature::Invalid);
    for word in ["arguments", &setting.portal.base_url(), "lock", "lmgov.us"] {
        assert!(advice(&error).contains(word), "{word:?}: {}", advice(&error));
    }
    for word in ["clock", "characters", &access_id, "unit+test"] {
        assert!(!advice(&error).contains(word), "{word:?}: {}", advice(&error));
    }
}

#[tokio::test]
async fn an_access_id_of_an_odd_length_is_named_without_its_length() {
    let setting = Setting::start()
        .called_as(Credentials::from_pair(Some("shortId"), secret("unit+test(key)")).unwrap());
    let error = setting.refusal().await;
    assert_eq!(setting.signature(), Signature::UnknownId);
    assert!(advice(&error).contains("does not have the 20 characters"), "{}", advice(&error));
    assert!(!advice(&error).contains("7 characters"), "it may be a key: {}", advice(&error));
    assert!(!advice(&error).contains("shortId"), "{}", advice(&error));
}

#[tokio::test]
async fn a_bearer_that_does_not_begin_as_one_is_named() {
    let setting =
        Setting::start().called_as(Credentials::from_bearer(secret("markerUnitTestBearer")).unwrap());
    let error = setting.refusal().await;
    assert!(advice(&error).contains("lmb_"), "{}", advice(&error));
    assert!(!advice(&error).contains("clock"), "a bearer has no time: {}", advice(&error));
}

#[tokio::test]
async fn credentials_that_were_passed_over_are_named() {
    let setting = Setting::start();
    let identity = Identity {
        credentials_from: Provenance::Environment(vec!["LM_ACCESS_ID", "LM_ACCESS_KEY"]),
        ignored_sources: vec!["LM_BEARER_TOKEN"],
        ..identity(&setting.portal.base_url(), pair())
    };
    let setting = Setting { client: Client::new(identity, None), ..setting };
    let error = setting.refusal().await;
    for name in ["LM_BEARER_TOKEN", "LM_ACCESS_ID", "LM_ACCESS_KEY"] {
        assert!(advice(&error).contains(name), "{}", advice(&error));
    }
}

#[derive(Debug)]
struct Skewed(i64);

impl Clock for Skewed {
    fn now_ms(&self) -> u64 {
        lmtokens::clock::SystemClock.now_ms().saturating_add_signed(self.0 * 1000)
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_named_with_its_skew_and_direction() {
    for (skew, direction) in [(3600, "ahead of"), (-3600, "behind")] {
        let setting = Setting::start();
        let identity = identity(&setting.portal.base_url(), lmv1_of(&setting.portal));
        let client = Client::with_clock(identity, None, Arc::new(Skewed(skew)));
        let setting = Setting { client, ..setting };
        let error = setting.refusal().await;
        assert_eq!(setting.signature(), Signature::Stale);
        assert_skew(&error, direction, &["30 minutes", "set the clock"]);
    }
}

#[tokio::test]
async fn a_portal_whose_clock_is_off_is_the_same() {
    for (offset, direction) in [(3600, "behind"), (-3600, "ahead of")] {
        let setting = Setting::with(Settings { clock_offset_seconds: offset, ..Settings::default() });
        let error = setting.refusal().await;
        assert_eq!(setting.signature(), Signature::Stale);
        assert_skew(&error, direction, &["set the clock"]);
    }
}

#[tokio::test]
async fn a_clock_within_the_window_is_mentioned_and_not_blamed() {
    let setting = Setting::with(Settings { clock_offset_seconds: 600, ..Settings::default() });
    setting.add().await.unwrap();
    let setting = setting.called_as(pair());
    setting.portal.clear_record();
    let error = setting.add().await.unwrap_err();
    assert_eq!((error.kind(), setting.signature()), (ErrorKind::Authentication, Signature::UnknownId));
    assert!(advice(&error).contains("within the 30 minutes"), "{}", advice(&error));
    assert!(!advice(&error).contains("set the clock"), "{}", advice(&error));
}

/// An hour, give or take what the test itself takes.
fn assert_skew(error: &Error, direction: &str, words: &[&str]) {
    let advice = advice(error);
    let seconds = advice.split_once("clock is ").and_then(|(_, rest)| rest.split_once(" s "));
    let (seconds, rest) = seconds.unwrap_or_else(|| panic!("no skew in {advice}"));
    assert!((3500..3700).contains(&seconds.parse::<u64>().unwrap()), "{advice}");
    assert!(rest.starts_with(direction), "{advice}");
    assert!(words.iter().all(|word| advice.contains(word)), "{advice}");
}

#[tokio::test]
async fn who_may_not_create_is_told_so() {
    let setting = Setting::start();
    let admin_id = setting.portal.add_user(NewUser { may_create: false, ..NewUser::default() });
    let token = setting.portal.create_token(NewToken { admin_id, ..NewToken::default() }).unwrap();
    let setting =
        setting.called_as(Credentials::from_pair(Some(&token.access_id), token.access_key).unwrap());
    let error = setting.add().await.unwrap_err();
    assert_plain(&setting, &error, ErrorKind::PermissionDenied, 403, Some(1403));
    assert!(advice(&error).contains("role"), "{}", advice(&error));
}

#[tokio::test]
async fn a_user_who_does_not_exist_is_not_found() {
    let setting = Setting::start();
    let error = setting
        .run(tokens::NewToken { admin: User::Id(AdminId::new(4711).unwrap()), ..add("ci") })
        .await
        .unwrap_err();
    assert_plain(&setting, &error, ErrorKind::NotFound, 404, Some(1404));
}

#[tokio::test]
async fn a_spent_budget_is_told_with_its_size() {
    let setting =
        Setting::with(Settings { rate_limit: Some(2), window_seconds: Some(60.0), ..Settings::default() });
    setting.add().await.unwrap();
    setting.add().await.unwrap();
    setting.portal.clear_record();
    let error = setting.add().await.unwrap_err();
    let details = error.details();
    assert_eq!((details.kind, details.status, details.attempts), (ErrorKind::RateLimit, None, 0));
    assert!(!details.maybe_applied && details.candidates.is_none());
    let rate = details.rate.unwrap();
    assert_eq!((rate.limit, rate.remaining, rate.window.as_secs()), (2, 0, 60));
    // It is known to be spent, and was not asked again.
    assert_eq!((setting.made().len(), setting.portal.record().len()), (2, 0));
}

#[tokio::test]
async fn a_budget_that_others_spent_is_told_with_its_size() {
    let setting = Setting::start();
    setting.strike(FaultKind::RateLimited);
    let error = setting.add().await.unwrap_err();
    assert_plain(&setting, &error, ErrorKind::RateLimit, 429, Some(1429));
    assert_eq!(error.details().rate.unwrap().remaining, 0);
}

#[tokio::test]
async fn a_refused_connection_is_no_unknown_outcome() {
    let port = closed_port().await;
    let refusal = async |address: &str| {
        let base_url = format!("{address}:{port}/santaba/rest");
        let client = crate::support::client(&base_url, pair());
        let error = operation(add("ci")).run(&client).await.unwrap_err();
        let details = error.details();
        assert_eq!(
            (details.kind, details.maybe_applied),
            (ErrorKind::Connect, false),
            "{base_url}: {error:?}"
        );
        assert!(details.status.is_none() && details.candidates.is_none(), "{base_url}: {error:?}");
        assert!(!format!("{error:?}").contains("/setting/"), "the URL is in {error:?}");
    };
    tokio::join!(
        refusal("http://127.0.0.1"),
        refusal("http://localhost"),
        refusal("http://[::1]"),
        refusal("https://127.0.0.1"),
        refusal("https://localhost"),
    );
}

#[tokio::test]
async fn a_host_that_does_not_exist_says_to_check_the_company() {
    let client = crate::support::client("https://acme.logicmonitor.invalid/santaba/rest", pair());
    let error = operation(add("ci")).run(&client).await.unwrap_err();
    assert_eq!((error.kind(), error.details().maybe_applied), (ErrorKind::Connect, false), "{error:?}");
    assert!(error.to_string().contains("acme.logicmonitor.invalid"), "{error}");
}
