//! Settings that imitate what the real portal may do. Time passes by advancing the clock.

use lmtokens::testing::sandbox::{Behavior, LongNotes, NewToken, NewUser, Seconds, StoredToken, TokenType};
use serde_json::{Value, json};

use super::{Api, TOKENS, ToPair as _, query};

const ALL: &str = "/setting/admins/apitokens";
const LOG: &str = "/setting/accesslogs";
const HOUR: f64 = 3600.0;

fn seconds(seconds: f64) -> Seconds {
    Seconds::new(seconds).unwrap()
}

fn path(token: &StoredToken) -> String {
    format!("{TOKENS}/{}", token.id)
}

impl Api {
    async fn notes(&self) -> Vec<String> {
        let items = self.get(TOKENS).await.json()["items"].clone();
        items.as_array().unwrap().iter().map(|item| item["note"].as_str().unwrap().to_owned()).collect()
    }

    async fn last_used_on(&self, id: u32) -> i64 {
        let list = self.get(&format!("{ALL}?{}", query("filter", &format!("id:{id}")))).await;
        list.json()["items"][0]["lastUsedOn"].as_i64().unwrap()
    }

    async fn status(&self, token: &StoredToken) -> u16 {
        self.call_as(&token.pair(), "GET", TOKENS, "").await.status
    }
}

