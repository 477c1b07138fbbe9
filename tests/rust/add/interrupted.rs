//! A create that is dropped while it is under way tells that a token may exist; any other says nothing.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lmtokens::destinations::ToFile;
use lmtokens::event::Event;
use lmtokens::ids::TokenId;
use lmtokens::lifecycle::AddToken;
use lmtokens::operation::{Operation as _, undelivered};
use lmtokens::sandbox::{Fault, FaultKind};
use lmtokens::token_output::Form;
use lmtokens::tokens::FindToken;

use super::{Setting, add, operation};
use crate::support::{HANGING, Spy};

/// Runs a create until the portal has seen `requests`, then drops it.
async fn interrupt_after(setting: &Setting, requests: usize) -> Arc<Spy> {
    let spy = Arc::new(Spy::default());
    let client = setting.client.observed_by(spy.clone());
    let seen = async {
        let started = Instant::now();
        while setting.portal.record().len() < requests {
            assert!(started.elapsed() < HANGING, "the portal saw too little");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        result = operation(add("ci")).run(&client) => panic!("it was to be interrupted, and ended: {result:?}"),
        () = seen => {}
    }
    spy
}

fn assert_told(spy: &Spy, earliest_ms: u64, latest_ms: u64) {
    let interruptions = spy.interruptions();
    let [Event::CreateInterrupted { admin_id: 32, note: Some(note), sent_ms }] = &interruptions[..] else {
        panic!("told {interruptions:?}");
    };
    assert_eq!(note, "ci");
    assert!((earliest_ms..=latest_ms).contains(sent_ms), "{earliest_ms} to {latest_ms}: {sent_ms}");
}

#[tokio::test]
async fn while_the_portal_takes_its_time() {
    for kind in [FaultKind::Delay, FaultKind::ActThenDelay] {
        let setting = Setting::struck(Fault { seconds: Some(60.0), ..kind.into() });
        let before = setting.client.now_ms();
        let spy = interrupt_after(&setting, 1).await;
        assert_told(&spy, before, setting.client.now_ms());
        assert_eq!(setting.posts().len(), 1);
    }
}

#[tokio::test]
async fn while_it_looks_for_the_lost_token() {
    let setting = Setting::struck(FaultKind::ActThenClose);
    let slow = Fault { method: Some("GET".to_owned()), seconds: Some(60.0), ..FaultKind::Delay.into() };
    setting.portal.add_fault(slow).unwrap();
    let before = setting.client.now_ms();
    let spy = interrupt_after(&setting, 2).await;
    assert_told(&spy, before, setting.client.now_ms());
}

#[tokio::test]
async fn before_it_began_nothing_is_told() {
    let setting = Setting::start();
    let spy = Arc::new(Spy::default());
    let client = setting.client.observed_by(spy.clone());
    drop(operation(add("ci")).run(&client));
    assert_eq!((spy.events(), setting.portal.record().len()), (Vec::new(), 0));

    // A future that was polled is under way even before its first byte.
    let mut begun = Box::pin(operation(add("ci")).run(&client));
    let waker = std::task::Waker::noop();
    assert!(begun.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    drop(begun);
    assert_eq!(spy.interruptions().len(), 1);
}

#[tokio::test]
async fn after_it_ended_nothing_is_told() {
    for kind in [None, Some(FaultKind::ActThenClose), Some(FaultKind::RateLimited), Some(FaultKind::NoKey)] {
        let setting = Setting::start();
        if let Some(kind) = kind {
            setting.strike(kind);
        }
        let spy = Arc::new(Spy::default());
        let client = setting.client.observed_by(spy.clone());
        assert_eq!(operation(add("ci")).run(&client).await.is_ok(), kind.is_none());
        assert_eq!(spy.interruptions(), Vec::new(), "{kind:?}");
        let posts: Vec<_> = spy
            .events()
            .into_iter()
            .filter(|event| matches!(event, Event::Attempt { method: "POST", .. }))
            .collect();
        assert_eq!(posts.len(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn what_is_refused_before_it_is_sent_tells_nothing() {
    let setting = Setting::start();
    let spy = Arc::new(Spy::default());
    let client = setting.client.observed_by(spy.clone());
    let file = ToFile { path: "/nonexistent/folder/token.json".into(), form: Form::Json, overwrite: false };
    let refused = AddToken { destination: Some(Arc::new(file)), ..operation(add("ci")) };
    refused.run(&client).await.unwrap_err();
    assert_eq!((spy.events(), setting.portal.record().len()), (Vec::new(), 0));
}

#[tokio::test]
async fn only_what_nobody_can_have_again_is_a_loss() {
    let setting = Setting::start();
    let made = operation(add("ci")).run(&setting.client).await;
    let token = made.as_ref().unwrap();
    let lost = Event::ResultLost { token_id: token.id, admin_id: Some(32), note: Some("ci".to_owned()) };
    assert_eq!(undelivered::<AddToken>(&made), Some(lost));
    let found = FindToken::Id(TokenId::new(token.id).unwrap()).run(&setting.client).await;
    assert_eq!(undelivered::<FindToken>(&found), None);

    setting.strike(FaultKind::ActThenClose);
    let unknown = operation(add("ci")).run(&setting.client).await;
    assert!(matches!(undelivered::<AddToken>(&unknown), Some(Event::OutcomeLost { .. })));
    setting.strike(FaultKind::RateLimited);
    let refused = operation(add("ci")).run(&setting.client).await;
    assert!(refused.is_err());
    assert_eq!(undelivered::<AddToken>(&refused), None);
}
