//! A create with a destination: the order of its requests, and the effect of a slow delivery.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lmtokens::testing::client::{Client, Policy};
use lmtokens::testing::clock::{Clock, SystemClock};
use lmtokens::testing::destinations::{BoxFuture, Destination};
use lmtokens::testing::error::{Error, ErrorKind, Result};
use lmtokens::testing::ids::{AdminId, Note, Status, Type};
use lmtokens::testing::lifecycle::AddToken;
use lmtokens::testing::model::{Token, TokenStatus};
use lmtokens::testing::operation::{Operation as _, call};
use lmtokens::testing::sandbox::{Fault, FaultKind, Portal, Settings};
use lmtokens::testing::tag::Tag;
use lmtokens::testing::tokens::{NewToken, User};

use crate::add::lmv1_of;
use crate::support::{HANG_TIMEOUT, identity};

/// A clock that a test can advance.
#[derive(Debug, Default)]
struct AdjustableClock(AtomicU64);

impl Clock for AdjustableClock {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms() + self.0.load(Ordering::Relaxed)
    }
}

/// A destination that records its calls, can advance the clock during a delivery, and can fail.
#[derive(Default)]
struct RecordingDestination {
    calls: Mutex<Vec<(&'static str, i64)>>,
    clock: Arc<AdjustableClock>,
    delays_ms: Mutex<Vec<u64>>,
    fails: bool,
}

impl RecordingDestination {
    fn record(&self, call: &'static str, token: &Token) {
        self.calls.lock().unwrap().push((call, token.id));
    }

    fn call_names(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().iter().map(|(call, _)| *call).collect()
    }
}

impl Destination for RecordingDestination {
    fn deliver<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            assert!(token.access_key.is_some());
            assert_eq!((token.note.as_deref(), token.status), (Some("ci"), Some(TokenStatus::Enabled)));
            assert!(Tag::parse(&tag.to_string()).is_some());
            self.record("deliver", token);
            let delays_ms = self.delays_ms.lock().unwrap().pop().unwrap_or_default();
            self.clock.0.fetch_add(delays_ms, Ordering::Relaxed);
            if self.fails { Err(Error::new(ErrorKind::Delivery, "no")) } else { Ok(()) }
        })
    }

    fn commit<'a>(&'a self, token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        self.record("commit", token);
        Box::pin(async { Ok(()) })
    }

    fn discard<'a>(&'a self, token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        self.record("discard", token);
        Box::pin(async { Ok(()) })
    }

    fn describe(&self) -> String {
        "the test".to_owned()
    }
}

fn create(destination: &Arc<RecordingDestination>) -> AddToken {
    AddToken {
        token: NewToken {
            admin: User::Id(AdminId::new(32).unwrap()),
            note: Some(Note::new("ci").unwrap()),
            status: Status::Enabled,
            r#type: Type::Lmv1,
        },
        destination: Some(destination.clone()),
    }
}

fn start(destination: &RecordingDestination) -> (Portal, Client) {
    let portal = Portal::start(Settings::default()).unwrap();
    let identity = identity(&portal.base_url(), lmv1_of(&portal));
    let client = Client::with_clock(identity, None, destination.clock.clone());
    (portal, client)
}

fn methods(portal: &Portal) -> Vec<String> {
    portal.record().into_iter().map(|seen| seen.method).collect()
}

fn statuses(portal: &Portal) -> Vec<(u8, String)> {
    let created = portal.tokens().into_iter().skip(2);
    created.map(|token| (u8::try_from(token.status).unwrap(), token.note)).collect()
}

#[tokio::test]
async fn the_secret_is_delivered_before_the_token_is_enabled() {
    let destination = Arc::new(RecordingDestination::default());
    let (portal, client) = start(&destination);
    let token = create(&destination).run(&client).await.unwrap();
    assert_eq!((token.status, token.note.as_deref()), (Some(TokenStatus::Enabled), Some("ci")));
    assert_eq!(methods(&portal), ["POST", "PATCH"]);
    assert_eq!(destination.call_names(), ["deliver", "commit"]);
    assert_eq!(statuses(&portal), [(2, "ci".to_owned())]);
}

#[tokio::test]
async fn a_delivery_slower_than_the_lease_starts_again() {
    // A sweep may have deleted the token by now, so it must not be enabled.
    const ELEVEN_MINUTES: u64 = 11 * 60 * 1000;
    let destination = Arc::new(RecordingDestination {
        delays_ms: Mutex::new(vec![ELEVEN_MINUTES]),
        ..RecordingDestination::default()
    });
    let (portal, client) = start(&destination);
    create(&destination).run(&client).await.unwrap();
    assert_eq!(methods(&portal), ["POST", "DELETE", "POST", "PATCH"]);
    assert_eq!(destination.call_names(), ["deliver", "discard", "deliver", "commit"]);
    assert_eq!(statuses(&portal), [(2, "ci".to_owned())]);
}

#[tokio::test]
async fn a_failed_delivery_leaves_no_token() {
    let destination = Arc::new(RecordingDestination { fails: true, ..RecordingDestination::default() });
    let (portal, client) = start(&destination);
    let error = create(&destination).run(&client).await.unwrap_err();
    assert_eq!((error.kind(), error.details().maybe_applied), (ErrorKind::Delivery, false));
    assert_eq!(methods(&portal), ["POST", "DELETE"]);
    assert_eq!(statuses(&portal), []);
}

