//! Creates at the sandbox over a real socket: one POST, and the outcome of each way to lose its response.

mod candidates;
mod destination;
mod faults;
mod interrupted;
mod masking;
mod rejected;
mod requests;
mod timeouts;

use std::time::Duration;

use lmtokens::testing::client::{Client, OnLimit, Policy};
use lmtokens::testing::credentials::Credentials;
use lmtokens::testing::error::{Error, ErrorKind, Result};
use lmtokens::testing::ids::{AdminId, Note, Status, Type};
use lmtokens::testing::lifecycle::AddToken;
use lmtokens::testing::model::Token;
use lmtokens::testing::operation::{Operation as _, call};
use lmtokens::testing::sandbox::{Fault, FaultKind, NewToken, Portal, Seen, Settings, StoredToken};
use lmtokens::testing::tokens::{self, User};

use crate::support::{HANG_TIMEOUT, client, identity, pair};

/// A policy that raises an error instead of waiting for a rate limit.
const RAISE: Policy =
    Policy { max_attempts: 3, deadline: None, on_limit: OnLimit::Raise, max_wait: Duration::from_secs(120) };

/// A portal and a client of its administrator.
struct Fixture {
    portal: Portal,
    client: Client,
}

impl Fixture {
    fn start() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let portal = Portal::start(settings).unwrap();
        let client = Client::new(identity(&portal.base_url(), lmv1_of(&portal)), None).with_policy(RAISE);
        Self { portal, client }
    }

    fn with_bearer() -> Self {
        let portal = Portal::start(Settings::default()).unwrap();
        let credentials = Credentials::from_bearer(portal.bearer_token()).unwrap();
        let client = Client::new(identity(&portal.base_url(), credentials), None).with_policy(RAISE);
        Self { portal, client }
    }

    /// Starts a portal whose next POST has this fault.
    fn with_post_fault(fault: impl Into<Fault>) -> Self {
        let fixture = Self::start();
        fixture.add_post_fault(fault);
        fixture
    }

    fn add_post_fault(&self, fault: impl Into<Fault>) {
        self.portal.add_fault(Fault { method: Some("POST".to_owned()), ..fault.into() }).unwrap();
    }

    /// Makes every GET fail.
    fn fail_every_get(&self) {
        let fault = Fault { method: Some("GET".to_owned()), times: None, ..FaultKind::Html.into() };
        self.portal.add_fault(fault).unwrap();
    }

    async fn add(&self) -> Result<Token> {
        self.run(add("ci")).await
    }

    async fn run(&self, token: tokens::NewToken) -> Result<Token> {
        tokio::time::timeout(HANG_TIMEOUT, operation(token).run(&self.client)).await.expect("the call hangs")
    }

    fn posts(&self) -> Vec<Seen> {
        self.portal.record().into_iter().filter(|seen| seen.method == "POST").collect()
    }

    /// Returns the tokens without the two that every sandbox starts with.
    fn created_tokens(&self) -> Vec<StoredToken> {
        self.portal.tokens().into_iter().skip(2).collect()
    }

    fn store_token(&self, token: NewToken) -> i64 {
        self.portal.create_token(token).unwrap().id.into()
    }
}

pub(crate) fn lmv1_of(portal: &Portal) -> Credentials {
    Credentials::from_pair(Some(portal.access_id()), portal.access_key()).unwrap()
}

/// An enabled LMv1 token for user 32.
fn add(note: &str) -> tokens::NewToken {
    tokens::NewToken {
        admin: User::Id(AdminId::new(32).unwrap()),
        note: Some(Note::new(note).unwrap()),
        status: Status::Enabled,
        r#type: Type::Lmv1,
        expires: None,
    }
}

/// Returns the ids of the candidates; `None` if the search failed.
fn candidate_ids(error: &Error) -> Option<Vec<i64>> {
    let candidates = error.details().candidates.as_ref()?;
    assert!(candidates.iter().all(|token| token.access_key.is_none()), "a candidate has a key");
    Some(candidates.iter().map(|token| token.id).collect())
}

fn advice(error: &Error) -> String {
    format!("{:?}", error.details().advice)
}

/// The operation that creates a token without a destination.
fn operation(token: tokens::NewToken) -> AddToken {
    AddToken { token, destination: None }
}

/// Asserts that the outcome is unknown, with this cause, after one POST.
fn assert_outcome_unknown(fixture: &Fixture, error: &Error, cause: ErrorKind, status: Option<u16>) {
    let details = error.details();
    assert_eq!((details.kind, details.maybe_applied), (ErrorKind::OutcomeUnknown, true), "{error:?}");
    let cause_details = details.cause.as_ref().expect("no cause").details();
    assert_eq!(
        (cause_details.kind, cause_details.status, cause_details.maybe_applied),
        (cause, status, true),
        "{error:?}"
    );
    assert_eq!(
        (details.status, details.code, details.attempts),
        (cause_details.status, cause_details.code, 1),
        "{error:?}"
    );
    assert!(!advice(error).is_empty() && error.to_string().contains("user 32"), "{error:?}");
    assert_eq!(fixture.posts().len(), 1, "{error:?}");
}

/// Asserts that the portal rejected the create: one POST, and no search for candidates.
fn assert_rejected(fixture: &Fixture, error: &Error, kind: ErrorKind, status: u16, code: Option<i64>) {
    let details = error.details();
    assert_eq!((details.kind, details.maybe_applied), (kind, false), "{error:?}");
    assert_eq!((details.status, details.code, details.attempts), (Some(status), code, 1), "{error:?}");
    assert!(details.candidates.is_none() && details.cause.is_none(), "{error:?}");
    assert_eq!((fixture.posts().len(), fixture.portal.record().len()), (1, 1), "{error:?}");
}

#[test]
fn the_future_of_a_create_is_small() {
    // It is moved a few times; rare parts are boxed.
    let client = client("http://127.0.0.1:9/santaba/rest", pair());
    let size = std::mem::size_of_val(&call(operation(add("ci")), &client));
    assert!(size <= 4096, "{size} bytes");
}
