//! The record of requests, and the life cycle of a sandbox.

use lmtokens::testing::sandbox::{NewToken, Portal, Settings, StoredToken};

use super::{Api, Pair, TOKENS, query, send};

#[tokio::test]
async fn the_record_contains_the_request_as_received() {
    let api = Api::start();
    let path = format!("{TOKENS}?v=3&x=%20");
    let request = api.signed(&api.admin(), "POST", &path, "{\"note\":\"é\"}");
    send(request.header("User-Agent", "lm/1").header("Zebra", "1")).await.unwrap();
    let seen = api.last_seen();
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("POST", "/santaba/rest/setting/admins/32/apitokens")
    );
    assert_eq!((seen.query.as_str(), seen.body.as_str()), ("v=3&x=%20", "{\"note\":\"é\"}"));
    assert_eq!(seen.user_agent.as_deref(), Some("lm/1"));
    assert!(seen.headers.is_sorted() && seen.headers.contains(&"zebra".to_owned()));
    assert_eq!(seen.access_id.as_deref(), Some(api.portal.access_id()));
    assert_eq!((seen.token_id, seen.status, seen.applied, seen.fault), (Some(101), Some(200), true, None));
    assert!(seen.received_at_ms.abs_diff(super::now_ms()) < 10_000);
}

#[tokio::test]
async fn connections_are_persistent_and_numbered() {
    let api = Api::start();
    for _ in 0..5 {
        api.get(TOKENS).await;
    }
    api.raw(b"GET /santaba/rest/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let connections: Vec<_> = api.portal.record().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [1, 1, 1, 1, 1, 2]);
}

#[tokio::test]
async fn the_record_masks_secrets_anywhere_in_a_request() {
    let api = Api::start();
    let token = api.token(NewToken::default());
    let bearer = api.portal.bearer_token();
    for secret in [api.portal.access_key(), token.access_key.clone(), bearer] {
        let secret = secret.reveal();
        let swapped = Pair { access_id: secret.to_owned(), access_key: api.portal.access_key() };
        let body = format!("{{\"note\":\"{secret}\",\"{secret}\":\"{secret}{secret}\"}}");
        let request = api.signed(&swapped, "POST", TOKENS, &body);
        drop(send(request.header("User-Agent", format!("x {secret} y"))).await);
        drop(send(api.bare("GET", &format!("{TOKENS}?{}", query("filter", secret)))).await);
        drop(send(api.bare("GET", &format!("/{}", secret.replace('%', "%25")))).await);
        drop(send(api.bare("GET", TOKENS).bearer_auth(secret)).await);
        drop(send(api.bare("GET", TOKENS).header("Authorization", secret)).await);
        let random_part = &secret[16..24];
        let record = serde_json::to_string(&api.portal.record()).unwrap();
        assert!(!record.contains(random_part), "{record}");
        assert!(record.contains("x ******** y"));
    }
    assert!(!format!("{:?} {:?}", api.portal, api.portal.tokens()).contains("sandbox-key-"));
    assert!(!format!("{:?}", api.portal).contains("lmb_"));
}

#[tokio::test]
async fn the_record_keeps_the_newest_requests_up_to_its_limit() {
    let seen = async |record_limit| {
        let api = Api::with(Settings { record_limit, ..Settings::default() });
        for size in 1..=5 {
            api.get(&format!("{TOKENS}?size={size}")).await;
        }
        api.portal.record().into_iter().map(|seen| (seen.query, seen.status)).collect::<Vec<_>>()
    };
    assert_eq!(seen(0).await, []);
    assert_eq!(seen(2).await, [("size=4".to_owned(), Some(200)), ("size=5".to_owned(), Some(200))]);
}

#[tokio::test]
async fn stopping_closes_every_connection_and_frees_the_port() {
    let api = Api::start();
    api.assert_responsive().await;
    api.portal.stop();
    api.portal.stop();
    assert!(api.try_call("GET", TOKENS, "").await.is_err(), "the persistent connection is closed");
    assert!(api.try_call("GET", TOKENS, "").await.unwrap_err().is_connect());
    let port = api.portal.base_url().split(':').nth(2).unwrap().split('/').next().unwrap().parse().unwrap();
    let again = Portal::start(Settings { port, ..Settings::default() }).unwrap();
    assert_eq!(again.base_url(), api.portal.base_url());
    let taken = Portal::start(Settings { port, ..Settings::default() }).unwrap_err();
    assert!(taken.to_string().contains(&format!("port {port} of 127.0.0.1")), "{taken}");
}

#[test]
fn settings_and_tokens_convert_to_and_from_json() {
    let settings: Settings = serde_json::from_str(r#"{"port": 0, "rate_limit": 3, "seed": 7}"#).unwrap();
    assert_eq!(settings, Settings { rate_limit: Some(3), seed: Some(7), ..Settings::default() });
    assert!(serde_json::from_str::<Settings>(r#"{"ports": 0}"#).unwrap_err().to_string().contains("`ports`"));
    let portal = Portal::start(settings).unwrap();
    assert_eq!(portal.company(), "sandbox");
    let token = portal.tokens().remove(0);
    let text = serde_json::to_string(&token).unwrap();
    assert!(!text.contains(token.access_key.reveal()));
    let back: StoredToken = serde_json::from_str(&text).unwrap();
    assert_eq!((back.id, back.access_key.reveal()), (token.id, ""));
    let bad = Settings { window_seconds: Some(0.0), ..Settings::default() };
    assert!(Portal::start(bad).is_err());
}
