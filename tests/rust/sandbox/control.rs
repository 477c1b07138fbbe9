//! The control over HTTP.

use serde_json::{Value, json};

use super::{Api, Pair, Reply, TOKENS, send};

async fn control(api: &Api, method: &str, path: &str, body: Value) -> Reply {
    let url = api.portal.base_url().replace("/santaba/rest", &format!("/sandbox/{path}"));
    send(api.client.request(method.parse().unwrap(), url).body(body.to_string())).await.unwrap()
}

#[tokio::test]
async fn every_command_works_over_http() {
    let api = Api::start();
    let done = async |method: &str, path: &str, body: Value| {
        let reply = control(&api, method, path, body).await;
        assert_eq!(reply.status, 200, "{method} {path} {reply:?}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
        reply.json()
    };
    let id = done("POST", "users", json!({"username": "eve", "may_view": false})).await["id"].clone();
    assert_eq!(id, 34);
    let token = done("POST", "tokens", json!({"admin_id": id, "note": "n", "created_on": 5})).await;
    assert_eq!((&token["created_on"], &token["type"]), (&json!(5), &json!("lmv1")));
    let pair = Pair {
        access_id: token["access_id"].as_str().unwrap().to_owned(),
        access_key: lmtokens::testing::secret::Secret::new(token["access_key"].as_str().unwrap().to_owned()),
    };
    assert_eq!(api.call_as(&pair, "GET", TOKENS, "").await.json()["total"], 0);
    let record = done("GET", "record", json!(null)).await;
    assert_eq!((record[0]["signature"].as_str(), record[0]["status"].as_u64()), (Some("valid"), Some(200)));
    let tokens = done("GET", "tokens", json!(null)).await;
    assert_eq!(tokens.as_array().unwrap().len(), 3);
    assert!(tokens[0].get("access_key").is_none());

    done("POST", "faults", json!({"kind": "error-in-200", "times": null})).await;
    assert_eq!(api.get(TOKENS).await.error(), (200, 1500));
    done("DELETE", "faults", json!(null)).await;
    done("PUT", "random-faults", json!({"rate": 1, "kinds": ["html"]})).await;
    assert_eq!(api.get(TOKENS).await.status, 503);
    done("PUT", "random-faults", json!(null)).await;
    done("PUT", "rate-limit", json!({"limit": 3, "window_seconds": 7, "method": "GET"})).await;
    assert_eq!(api.get(TOKENS).await.header("x-rate-limit-window"), Some("7"));
    done("PUT", "clock", json!({"offset_seconds": 7200})).await;
    assert_eq!(api.get(TOKENS).await.status, 401);
    done("PUT", "clock", json!({"offset_seconds": 0})).await;
    done("POST", "advance", json!({"hours": 2})).await;
    done("PATCH", "settings", json!({"note_limit": 3, "email_notifications": true})).await;
    done("PATCH", "settings", json!({"long_notes": "cut"})).await;
    assert_eq!(api.call("POST", TOKENS, r#"{"note":"long"}"#).await.json()["note"], "lon");
    assert_eq!(done("GET", "emails", json!(null)).await, json!({"count": 1}));
    done("DELETE", "record", json!(null)).await;
    assert_eq!(api.portal.record().len(), 0);
    done("POST", "reset", json!(null)).await;
    assert_eq!(api.portal.tokens().len(), 2);
    api.assert_responsive().await;
}

#[tokio::test]
async fn invalid_bodies_are_reported_by_name() {
    let api = Api::start();
    for (method, path, body, error) in [
        ("POST", "faults", json!({"kind": "nope"}), "invalid kind \"nope\"; expected close-before-acting, "),
        ("POST", "faults", json!({"kind": "html", "colour": 1}), "unknown argument colour; expected kind, "),
        ("POST", "faults", json!({"kind": "html", "seconds": 1}), "the fault html does not take seconds"),
        ("POST", "users", json!({"name": "x"}), "unknown argument name; expected id, "),
        ("POST", "tokens", json!({"type": "lmv2"}), "invalid type \"lmv2\"; expected lmv1 or bearer"),
        (
            "PUT",
            "rate-limit",
            json!({"limit": -1, "window_seconds": 1}),
            "invalid limit -1; expected a whole ",
        ),
        (
            "PUT",
            "rate-limit",
            json!({"limit": 1, "window_seconds": 0}),
            "invalid window_seconds 0; expected ",
        ),
        ("PUT", "clock", json!({}), "missing argument offset_seconds"),
        ("POST", "advance", json!({"hours": -1}), "invalid hours -1; expected a number, 0 or more"),
        ("POST", "advance", json!({"days": 36_526}), "invalid time span 3155846400 s; expected at most "),
        ("POST", "advance", json!({"weeks": 1}), "unknown argument weeks; expected seconds, "),
        ("PATCH", "settings", json!({"list_lag": -1}), "invalid list_lag -1; expected a number of seconds "),
        ("PATCH", "settings", json!({"port": 1}), "unknown argument port; expected lock_out_after, "),
        ("PATCH", "settings", json!([]), "invalid body []; expected an object"),
        ("PUT", "random-faults", json!({"rate": 2}), "invalid rate 2; expected "),
    ] {
        let reply = control(&api, method, path, body).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        assert!(reply.json()["error"].as_str().unwrap().starts_with(error), "{reply:?}");
    }
    assert_eq!(control(&api, "POST", "tokens", json!({"admin_id": 999})).await.status, 404);
    assert_eq!(control(&api, "GET", "nothing", json!(null)).await.status, 404);
    assert_eq!(control(&api, "PUT", "record", json!(null)).await.status, 405);
    assert_eq!(control(&api, "POST", "users", json!("x".repeat(2_000_000))).await.status, 413);
}

#[tokio::test]
async fn web_pages_are_rejected() {
    let api = Api::start();
    let status = async |headers: &str| {
        let raw = format!("GET /sandbox/tokens HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
        api.raw(raw.as_bytes()).await.split(' ').nth(1).unwrap().to_owned()
    };
    for good in ["127.0.0.1:80", "localhost", "LOCALHOST:1", "[::1]:5", "127.9.9.9"] {
        assert_eq!(status(&format!("Host: {good}\r\n")).await, "200", "{good}");
    }
    for bad in ["evil.example", "127.0.0.1.example", "localhost.example", "10.0.0.1", "", "a b", "@"] {
        assert_eq!(status(&format!("Host: {bad}\r\n")).await, "403", "{bad}");
    }
    assert_eq!(status("").await, "403");
    assert_eq!(status("Host: localhost\r\nOrigin: https://evil.example\r\n").await, "403");
}
