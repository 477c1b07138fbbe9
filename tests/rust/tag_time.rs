//! The time in a tag: sweep deletes a pending token only if it agrees with the time at which the portal created it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use lmtokens::testing::client::Client;
use lmtokens::testing::clock::{Clock, SystemClock};
use lmtokens::testing::credentials::Credentials;
use lmtokens::testing::destinations::{BoxFuture, Destination};
use lmtokens::testing::error::Result;
use lmtokens::testing::ids::{AdminId, Status, Type};
use lmtokens::testing::lifecycle::AddToken;
use lmtokens::testing::model::Token;
use lmtokens::testing::operation::Operation as _;
use lmtokens::testing::sandbox::{Portal, Settings};
use lmtokens::testing::tag::Tag;
use lmtokens::testing::tokens::{NewToken, User};

use crate::support::identity;

const EIGHT_HOURS_MS: i64 = 8 * 3600 * 1000;

/// A clock that a test can set.
#[derive(Debug, Default)]
struct OffsetClock(AtomicI64);

impl Clock for OffsetClock {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms().saturating_add_signed(self.0.load(Ordering::Relaxed))
    }
}

struct Nowhere;

impl Destination for Nowhere {
    fn deliver<'a>(&'a self, _token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn describe(&self) -> String {
        "nowhere".to_owned()
    }
}

/// Creates a token, and returns the seconds by which its tag is ahead of the real clock.
async fn tag_offset(portal: &Portal, client: &Client) -> i64 {
    let token = NewToken {
        admin: User::Id(AdminId::new(32).unwrap()),
        note: None,
        status: Status::Enabled,
        r#type: Type::Lmv1,
        expires: None,
    };
    AddToken { token, destination: Some(Arc::new(Nowhere)) }.run(client).await.unwrap();
    let body = portal.record().into_iter().rfind(|seen| seen.method == "POST").unwrap().body;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let (tag, _) = Tag::parse(body["note"].as_str().unwrap()).unwrap();
    i64::try_from(tag.seconds).unwrap() - i64::try_from(SystemClock.now_ms() / 1000).unwrap()
}

fn is_near(seconds: i64, expected_ms: i64) -> bool {
    (seconds - expected_ms / 1000).abs() < 60
}

#[tokio::test]
async fn tag_uses_portal_time_when_known() {
    let portal = Portal::start(Settings::default()).unwrap();
    portal.set_clock_offset(EIGHT_HOURS_MS / 1000);
    let clock = Arc::new(OffsetClock::default());
    let bearer = Credentials::from_bearer(portal.bearer_token()).unwrap();
    let client = Client::with_clock(identity(&portal.base_url(), bearer), None, clock.clone());
    assert!(is_near(tag_offset(&portal, &client).await, 0));
    assert!(is_near(tag_offset(&portal, &client).await, EIGHT_HOURS_MS));

    // As if the machine had slept or its clock had been set: how old the last response is cannot be known.
    for jump in [2 * EIGHT_HOURS_MS, -EIGHT_HOURS_MS] {
        clock.0.store(jump, Ordering::Relaxed);
        assert!(is_near(tag_offset(&portal, &client).await, jump));
        assert!(is_near(tag_offset(&portal, &client).await, EIGHT_HOURS_MS));
    }
}
