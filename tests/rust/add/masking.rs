//! A portal, or a proxy before it, that echoes credentials: errors do not contain them.

use lmtokens::testing::credentials::Credentials;
use lmtokens::testing::error::Error;
use lmtokens::testing::operation::Operation as _;
use lmtokens::testing::sandbox::{Fault, FaultKind};
use serde_json::json;

use super::{Fixture, add, operation};
use crate::support::{
    BEARER, HANG_TIMEOUT, RawServer, assert_contains_no_part, bearer, client, pair, response, secret,
};

/// Returns the value of a request's Authorization header.
fn authorization(request: &str) -> &str {
    let value = request.lines().find_map(|line| line.strip_prefix("authorization: "));
    value.unwrap_or_else(|| panic!("no credentials in {request:?}"))
}

async fn rejected_with(credentials: Credentials, message: fn(&str) -> String) -> (RawServer, Error) {
    let server = RawServer::start(move |request| {
        response(
            400,
            &json!({ "errorMessage": message(authorization(request)), "errorCode": 1400 }).to_string(),
        )
    })
    .await;
    let client = client(&server.base_url, credentials);
    let error = tokio::time::timeout(HANG_TIMEOUT, operation(add("ci")).run(&client))
        .await
        .expect("the call hangs")
        .unwrap_err();
    (server, error)
}

fn assert_no_leak(error: &Error, credential: &str) {
    for text in [error.to_string(), format!("{error:?}"), format!("{:?}", error.details().advice)] {
        assert_contains_no_part(&text, credential, "in an error");
    }
}

#[tokio::test]
async fn a_bearer_token_in_the_message_is_masked() {
    for message in [
        (|header: &str| format!("no such token: {header} (checked)")) as fn(&str) -> String,
        |header| header.to_owned(),
        |header| format!("{header}{header}\n{header}"),
    ] {
        let (_, error) = rejected_with(bearer(), message).await;
        assert!(error.to_string().contains("********"), "{error}");
        assert_no_leak(&error, BEARER);
    }
}

/// Long messages are truncated, and a truncated secret must be masked too.
#[tokio::test]
async fn a_truncated_bearer_token_is_masked() {
    for message in [
        (|header: &str| format!("{}{header}", "x".repeat(500 - header.len() + 1))) as fn(&str) -> String,
        |header| format!("{}{header}", "x".repeat(475)),
        |header| format!("{}{header}", "\u{e9}".repeat(480)),
    ] {
        let (_, error) = rejected_with(bearer(), message).await;
        assert_no_leak(&error, BEARER);
    }
}

/// For half an hour a signature could be replayed to create a token.
#[tokio::test]
async fn a_signature_in_the_message_is_masked() {
    let (server, error) = rejected_with(pair(), |header| format!("no such token: {header}")).await;
    let request = server.requests().remove(0);
    let signature = authorization(&request).split(':').nth(1).unwrap();
    assert_eq!(signature.len(), 88);
    assert_no_leak(&error, signature);
}

#[tokio::test]
async fn a_bearer_token_in_the_cause_is_masked() {
    let server = RawServer::start(|request| {
        response(500, &json!({ "errorMessage": authorization(request), "errorCode": 1500 }).to_string())
    })
    .await;
    let client = client(&server.base_url, bearer());
    let error = tokio::time::timeout(HANG_TIMEOUT, operation(add("ci")).run(&client))
        .await
        .expect("the call hangs")
        .unwrap_err();
    assert!(error.details().cause.is_some(), "{error:?}");
    assert_no_leak(&error, BEARER);
}

/// Host names are reported in lower case.
#[tokio::test]
async fn a_bearer_token_in_the_host_of_a_redirect_is_masked() {
    const MIXED: &str = "lmb_Unit-Test-Bearer-That-Opens-Nothing";
    let server = RawServer::start(|_| {
        format!("HTTP/1.1 302 -\r\nLocation: https://{MIXED}.example.com/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    })
    .await;
    let client = client(&server.base_url, Credentials::from_bearer(secret(MIXED)).unwrap());
    let error = tokio::time::timeout(HANG_TIMEOUT, operation(add("ci")).run(&client))
        .await
        .expect("the call hangs")
        .unwrap_err();
    assert!(error.to_string().contains("redirect"), "{error}");
    assert_no_leak(&error, MIXED);
}

/// Messages reach terminals and log files.
#[tokio::test]
async fn the_portals_message_is_one_short_line() {
    let hostile = format!("first\r\nsecond\u{1b}[31m\0{}", "\u{e9}".repeat(100_000));
    for (kind, status) in [
        (FaultKind::StatusBeforeActing, Some(400)),
        (FaultKind::ErrorIn200, None),
        (FaultKind::V1Error, None),
    ] {
        let code = (kind != FaultKind::V1Error).then_some(1400).or(Some(1041));
        let fixture =
            Fixture::with_post_fault(Fault { status, code, message: Some(hostile.clone()), ..kind.into() });
        let message = fixture.add().await.unwrap_err().to_string();
        assert!(message.starts_with("first  second"), "{kind:?}: {message:.40?}");
        assert!(!message.chars().any(char::is_control), "{kind:?}: {message:.40?}");
        assert!(message.chars().count() <= 500, "{kind:?}: {} characters", message.chars().count());
    }
}
