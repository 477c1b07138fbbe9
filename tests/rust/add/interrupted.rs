//! A create that is dropped in progress reports that a token may exist; any other reports nothing.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lmtokens::testing::destinations::ToFile;
use lmtokens::testing::event::Event;
use lmtokens::testing::ids::TokenId;
use lmtokens::testing::lifecycle::AddToken;
use lmtokens::testing::operation::{Operation as _, lost_result};
use lmtokens::testing::sandbox::{Fault, FaultKind};
use lmtokens::testing::token_output::Form;
use lmtokens::testing::tokens::FindToken;

use super::{Fixture, add, operation};
use crate::support::{HANG_TIMEOUT, RecordingObserver};

/// Drops a create when the portal has seen this many requests, and returns the observer.
async fn interrupt_after(fixture: &Fixture, requests: usize) -> Arc<RecordingObserver> {
    let observer = Arc::new(RecordingObserver::default());
    let client = fixture.client.observed_by(observer.clone());
    let seen = async {
        let started = Instant::now();
        while fixture.portal.record().len() < requests {
            assert!(started.elapsed() < HANG_TIMEOUT, "the portal saw too few requests");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        result = operation(add("ci")).run(&client) => panic!("the create ended before the interruption: {result:?}"),
        () = seen => {}
    }
    observer
}

fn assert_interruption_reported(observer: &RecordingObserver, earliest_ms: u64, latest_ms: u64) {
    let interruptions = observer.interruptions();
    let [Event::CreateInterrupted { admin_id: 32, note: Some(note), sent_ms }] = &interruptions[..] else {
        panic!("reported {interruptions:?}");
    };
    assert_eq!(note, "ci");
    assert!((earliest_ms..=latest_ms).contains(sent_ms), "{earliest_ms} to {latest_ms}: {sent_ms}");
}

#[tokio::test]
async fn interruption_during_a_slow_response_is_reported() {
    for kind in [FaultKind::Delay, FaultKind::ActThenDelay] {
        let fixture = Fixture::with_post_fault(Fault { seconds: Some(60.0), ..kind.into() });
        let before = fixture.client.now_ms();
        let observer = interrupt_after(&fixture, 1).await;
        assert_interruption_reported(&observer, before, fixture.client.now_ms());
        assert_eq!(fixture.posts().len(), 1);
    }
}

#[tokio::test]
async fn interruption_during_the_search_is_reported() {
    let fixture = Fixture::with_post_fault(FaultKind::ActThenClose);
    let slow = Fault { method: Some("GET".to_owned()), seconds: Some(60.0), ..FaultKind::Delay.into() };
    fixture.portal.add_fault(slow).unwrap();
    let before = fixture.client.now_ms();
    let observer = interrupt_after(&fixture, 2).await;
    assert_interruption_reported(&observer, before, fixture.client.now_ms());
}

#[tokio::test]
async fn a_create_that_has_not_started_reports_nothing() {
    let fixture = Fixture::start();
    let observer = Arc::new(RecordingObserver::default());
    let client = fixture.client.observed_by(observer.clone());
    drop(operation(add("ci")).run(&client));
    assert_eq!((observer.events(), fixture.portal.record().len()), (Vec::new(), 0));

    // A future that was polled has started, even if no byte was sent.
    let mut started = Box::pin(operation(add("ci")).run(&client));
    let waker = std::task::Waker::noop();
    assert!(started.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    drop(started);
    assert_eq!(observer.interruptions().len(), 1);
}

#[tokio::test]
async fn a_completed_create_reports_nothing() {
    for kind in [None, Some(FaultKind::ActThenClose), Some(FaultKind::RateLimited), Some(FaultKind::NoKey)] {
        let fixture = Fixture::start();
        if let Some(kind) = kind {
            fixture.add_post_fault(kind);
        }
        let observer = Arc::new(RecordingObserver::default());
        let client = fixture.client.observed_by(observer.clone());
        assert_eq!(operation(add("ci")).run(&client).await.is_ok(), kind.is_none());
        assert_eq!(observer.interruptions(), Vec::new(), "{kind:?}");
        let posts: Vec<_> = observer
            .events()
            .into_iter()
            .filter(|event| matches!(event, Event::Attempt { method: "POST", .. }))
            .collect();
        assert_eq!(posts.len(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_create_rejected_before_its_request_reports_nothing() {
    let fixture = Fixture::start();
    let observer = Arc::new(RecordingObserver::default());
    let client = fixture.client.observed_by(observer.clone());
    let path = "/nonexistent/folder/token.json".into();
    let file = ToFile { path, form: Form::Json, overwrite: false, trust_folder: false };
    let refused = AddToken { destination: Some(file.destination()), ..operation(add("ci")) };
    refused.run(&client).await.unwrap_err();
    assert_eq!((observer.events(), fixture.portal.record().len()), (Vec::new(), 0));
}

#[tokio::test]
async fn only_an_unrecoverable_result_is_a_loss() {
    let fixture = Fixture::start();
    let created = operation(add("ci")).run(&fixture.client).await;
    let token = created.as_ref().unwrap();
    let lost = Event::ResultLost { token_id: token.id, admin_id: Some(32), note: Some("ci".to_owned()) };
    assert_eq!(lost_result::<AddToken>(&created), Some(lost));
    let found = FindToken::Id(TokenId::new(token.id).unwrap()).run(&fixture.client).await;
    assert_eq!(lost_result::<FindToken>(&found), None);

    fixture.add_post_fault(FaultKind::ActThenClose);
    let unknown = operation(add("ci")).run(&fixture.client).await;
    assert!(matches!(lost_result::<AddToken>(&unknown), Some(Event::OutcomeLost { .. })));
    fixture.add_post_fault(FaultKind::RateLimited);
    let refused = operation(add("ci")).run(&fixture.client).await;
    assert!(refused.is_err());
    assert_eq!(lost_result::<AddToken>(&refused), None);
}
