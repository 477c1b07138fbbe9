//! Rotation: another token takes the place of one, and at every moment a token works whose secret somebody holds.
//!
//! The portal is the only state. The note of the new token names the old one from its creation on, so that every
//! process on every machine can continue, finish or cancel a rotation. Every step can be the last one of its process.
//!
//! | step | what it does |
//! | --- | --- |
//! | `find_successors` | finds the tokens that name the old one; the lowest id that takes part wins |
//! | `create_successor` | creates the new token, disabled and tagged |
//! | `elect` | waits until the list shows it; if an older one takes part, it is deleted |
//! | `deliver`, `enable_successor` | the secret is durable at its destination before the token is enabled |
//! | `verify_delivered` | signs with what the destination gives back |
//! | `commit`, `mark_replaces` | the secret is put in place; the note says when the old token is disabled |
//! | `finish` | disables the old token after the overlap, and deletes it after the quarantine |
//!
//! The model in `tests/rotation_model` explores these steps in every order.

mod cancel;
mod finish;
mod guarded;
mod many;
mod refused_calls;
mod resume;
mod rotate;
mod successors;
mod verify;
mod wait;

pub(super) use finish::{ListedRotations, finish_rotation};
#[cfg(feature = "cli")]
pub(crate) use many::{RotateTokens, SelectForRotation};

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::client::Client;
use crate::destinations::{BoxFuture, Destination};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Note;
use crate::model::{Token, iso_8601};
use crate::operation::Operation;
use crate::times::check_span;
use crate::token_output::{Member, Members};
use crate::tokens::Target;

/// How long a token stays disabled before it is deleted, unless the caller says otherwise.
pub(super) const QUARANTINE: Duration = Duration::from_secs(7 * 86_400);

/// Replaces a token by a new one, or continues an interrupted rotation of it.
#[derive(Clone)]
pub struct RotateToken {
    /// The token to replace.
    pub token: Target,
    /// The destination of the new secret.
    pub destination: Arc<dyn Destination>,
    /// How long both tokens work.
    pub overlap: Duration,
    /// How long the old token stays disabled before it is deleted. 0 also ends a quarantine that runs.
    pub quarantine: Duration,
    /// The note of the new token; `None` takes that of the old one.
    pub note: Option<Note>,
    /// A check of the new token before the old one is disabled. It must end within half an hour: an hour after its
    /// create, another process may take the new token over.
    pub then: Option<Arc<dyn Check>>,
    /// Whether a bearer token may be rotated: a second one may replace the first at once.
    pub allow_bearer: bool,
    /// Whether a rotation of another machine is taken over as soon as its process can no longer enable its token.
    pub take_over: bool,
    /// Whether the old token is disabled even if it is in use.
    pub force: bool,
}

/// Does what is due for rotations: disables old tokens after their overlap, and deletes them after their quarantine.
#[derive(Debug, Clone)]
pub struct FinishRotations {
    /// The old or the new token of one rotation; `None` for all rotations.
    pub token: Option<Target>,
    /// How long an old token that is disabled now stays so before it is deleted. 0 also ends a quarantine that runs, if
    /// `token` names the rotation.
    pub quarantine: Duration,
    /// Whether old tokens are disabled even if they are in use.
    pub force: bool,
}

/// Cancels a rotation: the old token works again, and the new one is disabled.
#[derive(Debug, Clone)]
pub struct CancelRotation {
    /// The old or the new token.
    pub token: Target,
}

/// A check of a new token.
pub trait Check: Send + Sync {
    /// Fails if the consumers of the old token do not work with the new one.
    fn run<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<()>>;
}

/// The result of a rotation.
#[derive(Debug)]
pub struct Rotation {
    /// The token that is replaced, as it was last read.
    pub old: Token,
    /// The token that replaces it, without its secret.
    pub new: Option<Token>,
    /// What remains; of several rotations, the error of one that failed.
    pub state: Result<RotationState>,
    /// The number of creates and changes of this call. The portal may send an e-mail for each.
    pub changes: u32,
    /// Whether this call deleted the old token.
    pub deleted_old: bool,
}

impl Rotation {
    /// Returns a rotation that failed.
    fn failed(old: Token, new: Option<Token>, error: Error, changes: u32) -> Self {
        Self { old, new, state: Err(error), changes, deleted_old: false }
    }

