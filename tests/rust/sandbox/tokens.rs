//! The operations on tokens: create, change, replace, delete.

use lmtokens::testing::sandbox::{NewToken, Settings, TokenType};
use serde_json::json;

use super::{Api, TOKENS, ToPair as _, now_ms};

#[tokio::test]
async fn a_create_returns_the_complete_token_with_its_secret() {
    let api = Api::start();
    let now = now_ms() / 1000;
    let created = api.call("POST", TOKENS, r#"{"note":"ci é","status":1}"#).await.json();
    let (id, key) = (created["accessId"].as_str().unwrap(), created["accessKey"].as_str().unwrap());
    assert_eq!(id.len(), 20);
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(key.len(), 40);
    assert!(key.starts_with("sandbox-key-") && key.bytes().all(|byte| byte.is_ascii_graphic()));
    let created_on = created["createdOn"].as_u64().unwrap();
    assert!((now..=now + 10).contains(&created_on));
    assert_eq!(
        created,
        json!({
            "id": 103, "accessId": id, "accessKey": key, "adminId": 32, "adminName": "api-user",
            "roles": ["token-manager"], "status": 1, "note": "ci é", "createdBy": "admin", "createdOn": created_on,
            "lastUsedOn": 0, "lastAuthIp": "", "userPermission": "write",
        })
    );
}

#[tokio::test]
async fn an_empty_object_creates_an_enabled_token() {
    let api = Api::start();
    let created = api.call("POST", TOKENS, "{}").await.json();
    assert_eq!((&created["status"], &created["note"]), (&json!(2), &json!("")));
    let pair = super::Pair {
        access_id: created["accessId"].as_str().unwrap().to_owned(),
        access_key: lmtokens::testing::secret::Secret::new(created["accessKey"].as_str().unwrap().to_owned()),
    };
    assert_eq!(api.call_as(&pair, "GET", TOKENS, "").await.status, 200);
}

#[tokio::test]
async fn a_bearer_token_is_returned_once_and_masked_in_lists() {
    let api = Api::start();
    let path = format!("{TOKENS}?type=bearer");
    let created = api.call("POST", &path, "{}").await.json();
    let bearer = created["accessKey"].as_str().unwrap();
    assert_eq!((&created["accessId"], &created["type"]), (&json!(""), &json!("bearer")));
    assert!(bearer.starts_with("lmb_sandbox-"));
    let listed = api.get(&path).await.json()["items"][0]["accessKey"].as_str().unwrap().to_owned();
    assert_eq!(listed.len(), bearer.len());
    assert_eq!(listed[..24], bearer[..24]);
    assert!(listed[24..].bytes().all(|byte| byte == b'*'));
}

#[tokio::test]
async fn lists_and_changes_do_not_return_the_access_key() {
    let api = Api::start();
    let token = api.token(NewToken::default());
    let item = format!("{TOKENS}/{}", token.id);
    for reply in [
        api.get(TOKENS).await,
        api.get("/setting/admins/apitokens").await,
        api.get("/setting/admins").await,
        api.call("PATCH", &item, r#"{"note":"x"}"#).await,
        api.call("PUT", &item, r#"{"note":"y"}"#).await,
    ] {
        assert_eq!(reply.status, 200);
        assert!(!reply.text.contains("sandbox-key-"), "{reply:?}");
        assert!(reply.text.contains(r#""accessKey":null"#), "{reply:?}");
    }
}

#[tokio::test]
async fn patch_changes_the_members_in_its_body_and_put_replaces_all() {
    let api = Api::start();
    let item = format!("{TOKENS}/{}", api.token(NewToken { note: "a".into(), ..NewToken::default() }).id);
    let step = async |method: &str, body: &str| {
        let reply = api.call(method, &item, body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let token = reply.json();
        (
            token["note"].as_str().unwrap().to_owned(),
            token["status"].as_i64().unwrap(),
            api.last_seen().applied,
        )
    };
    assert_eq!(step("PATCH", r#"{"status":1}"#).await, ("a".to_owned(), 1, true));
    assert_eq!(step("PATCH", r#"{"note":"b"}"#).await, ("b".to_owned(), 1, true));
    assert_eq!(step("PATCH", "{}").await, ("b".to_owned(), 1, false));
    assert_eq!(step("PUT", r#"{"note":"c"}"#).await, ("c".to_owned(), 2, true), "PUT enables");
    assert_eq!(step("PUT", r#"{"status":1}"#).await, (String::new(), 1, true), "PUT clears the note");
    assert_eq!(step("PATCH", r#"{"note":"d","id":7,"unknown":[]}"#).await, ("d".to_owned(), 1, true));
}

#[tokio::test]
async fn delete_returns_an_empty_object_and_removes_the_token() {
    let api = Api::start();
    for body in ["", "{}"] {
        let item = format!("{TOKENS}/{}", api.token(NewToken::default()).id);
        let reply = api.call("DELETE", &item, body).await;
        assert_eq!((reply.status, reply.text.as_str()), (200, "{}\r\n"));
        assert_eq!(api.call("DELETE", &item, body).await.error(), (404, 1404));
        assert_eq!(api.call("PATCH", &item, "{}").await.error(), (404, 1404));
    }
    assert_eq!(api.portal.tokens().len(), 2);
}

#[tokio::test]
async fn missing_resources_get_404() {
    let api = Api::start();
    let id = api.token(NewToken::default()).id;
    for (method, path) in [
        ("GET", format!("{TOKENS}/{id}")),
        ("PATCH", format!("/setting/admins/33/apitokens/{id}")),
        ("DELETE", format!("/setting/admins/33/apitokens/{id}")),
        ("PUT", format!("{TOKENS}/4000000000")),
        ("PATCH", format!("{TOKENS}/99999999999999999999")),
        ("PATCH", format!("{TOKENS}/+{id}")),
        ("POST", "/setting/admins/999/apitokens".to_owned()),
        ("GET", "/setting/admins/999/apitokens".to_owned()),
        ("GET", "/setting/admins/me/apitokens".to_owned()),
        ("POST", "/setting/admins/apitokens".to_owned()),
        ("GET", "/setting/admins/apitokens/".to_owned()),
        ("GET", "/setting/admins//apitokens".to_owned()),
        ("GET", "/device/devices".to_owned()),
        ("GET", String::new()),
    ] {
        let reply = api.call(method, &path, "{}").await;
        assert_eq!(reply.error(), (404, 1404), "{method} {path}");
        assert!(reply.header("x-rate-limit-limit").is_some());
    }
    assert!(api.portal.tokens().iter().any(|token| token.id == id));
}

#[tokio::test]
async fn invalid_bodies_get_400() {
    let api = Api::start();
    let item = format!("{TOKENS}/{}", api.token(NewToken::default()).id);
    for body in [
        "",
        "[]",
        "null",
        "1",
        "\"{}\"",
        "{",
        "{} {}",
        "{'note':1}",
        r#"{"note":1}"#,
        r#"{"note":["a"]}"#,
        r#"{"status":0}"#,
        r#"{"status":3}"#,
        r#"{"status":1.5}"#,
        r#"{"status":-1}"#,
        r#"{"status":99999999999999999999}"#,
        r#"{"status":true}"#,
        r#"{"status":"enabled"}"#,
        r#"{"status":{}}"#,
    ] {
        for (method, path) in [("POST", TOKENS), ("PATCH", item.as_str()), ("PUT", item.as_str())] {
            assert_eq!(api.call(method, path, body).await.error(), (400, 1400), "{method} {body}");
        }
    }
    let jackson = api.call("POST", TOKENS, r#"{"status":"enabled"}"#).await;
    let message = jackson.json()["errorMessage"].as_str().unwrap().to_owned();
    assert!(message.contains("java.lang.Integer") && message.contains("\"enabled\""), "{message}");
    assert_eq!(api.call("POST", TOKENS, r#"{"note":null,"status":null}"#).await.status, 200);
    assert_eq!(api.call("POST", &format!("{TOKENS}?type=lmv1"), "{}").await.error(), (400, 1400));
    assert_eq!(api.call("POST", &format!("{TOKENS}?type=API+Token"), "{}").await.status, 200);
    assert_eq!(api.portal.tokens().len(), 5, "rejected requests created nothing");
}

#[tokio::test]
async fn a_seed_repeats_credentials_and_no_seed_does_not() {
    let credentials = |seed| {
        let api = Api::with(Settings { seed, ..Settings::default() });
        let create = |r#type| api.token(NewToken { r#type, ..NewToken::default() });
        let (lmv1, bearer) = (create(TokenType::Lmv1), create(TokenType::Bearer));
        let portal = &api.portal;
        [portal.access_key(), portal.bearer_token(), lmv1.access_key, bearer.access_key]
            .map(|secret| secret.reveal().to_owned())
    };
    assert_eq!(credentials(Some(7)), credentials(Some(7)));
    assert_ne!(credentials(Some(7)), credentials(Some(8)));
    assert_ne!(credentials(None), credentials(None));
}

#[tokio::test]
async fn a_reset_restores_the_initial_state_and_keeps_the_built_in_credentials() {
    let api = Api::start();
    let token = api.token(NewToken::default());
    api.portal.add_user(lmtokens::testing::sandbox::NewUser::default());
    api.portal.set_clock_offset(90_000);
    api.portal.set_rate_limit(None, 1, 60.0).unwrap();
    api.fault(lmtokens::testing::sandbox::FaultKind::Html);
    api.portal.reset();
    assert_eq!(api.portal.record().len(), 0);
    assert_eq!(api.call_as(&token.pair(), "GET", TOKENS, "").await.status, 401);
    for _ in 0..3 {
        let users = api.get("/setting/admins").await;
        assert_eq!(users.ids(), [1, 32, 33]);
    }
    assert_eq!(api.portal.tokens().len(), 2);
}
