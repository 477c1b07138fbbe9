//! One test for each fault of a POST. No fault may cause a second POST.

use lmtokens::testing::error::ErrorKind;
use lmtokens::testing::sandbox::{Fault, FaultKind, RateHeaders, Settings};

use super::{Fixture, assert_outcome_unknown, assert_rejected, candidate_ids};

#[tokio::test]
async fn no_fault() {
    let fixture = Fixture::start();
    let token = fixture.add().await.unwrap();
    let created = &fixture.created_tokens()[0];
    assert_eq!((token.id, token.access_id.as_deref()), (created.id.into(), Some(created.access_id.as_str())));
    assert_eq!(token.access_key.as_ref(), Some(&created.access_key));
    assert_eq!((fixture.posts().len(), fixture.portal.record().len()), (1, 1));
}

/// Asserts an unknown outcome after a broken connection.
async fn connection_lost(fault: impl Into<Fault>, acts: bool, status: Option<u16>) {
    let fixture = Fixture::with_post_fault(fault);
    let error = fixture.add().await.unwrap_err();
    assert_outcome_unknown(&fixture, &error, ErrorKind::Transport, status);
    assert_candidates_are_the_created_tokens(&fixture, &error, acts);
}

fn assert_candidates_are_the_created_tokens(
    fixture: &Fixture,
    error: &lmtokens::testing::error::Error,
    acts: bool,
) {
    let created: Vec<i64> = fixture.created_tokens().iter().map(|token| token.id.into()).collect();
    assert_eq!(created.len(), usize::from(acts));
    assert_eq!(candidate_ids(error), Some(created));
}

#[tokio::test]
async fn close_before_acting() {
    connection_lost(FaultKind::CloseBeforeActing, false, None).await;
}

#[tokio::test]
async fn act_then_close() {
    connection_lost(FaultKind::ActThenClose, true, None).await;
}

#[tokio::test]
async fn truncated() {
    connection_lost(FaultKind::Truncated, true, Some(200)).await;
}

#[tokio::test]
async fn late() {
    let fixture = Fixture::with_post_fault(Fault { seconds: Some(0.5), ..FaultKind::Late.into() });
    let error = fixture.add().await.unwrap_err();
    assert_outcome_unknown(&fixture, &error, ErrorKind::Transport, None);
    assert_eq!(candidate_ids(&error), Some(Vec::new()), "the token does not exist yet");
    assert!(super::advice(&error).contains("in progress"), "{error:?}");
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert_eq!((fixture.created_tokens().len(), fixture.posts().len()), (1, 1));
}

/// Asserts an unknown outcome after a server error, which may follow the creation of the token.
async fn server_error(fault: impl Into<Fault>, acts: bool, status: u16) {
    let fixture = Fixture::with_post_fault(fault);
    let error = fixture.add().await.unwrap_err();
    assert_outcome_unknown(&fixture, &error, ErrorKind::Server, Some(status));
    assert_candidates_are_the_created_tokens(&fixture, &error, acts);
}

#[tokio::test]
async fn status_before_acting() {
    server_error(FaultKind::StatusBeforeActing, false, 500).await;
    for status in [502, 503, 504] {
        server_error(Fault { status: Some(status), ..FaultKind::StatusBeforeActing.into() }, false, status)
            .await;
    }
    for (status, kind) in [
        (400, ErrorKind::BadRequest),
        (401, ErrorKind::Authentication),
        (403, ErrorKind::PermissionDenied),
        (404, ErrorKind::NotFound),
        (405, ErrorKind::Api),
        (409, ErrorKind::Conflict),
        (412, ErrorKind::TwoFactorRequired),
        (413, ErrorKind::BadRequest),
    ] {
        let fixture =
            Fixture::with_post_fault(Fault { status: Some(status), ..FaultKind::StatusBeforeActing.into() });
        let error = fixture.add().await.unwrap_err();
        assert_rejected(&fixture, &error, kind, status, Some(1000 + i64::from(status)));
    }
}

/// A success without content is not a token; the error keeps its status.
#[tokio::test]
async fn a_success_without_content() {
    let fixture =
        Fixture::with_post_fault(Fault { status: Some(204), ..FaultKind::StatusBeforeActing.into() });
    let error = fixture.add().await.unwrap_err();
    assert_outcome_unknown(&fixture, &error, ErrorKind::Response, Some(204));
}

