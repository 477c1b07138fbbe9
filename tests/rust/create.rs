//! A create with a destination: the order of its requests, and the effect of a slow delivery.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lmtokens::testing::client::{Client, Policy};
use lmtokens::testing::clock::{Clock, SystemClock};
use lmtokens::testing::destinations::{BoxFuture, Destination};
use lmtokens::testing::error::{Error, ErrorKind, Result};
use lmtokens::testing::event::{Event, Observer};
use lmtokens::testing::ids::{AdminId, Note, Status, Type};
use lmtokens::testing::lifecycle::AddToken;
use lmtokens::testing::model::{Token, TokenStatus};
use lmtokens::testing::operation::{Operation as _, call};
use lmtokens::testing::sandbox::{Fault, FaultKind, Portal, Settings};
use lmtokens::testing::tag::Tag;
use lmtokens::testing::times::Expiry;
use lmtokens::testing::tokens::{NewToken, User};

use crate::add::lmv1_of;
use crate::support::{HANG_TIMEOUT, identity};

const ELEVEN_MINUTES: u64 = 11 * 60 * 1000;

/// A clock that a test can advance.
#[derive(Debug, Default)]
pub(crate) struct AdjustableClock(AtomicU64);

impl Clock for AdjustableClock {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms() + self.0.load(Ordering::Relaxed)
    }
}

/// An observer that advances the clock by more than the lease at the first event for which `is_due` returns true.
pub(crate) struct ClockAdvancer {
    clock: Arc<AdjustableClock>,
    is_due: fn(&Event) -> bool,
    has_advanced: AtomicBool,
}

impl ClockAdvancer {
    pub(crate) fn new(clock: &Arc<AdjustableClock>, is_due: fn(&Event) -> bool) -> Arc<Self> {
        Arc::new(Self { clock: Arc::clone(clock), is_due, has_advanced: AtomicBool::new(false) })
    }

    pub(crate) fn has_advanced(&self) -> bool {
        self.has_advanced.load(Ordering::Relaxed)
    }
}

