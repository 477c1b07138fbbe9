//! A create with a destination.

use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use lmtokens::testing::destinations::{BoxFuture, Destination};
use lmtokens::testing::error::{Error, ErrorKind, Result};
use lmtokens::testing::event::Event;
use lmtokens::testing::lifecycle::AddToken;
use lmtokens::testing::model::Token;
use lmtokens::testing::operation::Operation as _;
use lmtokens::testing::tag::Tag;

use super::{Fixture, add};

/// A destination that records the threads that examine it.
#[derive(Default)]
struct Recording {
    threads: Mutex<Vec<ThreadId>>,
    is_refusing: bool,
}

impl Destination for Recording {
    fn check(&self, _replaces: Option<&Token>) -> Result<()> {
        self.threads.lock().unwrap().push(std::thread::current().id());
        if self.is_refusing { Err(Error::new(ErrorKind::Delivery, "refused")) } else { Ok(()) }
    }

    fn warning(&self) -> Option<Event> {
        self.threads.lock().unwrap().push(std::thread::current().id());
        None
    }

    fn deliver<'a>(&'a self, _token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn describe(&self) -> String {
        "the test".to_owned()
    }
}

#[tokio::test]
async fn a_destination_is_examined_off_the_runtime() {
    let fixture = Fixture::start();
    let recording = Arc::new(Recording::default());
    let create = AddToken { token: add("ci"), destination: Some(recording.clone()) };
    create.run(&fixture.client).await.unwrap();
    let threads = recording.threads.lock().unwrap().clone();
    assert_eq!(threads.len(), 2);
    assert!(!threads.contains(&std::thread::current().id()));
}

#[tokio::test]
async fn a_destination_that_refuses_stops_the_create() {
    let fixture = Fixture::start();
    let refusing = Recording { is_refusing: true, ..Recording::default() };
    let create = AddToken { token: add("ci"), destination: Some(Arc::new(refusing)) };
    let error = create.run(&fixture.client).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Delivery, "refused".to_owned()));
    assert!(fixture.posts().is_empty());
}