#[tokio::test]
async fn act_then_status() {
    server_error(FaultKind::ActThenStatus, true, 500).await;
    server_error(Fault { status: Some(504), ..FaultKind::ActThenStatus.into() }, true, 504).await;
}

#[tokio::test]
async fn html() {
    server_error(FaultKind::Html, false, 503).await;
    let fixture = Fixture::with_post_fault(Fault { status: Some(404), ..FaultKind::Html.into() });
    let error = fixture.add().await.unwrap_err();
    assert_rejected(&fixture, &error, ErrorKind::NotFound, 404, None);
}

#[tokio::test]
async fn act_then_html() {
    server_error(FaultKind::ActThenHtml, true, 503).await;
    unreadable(Fault { status: Some(200), ..FaultKind::ActThenHtml.into() }, true).await;
}

/// Asserts an unknown outcome after a success whose body is not a token.
async fn unreadable(fault: impl Into<Fault>, acts: bool) {
    let fixture = Fixture::with_post_fault(fault);
    let error = fixture.add().await.unwrap_err();
    assert_outcome_unknown(&fixture, &error, ErrorKind::Response, Some(200));
    assert_candidates_are_the_created_tokens(&fixture, &error, acts);
}

#[tokio::test]
async fn garbage() {
    unreadable(FaultKind::Garbage, true).await;
}

#[tokio::test]
async fn empty() {
    unreadable(FaultKind::Empty, true).await;
}

#[tokio::test]
async fn wrong_shape() {
    unreadable(FaultKind::WrongShape, true).await;
}

/// The response names the token but lacks its key, so no search is needed.
#[tokio::test]
async fn no_key() {
    let fixture = Fixture::with_post_fault(FaultKind::NoKey);
    let error = fixture.add().await.unwrap_err();
    assert_outcome_unknown(&fixture, &error, ErrorKind::Response, Some(200));
    assert_candidates_are_the_created_tokens(&fixture, &error, true);
    assert_eq!(fixture.portal.record().len(), 1);
}

#[tokio::test]
async fn rate_limited() {
    for (headers, expected) in [
        (RateHeaders::Normal, Some((7, 0, 90))),
        (RateHeaders::Missing, None),
        (RateHeaders::Nonsense, None),
        (RateHeaders::Contradictory, None),
    ] {
        let settings = Settings { rate_limit: Some(7), window_seconds: Some(90.0), ..Settings::default() };
        let fixture = Fixture::with(settings);
        fixture.add_post_fault(Fault { headers: Some(headers), ..FaultKind::RateLimited.into() });
        let error = fixture.add().await.unwrap_err();
        assert_rejected(&fixture, &error, ErrorKind::RateLimit, 429, Some(1429));
        let rate = error.details().rate.map(|rate| (rate.limit, rate.remaining, rate.window.as_secs()));
        assert_eq!(rate, expected, "{headers:?}");
        assert_eq!(fixture.created_tokens().len(), 0);
    }
}

#[tokio::test]
async fn delay() {
    let fixture = Fixture::with_post_fault(Fault { seconds: Some(0.2), ..FaultKind::Delay.into() });
    assert_eq!(fixture.add().await.unwrap().note.as_deref(), Some("ci"));
    assert_eq!((fixture.posts().len(), fixture.created_tokens().len()), (1, 1));
}

#[tokio::test]
async fn act_then_delay() {
    let fixture = Fixture::with_post_fault(Fault { seconds: Some(0.2), ..FaultKind::ActThenDelay.into() });
    assert_eq!(fixture.add().await.unwrap().note.as_deref(), Some("ci"));
    assert_eq!((fixture.posts().len(), fixture.created_tokens().len()), (1, 1));
}

