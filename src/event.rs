//! What the core reports while a call runs, and the one wording of it. An event never holds a secret.

use std::time::Duration;

use crate::advice::Advice;
use crate::error::{Error, ErrorKind};
use crate::model::{Token, TokenStatus, iso_8601};

/// One report of the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// One attempt of a request ended.
    Attempt {
        /// HTTP method.
        method: &'static str,
        /// The path template: ids are replaced by names.
        endpoint: &'static str,
        /// The HTTP status of the response; `None` if there was none.
        status: Option<u16>,
        /// The number of the attempt, counted from 1.
        attempt: u32,
        /// The duration of the attempt.
        elapsed: Duration,
        /// The pause before the next attempt; `None` if there is none, or if it starts as soon as the rate limit
        /// permits.
        pause: Option<Duration>,
    },
    /// A request waits for its rate limit for more than two seconds.
    LongWait {
        /// HTTP method.
        method: &'static str,
        /// The path template.
        endpoint: &'static str,
        /// The whole wait, as far as it can be estimated.
        wait: Duration,
        /// What remains of it.
        remaining: Duration,
        /// Whether it is the first one in its window that the process reports for this rate limit.
        is_first: bool,
        /// Whether the client has a maximum wait; a bulk run has none.
        is_limited: bool,
    },
    /// A create with a destination was cancelled: it may leave a pending token, which sweep removes.
    LeftPending {
        /// The owner's user id.
        admin_id: i64,
        /// The token's id, if the portal's response arrived.
        id: Option<i64>,
        /// The tag at the start of its note.
        tag: String,
        /// Whether its secret is delivered, so that enabling the token finishes the create.
        delivered: bool,
        /// Whether the next create of the same token finishes this one.
        finishes_on_repeat: bool,
    },
    /// The portal created a token with another status than requested. It is changed now.
    StatusCorrected {
        /// The token's id.
        token_id: i64,
        /// The status in the response to the create.
        reported: TokenStatus,
        /// The status that the caller asked for.
        requested: TokenStatus,
    },
    /// A list of the portal has items that cannot be read.
    ItemsSkipped {
        /// What the list is of.
        noun: &'static str,
        /// The number of such items in one page. Further pages of the list are not reported.
        count: u64,
        /// What the first of them is.
        first: &'static str,
    },
    /// Pending tokens that an interrupted or failed part of a run left were removed.
    OrphansRemoved {
        /// Their ids.
        ids: Vec<i64>,
        /// The run id in their tags.
        run: String,
    },
    /// Pending tokens of a run were kept, because their notes were changed.
    OrphansKept {
        /// Their ids.
        ids: Vec<i64>,
        /// The run id in their tags.
        run: String,
    },
    /// Pending tokens of a run could not be removed at its end.
    OrphansRemain {
        /// How many; `None` if they could not be listed.
        count: Option<u64>,
        /// The run id in their tags.
        run: String,
    },
    /// Rows that are in the journal and not in the input have finished tokens.
    RemovedRowsHaveTokens {
        /// The first of the tokens, each with its user and note.
        shown: Vec<String>,
        /// The number of the others.
        more: usize,
    },
    /// It is not clear what became of rows that are in the journal and not in the input.
    RemovedRowsUnclear {
        /// The first of the problems.
        shown: Vec<String>,
        /// The number of the others.
        more: usize,
    },
    /// A file with a secret is written to a folder of another user, who can replace it.
    FolderOfAnotherUser {
        /// The folder.
        folder: String,
        /// The owner's number in the operating system.
        owner: u32,
    },
    /// A rotation was cancelled after its new token was enabled. Both tokens work.
    RotationInterrupted {
        /// The id of the old token.
        old: i64,
        /// The id of the new token.
        new: i64,
    },
    /// Rotations were not finished, because the portal rejected the credentials at an earlier one.
    RotationsNotTried {
        /// The ids of the old tokens.
        ids: Vec<i64>,
    },
    /// The check of a rotation was not run, because the new token was marked before.
    CheckNotRun {
        /// The id of the new token.
        new: i64,
    },
    /// A rotation waits for the portal's clock.
    Waiting {
        /// What happens then.
        what: &'static str,
        /// The time until then.
        remaining: Duration,
    },
    /// The audit log could not be read before a rotated token was deleted.
    AuditLogUnreadable {
        /// The token's id.
        token_id: i64,
        /// Why.
        reason: String,
    },
    /// A create was completed that an earlier process had left with an enabled token and an undelivered key.
    FinishedEarlier {
        /// The token's id.
        token_id: i64,
        /// The destination that now has the key.
        destination: String,
    },
    /// A create was cleared that an earlier process had left without an enabled token.
    ClearedEarlier {
        /// The token's id.
        token_id: i64,
        /// Whether the token was deleted now; otherwise the portal no longer had it.
        deleted: bool,
    },
    /// Interrupted creates ended before they delivered a key: disabled tokens with their tags may exist.
    MayRemainPending {
        /// The first of the tags, which are at the start of the notes.
        shown: Vec<String>,
        /// The number of the others.
        more: usize,
    },
    /// Files of interrupted creates remain at the destination: they may hold keys of enabled tokens.
    PendingFilesRemain {
        /// The first of them, each with what it holds.
        shown: Vec<String>,
        /// The number of the others.
        more: usize,
    },
    /// A create without a destination was cancelled after its POST was sent: a token may exist whose key is lost.
    CreateInterrupted {
        /// The owner's user id.
        admin_id: i64,
        /// The note of the token.
        note: Option<String>,
        /// When the POST was sent, milliseconds since 1970-01-01 UTC.
        sent_ms: u64,
    },
    /// A create succeeded, and its result could not be handed to the caller: the key is lost.
    ResultLost {
        /// The token's id.
        token_id: i64,
        /// The owner's user id.
        admin_id: Option<i64>,
        /// The note of the token.
        note: Option<String>,
    },
    /// A create with a destination succeeded, and its result could not be handed to the caller.
    DeliveredUnseen {
        /// The token's id.
        token_id: i64,
    },
    /// A create ended with an unknown outcome, and the error could not be handed to the caller.
    OutcomeLost {
        /// The error's message.
        message: String,
        /// The error's advice.
        advice: Vec<Advice>,
    },
    /// The deletion of a temporary token failed or was cancelled.
    TemporaryUndeleted {
        /// The token's id.
        token_id: i64,
        /// When it expires, seconds since 1970-01-01 UTC.
        expires_on: Option<i64>,
    },
}

