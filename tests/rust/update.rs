//! Changes of a token.

use std::sync::Arc;

use lmtokens::testing::client::Client;
use lmtokens::testing::event::Event;
use lmtokens::testing::ids::{Note, TokenId};
use lmtokens::testing::operation::Operation as _;
use lmtokens::testing::sandbox::{NewToken, Portal, Settings};
use lmtokens::testing::tokens::{Change, FindToken, Target, UpdateToken};

use crate::add::lmv1_of;
use crate::create::{AdjustableClock, ClockAdvancer, methods};
use crate::support::identity;

#[tokio::test]
async fn a_change_that_waited_longer_than_a_minute_reads_the_token_again() {
    let portal = Portal::start(Settings::default()).unwrap();
    let token = portal.create_token(NewToken { admin_id: 32, ..NewToken::default() }).unwrap();
    let update = |note: &str| UpdateToken {
        target: Target::Find(FindToken::Id(TokenId::new(i64::from(token.id)).unwrap())),
        change: Change::new(Some(Note::new(note).unwrap()), None).unwrap(),
        force: false,
    };
    let clock = Arc::new(AdjustableClock::default());
    let advancer = ClockAdvancer::new(&clock, |event| matches!(event, Event::LongWait { .. }));
    let client = Client::with_clock(identity(&portal.base_url(), lmv1_of(&portal)), None, clock)
        .observed_by(advancer.clone());
    portal.set_rate_limit(Some("PATCH"), 1, 3.0).unwrap();
    update("first").run(&client).await.unwrap();
    let before = methods(&portal).len();

    update("second").run(&client).await.unwrap();
    assert!(advancer.has_advanced());
    assert_eq!(methods(&portal).split_at(before).1, ["GET", "GET", "PATCH"]);
    assert_eq!(portal.tokens().pop().unwrap().note, "second");
}