#[tokio::test]
async fn lists_lag() {
    let api = Api::behaving(Behavior { list_lag: seconds(2.0 * HOUR), ..Behavior::default() });
    assert_eq!(api.get(ALL).await.ids(), [101]);
    let first = api.token(NewToken { note: "first".to_owned(), ..NewToken::default() });
    api.advance_hours(1);
    let second = api.token(NewToken { note: "second".to_owned(), ..NewToken::default() });
    assert!(api.notes().await.is_empty());
    api.advance_hours(1);
    assert_eq!(api.notes().await, ["first"]);
    // The response to a change is current, and so is the token itself.
    let changed = api.call("PATCH", &path(&first), r#"{"note":"changed"}"#).await.json();
    assert_eq!(changed["note"], "changed");
    assert_eq!(api.notes().await, ["first"]);
    api.advance_hours(1);
    assert_eq!(api.notes().await, ["first", "second"]);
    assert_eq!(api.call("DELETE", &path(&second), "").await.status, 200);
    assert_eq!(api.notes().await, ["first", "second"]);
    assert_eq!(api.call("DELETE", &path(&second), "").await.status, 404);
    api.advance_hours(1);
    assert_eq!(api.notes().await, ["changed", "second"]);
    let users = api.get("/setting/admins?filter=id:32").await.json();
    assert_eq!(users["items"][0]["apiTokens"].as_array().unwrap().len(), 2);
    api.advance_hours(1);
    assert_eq!(api.notes().await, ["changed"]);
}

#[tokio::test]
async fn token_that_lived_shorter_than_the_lag_is_listed_for_as_long() {
    let api = Api::behaving(Behavior { list_lag: seconds(2.0 * HOUR), ..Behavior::default() });
    let token = api.token(NewToken::default());
    api.advance_hours(1);
    api.call("DELETE", &path(&token), "").await;
    api.advance_hours(1);
    assert_eq!(api.get(TOKENS).await.ids(), [u64::from(token.id)]);
    api.advance_hours(1);
    assert!(api.get(TOKENS).await.ids().is_empty());
}

#[tokio::test]
async fn lag_that_is_removed_hides_nothing() {
    let api = Api::behaving(Behavior { list_lag: seconds(HOUR), ..Behavior::default() });
    api.token(NewToken::default());
    assert!(api.notes().await.is_empty());
    api.portal.set_behavior(Behavior::default());
    assert_eq!(api.notes().await.len(), 1);
}

#[tokio::test]
async fn last_use_lags() {
    let api = Api::behaving(Behavior { last_used_lag: seconds(2.0 * HOUR), ..Behavior::default() });
    let token = api.token(NewToken { last_used_on: 5, ..NewToken::default() });
    assert_eq!(api.status(&token).await, 200);
    let first_use = api.portal.tokens().pop().unwrap().last_used_on;
    assert_eq!(api.last_used_on(token.id).await, 5);
    api.advance_hours(1);
    assert_eq!(api.status(&token).await, 200);
    assert_eq!(api.last_used_on(token.id).await, 5);
    api.advance_hours(1);
    assert_eq!(api.last_used_on(token.id).await, first_use);
    let changed = api.call("PATCH", &path(&token), r#"{"note":"changed"}"#).await.json();
    assert_eq!((&changed["note"], changed["lastUsedOn"].as_i64()), (&json!("changed"), Some(first_use)));
    // Only the use lags, not the note.
    assert_eq!(api.notes().await, ["changed"]);
    api.advance_hours(1);
    assert!((api.last_used_on(token.id).await - first_use).abs_diff(3600) < 10);
}

#[tokio::test]
async fn enabled_token_authenticates_after_the_delay() {
    let api = Api::behaving(Behavior { enable_delay: seconds(HOUR), ..Behavior::default() });
    let created = api.token(NewToken::default());
    let disabled = api.token(NewToken { status: 1, ..NewToken::default() });
    assert_eq!(api.status(&created).await, 401);
    // The tokens with which the sandbox starts were enabled before.
    api.assert_responsive().await;
    api.advance_hours(1);
    assert_eq!(api.status(&created).await, 200);
    // The delay counts from the change of the status.
    assert_eq!(api.call("PATCH", &path(&disabled), r#"{"status":2}"#).await.status, 200);
    assert_eq!(api.status(&disabled).await, 401);
    assert_eq!(api.call("PATCH", &path(&disabled), r#"{"status":2,"note":"n"}"#).await.status, 200);
    api.advance_hours(1);
    assert_eq!(api.status(&disabled).await, 200);
    // The rejected request does not count as a failure of the token.
    assert_eq!(api.portal.tokens().pop().unwrap().failures, 0);
}

#[tokio::test]
async fn long_notes_are_rejected_or_cut() {
    let api = Api::behaving(Behavior { note_limit: Some(4), ..Behavior::default() });
    let create = async |note: &str| api.call("POST", TOKENS, &json!({ "note": note }).to_string()).await;
    assert_eq!(create("café").await.json()["note"], "café");
    assert_eq!(create("café!").await.error(), (400, 1400));
    assert_eq!(api.notes().await, ["café"]);
    let token = api.portal.tokens().pop().unwrap();
    assert_eq!(api.call("PATCH", &path(&token), r#"{"note":"12345"}"#).await.error(), (400, 1400));
    assert_eq!(api.notes().await, ["café"]);
    api.portal.set_behavior(Behavior {
        note_limit: Some(4),
        long_notes: LongNotes::Cut,
        ..Behavior::default()
    });
    assert_eq!(create("éééééé").await.json()["note"], "éééé");
    for method in ["PATCH", "PUT"] {
        let changed = api.call(method, &path(&token), r#"{"note":"12345"}"#).await;
        assert_eq!(changed.json()["note"], "1234");
    }
    assert_eq!(api.notes().await, ["1234", "éééé"]);
}

#[tokio::test]
async fn bearer_token_replaces_the_users_earlier_one() {
    let api = Api::start();
    let create = async |admin_id| {
        let path = format!("/setting/admins/{admin_id}/apitokens?type=bearer");
        api.call("POST", &path, "{}").await.json()["id"].as_u64().unwrap()
    };
    let bearers = async || api.get(&format!("{ALL}?type=bearer&filter=adminId>1")).await.ids();
    let (first, second) = (create(32).await, create(32).await);
    assert_eq!(bearers().await, [first, second]);
    api.portal.set_behavior(Behavior { one_bearer_per_user: true, ..Behavior::default() });
    let other = create(33).await;
    api.call("POST", TOKENS, "{}").await;
    assert_eq!(bearers().await, [first, second, other]);
    let third = create(32).await;
    assert_eq!(bearers().await, [other, third]);
    let stored =
        api.portal.create_token(NewToken { r#type: TokenType::Bearer, admin_id: 33, ..NewToken::default() });
    assert_eq!(bearers().await, [third, u64::from(stored.unwrap().id)]);
}

#[tokio::test]
async fn idle_tokens_are_disabled() {
    let api = Api::behaving(Behavior { token_disabled_days: 2, ..Behavior::default() });
    let (idle, used) = (api.token(NewToken::default()), api.token(NewToken::default()));
    let old = api.token(NewToken { created_on: Some(1_700_000_000), ..NewToken::default() });
    let statuses = || api.portal.tokens().iter().map(|token| token.status).collect::<Vec<_>>();
    // The built-in tokens come first.
    assert_eq!(statuses(), [2, 2, 2, 2, 1]);
    api.advance_hours(47);
    assert_eq!(api.status(&used).await, 200);
    assert_eq!(statuses(), [2, 2, 2, 2, 1]);
    api.advance_hours(2);
    assert_eq!(api.status(&idle).await, 401);
    assert_eq!(statuses(), [2, 2, 1, 2, 1]);
    // Enabling begins a new period.
    assert_eq!(api.call("PATCH", &path(&old), r#"{"status":2}"#).await.status, 200);
    assert_eq!(statuses(), [2, 2, 1, 2, 2]);
    api.advance_hours(49);
    assert_eq!(statuses(), [2, 2, 1, 1, 1]);
    api.assert_responsive().await;
}

#[tokio::test]
async fn emails_are_counted() {
    let api = Api::start();
    let token = api.token(NewToken::default());
    let count = async || {
        let before = api.portal.email_count();
        api.call("POST", TOKENS, "{}").await;
        api.call("PATCH", &path(&token), r#"{"status":1}"#).await;
        api.call("PATCH", &path(&token), r#"{"status":2}"#).await;
        // Changes nothing.
        api.call("PATCH", &path(&token), r#"{"status":2}"#).await;
        // The vendor names LMv1 tokens only.
        api.call("POST", &format!("{TOKENS}?type=bearer"), "{}").await;
        api.call("POST", "/setting/admins/99/apitokens", "{}").await;
        api.portal.email_count() - before
    };
    assert_eq!(count().await, 0);
    api.portal.set_behavior(Behavior { email_notifications: true, ..Behavior::default() });
    assert_eq!(count().await, 3);
    api.call("DELETE", &path(&token), "").await;
    assert_eq!(api.portal.email_count(), 3);
    api.portal.reset();
    assert_eq!((api.portal.email_count(), count().await), (0, 0));
}

#[tokio::test]
async fn audit_log_has_refused_uses() {
    let api = Api::start();
    assert_eq!(api.get(LOG).await.json(), json!({ "total": 0, "items": [], "searchId": null }));
    let token = api.token(NewToken { status: 1, ..NewToken::default() });
    assert_eq!(api.status(&token).await, 401);
    api.advance_hours(1);
    assert_eq!(api.call_as(&token.pair(), "PATCH", &format!("{}?x=1", path(&token)), "{}").await.status, 401);
    let log = api.get(LOG).await.json();
    assert_eq!(log["total"], 2);
    let [newest, oldest] = log["items"].as_array().unwrap().as_slice() else { panic!("{log}") };
    assert_eq!(newest["username"], token.access_id);
    let (access_id, resource) = (&token.access_id, path(&token));
    assert_eq!(
        newest["description"],
        format!(
            "Failed API request: API token {access_id} attempted to access path '/santaba/rest{resource}' with \
             Method: PATCH"
        )
    );
    let happened = |entry: &Value| entry["happenedOn"].as_i64().unwrap();
    assert!((happened(newest) - happened(oldest)).abs_diff(3600) < 10);
    assert_eq!(newest["ip"], "127.0.0.1");
    assert!(newest["happenedOnLocal"].as_str().unwrap().ends_with(" UTC"), "{newest}");
    assert!(newest["id"].is_string() && newest["sessionId"].is_string());
    assert_ne!(newest["id"], oldest["id"]);

    let total = async |filter: &str| {
        let log = api.get(&format!("{LOG}?{}", query("filter", filter))).await;
        log.json()["total"].as_i64().unwrap_or(-1)
    };
    assert_eq!(total(&format!("username:\"{access_id}\"")).await, 2);
    assert_eq!(total("username:\"other\"").await, 0);
    assert_eq!(total("description~\"Failed API request\"").await, 2);
    assert_eq!(total(&format!("happenedOn>:{}", happened(newest))).await, 1);
    assert_eq!(total("nonsense:1").await, -1);
    let page = api.get(&format!("{LOG}?sort=%2BhappenedOn&size=1&fields=happenedOn")).await.json();
    assert_eq!(page["items"], json!([{ "happenedOn": happened(oldest) }]));
}

#[tokio::test]
async fn audit_log_has_only_uses_of_tokens_that_exist() {
    let api = Api::start();
    let (admin_id, reader) = api.user(NewUser { may_create: false, ..NewUser::default() });
    assert_eq!(
        api.call_as(&reader, "POST", &format!("/setting/admins/{admin_id}/apitokens"), "{}").await.status,
        403
    );
    let deleted = api.token(NewToken::default());
    api.call("DELETE", &path(&deleted), "").await;
    assert_eq!(api.status(&deleted).await, 401);
    assert_eq!(api.get(LOG).await.json()["total"], 0);
    // A forged signature counts: the access id exists.
    let forged = super::Pair { access_key: deleted.access_key, ..api.admin() };
    assert_eq!(api.call_as(&forged, "GET", ALL, "").await.status, 401);
    assert_eq!(api.get(LOG).await.json()["items"][0]["username"], api.portal.access_id());
    assert_eq!(api.call("DELETE", LOG, "").await.error(), (404, 1404));
}

#[tokio::test]
async fn settings_of_the_account_are_returned() {
    let api = Api::start();
    let settings = async || api.get("/setting/companySetting").await.json();
    assert_eq!(
        settings().await,
        json!({
            "tokenDisabledDays": 0,
            "userSuspendDays": 0,
            "timestampWindowOfApiUsersInSec": 1800,
            "enableUserDetailsEmailNotification": false,
        })
    );
    api.portal.set_behavior(Behavior {
        token_disabled_days: 45,
        user_suspend_days: 90,
        timestamp_window: 7200,
        email_notifications: true,
        ..Behavior::default()
    });
    assert_eq!(
        settings().await,
        json!({
            "tokenDisabledDays": 45,
            "userSuspendDays": 90,
            "timestampWindowOfApiUsersInSec": 7200,
            "enableUserDetailsEmailNotification": true,
        })
    );
}

#[tokio::test]
async fn window_of_signatures_can_be_set() {
    let api = Api::behaving(Behavior { timestamp_window: 7200, ..Behavior::default() });
    api.portal.set_clock_offset(7100);
    assert_eq!(api.get(TOKENS).await.status, 200);
    api.portal.set_behavior(Behavior { timestamp_window: 60, ..Behavior::default() });
    api.portal.set_clock_offset(100);
    assert_eq!(api.get(TOKENS).await.status, 401);
}

#[tokio::test]
async fn reset_restores_the_settings_of_the_start() {
    let api = Api::behaving(Behavior { note_limit: Some(2), ..Behavior::default() });
    let create = async || api.call("POST", TOKENS, r#"{"note":"abc"}"#).await.status;
    assert_eq!(create().await, 400);
    api.portal.set_behavior(Behavior::default());
    assert_eq!(create().await, 200);
    api.portal.reset();
    assert_eq!(create().await, 400);
}