    /// Its members for output, in order.
    pub(crate) const MEMBERS: [Member<Self>; 10] = [
        ("old_id", |rotation| json!(rotation.old.id)),
        ("new_id", |rotation| json!(rotation.new.as_ref().map(|new| new.id))),
        ("admin_id", |rotation| json!(rotation.old.admin_id)),
        ("admin_name", |rotation| json!(rotation.old.admin_name)),
        ("note", |rotation| json!(rotation.old.note)),
        ("state", |rotation| json!(rotation.state.as_ref().map_or("failed", |state| state.as_str()))),
        ("due", |rotation| json!(rotation.state.as_ref().ok().and_then(|state| state.due()).map(iso_8601))),
        ("last_used_on", |rotation| json!(rotation.in_use().map(|(last_used_on, _)| iso_8601(last_used_on)))),
        ("last_used_from", |rotation| json!(rotation.in_use().and_then(|(_, address)| address))),
        ("changes", |rotation| json!(rotation.changes)),
    ];

    /// Returns its members for output.
    pub(crate) fn members(&self) -> Members {
        Members::of(&Self::MEMBERS, self)
    }

    /// Returns when and from where the old token was last used, if it is in use.
    fn in_use(&self) -> Option<(i64, Option<IpAddr>)> {
        match self.state {
            Ok(RotationState::InUse { last_used_on, address, .. }) => Some((last_used_on, address)),
            _ => None,
        }
    }
}

/// What remains of a rotation. Times are seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationState {
    /// Both tokens work until a time.
    Overlap {
        /// The time.
        until: i64,
    },
    /// The old token is in use. It is not disabled although the overlap is over; or it is disabled, its calls are
    /// refused, and it is not deleted although the quarantine is over.
    InUse {
        /// When it was last used.
        last_used_on: i64,
        /// The address of that use.
        address: Option<IpAddr>,
        /// Whether the new token was last used from that address too.
        is_same_address: bool,
    },
    /// The old token is disabled, and is deleted after a time.
    Quarantine {
        /// The time.
        until: i64,
    },
    /// The old token is deleted.
    Finished,
    /// The new token was disabled or deleted by others, so that the old one was enabled again.
    Restored,
    /// The old token works, and the new one is disabled.
    Cancelled,
    /// The old token is deleted already, so that the new one was kept.
    TooLate,
}

impl RotationState {
    /// Returns the word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overlap { .. } => "overlap",
            Self::InUse { .. } => "in_use",
            Self::Quarantine { .. } => "quarantine",
            Self::Finished => "finished",
            Self::Restored => "restored",
            Self::Cancelled => "cancelled",
            Self::TooLate => "too_late",
        }
    }

    /// Returns when the next step is due; `None` if there is none, or if it depends on the use of the old token.
    #[must_use]
    pub fn due(self) -> Option<i64> {
        match self {
            Self::Overlap { until } | Self::Quarantine { until } => Some(until),
            _ => None,
        }
    }
}

/// Returns the error for a token of which no rotation can be started.
fn cannot_rotate(old: &Token, problem: &str) -> Error {
    Error::new(ErrorKind::Rotation, format!("cannot rotate token {}: {problem}", old.id))
}

/// Returns the error for a rotation that cannot be continued, finished or cancelled.
fn wrong_state(old: &Token, problem: &str) -> Error {
    Error::new(ErrorKind::Rotation, format!("cannot continue the rotation of token {}: {problem}", old.id))
}

/// Returns the error for a rotation that other processes change too.
fn changed_by_others(old: &Token, attempts: u32) -> Error {
    wrong_state(old, &format!("gave up after {attempts} attempts: other processes keep changing it"))
}

/// Returns the error for a token that has no new token.
fn not_rotated(token: &Token) -> Error {
    Error::new(ErrorKind::Rotation, format!("token {} is not being rotated", token.id))
}

impl RotateToken {
    /// Rotates the token. Once it is known that the token can be rotated, a failure is the state of the result.
    async fn rotate(&self, client: &Client) -> Result<Rotation> {
        self.destination.check_rotation()?;
        check_span("overlap", self.overlap)?;
        check_span("quarantine", self.quarantine)?;
        Box::pin(rotate::rotate(self, client)).await
    }
}

impl Operation for RotateToken {
    type Output = Rotation;

    async fn run(self, client: &Client) -> Result<Rotation> {
        let rotation = Box::pin(self.rotate(client)).await?;
        match rotation.state {
            Ok(_) => Ok(rotation),
            Err(error) => Err(error),
        }
    }
}
