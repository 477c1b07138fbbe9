//! A portal, or a proxy before it, that echoes credentials: errors do not contain them.

use std::sync::Arc;

use lmtokens::testing::credentials::Credentials;
use lmtokens::testing::destinations::{BoxFuture, Destination};
use lmtokens::testing::error::{Error, Result};
use lmtokens::testing::lifecycle::AddToken;
use lmtokens::testing::model::Token;
use lmtokens::testing::operation::Operation as _;
use lmtokens::testing::sandbox::{Fault, FaultKind};
use lmtokens::testing::tag::Tag;
use serde_json::{Value, json};

use super::{Fixture, add, operation};
use crate::redact::encoders::Encoding;
use crate::support::{
    BEARER, HANG_TIMEOUT, RawServer, assert_contains_no_part, bearer, client, pair, response, secret,
};

const WITHHELD: &str = "the portal's message is withheld because it repeats a part of the credentials";

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
async fn a_message_with_a_bearer_token_is_withheld() {
    for message in [
        (|header: &str| format!("no such token: {header} (checked)")) as fn(&str) -> String,
        |header| header.to_owned(),
        |header| format!("{header}{header}\n{header}"),
        |header| header.to_uppercase(),
        |header| Encoding::Percent.apply(header),
        |header| Encoding::HexadecimalEntities.apply(header),
        |header| Encoding::UnicodeEscapes.apply(header),
        |header| Encoding::Hexadecimal.apply(header),
        |header| format!("echo {} (base64)", Encoding::Base64.apply(header)),
        |header| Encoding::Reversed.apply(header),
        |header| Encoding::ZeroWidth.apply(header),
        |header| format!("{} ... {}", &header[..20], &header[20..]),
    ] {
        let (_, error) = rejected_with(bearer(), message).await;
        assert_eq!(error.to_string(), WITHHELD);
        assert_eq!((error.details().status, error.details().code), (Some(400), Some(1400)));
        assert_no_leak(&error, BEARER);
    }
}

/// Long messages are truncated, and a part of a secret must not be shown either.
#[tokio::test]
async fn a_truncated_bearer_token_is_withheld() {
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
async fn a_message_with_a_signature_is_withheld() {
    let (server, error) = rejected_with(pair(), |header| format!("no such token: {header}")).await;
    let request = server.requests().remove(0);
    let signature = authorization(&request).split(':').nth(1).unwrap();
    assert_eq!(signature.len(), 88);
    assert_eq!(error.to_string(), WITHHELD);
    assert_no_leak(&error, signature);
}

#[tokio::test]
async fn a_bearer_token_in_the_cause_is_withheld() {
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
async fn a_redirect_to_a_host_with_a_bearer_token_is_withheld() {
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
    assert!(error.to_string().contains("redirect, whose target is withheld"), "{error}");
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
        assert!(message.starts_with("first  second\\u{1b}[31m\\u{0}"), "{kind:?}: {message:.40?}");
        assert!(!message.chars().any(char::is_control), "{kind:?}: {message:.40?}");
        assert!(message.chars().count() <= 500, "{kind:?}: {} characters", message.chars().count());
    }
}

/// A response may contain the key of a new token although it says that nothing was created.
#[tokio::test]
async fn a_message_with_the_key_of_a_new_token_is_withheld() {
    const KEY: &str = "lma_newKey+123(456)";
    for (status, body) in [
        (200, json!({ "errorCode": 1500, "errorMessage": format!("stored {KEY}"), "accessKey": KEY })),
        (200, json!({ "status": 1500, "errmsg": "lma%5FnewKey%2B123", "data": { "accessKey": KEY } })),
        (500, json!({ "message": Encoding::Base64.apply(KEY), "accessKey": KEY })),
    ] {
        let server = RawServer::start(move |_| response(status, &body.to_string())).await;
        let client = client(&server.base_url, pair());
        let error = operation(add("ci")).run(&client).await.unwrap_err();
        assert!(error.to_string().contains(WITHHELD), "{error}");
        assert_no_leak(&error, KEY);
    }
}

/// A list of tokens may repeat credentials in the place of an access id, which is shown with a candidate.
#[tokio::test]
async fn the_access_id_of_a_candidate_is_withheld() {
    let server = RawServer::start(|request| {
        let secret = authorization(request).replace("Bearer lmb_", "");
        let token = json!({ "id": 5, "adminId": 32, "accessId": secret, "note": "ci", "status": 2 });
        if request.starts_with("POST") {
            return response(500, "{}");
        }
        response(200, &json!({ "items": [token], "total": 1 }).to_string())
    })
    .await;
    let client = client(&server.base_url, bearer());
    let error = operation(add("ci")).run(&client).await.unwrap_err();
    let candidates = error.details().candidates.as_deref().unwrap();
    assert_eq!(candidates.iter().map(|token| token.id).collect::<Vec<_>>(), [5]);
    assert_no_leak(&error, BEARER);
}

struct AcceptsAnything;

impl Destination for AcceptsAnything {
    fn deliver<'a>(&'a self, _token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn describe(&self) -> String {
        "a test".to_owned()
    }
}

/// After the create, a proxy knows the new key too, and may repeat it in any response.
#[tokio::test]
async fn the_key_of_a_new_token_is_withheld_in_later_messages() {
    const KEY: &str = "lma_newKey+123(456)";
    let server = RawServer::start(|request| {
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        if request.starts_with("POST") {
            let mut token: Value = serde_json::from_str(body).unwrap();
            token["id"] = json!(5);
            token["adminId"] = json!(32);
            token["accessId"] = json!("newAccessId0000005");
            token["accessKey"] = json!(KEY);
            return response(200, &token.to_string());
        }
        response(400, &json!({ "errorMessage": Encoding::Percent.apply(KEY), "errorCode": 1400 }).to_string())
    })
    .await;
    let client = client(&server.base_url, pair());
    let add = AddToken { token: add("ci"), destination: Some(Arc::new(AcceptsAnything)) };
    let error = add.run(&client).await.unwrap_err();
    assert_eq!(error.to_string(), WITHHELD);
    let advice = format!("{:?}", error.details().advice);
    assert!(
        advice.contains(
            "token 5 remains, disabled, because deleting it failed (the portal's message is withheld"
        )
    );
    assert_no_leak(&error, KEY);
}
