//! Creates that the portal rejects, and the advice that local facts give.

use std::sync::Arc;

use lmtokens::testing::client::Client;
use lmtokens::testing::clock::Clock;
use lmtokens::testing::credentials::{Credentials, Identity, Provenance};
use lmtokens::testing::error::{Error, ErrorKind};
use lmtokens::testing::ids::AdminId;
use lmtokens::testing::operation::Operation as _;
use lmtokens::testing::sandbox::{FaultKind, NewToken, NewUser, Settings, Signature};
use lmtokens::testing::tokens::{self, User};

use super::{Fixture, add, advice, assert_rejected, lmv1_of, operation};
use crate::support::{closed_port, identity, pair, secret};

impl Fixture {
    /// Returns the same portal with a client of other credentials.
    fn called_as(self, credentials: Credentials) -> Self {
        let client = Client::new(identity(&self.portal.base_url(), credentials), None);
        Self { client, ..self }
    }

    async fn rejection(&self) -> Error {
        let error = self.add().await.unwrap_err();
        assert_rejected(self, &error, ErrorKind::Authentication, 401, Some(1401));
        assert_eq!(self.created_tokens().len(), 0);
        error
    }

    fn signature(&self) -> Signature {
        self.portal.record()[0].signature
    }
}

#[tokio::test]
async fn a_wrong_key_is_diagnosed_and_not_retried() {
    let fixture = Fixture::start();
    let access_id = fixture.portal.access_id().to_owned();
    let fixture =
        fixture.called_as(Credentials::from_pair(Some(&access_id), secret("unit+test(key)")).unwrap());
    let error = fixture.rejection().await;
    assert_eq!(fixture.signature(), Signature::Invalid);
    for word in ["arguments", &fixture.portal.base_url(), "lock", "lmgov.us"] {
        assert!(advice(&error).contains(word), "{word:?}: {}", advice(&error));
    }
    for word in ["clock", "characters", &access_id, "unit+test"] {
        assert!(!advice(&error).contains(word), "{word:?}: {}", advice(&error));
    }
}

#[tokio::test]
async fn an_access_id_of_unusual_length_is_reported_without_its_length() {
    let fixture = Fixture::start()
        .called_as(Credentials::from_pair(Some("shortId"), secret("unit+test(key)")).unwrap());
    let error = fixture.rejection().await;
    assert_eq!(fixture.signature(), Signature::UnknownId);
    assert!(advice(&error).contains("does not have the 20 characters"), "{}", advice(&error));
    assert!(!advice(&error).contains("7 characters"), "it may be a key: {}", advice(&error));
    assert!(!advice(&error).contains("shortId"), "{}", advice(&error));
}

#[tokio::test]
async fn a_bearer_token_without_its_prefix_is_reported() {
    let fixture =
        Fixture::start().called_as(Credentials::from_bearer(secret("markerUnitTestBearer")).unwrap());
    let error = fixture.rejection().await;
    assert!(advice(&error).contains("lmb_"), "{}", advice(&error));
    assert!(!advice(&error).contains("clock"), "a bearer token has no timestamp: {}", advice(&error));
}

#[tokio::test]
async fn ignored_credentials_are_named() {
    let fixture = Fixture::start();
    let identity = Identity {
        credentials_from: Provenance::Environment(vec!["LM_ACCESS_ID", "LM_ACCESS_KEY"]),
        ignored_sources: vec!["LM_BEARER_TOKEN"],
        ..identity(&fixture.portal.base_url(), pair())
    };
    let fixture = Fixture { client: Client::new(identity, None), ..fixture };
    let error = fixture.rejection().await;
    for name in ["LM_BEARER_TOKEN", "LM_ACCESS_ID", "LM_ACCESS_KEY"] {
        assert!(advice(&error).contains(name), "{}", advice(&error));
    }
}

#[derive(Debug)]
struct SkewedClock(i64);

impl Clock for SkewedClock {
    fn now_ms(&self) -> u64 {
        lmtokens::testing::clock::SystemClock.now_ms().saturating_add_signed(self.0 * 1000)
    }
}

#[tokio::test]
async fn a_wrong_local_clock_is_reported_with_its_skew() {
    for (skew, direction) in [(3600, "ahead of"), (-3600, "behind")] {
        let fixture = Fixture::start();
        let identity = identity(&fixture.portal.base_url(), lmv1_of(&fixture.portal));
        let client = Client::with_clock(identity, None, Arc::new(SkewedClock(skew)));
        let fixture = Fixture { client, ..fixture };
        let error = fixture.rejection().await;
        assert_eq!(fixture.signature(), Signature::Stale);
        assert_skew(&error, direction, &["30 minutes", "set the clock"]);
    }
}