#[tokio::test]
async fn trickle() {
    let fixture = Fixture::with_post_fault(Fault { seconds: Some(0.001), ..FaultKind::Trickle.into() });
    let token = fixture.add().await.unwrap();
    assert_eq!(token.access_key.as_ref(), Some(&fixture.created_tokens()[0].access_key));
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn error_in_200() {
    for (code, kind) in [
        (1400, ErrorKind::BadRequest),
        (1401, ErrorKind::Authentication),
        (1403, ErrorKind::PermissionDenied),
        (1404, ErrorKind::NotFound),
        (1409, ErrorKind::Conflict),
        (1412, ErrorKind::TwoFactorRequired),
        (1429, ErrorKind::RateLimit),
    ] {
        let fixture = Fixture::with_post_fault(Fault { code: Some(code), ..FaultKind::ErrorIn200.into() });
        let error = fixture.add().await.unwrap_err();
        assert_rejected(&fixture, &error, kind, 200, Some(code));
    }
    server_error(FaultKind::ErrorIn200, false, 200).await;
}

#[tokio::test]
async fn unknown_code_in_200() {
    let fixture = Fixture::with_post_fault(Fault { code: Some(4711), ..FaultKind::ErrorIn200.into() });
    let error = fixture.add().await.unwrap_err();
    assert_eq!((error.kind(), error.details().code), (ErrorKind::OutcomeUnknown, Some(4711)));
}

#[tokio::test]
async fn v1_error() {
    for (code, kind) in [
        (403, ErrorKind::Authentication),
        (1041, ErrorKind::PermissionDenied),
        (1403, ErrorKind::TwoFactorRequired),
        (600, ErrorKind::Conflict),
        (1069, ErrorKind::NotFound),
    ] {
        let fixture = Fixture::with_post_fault(Fault { code: Some(code), ..FaultKind::V1Error.into() });
        let error = fixture.add().await.unwrap_err();
        assert_rejected(&fixture, &error, kind, 200, Some(code));
    }
    server_error(FaultKind::V1Error, false, 200).await;
}

/// A proxy may drop the version header: the token is read from a version 1 response.
#[tokio::test]
async fn v1_envelope() {
    let fixture = Fixture::with_post_fault(FaultKind::V1Envelope);
    let token = fixture.add().await.unwrap();
    assert_eq!(token.access_key.as_ref(), Some(&fixture.created_tokens()[0].access_key));
    assert_eq!(fixture.posts().len(), 1);
}

#[tokio::test]
async fn redirect() {
    for status in [301, 302, 303, 307, 308] {
        // The redirect leads to the sandbox itself, which would create a token if the client followed it.
        let fixture = Fixture::start();
        let location = format!("{}/setting/admins/33/apitokens", fixture.portal.base_url());
        fixture.add_post_fault(Fault {
            status: Some(status),
            location: Some(location),
            ..FaultKind::Redirect.into()
        });
        let error = fixture.add().await.unwrap_err();
        assert_rejected(&fixture, &error, ErrorKind::Api, status, None);
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
        assert_eq!(fixture.created_tokens().len(), 0);
    }
}

/// Does not compile if a kind is missing: add a test for it above.
const _: fn(FaultKind) = |kind| match kind {
    FaultKind::CloseBeforeActing
    | FaultKind::ActThenClose
    | FaultKind::StatusBeforeActing
    | FaultKind::ActThenStatus
    | FaultKind::Html
    | FaultKind::ActThenHtml
    | FaultKind::RateLimited
    | FaultKind::Delay
    | FaultKind::ActThenDelay
    | FaultKind::ErrorIn200
    | FaultKind::V1Envelope
    | FaultKind::V1Error
    | FaultKind::Truncated
    | FaultKind::Garbage
    | FaultKind::Empty
    | FaultKind::WrongShape
    | FaultKind::Trickle
    | FaultKind::Redirect
    | FaultKind::NoKey
    | FaultKind::Late => {}
};

/// HTTP clients often retry by themselves when a kept-alive connection breaks.
#[tokio::test]
async fn a_broken_kept_alive_connection_does_not_cause_a_retry() {
    for kind in [FaultKind::CloseBeforeActing, FaultKind::ActThenClose, FaultKind::Truncated] {
        let fixture = Fixture::start();
        fixture.add().await.unwrap();
        fixture.portal.clear_record();
        fixture.add_post_fault(kind);
        fixture.portal.add_fault(Fault { times: Some(5), ..kind.into() }).unwrap();
        let error = fixture.run(super::add("second")).await.unwrap_err();
        assert_outcome_unknown(
            &fixture,
            &error,
            ErrorKind::Transport,
            (kind == FaultKind::Truncated).then_some(200),
        );
        assert_eq!(
            fixture.posts()[0].connection,
            1,
            "the connection was not reused, so the test proves nothing"
        );
    }
}
