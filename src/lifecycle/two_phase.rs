//! The two-phase create: no token is enabled before its secret is delivered.
//!
//! The token is created disabled under a tagged note; its secret is delivered; then one PATCH sets its final status and
//! note. An interruption at any point leaves a disabled, tagged token that sweep removes.

use std::time::{Duration, Instant};

use super::reconcile::{Found, clear, delete};
use super::rounds::Rounds;
use crate::advice::Advice;
use crate::client::Client;
use crate::destinations::Destination;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ids::{AdminId, Status, TokenId};
use crate::model::{Token, TokenStatus};
use crate::tag::{RunId, Tag};
use crate::tokens::{NewToken, change};

/// The most time between the POST and the PATCH. Sweep deletes pending tokens after an hour, so a later PATCH could
/// meet a token that sweep is deleting.
const MAX_DELIVERY: Duration = Duration::from_secs(600);

const MAX_ROUNDS: u32 = 6;

/// One two-phase create.
pub(super) struct TwoPhase<'a> {
    pub(super) token: &'a NewToken,
    pub(super) destination: &'a dyn Destination,
    /// The run id in the tags.
    pub(super) run: RunId,
}

/// How a create ended after its secret was delivered. A bulk run creates a token again if it is
/// gone.
pub(super) enum Finished {
    /// The token has its status and note, and its secret is delivered.
    Token(Box<Token>),
    /// After the delivery, the portal no longer had the token.
    Gone(Error),
}

/// The end of one round.
enum Round {
    Finished(Finished),
    /// The round failed and left no enabled token, so another round may start.
    Repeat(Error),
}