/// How much an event matters to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// For diagnosis.
    Debug,
    /// Worth knowing while it lasts.
    Info,
    /// Needs attention: a token may be left behind.
    Warning,
}

impl Event {
    /// Returns the event for a token that could not be handed to its caller; `None` if its secret is not in it.
    #[must_use]
    pub fn lost_token(token: &Token) -> Option<Self> {
        token.access_key.as_ref().map(|_| Self::ResultLost {
            token_id: token.id,
            admin_id: token.admin_id,
            note: token.note.clone(),
        })
    }

    /// Returns the event for an error that could not be handed to its caller; `None` unless the outcome is unknown.
    #[must_use]
    pub fn lost_error(error: &Error) -> Option<Self> {
        (error.kind() == ErrorKind::OutcomeUnknown).then(|| Self::OutcomeLost {
            message: error.details().message.clone(),
            advice: error.details().advice.clone(),
        })
    }

    /// Returns how much the event matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Attempt { .. } | Self::LongWait { is_first: false, .. } => Severity::Debug,
            Self::CheckNotRun { .. }
            | Self::Waiting { .. }
            | Self::FinishedEarlier { .. }
            | Self::ClearedEarlier { .. }
            | Self::OrphansRemoved { .. } => Severity::Info,
            _ => Severity::Warning,
        }
    }

    /// Returns the event as one sentence.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Attempt { method, endpoint, status, attempt, elapsed, pause } => {
                let outcome = attempt_outcome(*status, *attempt, *elapsed, *pause);
                format!("{method} {endpoint}: {outcome}")
            }
            Self::LongWait { method, endpoint, remaining, .. } => {
                format!("rate limit of {method} {endpoint} reached; waiting {:.1} s", remaining.as_secs_f64())
            }
            Self::LeftPending { admin_id, id, tag, delivered, .. } => {
                left_pending(*admin_id, *id, tag, *delivered)
            }
            Self::StatusCorrected { token_id, reported, requested } => {
                format!(
                    "the portal created token {token_id} with status {reported}; changing it to {requested}"
                )
            }
            Self::ItemsSkipped { noun, count, first } => {
                format!(
                    "skipped items of the portal's list of {noun} that cannot be read: the first is {first} ({count} in \
                     this page)"
                )
            }
            Self::OrphansRemoved { ids, run } => {
                format!("deleted pending tokens that run {run} had left, disabled: {}", joined(ids))
            }
            Self::OrphansKept { ids, run } => {
                format!(
                    "kept pending tokens of run {run}, disabled, because their notes were changed after their create: {}",
                    joined(ids)
                )
            }
            Self::OrphansRemain { count, run } => {
                let count = count.map_or_else(|| "some".to_owned(), |count| count.to_string());
                format!("{count} pending tokens of run {run} may remain, disabled")
            }
            Self::FolderOfAnotherUser { folder, owner } => {
                format!(
                    "the folder {folder} belongs to another user (id {owner}), who can replace the file with the key"
                )
            }
            Self::CheckNotRun { new } => check_not_run(*new),
            Self::Waiting { what, remaining } => format!("waiting {} s until {what}", remaining.as_secs()),
            Self::RotationInterrupted { old, new } => rotation_interrupted(*old, *new),
            Self::RotationsNotTried { ids } => rotations_not_tried(ids),
            Self::AuditLogUnreadable { token_id, reason } => {
                format!(
                    "cannot read the audit log: {reason}; deleting token {token_id} without checking for refused calls"
                )
            }
            Self::FinishedEarlier { token_id, destination } => {
                format!(
                    "finished token {token_id}, which an earlier call had created: its key is in {destination}"
                )
            }
            Self::ClearedEarlier { token_id, deleted: true } => {
                format!("deleted token {token_id}, which an interrupted call had left unfinished")
            }
            Self::ClearedEarlier { token_id, deleted: false } => {
                format!(
                    "discarded the key of token {token_id}, which an interrupted call had created and which no longer exists"
                )
            }
            Self::RemovedRowsHaveTokens { shown, more } => listed(
                "rows that are no longer in the input have tokens, whose keys were delivered",
                shown,
                *more,
            ),
            Self::RemovedRowsUnclear { shown, more } => {
                listed("it is unclear what became of rows that are no longer in the input", shown, *more)
            }
            Self::MayRemainPending { shown, more } => may_remain_pending(shown, *more),
            Self::PendingFilesRemain { shown, more } => {
                listed("interrupted calls left files that may hold keys of enabled tokens", shown, *more)
            }
            Self::CreateInterrupted { admin_id, note, sent_ms } => {
                let time = iso_8601(i64::try_from(*sent_ms / 1000).unwrap_or_default());
                format!(
                    "create interrupted after it was sent at {time}: a token of user {admin_id} with {} may exist, and its \
                     key is lost",
                    shown(note.as_deref())
                )
            }
            Self::ResultLost { token_id, admin_id, note } => {
                let owner = admin_id.map(|id| format!(" of user {id}")).unwrap_or_default();
                format!(
                    "token {token_id}{owner} with {} was created, but its key was not returned",
                    shown(note.as_deref())
                )
            }
            Self::DeliveredUnseen { token_id } => {
                format!("interrupted after token {token_id} was created and its key was delivered")
            }
            Self::OutcomeLost { message, .. } => {
                format!("create interrupted while its outcome was unknown: {message}")
            }
            Self::TemporaryUndeleted { token_id, expires_on } => undeleted(*token_id, *expires_on),
        }
    }

    /// Returns what the user can do about it.
    #[must_use]
    pub fn advice(&self) -> Vec<Advice> {
        match self {
            Self::LongWait { is_limited, .. } => vec![Advice::FailInstead { is_limited: *is_limited }],
            Self::Attempt { .. }
            | Self::CheckNotRun { .. }
            | Self::Waiting { .. }
            | Self::AuditLogUnreadable { .. }
            | Self::StatusCorrected { .. }
            | Self::ItemsSkipped { .. }
            | Self::FinishedEarlier { .. }
            | Self::ClearedEarlier { .. }
            | Self::OrphansRemoved { .. } => Vec::new(),
            Self::RotationInterrupted { .. } => vec![Advice::RotateAgain],
            Self::RotationsNotTried { .. } => vec!["finish them with other credentials".into()],
            Self::FolderOfAnotherUser { .. } => vec![Advice::TrustFolder],
            Self::PendingFilesRemain { .. } => {
                vec![
                    "repeat what was interrupted, which finishes it, or delete both the token and the file"
                        .into(),
                ]
            }
            Self::LeftPending { delivered: true, finishes_on_repeat: true, .. } => vec![Advice::Repeat],
            Self::LeftPending { .. } | Self::MayRemainPending { .. } => vec![Advice::Sweep],
            Self::DeliveredUnseen { .. } => {
                vec!["do not repeat the create: it would make another token".into()]
            }
            Self::OrphansKept { .. } | Self::RemovedRowsHaveTokens { .. } => {
                vec!["delete those that are not needed".into()]
            }
            Self::RemovedRowsUnclear { .. } => {
                vec!["look at the tokens, delete those that are not needed, and resume the run again".into()]
            }
            Self::OrphansRemain { .. } => vec![Advice::ResumeOrSweep],
            Self::CreateInterrupted { .. } => vec!["list the user's tokens and delete it".into()],
            Self::ResultLost { token_id, .. } | Self::TemporaryUndeleted { token_id, .. } => {
                vec![Advice::Delete { id: *token_id }]
            }
            Self::OutcomeLost { advice, .. } => advice.clone(),
        }
    }
}