impl Observer for ClockAdvancer {
    fn observe(&self, event: Event) {
        if (self.is_due)(&event) && !self.has_advanced.swap(true, Ordering::Relaxed) {
            self.clock.0.fetch_add(ELEVEN_MINUTES, Ordering::Relaxed);
        }
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
            expires: None,
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

pub(crate) fn methods(portal: &Portal) -> Vec<String> {
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

/// The portal answers every DELETE with an error, or not at all.
#[tokio::test]
async fn a_token_that_cannot_be_deleted_after_a_failed_delivery_is_left_to_a_sweep() {
    let refusals = [
        (Fault { status: Some(401), ..FaultKind::StatusBeforeActing.into() }, true),
        (Fault { status: Some(403), ..FaultKind::StatusBeforeActing.into() }, true),
        (FaultKind::RateLimited.into(), true),
        (FaultKind::Html.into(), false),
        (FaultKind::CloseBeforeActing.into(), false),
    ];
    for (fault, is_final) in refusals {
        let destination = Arc::new(RecordingDestination { fails: true, ..RecordingDestination::default() });
        let (portal, client) = start(&destination);
        let policy = Policy { max_attempts: 1, ..Policy::default() };
        let case = format!("{fault:?}");
        portal.add_fault(Fault { method: Some("DELETE".to_owned()), times: None, ..fault }).unwrap();
        let error = create(&destination).run(&client.with_policy(policy)).await.unwrap_err();
        // The delivery is what failed. Nothing is enabled, and the token is the sweep's.
        assert_eq!((error.kind(), error.details().maybe_applied), (ErrorKind::Delivery, false), "{case}");
        let (first, deletions) = (methods(&portal)[0].clone(), methods(&portal).split_off(1));
        assert_eq!(first, "POST", "{case}");
        assert!(deletions.iter().all(|method| method == "DELETE"), "{case}: {deletions:?}");
        // Repeated authentication failures lock a token.
        assert_eq!(deletions.len() == 1, is_final, "{case}: {deletions:?}");
        let left = statuses(&portal);
        assert!(matches!(left.as_slice(), [(1, note)] if Tag::parse(note).is_some()), "{case}: {left:?}");
        let advice = format!("{:?}", error.details().advice);
        let id = portal.tokens().last().unwrap().id;
        assert!(advice.contains(&format!("token {id} remains, disabled")), "{case}: {advice}");
        assert!(advice.contains("Sweep") && !advice.contains("has been deleted"), "{case}: {advice}");
        let key = portal.tokens().last().unwrap().access_key.clone();
        assert!(!format!("{error:?}").contains(key.reveal()), "{case}");
    }
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
    let patch_arrived = async {
        while !methods(&portal).contains(&"PATCH".to_owned()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        outcome = create(&destination).run(&client) => panic!("{outcome:?}"),
        arrived = tokio::time::timeout(HANG_TIMEOUT, patch_arrived) => arrived.unwrap(),
    }
    let left = statuses(&portal);
    assert!(matches!(left.as_slice(), [(1, note)] if Tag::parse(note).is_some()), "{left:?}");
}

/// An expiry in an hour.
const HOUR: Expiry = Expiry::After(Duration::from_secs(3600));

#[tokio::test]
async fn an_expiry_counts_from_the_create_of_the_token_that_is_enabled() {
    let destination = Arc::new(RecordingDestination {
        delays_ms: Mutex::new(vec![ELEVEN_MINUTES]),
        ..RecordingDestination::default()
    });
    let (portal, client) = start(&destination);
    let mut add = create(&destination);
    add.token.expires = Some(HOUR);
    let token = add.run(&client).await.unwrap();
    assert_eq!(destination.call_names(), ["deliver", "discard", "deliver", "commit"]);
    let posts = portal.record().into_iter().filter(|seen| seen.method == "POST");
    let tags: Vec<Tag> = posts
        .map(|seen| {
            let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
            Tag::parse(body["note"].as_str().unwrap()).unwrap().0
        })
        .collect();
    assert!(
        tags.iter().all(|tag| tag.expires == Some(i64::try_from(tag.seconds).unwrap() + 3600)),
        "{tags:?}"
    );
    assert_eq!(tags.len(), 2);
    assert_eq!(token.expires_on(), tags[1].expires);
    assert_eq!(statuses(&portal), [(2, token.whole_note().unwrap().into_owned())]);
}

#[tokio::test]
async fn an_expired_time_is_refused_before_any_request() {
    let destination = Arc::new(RecordingDestination::default());
    let (portal, client) = start(&destination);
    // The second time is in 1900: its distance from 1970 is longer than that of today.
    for time in [1, -2_208_988_800, i64::try_from(SystemClock.now_ms() / 1000).unwrap()] {
        let mut add = create(&destination);
        add.token.expires = Some(Expiry::At(time));
        let error = add.run(&client).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument);
    }
    assert_eq!(methods(&portal), Vec::<String>::new());
}

/// An observer that keeps the messages of events that matter.
#[derive(Default)]
struct Messages(Mutex<Vec<String>>);

impl Observer for Messages {
    fn observe(&self, event: Event) {
        if !matches!(event, Event::Attempt { .. }) {
            self.0.lock().unwrap().push(event.message());
        }
    }
}

#[tokio::test]
async fn a_dropped_create_whose_key_is_only_in_the_result_is_reported() {
    for (method, expected) in
        [("POST", "it is disabled; its note begins with"), ("PATCH", "token 103 of user 32")]
    {
        let destination = Arc::new(RecordingDestination::default());
        let (portal, client) = start(&destination);
        let messages = Arc::new(Messages::default());
        let client = client.observed_by(messages.clone());
        let slow = Fault { method: Some(method.to_owned()), seconds: Some(30.0), ..FaultKind::Delay.into() };
        portal.add_fault(slow).unwrap();
        let arrived = async {
            while !methods(&portal).contains(&method.to_owned()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let token = NewToken { expires: Some(HOUR), ..create(&destination).token };
        tokio::select! {
            outcome = AddToken { token, destination: None }.run(&client) => panic!("{outcome:?}"),
            arrived = tokio::time::timeout(HANG_TIMEOUT, arrived) => arrived.unwrap(),
        }
        let messages = messages.0.lock().unwrap();
        assert!(matches!(messages.as_slice(), [message] if message.contains(expected)), "{messages:?}");
    }
}

/// A portal that has received as many requests of this method as its rate limit permits.
async fn start_at_limit(destination: &RecordingDestination, method: &str, seconds: f64) -> (Portal, Client) {
    let (portal, client) = start(destination);
    portal.set_rate_limit(Some(method), 1, seconds).unwrap();
    create(&Arc::new(RecordingDestination::default())).run(&client).await.unwrap();
    (portal, client)
}

#[tokio::test]
async fn a_patch_that_waits_longer_than_the_lease_is_not_sent() {
    let destination = Arc::new(RecordingDestination::default());
    let (portal, client) = start_at_limit(&destination, "PATCH", 6.0).await;
    let advancer = ClockAdvancer::new(&destination.clock, |event| matches!(event, Event::LongWait { .. }));
    create(&destination).run(&client.observed_by(advancer.clone())).await.unwrap();
    assert!(advancer.has_advanced());
    assert_eq!(methods(&portal), ["POST", "PATCH", "POST", "DELETE", "POST", "PATCH"]);
    assert_eq!(destination.call_names(), ["deliver", "discard", "deliver", "commit"]);
    assert_eq!(statuses(&portal), [(2, "ci".to_owned()), (2, "ci".to_owned())]);
}

#[tokio::test]
async fn the_lease_begins_when_the_create_is_sent() {
    // A create that waits for its rate limit longer than the lease is sent once, and its token is enabled.
    let destination = Arc::new(RecordingDestination::default());
    let (portal, client) = start_at_limit(&destination, "POST", 6.0).await;
    let advancer = ClockAdvancer::new(&destination.clock, |event| matches!(event, Event::LongWait { .. }));
    create(&destination).run(&client.observed_by(advancer.clone())).await.unwrap();
    assert!(advancer.has_advanced());
    assert_eq!(methods(&portal), ["POST", "PATCH", "POST", "PATCH"]);
}

#[tokio::test]
async fn a_retried_patch_is_not_sent_after_the_lease() {
    let destination = Arc::new(RecordingDestination::default());
    let (portal, client) = start(&destination);
    let fault = Fault { method: Some("PATCH".to_owned()), times: None, ..FaultKind::Html.into() };
    portal.add_fault(fault).unwrap();
    let advancer = ClockAdvancer::new(&destination.clock, |event| {
        matches!(event, Event::Attempt { pause: Some(_), .. })
    });
    let error = create(&destination).run(&client.observed_by(advancer.clone())).await.unwrap_err();
    assert!(advancer.has_advanced());
    // The first PATCH may have enabled the token, so that it is kept, and nothing else is sent.
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
    assert_eq!(destination.call_names(), ["deliver"]);
    assert_eq!(methods(&portal), ["POST", "PATCH"]);
}

#[tokio::test]
async fn a_deadline_bounds_a_delivered_create() {
    let destination = Arc::new(RecordingDestination::default());
    let (portal, client) = start_at_limit(&destination, "PATCH", 60.0).await;
    let policy = Policy { deadline: Some(Duration::from_secs(3)), ..Policy::default() };
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