impl TwoPhase<'_> {
    /// Creates the token. If the response to the POST is lost or the delivery takes too long, the round's token is
    /// deleted and another round starts with a fresh tag.
    pub(super) async fn run(&self, client: &Client, admin_id: AdminId) -> Result<Finished> {
        let started = Instant::now();
        let mut rounds = Rounds::at_most(MAX_ROUNDS);
        loop {
            let tag = Tag::fresh(self.run, client.now_ms())?;
            let cause = match self.round(client, admin_id, &tag).await {
                Ok(Round::Finished(finished)) => return Ok(finished),
                Ok(Round::Repeat(cause)) => cause,
                Err(mut error) => {
                    error.details_mut().elapsed = started.elapsed();
                    return Err(error);
                }
            };
            if !rounds.next_after_pause().await {
                let message = format!("gave up after {} rounds: {cause}", rounds.number());
                let mut error = Error::new(cause.kind(), message)
                    .suggest("try again later; no enabled token was left behind");
                // The attempts are not copied: they are those of the last round only.
                let details = error.details_mut();
                details.status = cause.details().status;
                details.code = cause.details().code;
                details.elapsed = started.elapsed();
                return Err(error.caused_by(cause));
            }
        }
    }

    async fn round(&self, client: &Client, admin_id: AdminId, tag: &Tag) -> Result<Round> {
        let note = tag.note(self.token.note());
        let request = self.token.request_with(admin_id, Some(&note), Status::Disabled)?;
        let posted = PostTime { started: Instant::now(), started_ms: client.now_ms() };
        let mut guard = PendingGuard { client, admin_id, id: None, tag, is_delivered: false, is_armed: true };
        let created = match client.send(&request).await {
            Ok(response) => self.token.created(client, admin_id, &response),
            Err(error) if error.details().maybe_applied => Err(error.into()),
            Err(error) => {
                guard.disarm();
                return Err(error);
            }
        };
        let mut token = match created {
            Ok(token) => token,
            Err(incomplete) => {
                let cleared = match incomplete.token {
                    // A token without a key is useless.
                    Some(token) => delete(client, *token).await.map(|()| Found::Cleared),
                    None => clear(client, admin_id, self.token.r#type, tag).await,
                };
                guard.disarm();
                return match cleared {
                    Ok(Found::Cleared | Found::Nothing) => Ok(Round::Repeat(incomplete.error)),
                    Ok(Found::NotVisible) => Err(outcome_unknown(admin_id, tag, incomplete.error, None)),
                    Err(lookup_error) => {
                        Err(outcome_unknown(admin_id, tag, incomplete.error, Some(&lookup_error)))
                    }
                };
            }
        };
        guard.id = Some(token.id);
        if token.status != Some(TokenStatus::Disabled) {
            // The portal ignored the status: disable the token before its secret is delivered.
            let disabled = match TokenId::new(token.id) {
                Ok(id) => change(client, admin_id, id, None, Some(Status::Disabled), &token.r#type).await,
                Err(error) => Err(error),
            };
            if let Err(error) = disabled {
                guard.disarm();
                return Err(give_up(client, token, error).await.0);
            }
        }
        token.status = Some(self.token.status.into());
        token.note = self.token.note().map(str::to_owned);

        if let Err(error) = self.destination.deliver(&token, tag).await {
            guard.disarm();
            return Err(give_up(client, token, error).await.0);
        }
        guard.is_delivered = true;
        if posted.age(client) >= MAX_DELIVERY {
            let late =
                Error::new(ErrorKind::Delivery, "the delivery took so long that the token may be swept");
            guard.disarm();
            delete(client, token.clone()).await?;
            let _ = self.destination.discard(&token, tag).await;
            return Ok(Round::Repeat(late));
        }
        let finished = self.finish(client, &token, tag).await;
        guard.disarm();
        finished.map(Round::Finished)
    }

    /// Sends the final PATCH until the portal accepts or rejects it, then commits the delivery.
    async fn finish(&self, client: &Client, token: &Token, tag: &Tag) -> Result<Finished> {
        let (admin_id, id) = (AdminId::new(token.admin_id.unwrap_or_default())?, TokenId::new(token.id)?);
        let (note, status) = (self.token.note().unwrap_or_default(), self.token.status);
        let mut rounds = Rounds::at_most(MAX_ROUNDS);
        let mut may_be_enabled = false;
        let error = loop {
            let outcome = change(client, admin_id, id, Some(note), Some(status), &token.r#type).await;
            let error = match outcome {
                Ok(changed) if changed.status.is_none_or(|changed| changed == status) => {
                    return self.commit(token, changed, tag).await;
                }
                Ok(_) => {
                    let mut error =
                        Error::new(ErrorKind::Response, "the response to the change shows the old status");
                    error.details_mut().maybe_applied = true;
                    error
                }
                Err(error) => error,
            };
            if error.kind() == ErrorKind::NotFound {
                let _ = self.destination.discard(token, tag).await;
                let message = format!(
                    "token {} was deleted while it was being created: the key delivered to {} is void",
                    token.id,
                    self.destination.describe()
                );
                return Ok(Finished::Gone(Error::new(ErrorKind::NotFound, message).caused_by(error)));
            }
            may_be_enabled |= error.details().maybe_applied;
            let is_rejected = !error.details().maybe_applied && !is_unreachable(&error);
            // An earlier PATCH may have enabled the token, which may be in use by now. Only a token that is surely
            // disabled is deleted.
            if is_rejected && !may_be_enabled {
                return Err(self.take_back(client, token, tag, error).await);
            }
            if is_rejected || !rounds.next_after_pause().await {
                break error;
            }
        };
        Err(self.unconfirmed(token, error))
    }

    async fn commit(&self, token: &Token, changed: Token, tag: &Tag) -> Result<Finished> {
        let done = with_changes(token, changed);
        if let Err(error) = self.destination.commit(&done, tag).await {
            return Err(self.not_committed(&done, error));
        }
        let result = if self.destination.returns_secret() { done } else { done.without_secret() };
        Ok(Finished::Token(Box::new(result)))
    }

    /// Returns the error for a token that is enabled and delivered, but whose destination failed to commit.
    fn not_committed(&self, token: &Token, cause: Error) -> Error {
        let mut error = Error::new(
            ErrorKind::Delivery,
            format!(
                "token {} is enabled and its key was delivered to {}, but: {cause}",
                token.id,
                self.destination.describe()
            ),
        );
        let details = error.details_mut();
        details.maybe_applied = true;
        details.advice.clone_from(&cause.details().advice);
        details.candidates = Some(vec![token.without_secret()]);
        error.caused_by(cause)
    }

    /// Returns the error for a delivered token that may or may not be enabled. Nothing is deleted: it may be in use.
    fn unconfirmed(&self, token: &Token, cause: Error) -> Error {
        let mut error = Error::new(
            ErrorKind::OutcomeUnknown,
            format!(
                "token {} was created and its key delivered to {}, but whether it has its final status and note is \
                 unknown: {cause}",
                token.id,
                self.destination.describe()
            ),
        )
        .suggest(Advice::Finish {
            id: token.id,
            note: self.token.note().unwrap_or_default().to_owned(),
            status: self.token.status.into(),
        });
        let details = error.details_mut();
        details.maybe_applied = true;
        details.candidates = Some(vec![token.without_secret()]);
        error.caused_by_response(cause)
    }

    /// Deletes a delivered token, then discards the delivery: a key is never removed before its token.
    async fn take_back(&self, client: &Client, token: &Token, tag: &Tag, cause: Error) -> Error {
        let (error, is_deleted) = give_up(client, token.clone(), cause).await;
        if is_deleted {
            let _ = self.destination.discard(token, tag).await;
        }
        error
    }
}

/// Deletes a token that will not be finished. Returns the error, and whether the token is deleted.
async fn give_up(client: &Client, token: Token, cause: Error) -> (Error, bool) {
    let id = token.id;
    match delete(client, token).await {
        Ok(()) => (cause.suggest(format!("token {id} was disabled and has been deleted")), true),
        Err(deletion) => {
            let mut cause = cause;
            // What remains on the portal is more urgent than the advice about the cause.
            cause.details_mut().advice.clear();
            let left =
                format!("token {id} remains, disabled, because deleting it failed ({deletion}); delete it");
            (cause.suggest(left).suggest(Advice::Sweep), false)
        }
    }
}

/// The time of the POST by both clocks: the monotonic one stops while a machine sleeps, the wall clock can be set.
struct PostTime {
    started: Instant,
    started_ms: u64,
}

impl PostTime {
    fn age(&self, client: &Client) -> Duration {
        let by_wall_clock = Duration::from_millis(client.now_ms().saturating_sub(self.started_ms));
        self.started.elapsed().max(by_wall_clock)
    }
}

fn is_unreachable(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Connect | ErrorKind::Transport | ErrorKind::RequestTimeout | ErrorKind::Tls
    )
}

/// Returns the token as created, with the members that the change can affect.
fn with_changes(token: &Token, changed: Token) -> Token {
    Token {
        note: changed.note,
        status: changed.status.or(token.status),
        last_used_on: changed.last_used_on,
        ..token.clone()
    }
}

/// Returns the error for a POST whose outcome is unknown: the lookup failed with `lookup_error`, or these credentials
/// may not view tokens.
fn outcome_unknown(admin_id: AdminId, tag: &Tag, cause: Error, lookup_error: Option<&Error>) -> Error {
    let why = match lookup_error {
        Some(error) => format!("looking for it failed: {error}"),
        None => "an empty list proves nothing, because these credentials have not yet seen a token that they created"
            .to_owned(),
    };
    let mut error = Error::new(
        ErrorKind::OutcomeUnknown,
        format!("a disabled token for user {admin_id} may have been created: {cause}; {why}"),
    )
    .suggest(format!("the token is harmless: it is disabled, and its note begins with {tag}"))
    .suggest(Advice::Sweep);
    let details = error.details_mut();
    details.maybe_applied = true;
    // An empty list: the portal was asked and showed no token. `None`: it could not be asked.
    details.candidates = lookup_error.is_none().then(Vec::new);
    error.caused_by_response(cause)
}

/// Reports the pending token if the create is dropped while it is in progress.
struct PendingGuard<'a> {
    client: &'a Client,
    admin_id: AdminId,
    id: Option<i64>,
    tag: &'a Tag,
    is_delivered: bool,
    is_armed: bool,
}

impl PendingGuard<'_> {
    fn disarm(&mut self) {
        self.is_armed = false;
    }
}

impl Drop for PendingGuard<'_> {
    fn drop(&mut self) {
        if self.is_armed {
            self.client.report(Event::LeftPending {
                admin_id: self.admin_id.get(),
                id: self.id,
                tag: self.tag.to_string(),
                delivered: self.is_delivered,
            });
        }
    }
}
