//! Adding a token to the embedded portal over a real socket: one POST, and what each way of losing its answer means.

mod candidates;
mod faults;
mod interrupted;
mod masking;
mod refused;
mod requests;
mod time_limits;

use std::time::Duration;

use lmtokens::client::{Client, OnLimit, Policy};
use lmtokens::credentials::Credentials;
use lmtokens::error::{Error, ErrorKind, Result};
use lmtokens::ids::{AdminId, Note};
use lmtokens::lifecycle::AddToken;
use lmtokens::model::{Status, Token, Type};
use lmtokens::operation::Operation as _;
use lmtokens::sandbox::{Fault, FaultKind, NewToken, Portal, Seen, Settings, StoredToken};
use lmtokens::tokens::{self, User};

use crate::support::{HANGING, identity};

/// A spent budget is told, not waited for.
const RAISE: Policy =
    Policy { max_attempts: 3, deadline: None, on_limit: OnLimit::Raise, max_wait: Duration::from_secs(120) };

/// A portal and a client of its administrator.
struct Setting {
    portal: Portal,
    client: Client,
}

impl Setting {
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

    /// A portal that strikes the POST so.
    fn struck(fault: impl Into<Fault>) -> Self {
        let setting = Self::start();
        setting.strike(fault);
        setting
    }

    fn strike(&self, fault: impl Into<Fault>) {
        self.portal.add_fault(Fault { method: Some("POST".to_owned()), ..fault.into() }).unwrap();
    }

    /// Every look at the portal fails.
    fn blind(&self) {
        let fault = Fault { method: Some("GET".to_owned()), times: None, ..FaultKind::Html.into() };
        self.portal.add_fault(fault).unwrap();
    }

    async fn add(&self) -> Result<Token> {
        self.run(add("ci")).await
    }

    async fn run(&self, token: tokens::NewToken) -> Result<Token> {
        tokio::time::timeout(HANGING, operation(token).run(&self.client)).await.expect("the call hangs")
    }

    fn posts(&self) -> Vec<Seen> {
        self.portal.record().into_iter().filter(|seen| seen.method == "POST").collect()
    }

    /// Without the two that every portal starts with.
    fn made(&self) -> Vec<StoredToken> {
        self.portal.tokens().into_iter().skip(2).collect()
    }

    fn put(&self, token: NewToken) -> i64 {
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
    }
}

/// The ids of the candidates; `None` where the look at the portal failed.
fn candidates(error: &Error) -> Option<Vec<i64>> {
    let candidates = error.details().candidates.as_ref()?;
    assert!(candidates.iter().all(|token| token.access_key.is_none()), "a candidate is told with a key");
    Some(candidates.iter().map(|token| token.id).collect())
}

fn advice(error: &Error) -> String {
    format!("{:?}", error.details().advice)
}

/// The operation that creates a token without a destination.
fn operation(token: tokens::NewToken) -> AddToken {
    AddToken { token, destination: None }
}

/// An unknown outcome, one POST, and the cause behind it.
fn assert_unknown(setting: &Setting, error: &Error, cause: ErrorKind, status: Option<u16>) {
    let details = error.details();
    assert_eq!((details.kind, details.maybe_applied), (ErrorKind::OutcomeUnknown, true), "{error:?}");
    let behind = details.cause.as_ref().expect("no cause").details();
    assert_eq!((behind.kind, behind.status, behind.maybe_applied), (cause, status, true), "{error:?}");
    assert_eq!(
        (details.status, details.code, details.attempts),
        (behind.status, behind.code, 1),
        "{error:?}"
    );
    assert!(!advice(error).is_empty() && error.to_string().contains("user 32"), "{error:?}");
    assert_eq!(setting.posts().len(), 1, "{error:?}");
}

/// A plain no, one POST, and no look at the portal.
fn assert_plain(setting: &Setting, error: &Error, kind: ErrorKind, status: u16, code: Option<i64>) {
    let details = error.details();
    assert_eq!((details.kind, details.maybe_applied), (kind, false), "{error:?}");
    assert_eq!((details.status, details.code, details.attempts), (Some(status), code, 1), "{error:?}");
    assert!(details.candidates.is_none() && details.cause.is_none(), "{error:?}");
    assert_eq!((setting.posts().len(), setting.portal.record().len()), (1, 1), "{error:?}");
}
