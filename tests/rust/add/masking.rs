//! A portal, or a proxy before it, that repeats what it was sent: none of it comes back as text.

use lmtokens::credentials::Credentials;
use lmtokens::error::Error;
use lmtokens::operation::Operation as _;
use lmtokens::sandbox::{Fault, FaultKind};
use serde_json::json;

use super::{Setting, add, operation};
use crate::support::{
    BEARER, HANGING, RawServer, answer, assert_repeats_nothing, bearer, client, pair, secret,
};

/// The value of the header that the server was sent.
fn authorization(request: &str) -> &str {
    let value = request.lines().find_map(|line| line.strip_prefix("authorization: "));
    value.unwrap_or_else(|| panic!("no credentials in {request:?}"))
}

async fn refused_by(credentials: Credentials, words: fn(&str) -> String) -> (RawServer, Error) {
    let server = RawServer::start(move |request| {
        answer(400, &json!({ "errorMessage": words(authorization(request)), "errorCode": 1400 }).to_string())
    })
    .await;
    let client = client(&server.base_url, credentials);
    let error = tokio::time::timeout(HANGING, operation(add("ci")).run(&client))
        .await
        .expect("it hangs")
        .unwrap_err();
    (server, error)
}

fn assert_silent(error: &Error, credential: &str) {
    for text in [error.to_string(), format!("{error:?}"), format!("{:?}", error.details().advice)] {
        assert_repeats_nothing(&text, credential, "in an error");
    }
}

#[tokio::test]
async fn a_bearer_in_the_portals_words_is_masked() {
    for words in [
        (|header: &str| format!("no such token: {header} (checked)")) as fn(&str) -> String,
        |header| header.to_owned(),
        |header| format!("{header}{header}\n{header}"),
    ] {
        let (_, error) = refused_by(bearer(), words).await;
        assert!(error.to_string().contains("********"), "{error}");
        assert_silent(&error, BEARER);
    }
}

/// Long words are cut. What is left of a secret at the cut is still the greater part of one.
#[tokio::test]
async fn a_bearer_at_the_end_of_too_many_words_is_masked() {
    for words in [
        (|header: &str| format!("{}{header}", "x".repeat(500 - header.len() + 1))) as fn(&str) -> String,
        |header| format!("{}{header}", "x".repeat(475)),
        |header| format!("{}{header}", "\u{e9}".repeat(480)),
    ] {
        let (_, error) = refused_by(bearer(), words).await;
        assert_silent(&error, BEARER);
    }
}

/// A signature is good for half an hour, for the very request that makes a credential.
#[tokio::test]
async fn a_signature_in_the_portals_words_is_masked() {
    let (server, error) = refused_by(pair(), |header| format!("no such token: {header}")).await;
    let request = server.requests().remove(0);
    let signature = authorization(&request).split(':').nth(1).unwrap();
    assert_eq!(signature.len(), 88);
    assert_silent(&error, signature);
}

#[tokio::test]
async fn a_bearer_in_a_lost_answer_is_masked_too() {
    let server = RawServer::start(|request| {
        answer(500, &json!({ "errorMessage": authorization(request), "errorCode": 1500 }).to_string())
    })
    .await;
    let client = client(&server.base_url, bearer());
    let error = tokio::time::timeout(HANGING, operation(add("ci")).run(&client))
        .await
        .expect("it hangs")
        .unwrap_err();
    assert!(error.details().cause.is_some(), "{error:?}");
    assert_silent(&error, BEARER);
}

/// Hosts are compared in lower case, and told so.
#[tokio::test]
async fn a_bearer_in_the_host_of_a_redirect_is_masked() {
    const MIXED: &str = "lmb_Unit-Test-Bearer-That-Opens-Nothing";
    let server = RawServer::start(|_| {
        format!("HTTP/1.1 302 -\r\nLocation: https://{MIXED}.example.com/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    })
    .await;
    let client = client(&server.base_url, Credentials::from_bearer(secret(MIXED)).unwrap());
    let error = tokio::time::timeout(HANGING, operation(add("ci")).run(&client))
        .await
        .expect("it hangs")
        .unwrap_err();
    assert!(error.to_string().contains("redirect"), "{error}");
    assert_silent(&error, MIXED);
}

/// They reach terminals and log files.
#[tokio::test]
async fn the_portals_words_are_one_short_line() {
    let hostile = format!("first\r\nsecond\u{1b}[31m\0{}", "\u{e9}".repeat(100_000));
    for (kind, status) in [
        (FaultKind::StatusBeforeActing, Some(400)),
        (FaultKind::ErrorIn200, None),
        (FaultKind::V1Error, None),
    ] {
        let code = (kind != FaultKind::V1Error).then_some(1400).or(Some(1041));
        let setting = Setting::struck(Fault { status, code, message: Some(hostile.clone()), ..kind.into() });
        let message = setting.add().await.unwrap_err().to_string();
        assert!(message.starts_with("first  second"), "{kind:?}: {message:.40?}");
        assert!(!message.chars().any(char::is_control), "{kind:?}: {message:.40?}");
        assert!(message.chars().count() <= 500, "{kind:?}: {} characters", message.chars().count());
    }
}