#[tokio::test]
async fn a_create_with_a_lost_response_is_deleted_and_retried() {
    let destination = Arc::new(RecordingDestination::default());
    let (portal, client) = start(&destination);
    portal.add_fault(Fault { method: Some("POST".to_owned()), ..FaultKind::ActThenClose.into() }).unwrap();
    create(&destination).run(&client).await.unwrap();
    assert_eq!(methods(&portal), ["POST", "GET", "DELETE", "POST", "PATCH"]);
    assert_eq!(statuses(&portal), [(2, "ci".to_owned())]);
}

#[tokio::test]
async fn a_dropped_create_leaves_a_disabled_token() {
    let destination = Arc::new(RecordingDestination::default());
    let (portal, client) = start(&destination);
    let slow = Fault { method: Some("PATCH".to_owned()), seconds: Some(30.0), ..FaultKind::Delay.into() };
    portal.add_fault(slow).unwrap();
    let work = create(&destination);
    let dropped = tokio::time::timeout(std::time::Duration::from_millis(500), work.run(&client)).await;
    assert!(dropped.is_err());
    let left = statuses(&portal);
    assert!(matches!(left.as_slice(), [(1, note)] if Tag::parse(note).is_some()), "{left:?}");
}

/// A portal whose PATCH requests have used up their rate limit, for two seconds.
async fn start_without_patches(destination: &RecordingDestination) -> (Portal, Client) {
    let (portal, client) = start(destination);
    portal.set_rate_limit(Some("PATCH"), 1, 2.0).unwrap();
    create(&Arc::new(RecordingDestination::default())).run(&client).await.unwrap();
    (portal, client)
}

#[tokio::test]
async fn a_patch_that_waits_longer_than_the_lease_is_not_sent() {
    const ELEVEN_MINUTES: u64 = 11 * 60 * 1000;
    let destination = Arc::new(RecordingDestination::default());
    let (portal, client) = start_without_patches(&destination).await;
    let clock = Arc::clone(&destination.clock);
    let advance = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        clock.0.fetch_add(ELEVEN_MINUTES, Ordering::Relaxed);
    });
    create(&destination).run(&client).await.unwrap();
    advance.await.unwrap();
    assert_eq!(methods(&portal), ["POST", "PATCH", "POST", "DELETE", "POST", "PATCH"]);
    assert_eq!(destination.call_names(), ["deliver", "discard", "deliver", "commit"]);
    assert_eq!(statuses(&portal), [(2, "ci".to_owned()), (2, "ci".to_owned())]);
}

#[tokio::test]
async fn the_lease_begins_when_the_create_is_sent() {
    // A create that waits for its rate limit longer than the lease is sent once, and its token is enabled.
    const ELEVEN_MINUTES: u64 = 11 * 60 * 1000;
    let destination = Arc::new(RecordingDestination::default());
    let (portal, client) = start(&destination);
    portal.set_rate_limit(Some("POST"), 1, 2.0).unwrap();
    create(&Arc::new(RecordingDestination::default())).run(&client).await.unwrap();
    let clock = Arc::clone(&destination.clock);
    let advance = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        clock.0.fetch_add(ELEVEN_MINUTES, Ordering::Relaxed);
    });
    create(&destination).run(&client).await.unwrap();
    advance.await.unwrap();
    assert_eq!(methods(&portal), ["POST", "PATCH", "POST", "PATCH"]);
}

#[tokio::test]
async fn a_retried_patch_is_not_sent_after_the_lease() {
    const ELEVEN_MINUTES: u64 = 11 * 60 * 1000;
    let destination = Arc::new(RecordingDestination::default());
    let (portal, client) = start(&destination);
    let fault = Fault { method: Some("PATCH".to_owned()), times: None, ..FaultKind::Html.into() };
    portal.add_fault(fault).unwrap();
    let clock = Arc::clone(&destination.clock);
    let advance = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(400)).await;
        clock.0.fetch_add(ELEVEN_MINUTES, Ordering::Relaxed);
    });
    let error = create(&destination).run(&client).await.unwrap_err();
    advance.await.unwrap();
    // The first PATCH may have enabled the token, so that it is kept, and nothing else is sent.
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
    assert_eq!(destination.call_names(), ["deliver"]);
    let sent = methods(&portal);
    assert!(sent.len() < 5 && !sent.contains(&"DELETE".to_owned()), "{sent:?}");
}

#[tokio::test]
async fn a_deadline_bounds_a_delivered_create() {
    let destination = Arc::new(RecordingDestination::default());
    let (portal, client) = start_without_patches(&destination).await;
    let policy = Policy { deadline: Some(Duration::from_millis(300)), ..Policy::default() };
    let started = Instant::now();
    let error = call(create(&destination), &client.with_policy(policy)).await.unwrap_err();
    assert!(started.elapsed() < HANG_TIMEOUT);
    assert_eq!(
        (error.kind(), error.details().maybe_applied),
        (ErrorKind::RequestTimeout, false),
        "{error:?}"
    );
    // What is left is disabled and tagged, and the error says so.
    let left = statuses(&portal).pop().unwrap();
    assert_eq!((left.0, Tag::parse(&left.1).is_some()), (1, true));
    assert!(format!("{:?}", error.details().advice).contains("Sweep"), "{error:?}");
    assert_eq!(methods(&portal), ["POST", "PATCH", "POST"]);
}
