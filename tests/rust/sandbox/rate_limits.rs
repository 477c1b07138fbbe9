//! Rate limits.

use std::time::Duration;

use lmtokens::testing::error::ErrorKind;
use lmtokens::testing::sandbox::{Settings, Signature};

use super::{Api, TOKENS};

fn rate(reply: &super::Reply) -> [Option<&str>; 3] {
    ["x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-window"].map(|name| reply.header(name))
}

#[tokio::test]
async fn the_default_rate_limits_are_the_vendors() {
    let api = Api::start();
    let item = format!("{TOKENS}/999");
    for (method, path, limit, remaining) in [
        ("GET", TOKENS, "500", "499"),
        ("POST", TOKENS, "200", "199"),
        ("PUT", &item, "200", "199"),
        ("PATCH", &item, "250", "249"),
        ("DELETE", &item, "300", "299"),
    ] {
        let reply = api.call(method, path, "{}").await;
        assert_eq!(rate(&reply), [Some(limit), Some(remaining), Some("60")], "{method} {reply:?}");
    }
}

#[tokio::test]
async fn requests_over_the_rate_limit_get_429_until_the_window_has_passed() {
    let api = Api::with(Settings { rate_limit: Some(3), window_seconds: Some(1.0), ..Settings::default() });
    for remaining in ["2", "1", "0"] {
        let reply = api.get(TOKENS).await;
        assert_eq!((reply.status, rate(&reply)), (200, [Some("3"), Some(remaining), Some("1")]));
    }
    let refused = api.get(TOKENS).await;
    assert_eq!(refused.error(), (429, 1429));
    assert_eq!(rate(&refused), [Some("3"), Some("0"), Some("1")]);
    assert_eq!(refused.header("retry-after"), None);
    assert_eq!(api.last_seen().signature, Signature::Valid);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(rate(&api.get(TOKENS).await)[1], Some("2"));
}

#[tokio::test]
async fn the_window_is_rolling() {
    let api = Api::with(Settings { rate_limit: Some(2), window_seconds: Some(2.0), ..Settings::default() });
    assert_eq!(api.get(TOKENS).await.status, 200);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(api.get(TOKENS).await.status, 200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(api.get(TOKENS).await.status, 200, "the first request is outside the window");
    assert_eq!(api.get(TOKENS).await.status, 429, "the second request is inside");
}

#[tokio::test]
async fn methods_and_endpoints_have_separate_rate_limits() {
    let api = Api::with(Settings { rate_limit: Some(1), ..Settings::default() });
    assert_eq!(api.get(TOKENS).await.status, 200);
    assert_eq!(api.get("/setting/admins/33/apitokens").await.status, 429, "the same endpoint");
    assert_eq!(api.get("/setting/admins/apitokens").await.status, 200);
    assert_eq!(api.call("POST", TOKENS, "{}").await.status, 200);
    assert_eq!(api.call("PATCH", &format!("{TOKENS}/103"), "{}").await.status, 200);
}

#[tokio::test]
async fn rate_limits_are_set_for_one_method_or_for_all() {
    let api = Api::start();
    api.portal.set_rate_limit(None, 7, 5.0).unwrap();
    api.portal.set_rate_limit(Some("POST"), 9, 6.0).unwrap();
    assert_eq!(rate(&api.get(TOKENS).await), [Some("7"), Some("6"), Some("5")]);
    assert_eq!(rate(&api.call("POST", TOKENS, "{}").await), [Some("9"), Some("8"), Some("6")]);
    api.portal.set_rate_limit(None, u32::MAX, 5.0).unwrap();
    for _ in 0..20 {
        assert_eq!(api.call("POST", TOKENS, "{}").await.status, 200);
    }
    for window in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(api.portal.set_rate_limit(None, 1, window).unwrap_err().kind(), ErrorKind::Argument);
    }
    assert_eq!(api.portal.set_rate_limit(Some("G T"), 1, 1.0).unwrap_err().kind(), ErrorKind::Argument);
}

#[tokio::test]
async fn failed_authentications_do_not_count() {
    let api = Api::with(Settings { rate_limit: Some(1), ..Settings::default() });
    for _ in 0..5 {
        let request = api.bare("GET", TOKENS).header("X-Version", "3");
        assert_eq!(super::send(request).await.unwrap().status, 401);
    }
    assert_eq!(api.get(TOKENS).await.status, 200);
}
