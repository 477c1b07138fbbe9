//! One test for each thing that can go wrong with a POST. None of them may send it again.

use lmtokens::error::ErrorKind;
use lmtokens::sandbox::{Fault, FaultKind, RateHeaders, Settings};

use super::{Setting, assert_plain, assert_unknown, candidates};

#[tokio::test]
async fn nothing_wrong() {
    let setting = Setting::start();
    let token = setting.add().await.unwrap();
    let made = &setting.made()[0];
    assert_eq!((token.id, token.access_id.as_deref()), (made.id.into(), Some(made.access_id.as_str())));
    assert_eq!(token.access_key.as_ref(), Some(&made.access_key));
    assert_eq!((setting.posts().len(), setting.portal.record().len()), (1, 1));
}

/// The connection ended and nobody can know what became of the request.
async fn answer_lost(fault: impl Into<Fault>, acts: bool, status: Option<u16>) {
    let setting = Setting::struck(fault);
    let error = setting.add().await.unwrap_err();
    assert_unknown(&setting, &error, ErrorKind::Transport, status);
    assert_found_what_was_made(&setting, &error, acts);
}

fn assert_found_what_was_made(setting: &Setting, error: &lmtokens::error::Error, acts: bool) {
    let made: Vec<i64> = setting.made().iter().map(|token| token.id.into()).collect();
    assert_eq!(made.len(), usize::from(acts));
    assert_eq!(candidates(error), Some(made));
}

#[tokio::test]
async fn close_before_acting() {
    answer_lost(FaultKind::CloseBeforeActing, false, None).await;
}

#[tokio::test]
async fn act_then_close() {
    answer_lost(FaultKind::ActThenClose, true, None).await;
}

#[tokio::test]
async fn truncated() {
    answer_lost(FaultKind::Truncated, true, Some(200)).await;
}

#[tokio::test]
async fn late() {
    let setting = Setting::struck(Fault { seconds: Some(0.5), ..FaultKind::Late.into() });
    let error = setting.add().await.unwrap_err();
    assert_unknown(&setting, &error, ErrorKind::Transport, None);
    assert_eq!(candidates(&error), Some(Vec::new()), "it was not there yet");
    assert!(super::advice(&error).contains("in progress"), "{error:?}");
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert_eq!((setting.made().len(), setting.posts().len()), (1, 1));
}

/// A failure of the portal's: it may have happened after the token was stored.
async fn portal_failed(fault: impl Into<Fault>, acts: bool, status: u16) {
    let setting = Setting::struck(fault);
    let error = setting.add().await.unwrap_err();
    assert_unknown(&setting, &error, ErrorKind::Server, Some(status));
    assert_found_what_was_made(&setting, &error, acts);
}

#[tokio::test]
async fn status_before_acting() {
    portal_failed(FaultKind::StatusBeforeActing, false, 500).await;
    for status in [502, 503, 504] {
        portal_failed(Fault { status: Some(status), ..FaultKind::StatusBeforeActing.into() }, false, status)
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
        let setting = Setting::struck(Fault { status: Some(status), ..FaultKind::StatusBeforeActing.into() });
        let error = setting.add().await.unwrap_err();
        assert_plain(&setting, &error, kind, status, Some(1000 + i64::from(status)));
    }
}

/// A yes that says nothing is not the token, and its status is told as it was.
#[tokio::test]
async fn a_success_without_content() {
    let setting = Setting::struck(Fault { status: Some(204), ..FaultKind::StatusBeforeActing.into() });
    let error = setting.add().await.unwrap_err();
    assert_unknown(&setting, &error, ErrorKind::Response, Some(204));
}

#[tokio::test]
async fn act_then_status() {
    portal_failed(FaultKind::ActThenStatus, true, 500).await;
    portal_failed(Fault { status: Some(504), ..FaultKind::ActThenStatus.into() }, true, 504).await;
}

#[tokio::test]
async fn html() {
    portal_failed(FaultKind::Html, false, 503).await;
    let setting = Setting::struck(Fault { status: Some(404), ..FaultKind::Html.into() });
    let error = setting.add().await.unwrap_err();
    assert_plain(&setting, &error, ErrorKind::NotFound, 404, None);
}

#[tokio::test]
async fn act_then_html() {
    portal_failed(FaultKind::ActThenHtml, true, 503).await;
    unreadable(Fault { status: Some(200), ..FaultKind::ActThenHtml.into() }, true).await;
}