#[tokio::test]
async fn a_wrong_portal_clock_is_reported_with_its_skew() {
    for (offset, direction) in [(3600, "behind"), (-3600, "ahead of")] {
        let fixture = Fixture::with(Settings { clock_offset_seconds: offset, ..Settings::default() });
        let error = fixture.rejection().await;
        assert_eq!(fixture.signature(), Signature::Stale);
        assert_skew(&error, direction, &["set the clock"]);
    }
}

#[tokio::test]
async fn a_clock_within_the_window_is_mentioned_but_not_blamed() {
    let fixture = Fixture::with(Settings { clock_offset_seconds: 600, ..Settings::default() });
    fixture.add().await.unwrap();
    let fixture = fixture.called_as(pair());
    fixture.portal.clear_record();
    let error = fixture.add().await.unwrap_err();
    assert_eq!((error.kind(), fixture.signature()), (ErrorKind::Authentication, Signature::UnknownId));
    assert!(advice(&error).contains("within the 30 minutes"), "{}", advice(&error));
    assert!(!advice(&error).contains("set the clock"), "{}", advice(&error));
}

/// Asserts a skew of an hour, give or take the duration of the test.
fn assert_skew(error: &Error, direction: &str, words: &[&str]) {
    let advice = advice(error);
    let seconds = advice.split_once("clock is ").and_then(|(_, rest)| rest.split_once(" s "));
    let (seconds, rest) = seconds.unwrap_or_else(|| panic!("no skew in {advice}"));
    assert!((3500..3700).contains(&seconds.parse::<u64>().unwrap()), "{advice}");
    assert!(rest.starts_with(direction), "{advice}");
    assert!(words.iter().all(|word| advice.contains(word)), "{advice}");
}

#[tokio::test]
async fn a_user_without_create_permission_is_rejected() {
    let fixture = Fixture::start();
    let admin_id = fixture.portal.add_user(NewUser { may_create: false, ..NewUser::default() });
    let token = fixture.portal.create_token(NewToken { admin_id, ..NewToken::default() }).unwrap();
    let fixture =
        fixture.called_as(Credentials::from_pair(Some(&token.access_id), token.access_key).unwrap());
    let error = fixture.add().await.unwrap_err();
    assert_rejected(&fixture, &error, ErrorKind::PermissionDenied, 403, Some(1403));
    assert!(advice(&error).contains("role"), "{}", advice(&error));
}

#[tokio::test]
async fn an_unknown_user_is_not_found() {
    let fixture = Fixture::start();
    let error = fixture
        .run(tokens::NewToken { admin: User::Id(AdminId::new(4711).unwrap()), ..add("ci") })
        .await
        .unwrap_err();
    assert_rejected(&fixture, &error, ErrorKind::NotFound, 404, Some(1404));
}

#[tokio::test]
async fn an_exhausted_rate_limit_is_reported_with_its_size() {
    let fixture =
        Fixture::with(Settings { rate_limit: Some(2), window_seconds: Some(60.0), ..Settings::default() });
    fixture.add().await.unwrap();
    fixture.add().await.unwrap();
    fixture.portal.clear_record();
    let error = fixture.add().await.unwrap_err();
    let details = error.details();
    assert_eq!((details.kind, details.status, details.attempts), (ErrorKind::RateLimit, None, 0));
    assert!(!details.maybe_applied && details.candidates.is_none());
    let rate = details.rate.unwrap();
    assert_eq!((rate.limit, rate.remaining, rate.window.as_secs()), (2, 0, 60));
    // The client knows that the limit is exhausted and sends no request.
    assert_eq!((fixture.created_tokens().len(), fixture.portal.record().len()), (2, 0));
}

#[tokio::test]
async fn a_rate_limit_exhausted_by_others_is_reported_with_its_size() {
    let fixture = Fixture::start();
    fixture.add_post_fault(FaultKind::RateLimited);
    let error = fixture.add().await.unwrap_err();
    assert_rejected(&fixture, &error, ErrorKind::RateLimit, 429, Some(1429));
    assert_eq!(error.details().rate.unwrap().remaining, 0);
}

#[tokio::test]
async fn a_refused_connection_is_not_an_unknown_outcome() {
    let port = closed_port().await;
    let rejection = async |address: &str| {
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
        rejection("http://127.0.0.1"),
        rejection("http://localhost"),
        rejection("http://[::1]"),
        rejection("https://127.0.0.1"),
        rejection("https://localhost"),
    );
}

#[tokio::test]
async fn an_unknown_host_is_a_connect_error() {
    let client = crate::support::client("https://acme.logicmonitor.invalid/santaba/rest", pair());
    let error = operation(add("ci")).run(&client).await.unwrap_err();
    assert_eq!((error.kind(), error.details().maybe_applied), (ErrorKind::Connect, false), "{error:?}");
    assert!(error.to_string().contains("acme.logicmonitor.invalid"), "{error}");
}