fn rotations_not_tried(ids: &[i64]) -> String {
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    format!(
        "the rotations of tokens {} were not tried, because the portal rejected the credentials",
        ids.join(", ")
    )
}

fn left_pending(admin_id: i64, id: Option<i64>, tag: &str, delivered: bool) -> String {
    let token = id.map_or_else(|| "a token".to_owned(), |id| format!("token {id}"));
    let state = if delivered { "its key was delivered and it may be enabled" } else { "it is disabled" };
    format!(
        "create interrupted: {token} of user {admin_id} may be left pending; {state}; its note begins with {tag}"
    )
}

fn check_not_run(new: i64) -> String {
    format!("did not run the check of token {new}: an earlier call has put its key in place")
}

fn rotation_interrupted(old: i64, new: i64) -> String {
    format!(
        "the rotation of token {old} was interrupted after token {new}, which is to replace it, was enabled: both work"
    )
}

fn attempt_outcome(status: Option<u16>, attempt: u32, elapsed: Duration, pause: Option<Duration>) -> String {
    let response = status.map_or_else(|| "no response".to_owned(), |status| status.to_string());
    let retry = pause.map(|pause| format!(", retry in {:.3} s", pause.as_secs_f64())).unwrap_or_default();
    format!("{response} after {:.3} s (attempt {attempt}{retry})", elapsed.as_secs_f64())
}

fn joined(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

fn may_remain_pending(shown: &[String], more: usize) -> String {
    let what = "interrupted calls ended before they delivered a key, and may have left disabled tokens whose notes begin \
                with";
    listed(what, shown, more)
}

fn listed(what: &str, shown: &[String], more: usize) -> String {
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    format!("{what}: {}{more}", shown.join("; "))
}

fn undeleted(token_id: i64, expires_on: Option<i64>) -> String {
    let swept = expires_on.map(|time| format!(" until sweep deletes it after {}", iso_8601(time)));
    format!(
        "deleting temporary token {token_id} failed or was interrupted: it may still exist{}",
        swept.unwrap_or_default()
    )
}

fn shown(note: Option<&str>) -> String {
    note.map_or_else(|| "no note".to_owned(), |note| format!("note {note:?}"))
}

/// A receiver of events. It is called from any thread and must not block.
pub trait Observer: Send + Sync {
    /// Takes one event.
    fn observe(&self, event: Event);
}

/// An observer that ignores every event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoObserver;

impl Observer for NoObserver {
    fn observe(&self, _event: Event) {}
}
