//! The portal's messages, and the advice added to them.

use std::time::Duration;

use lmtokens::testing::client::{Method, RawResponse};
use lmtokens::testing::error::Error;
use lmtokens::testing::model::RateHeaders;
use serde_json::json;

use super::{failed, received};

fn refused(status: u16, body: &serde_json::Value) -> Error {
    failed(Method::Post, Ok(received(status, body.to_string())))
}

fn advice(error: &Error) -> String {
    format!("{:?}", error.details().advice)
}

#[test]
fn the_message_is_found_under_any_name() {
    for name in ["errorMessage", "errmsg", "message", "error"] {
        assert_eq!(refused(400, &json!({ name: " the words " })).to_string(), "the words");
    }
    for (body, wanted) in [
        (json!({ "errorMessage": "first", "message": "second" }), "first"),
        (json!({ "errorMessage": " ", "message": "second" }), "second"),
        (json!({ "errorMessage": { "text": "no" }, "error": "second" }), "second"),
        (json!({ "errorMessage": null }), "the portal gave no reason"),
        (json!({}), "the portal gave no reason"),
    ] {
        assert_eq!(refused(400, &body).to_string(), wanted, "{body}");
    }
}

/// The client escapes other control characters in every message.
#[test]
fn the_message_is_always_one_line() {
    let hostile = "first\r\nsecond\u{1b}[31m\0\u{85}third";
    for (status, body) in [
        (400, json!({ "errorMessage": hostile, "errorCode": 1400 })),
        (500, json!({ "message": hostile })),
        (200, json!({ "errorMessage": hostile, "errorCode": 1400 })),
        (200, json!({ "status": 1001, "errmsg": hostile, "data": null })),
    ] {
        let message = refused(status, &body).to_string();
        assert!(message.starts_with("first  second"), "{status}: {message:.40}");
        assert!(message.ends_with(" third") && !message.contains(['\r', '\n']), "{status}: {message:.40?}");
    }
}

#[test]
fn a_rate_limit_error_reports_the_limit() {
    let rate = RateHeaders { limit: 200, remaining: 0, window: Duration::from_secs(60) };
    let body = r#"{"errorMessage":"Too many requests","errorCode":1429}"#;
    let error = failed(Method::Post, Ok(RawResponse { rate: Some(rate), ..received(429, body) }));
    assert_eq!(error.details().rate, Some(rate));
    assert!(advice(&error).contains("200") && advice(&error).contains("60 s"), "{}", advice(&error));
    let error = failed(Method::Post, Ok(received(429, body)));
    assert_eq!(error.details().rate, None);
    assert!(advice(&error).contains("wait"), "{}", advice(&error));
    let other = failed(Method::Post, Ok(RawResponse { rate: Some(rate), ..received(403, body) }));
    assert_eq!(other.details().rate, None);
}

#[test]
fn a_redirect_error_names_the_target_and_says_that_it_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let to = RawResponse { redirect_host: Some("login.example.com".to_owned()), ..received(status, "") };
        let error = failed(Method::Post, Ok(to));
        assert!(error.to_string().contains("login.example.com"), "{error}");
        assert!(error.to_string().contains("never followed"), "{error}");
        assert!(advice(&error).contains("company"), "{}", advice(&error));
    }
}

#[test]
fn every_error_response_has_advice() {
    for (status, word) in
        [(403, "role"), (404, "id"), (412, "API-only"), (500, "later"), (503, "later"), (302, "domain")]
    {
        let error = refused(status, &json!({ "errorMessage": "no" }));
        assert!(advice(&error).contains(word), "{status}: {}", advice(&error));
    }
}
