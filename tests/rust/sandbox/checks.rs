//! The checks before a request reaches its resource, and their order.

use lmtokens::testing::sandbox::{Behavior, NewToken, NewUser, Settings, Signature, TokenType};
use serde_json::json;

use super::{Api, Pair, TOKENS, ToPair as _, now_ms, send, sign};

const HALF_AN_HOUR_MS: u64 = 30 * 60 * 1000;

#[tokio::test]
async fn version_3_responses_are_not_wrapped() {
    let api = Api::start();
    let reply = api.call("POST", TOKENS, r#"{"note":"ci","status":2}"#).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["note"], "ci");
    assert_eq!(api.last_seen().signature, Signature::Valid);
}

#[tokio::test]
async fn without_a_version_every_response_is_wrapped_with_http_200() {
    let api = Api::start();
    let bare = |authorization: String| {
        send(api.bare("POST", TOKENS).header("Authorization", authorization).body("{}"))
    };
    let created = bare(sign(&api.admin(), "POST", TOKENS, "{}", now_ms())).await.unwrap();
    assert_eq!(created.status, 200);
    assert_eq!(created.json()["status"], 200);
    assert_eq!(created.json()["errmsg"], "OK");
    assert_eq!(created.json()["data"]["adminId"], 32);

    let refused = bare("LMv1 unknown:x:1".to_owned()).await.unwrap();
    assert_eq!(refused.status, 200);
    assert_eq!(refused.json(), json!({"status": 403, "errmsg": "Authentication failed", "data": null}));
}

#[tokio::test]
async fn a_version_in_the_query_is_accepted_and_not_signed() {
    let api = Api::start();
    let authorization = sign(&api.admin(), "GET", TOKENS, "", now_ms());
    let reply = send(api.bare("GET", &format!("{TOKENS}?v=3")).header("Authorization", authorization)).await;
    assert_eq!(reply.unwrap().json()["total"], 0);
}

#[tokio::test]
async fn every_failed_authentication_gets_the_same_response() {
    let api = Api::start();
    let admin = api.admin();
    let wrong_key =
        Pair { access_key: lmtokens::testing::secret::Secret::new("other".to_owned()), ..admin.clone() };
    let unknown = Pair { access_id: "unknown".to_owned(), ..admin.clone() };
    let signed = |pair: &Pair, method: &str, path: &str, body: &str| sign(pair, method, path, body, now_ms());
    let cases = [
        (signed(&wrong_key, "POST", TOKENS, "{}"), Signature::Invalid),
        (signed(&admin, "POST", TOKENS, "{ }"), Signature::Invalid),
        (signed(&admin, "GET", TOKENS, "{}"), Signature::Invalid),
        (signed(&admin, "POST", "/setting/admins/33/apitokens", "{}"), Signature::Invalid),
        (signed(&unknown, "POST", TOKENS, "{}"), Signature::UnknownId),
        ("LMv1 only-one-part".to_owned(), Signature::Malformed),
        ("Basic YTpi".to_owned(), Signature::Malformed),
        ("Bearer lmb_sandbox-unknown".to_owned(), Signature::BearerInvalid),
        (format!("Bearer {}x", api.portal.bearer_token().reveal()), Signature::BearerInvalid),
        // The visible part of a bearer token is not an access id.
        (format!("LMv1 {}:x:{}", &api.portal.bearer_token().reveal()[..24], now_ms()), Signature::UnknownId),
        (format!("Bearer {}", admin.access_id), Signature::BearerInvalid),
    ];
    let mut texts = Vec::new();
    for (authorization, signature) in cases {
        let request = api.bare("POST", TOKENS).header("X-Version", "3").body("{}");
        let reply = send(request.header("Authorization", &authorization)).await.unwrap();
        assert_eq!(reply.error(), (401, 1401), "{authorization}");
        assert_eq!(reply.header("x-rate-limit-limit"), None);
        assert_eq!(api.last_seen().signature, signature, "{authorization}");
        texts.push(reply.text);
    }
    let absent = send(api.bare("POST", TOKENS).header("X-Version", "3").body("{}")).await.unwrap();
    assert_eq!(absent.error(), (401, 1401));
    assert_eq!(api.last_seen().signature, Signature::Absent);
    assert!(texts.iter().all(|text| *text == absent.text));
    assert_eq!(api.portal.tokens().len(), 2, "only the built-in tokens");
}

#[tokio::test]
async fn requests_are_stale_after_half_an_hour_in_both_directions() {
    let api = Api::start();
    let at = async |timestamp_ms| {
        let authorization = sign(&api.admin(), "GET", TOKENS, "", timestamp_ms);
        let request = api.bare("GET", TOKENS).header("X-Version", "3").header("Authorization", authorization);
        (send(request).await.unwrap().status, api.last_seen().signature)
    };
    let margin = 20_000;
    assert_eq!(at(now_ms() - HALF_AN_HOUR_MS + margin).await, (200, Signature::Valid));
    assert_eq!(at(now_ms() + HALF_AN_HOUR_MS - margin).await, (200, Signature::Valid));
    assert_eq!(at(now_ms() - HALF_AN_HOUR_MS - margin).await, (401, Signature::Stale));
    assert_eq!(at(now_ms() + HALF_AN_HOUR_MS + margin).await, (401, Signature::Stale));
    assert_eq!(at(0).await, (401, Signature::Stale));
    assert_eq!(at(u64::MAX).await, (401, Signature::Stale));

    api.portal.set_clock_offset(-3600);
    assert_eq!(at(now_ms()).await, (401, Signature::Stale));
    assert_eq!(at(now_ms() - 3_600_000).await, (200, Signature::Valid));
}

#[tokio::test]
async fn every_response_has_the_portals_date() {
    let api = Api::with(Settings { clock_offset_seconds: 7200, ..Settings::default() });
    let ahead = |reply: &super::Reply| {
        let date = httpdate::parse_http_date(reply.header("date").unwrap()).unwrap();
        date.duration_since(std::time::SystemTime::now()).unwrap().as_secs()
    };
    let refused = api.get(TOKENS).await;
    assert_eq!(refused.error(), (401, 1401));
    let bearer = api.bare("GET", TOKENS).bearer_auth(api.portal.bearer_token().reveal());
    let answered = send(bearer.header("X-Version", "3")).await.unwrap();
    assert_eq!(answered.status, 200);
    let control = api.client.get(api.portal.base_url().replace("/santaba/rest", "/sandbox/record"));
    for reply in [refused, answered, send(control).await.unwrap()] {
        assert!((7190..=7200).contains(&ahead(&reply)), "{reply:?}");
    }
    for extreme in [i64::MIN, i64::MAX] {
        api.portal.set_clock_offset(extreme);
        let reply = api.get(TOKENS).await;
        assert!(httpdate::parse_http_date(reply.header("date").unwrap()).is_ok(), "{reply:?}");
    }
}

#[tokio::test]
async fn the_decoded_path_is_signed() {
    let api = Api::start();
    let authorization = sign(&api.admin(), "GET", TOKENS, "", now_ms());
    let encoded = api.url("/setting/admins/%33%32/apitokens");
    let request = api.client.get(encoded).header("X-Version", "3").header("Authorization", authorization);
    assert_eq!(send(request).await.unwrap().status, 200);
}

#[tokio::test]
async fn bearer_tokens_work_in_version_3_only() {
    let api = Api::start();
    let bearer = api.portal.bearer_token();
    assert!(bearer.reveal().starts_with("lmb_"));
    let request = |method| api.bare(method, TOKENS).bearer_auth(bearer.reveal());
    let created = send(request("POST").header("X-Version", "3").body("{}")).await.unwrap();
    assert_eq!(created.status, 200);
    assert_eq!(api.last_seen().signature, Signature::BearerValid);
    assert_eq!(api.last_seen().access_id, None);
    let old = send(request("GET")).await.unwrap();
    assert_eq!((old.status, &old.json()["status"]), (200, &json!(403)));
}

#[tokio::test]
async fn a_disabled_token_is_rejected_until_enabled() {
    let api = Api::start();
    for r#type in [TokenType::Lmv1, TokenType::Bearer] {
        let token = api.token(NewToken { r#type, status: 1, ..NewToken::default() });
        let status = async || {
            let request = match r#type {
                TokenType::Lmv1 => api.signed(&token.pair(), "GET", TOKENS, ""),
                TokenType::Bearer => {
                    api.bare("GET", TOKENS).header("X-Version", "3").bearer_auth(token.access_key.reveal())
                }
            };
            send(request).await.unwrap().status
        };
        assert_eq!(status().await, 401);
        let path = format!("{TOKENS}/{}", token.id);
        assert_eq!(api.call("PATCH", &path, r#"{"status":2}"#).await.status, 200);
        assert_eq!(status().await, 200);
        assert_eq!(api.call("DELETE", &path, "").await.status, 200);
        assert_eq!(status().await, 401);
    }
}

#[tokio::test]
async fn repeated_failures_of_an_access_id_lock_its_token() {
    let api = Api::behaving(Behavior { lock_out_after: 3, ..Behavior::default() });
    let token = api.token(NewToken::default()).pair();
    let wrong =
        Pair { access_key: lmtokens::testing::secret::Secret::new("wrong".to_owned()), ..token.clone() };
    let status = async |pair: &Pair| api.call_as(pair, "GET", TOKENS, "").await.status;
    for _ in 0..3 {
        assert_eq!(status(&wrong).await, 401);
        assert_eq!(status(&wrong).await, 401);
        assert_eq!(status(&token).await, 200, "a success resets the count");
    }
    for _ in 0..3 {
        assert_eq!(status(&wrong).await, 401);
    }
    assert_eq!(status(&token).await, 401);
    assert_eq!(api.last_seen().signature, Signature::Valid);
    let locked: Vec<_> = api.portal.tokens().into_iter().filter(|token| token.locked).collect();
    assert_eq!(locked.len(), 1);
    assert_eq!(locked[0].access_id, token.access_id);
    api.assert_responsive().await;
}

#[tokio::test]
async fn lock_out_after_0_never_locks() {
    let api = Api::behaving(Behavior { lock_out_after: 0, ..Behavior::default() });
    let wrong =
        Pair { access_key: lmtokens::testing::secret::Secret::new("wrong".to_owned()), ..api.admin() };
    for _ in 0..30 {
        assert_eq!(api.call_as(&wrong, "GET", TOKENS, "").await.status, 401);
    }
    api.assert_responsive().await;
}

#[tokio::test]
async fn permissions_are_checked_after_the_rate_limit_and_before_the_resource() {
    let api = Api::start();
    let target = api.token(NewToken::default());
    let item = format!("{TOKENS}/{}", target.id);
    let missing = "/setting/admins/999/apitokens";

    let (_, creator) = api.user(NewUser { may_view: false, may_manage: false, ..NewUser::default() });
    let list = api.call_as(&creator, "GET", TOKENS, "").await;
    assert_eq!(
        (list.status, list.json()["total"].as_i64()),
        (200, Some(0)),
        "an empty list instead of an error"
    );
    assert_eq!(api.call_as(&creator, "POST", TOKENS, "{}").await.status, 200);
    assert_eq!(api.call_as(&creator, "DELETE", &item, "").await.error(), (403, 1403));

    let viewer = api.token(NewToken { admin_id: 33, ..NewToken::default() }).pair();
    assert!(!api.call_as(&viewer, "GET", TOKENS, "").await.ids().is_empty());
    let refused = api.call_as(&viewer, "POST", missing, "not JSON").await;
    assert_eq!(
        refused.error(),
        (403, 1403),
        "the response does not reveal the missing user or the invalid body"
    );
    assert!(refused.header("x-rate-limit-remaining").is_some());
    for method in ["PATCH", "PUT", "DELETE"] {
        assert_eq!(api.call_as(&viewer, method, &item, "{}").await.error(), (403, 1403));
    }

    api.portal.set_rate_limit(Some("post"), 0, 60.0).unwrap();
    assert_eq!(api.call_as(&viewer, "POST", missing, "{}").await.error(), (429, 1429));
    let stranger = Pair { access_id: "unknown".to_owned(), ..viewer };
    assert_eq!(api.call_as(&stranger, "POST", missing, "{}").await.error(), (401, 1401));
}

#[tokio::test]
async fn a_request_updates_the_last_use_of_its_token() {
    let api = Api::start();
    let token = api.token(NewToken { created_on: Some(1_700_000_000), ..NewToken::default() });
    assert_eq!((token.last_used_on, token.last_auth_ip.as_str()), (0, ""));
    api.portal.set_clock_offset(600);
    let before = i64::try_from(now_ms() / 1000).unwrap() + 600;
    let authorization = sign(&token.pair(), "GET", TOKENS, "", now_ms() + 600_000);
    let request = api.bare("GET", TOKENS).header("X-Version", "3").header("Authorization", authorization);
    assert_eq!(send(request).await.unwrap().status, 200);
    let kept = api.portal.tokens().into_iter().find(|kept| kept.id == token.id).unwrap();
    assert!((before..=before + 10).contains(&kept.last_used_on));
    assert_eq!(kept.last_auth_ip, "127.0.0.1");
    assert_eq!(kept.created_on, 1_700_000_000);
}
