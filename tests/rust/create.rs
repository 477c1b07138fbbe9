//! A create with a destination: what is sent in which order, and what a slow delivery costs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lmtokens::client::Client;
use lmtokens::clock::{Clock, SystemClock};
use lmtokens::destinations::{BoxFuture, Destination};
use lmtokens::error::{Error, ErrorKind, Result};
use lmtokens::ids::{AdminId, Note};
use lmtokens::lifecycle::AddToken;
use lmtokens::model::{Status, Token, TokenStatus, Type};
use lmtokens::operation::Operation as _;
use lmtokens::sandbox::{Fault, FaultKind, Portal, Settings};
use lmtokens::tag::Tag;
use lmtokens::tokens::{NewToken, User};

use crate::add::lmv1_of;
use crate::support::identity;

/// A clock that a test moves on.
#[derive(Debug, Default)]
struct Moved(AtomicU64);

impl Clock for Moved {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms() + self.0.load(Ordering::Relaxed)
    }
}

/// Keeps what it is told, moves the clock on at a delivery, and fails where it should.
#[derive(Default)]
struct Keeper {
    told: Mutex<Vec<(&'static str, i64)>>,
    clock: Arc<Moved>,
    slow: Mutex<Vec<u64>>,
    fails: bool,
}

impl Keeper {
    fn tell(&self, what: &'static str, token: &Token) {
        self.told.lock().unwrap().push((what, token.id));
    }

    fn words(&self) -> Vec<&'static str> {
        self.told.lock().unwrap().iter().map(|(what, _)| *what).collect()
    }
}

impl Destination for Keeper {
    fn deliver<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            assert!(token.access_key.is_some());
            assert_eq!((token.note.as_deref(), token.status), (Some("ci"), Some(TokenStatus::Enabled)));
            assert!(Tag::parse(&tag.to_string()).is_some());
            self.tell("deliver", token);
            let slow = self.slow.lock().unwrap().pop().unwrap_or_default();
            self.clock.0.fetch_add(slow, Ordering::Relaxed);
            if self.fails { Err(Error::new(ErrorKind::Delivery, "no")) } else { Ok(()) }
        })
    }

    fn commit<'a>(&'a self, token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        self.tell("commit", token);
        Box::pin(async { Ok(()) })
    }

    fn discard<'a>(&'a self, token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        self.tell("discard", token);
        Box::pin(async { Ok(()) })
    }

    fn describe(&self) -> String {
        "the test".to_owned()
    }
}

fn create(keeper: &Arc<Keeper>) -> AddToken {
    AddToken {
        token: NewToken {
            admin: User::Id(AdminId::new(32).unwrap()),
            note: Some(Note::new("ci").unwrap()),
            status: Status::Enabled,
            r#type: Type::Lmv1,
        },
        destination: Some(keeper.clone()),
    }
}

fn start(keeper: &Keeper) -> (Portal, Client) {
    let portal = Portal::start(Settings::default()).unwrap();
    let identity = identity(&portal.base_url(), lmv1_of(&portal));
    let client = Client::with_clock(identity, None, keeper.clock.clone());
    (portal, client)
}

fn methods(portal: &Portal) -> Vec<String> {
    portal.record().into_iter().map(|seen| seen.method).collect()
}

fn statuses(portal: &Portal) -> Vec<(u8, String)> {
    let made = portal.tokens().into_iter().skip(2);
    made.map(|token| (u8::try_from(token.status).unwrap(), token.note)).collect()
}

#[tokio::test]
async fn the_secret_is_delivered_before_the_token_works() {
    let keeper = Arc::new(Keeper::default());
    let (portal, client) = start(&keeper);
    let token = create(&keeper).run(&client).await.unwrap();
    assert_eq!((token.status, token.note.as_deref()), (Some(TokenStatus::Enabled), Some("ci")));
    assert_eq!(methods(&portal), ["POST", "PATCH"]);
    assert_eq!(keeper.words(), ["deliver", "commit"]);
    assert_eq!(statuses(&portal), [(2, "ci".to_owned())]);
}

#[tokio::test]
async fn a_delivery_slower_than_the_lease_begins_again() {
    // Sweeping elsewhere may count the token as left behind: nobody enables one that may be gone.
    const ELEVEN_MINUTES: u64 = 11 * 60 * 1000;
    let keeper = Arc::new(Keeper { slow: Mutex::new(vec![ELEVEN_MINUTES]), ..Keeper::default() });
    let (portal, client) = start(&keeper);
    create(&keeper).run(&client).await.unwrap();
    assert_eq!(methods(&portal), ["POST", "DELETE", "POST", "PATCH"]);
    assert_eq!(keeper.words(), ["deliver", "discard", "deliver", "commit"]);
    assert_eq!(statuses(&portal), [(2, "ci".to_owned())]);
}

#[tokio::test]
async fn a_failed_delivery_leaves_nothing() {
    let keeper = Arc::new(Keeper { fails: true, ..Keeper::default() });
    let (portal, client) = start(&keeper);
    let error = create(&keeper).run(&client).await.unwrap_err();
    assert_eq!((error.kind(), error.details().maybe_applied), (ErrorKind::Delivery, false));
    assert_eq!(methods(&portal), ["POST", "DELETE"]);
    assert_eq!(statuses(&portal), []);
}

#[tokio::test]
async fn a_lost_answer_is_looked_for_deleted_and_made_again() {
    let keeper = Arc::new(Keeper::default());
    let (portal, client) = start(&keeper);
    portal.add_fault(Fault { method: Some("POST".to_owned()), ..FaultKind::ActThenClose.into() }).unwrap();
    create(&keeper).run(&client).await.unwrap();
    assert_eq!(methods(&portal), ["POST", "GET", "DELETE", "POST", "PATCH"]);
    assert_eq!(statuses(&portal), [(2, "ci".to_owned())]);
}

#[tokio::test]
async fn what_is_dropped_on_the_way_is_disabled() {
    let keeper = Arc::new(Keeper::default());
    let (portal, client) = start(&keeper);
    let slow = Fault { method: Some("PATCH".to_owned()), seconds: Some(30.0), ..FaultKind::Delay.into() };
    portal.add_fault(slow).unwrap();
    let work = create(&keeper);
    let dropped = tokio::time::timeout(std::time::Duration::from_millis(500), work.run(&client)).await;
    assert!(dropped.is_err());
    let left = statuses(&portal);
    assert!(matches!(left.as_slice(), [(1, note)] if Tag::parse(note).is_some()), "{left:?}");
}