/// A yes that says nothing of the token.
async fn unreadable(fault: impl Into<Fault>, acts: bool) {
    let setting = Setting::struck(fault);
    let error = setting.add().await.unwrap_err();
    assert_unknown(&setting, &error, ErrorKind::Response, Some(200));
    assert_found_what_was_made(&setting, &error, acts);
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

/// The token is known, its key is not: no look is needed.
#[tokio::test]
async fn no_key() {
    let setting = Setting::struck(FaultKind::NoKey);
    let error = setting.add().await.unwrap_err();
    assert_unknown(&setting, &error, ErrorKind::Response, Some(200));
    assert_found_what_was_made(&setting, &error, true);
    assert_eq!(setting.portal.record().len(), 1);
}

#[tokio::test]
async fn rate_limited() {
    for (headers, told) in [
        (RateHeaders::Normal, Some((7, 0, 90))),
        (RateHeaders::Missing, None),
        (RateHeaders::Nonsense, None),
        (RateHeaders::Contradictory, None),
    ] {
        let settings = Settings { rate_limit: Some(7), window_seconds: Some(90.0), ..Settings::default() };
        let setting = Setting::with(settings);
        setting.strike(Fault { headers: Some(headers), ..FaultKind::RateLimited.into() });
        let error = setting.add().await.unwrap_err();
        assert_plain(&setting, &error, ErrorKind::RateLimit, 429, Some(1429));
        let rate = error.details().rate.map(|rate| (rate.limit, rate.remaining, rate.window.as_secs()));
        assert_eq!(rate, told, "{headers:?}");
        assert_eq!(setting.made().len(), 0);
    }
}

#[tokio::test]
async fn delay() {
    let setting = Setting::struck(Fault { seconds: Some(0.2), ..FaultKind::Delay.into() });
    assert_eq!(setting.add().await.unwrap().note.as_deref(), Some("ci"));
    assert_eq!((setting.posts().len(), setting.made().len()), (1, 1));
}

#[tokio::test]
async fn act_then_delay() {
    let setting = Setting::struck(Fault { seconds: Some(0.2), ..FaultKind::ActThenDelay.into() });
    assert_eq!(setting.add().await.unwrap().note.as_deref(), Some("ci"));
    assert_eq!((setting.posts().len(), setting.made().len()), (1, 1));
}

#[tokio::test]
async fn trickle() {
    let setting = Setting::struck(Fault { seconds: Some(0.001), ..FaultKind::Trickle.into() });
    let token = setting.add().await.unwrap();
    assert_eq!(token.access_key.as_ref(), Some(&setting.made()[0].access_key));
    assert_eq!(setting.posts().len(), 1);
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
        (4711, ErrorKind::Api),
    ] {
        let setting = Setting::struck(Fault { code: Some(code), ..FaultKind::ErrorIn200.into() });
        let error = setting.add().await.unwrap_err();
        assert_plain(&setting, &error, kind, 200, Some(code));
    }
    portal_failed(FaultKind::ErrorIn200, false, 200).await;
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
        let setting = Setting::struck(Fault { code: Some(code), ..FaultKind::V1Error.into() });
        let error = setting.add().await.unwrap_err();
        assert_plain(&setting, &error, kind, 200, Some(code));
    }
    portal_failed(FaultKind::V1Error, false, 200).await;
}

/// Something on the way dropped the header that asks for version 3: the token is there all the same.
#[tokio::test]
async fn v1_envelope() {
    let setting = Setting::struck(FaultKind::V1Envelope);
    let token = setting.add().await.unwrap();
    assert_eq!(token.access_key.as_ref(), Some(&setting.made()[0].access_key));
    assert_eq!(setting.posts().len(), 1);
}

#[tokio::test]
async fn redirect() {
    for status in [301, 302, 303, 307, 308] {
        // The portal itself would carry out what is sent to it a second time.
        let setting = Setting::start();
        let location = format!("{}/setting/admins/33/apitokens", setting.portal.base_url());
        setting.strike(Fault {
            status: Some(status),
            location: Some(location),
            ..FaultKind::Redirect.into()
        });
        let error = setting.add().await.unwrap_err();
        assert_plain(&setting, &error, ErrorKind::Api, status, None);
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
        assert_eq!(setting.made().len(), 0);
    }
}

/// A kind without a test above does not compile here.
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

/// A kept connection that breaks is where HTTP clients send again by themselves.
#[tokio::test]
async fn a_kept_connection_that_breaks_is_no_reason_to_send_again() {
    for kind in [FaultKind::CloseBeforeActing, FaultKind::ActThenClose, FaultKind::Truncated] {
        let setting = Setting::start();
        setting.add().await.unwrap();
        setting.portal.clear_record();
        setting.strike(kind);
        setting.portal.add_fault(Fault { times: Some(5), ..kind.into() }).unwrap();
        let error = setting.run(super::add("second")).await.unwrap_err();
        assert_unknown(&setting, &error, ErrorKind::Transport, (kind == FaultKind::Truncated).then_some(200));
        assert_eq!(setting.posts()[0].connection, 1, "the connection was not kept, so nothing was proved");
    }
}
