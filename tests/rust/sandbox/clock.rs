//! Advancing the clock: all times follow, and clients remain accepted.

use std::time::{Duration, SystemTime};

use lmtokens::testing::sandbox::{NewToken, Settings, Signature};

use super::{Api, Reply, TOKENS, ToPair as _, now_ms, send, sign};

const DAY: u64 = 24;
const HOUR_SECONDS: i64 = 3600;

fn ahead_seconds(reply: &Reply) -> u64 {
    let date = httpdate::parse_http_date(reply.header("date").unwrap()).unwrap();
    date.duration_since(SystemTime::now()).unwrap_or_default().as_secs()
}

#[tokio::test]
async fn advances_add_up_and_clients_remain_accepted() {
    let api = Api::start();
    for hours in 1..=3 {
        api.advance_hours(DAY);
        let reply = api.get(TOKENS).await;
        assert_eq!((reply.status, api.last_seen().signature), (200, Signature::Valid));
        assert!((hours * DAY * 3600).abs_diff(ahead_seconds(&reply)) < 10, "{reply:?}");
    }
}

#[tokio::test]
async fn signatures_are_compared_with_the_clock_without_advances() {
    let api = Api::with(Settings { clock_offset_seconds: 3 * HOUR_SECONDS, ..Settings::default() });
    api.advance_hours(DAY);
    let at = async |offset_ms: i64| {
        let timestamp = now_ms().saturating_add_signed(offset_ms);
        let authorization = sign(&api.admin(), "GET", TOKENS, "", timestamp);
        let request = api.bare("GET", TOKENS).header("X-Version", "3").header("Authorization", authorization);
        send(request).await.unwrap().status
    };
    assert_eq!(at(0).await, 401);
    assert_eq!(at(3 * HOUR_SECONDS * 1000).await, 200);
    assert_eq!(at(27 * HOUR_SECONDS * 1000).await, 401);
    // The offset can be set back, but time that passed remains.
    api.portal.set_clock_offset(0);
    assert_eq!(at(0).await, 200);
    assert!((DAY * 3600).abs_diff(ahead_seconds(&api.get(TOKENS).await)) < 10);
}

#[tokio::test]
async fn times_of_tokens_follow() {
    let api = Api::start();
    let before = api.call("POST", TOKENS, "{}").await.json()["createdOn"].as_i64().unwrap();
    api.advance_hours(2);
    let after = api.call("POST", TOKENS, "{}").await.json()["createdOn"].as_i64().unwrap();
    assert!((after - before).abs_diff(2 * HOUR_SECONDS) < 10);
    let token = api.token(NewToken::default());
    api.call_as(&token.pair(), "GET", TOKENS, "").await;
    let used = api.portal.tokens().pop().unwrap().last_used_on;
    assert!((used - before).abs_diff(2 * HOUR_SECONDS) < 10);
}

#[tokio::test]
async fn windows_of_rate_limits_pass() {
    let api =
        Api::with(Settings { rate_limit: Some(1), window_seconds: Some(3600.0), ..Settings::default() });
    assert_eq!(api.get(TOKENS).await.status, 200);
    assert_eq!(api.get(TOKENS).await.status, 429);
    api.advance_hours(1);
    assert_eq!(api.get(TOKENS).await.status, 200);
    assert_eq!(api.get(TOKENS).await.status, 429);
}

#[tokio::test]
async fn extreme_advances_are_rejected_or_harmless() {
    let api = Api::start();
    assert!(api.portal.advance(Duration::MAX).is_err());
    assert_eq!(ahead_seconds(&api.get(TOKENS).await), 0);
    for _ in 0..200 {
        api.portal.advance(Duration::from_secs(36_525 * 86_400)).unwrap();
    }
    let reply = api.get(TOKENS).await;
    assert!(reply.header("date").unwrap().contains(" 9999 "), "{reply:?}");
    assert_eq!(reply.status, 200);
    api.portal.reset();
    assert_eq!(ahead_seconds(&api.get(TOKENS).await), 0);
}
