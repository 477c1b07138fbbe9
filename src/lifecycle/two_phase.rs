//! The two-phase create: no token is enabled before its secret is delivered.
//!
//! The token is created disabled under a tagged note; its secret is delivered; then one PATCH sets its final status and
//! note. An interruption at any point leaves a disabled, tagged token that sweep removes.

use std::time::{Duration, Instant};

use super::reconcile::{Found, clear, delete, prove_absent};
use super::rounds::Rounds;
use crate::advice::Advice;
use crate::client::Client;
use crate::destinations::{Attempt, Destination};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ids::{AdminId, Status, TokenId};
use crate::model::{Token, TokenStatus};
use crate::tag::{RunId, Tag};
use crate::tokens::{
    ExpectedNote, FindToken, NewToken, ReportedToken, Unusable, change, confirm_created, is_same_token,
};

/// The most time from the POST to the end of every request that may enable the token. Sweep deletes pending tokens after
/// an hour, so a later request could meet a token that sweep is deleting.
pub(super) const LEASE: Duration = Duration::from_secs(600);

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

/// A token that this process has created, and not enabled.
pub(super) struct Pending<'a> {
    /// The token as it will be, with its secret.
    pub(super) token: Token,
    /// The client for the token's lease, in which every request that may enable it must end.
    pub(super) leased: Client,
    pub(super) guard: PendingGuard<'a>,
}

/// The end of one attempt to create a pending token.
pub(super) enum Created<'a> {
    Pending(Box<Pending<'a>>),
    /// The attempt failed and left no token.
    Nothing(Error),
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
            let now_ms = client.portal_now_ms();
            let expires = self.token.expires.map(|expires| expires.time(now_ms));
            let tag = Tag::fresh(self.run, now_ms, expires, self.token.note())?;
            let ended = self.round(client, admin_id, &tag).await;
            if !matches!(ended, Ok(Round::Finished(_))) {
                let _ = self.destination.abandon(&tag).await;
            }
            let cause = match ended {
                Ok(Round::Finished(finished)) => return Ok(finished),
                Ok(Round::Repeat(cause)) => cause,
                Err(mut error) => {
                    error.details_mut().elapsed = started.elapsed();
                    return Err(error);
                }
            };
            if !rounds.next_after_pause(client).await {
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
        let created = self.create_pending(client, admin_id, tag, None).await?;
        let Pending { token, leased, mut guard } = match created {
            Created::Pending(pending) => *pending,
            Created::Nothing(error) => return Ok(Round::Repeat(error)),
        };
        let client = &client.withholding_secret_of(&token);
        if let Err(error) = self.destination.deliver(&token, tag).await {
            guard.disarm();
            return Err(give_up(client, token, error, true).await.0);
        }
        guard.is_delivered = true;
        let round = self.finish(client, &leased, admin_id, &token, tag).await;
        guard.disarm();
        round
    }

    /// Prepares the delivery and creates the token, disabled and tagged.
    pub(super) async fn create_pending<'a>(
        &'a self,
        client: &'a Client,
        admin_id: AdminId,
        tag: &'a Tag,
        replaces: Option<&Token>,
    ) -> Result<Created<'a>> {
        let note = tag.note(self.token.note());
        let request = self.token.request_with(admin_id, Some(&note), Status::Disabled)?;
        let requested = self.token.requested(client, admin_id);
        self.destination.prepare(&Attempt { token: &requested, tag, replaces }).await?;
        let mut guard = PendingGuard {
            client,
            admin_id,
            id: None,
            tag,
            is_delivered: false,
            create: self,
            is_armed: true,
        };
        let created = match client.for_pending_create().send(&request).await {
            Ok(response) => {
                let token = self.token.created(client, admin_id, ExpectedNote::Tagged(tag), &response);
                token.map(|token| (token, response.sent))
            }
            Err(error) if error.details().maybe_applied => Err(error.into()),
            Err(error) => {
                guard.disarm();
                return Err(error);
            }
        };
        let confirmed = match created {
            Ok((token, sent)) => match confirm_created(client, &token, ExpectedNote::Tagged(tag)).await {
                Ok(()) => Ok((token, sent)),
                Err(error) => Err(error.into()),
            },
            Err(unusable) => Err(unusable),
        };
        let (mut token, sent) = match confirmed {
            Ok(confirmed) => confirmed,
            Err(unusable) => {
                let cleared = self.clear(client, admin_id, tag, unusable).await;
                guard.disarm();
                return cleared.map(Created::Nothing);
            }
        };
        guard.id = Some(token.id);
        let withholding = client.withholding_secret_of(&token);
        let leased = withholding.for_lease(sent, LEASE, "the token's create");
        if let Some(reported) = token.status.filter(|status| *status != TokenStatus::Disabled) {
            let requested = TokenStatus::Disabled;
            client.report(Event::StatusCorrected { token_id: token.id, reported, requested });
            // No secret is delivered before its token is disabled.
            if let Err(error) = change(&leased, admin_id, &token, None, Some(Status::Disabled)).await {
                guard.disarm();
                return Err(give_up(&withholding, token, error, false).await.0);
            }
        }
        token.status = Some(self.token.status.into());
        token.note = self.token.note().map(str::to_owned);
        token.marker = tag.marker(TokenId::new(token.id)?);
        Ok(Created::Pending(Box::new(Pending { token, leased, guard })))
    }

    /// Finds out at the portal what became of a create without a usable response, and deletes its token. Returns why
    /// the response is not usable.
    async fn clear(
        &self,
        client: &Client,
        admin_id: AdminId,
        tag: &Tag,
        unusable: Unusable,
    ) -> Result<Error> {
        let Unusable { error, token } = unusable;
        let reported = token.with_other_note();
        let cleared = match &token {
            // A token without a key is useless.
            ReportedToken::WithoutSecret(token) => {
                delete(client, Token::clone(token)).await.map(|()| Found::Cleared)
            }
            ReportedToken::None | ReportedToken::WithOtherNote(_) => {
                clear(client, admin_id, self.token.r#type, tag, self.token.note(), reported).await
            }
        };
        match (cleared, reported) {
            (Ok(Found::Cleared), _) | (Ok(Found::Nothing), None) => Ok(error),
            (Ok(_), Some(reported)) => Err(other_note(reported, error)),
            (Ok(Found::NotVisible), None) => Err(outcome_unknown(admin_id, tag, error, None)),
            (Err(lookup_error), Some(reported)) => {
                Err(other_note(reported, error).suggest(format!("looking for it failed: {lookup_error}")))
            }
            (Err(lookup_error), None) => Err(outcome_unknown(admin_id, tag, error, Some(lookup_error))),
        }
    }

    /// Sends the final PATCH until the portal accepts or rejects it, then commits the delivery. `leased` is the client
    /// for the token's lease: when that ends before the token can be enabled, the token is deleted.
    async fn finish(
        &self,
        client: &Client,
        leased: &Client,
        admin_id: AdminId,
        token: &Token,
        tag: &Tag,
    ) -> Result<Round> {
        let id = TokenId::new(token.id)?;
        let (note, status) = (token.whole_note().unwrap_or_default(), self.token.status);
        let mut rounds = Rounds::at_most(MAX_ROUNDS);
        let mut may_be_enabled = false;
        let error = loop {
            let error = match change(leased, admin_id, token, Some(&note), Some(status)).await {
                Ok(changed) => return self.commit(token, changed, tag).await.map(Round::Finished),
                Err(error) => error,
            };
            if error.kind() == ErrorKind::NotFound {
                // A proxy can answer 404 too, or the response can be another request's: the list decides.
                match FindToken::Id(id).optional(leased).await {
                    Ok(None) if matches!(prove_absent(leased, admin_id, id, tag.run).await, Ok(true)) => {
                        return Ok(Round::Finished(self.gone(token, tag, error).await));
                    }
                    Ok(Some(found)) if is_same_token(&found, token) => {
                        let has_tag = found.note.as_deref().and_then(Tag::parse).is_some();
                        if !has_tag && found.status == Some(status.into()) {
                            return self.commit(token, found, tag).await.map(Round::Finished);
                        }
                        may_be_enabled |= found.status != Some(TokenStatus::Disabled) || found.was_used;
                    }
                    // Not known: the key is kept.
                    _ => may_be_enabled = true,
                }
            }
            may_be_enabled |= error.details().maybe_applied;
            let is_rejected = !error.details().maybe_applied && !is_unreachable(&error);
            let is_over = leased.is_over();
            // An earlier PATCH may have enabled the token, which may be in use by now. Only a token that is surely
            // disabled is deleted.
            if (is_rejected || is_over) && !may_be_enabled {
                let (error, is_deleted) = self.take_back(client, token, tag, error).await;
                return if is_over && is_deleted { Ok(Round::Repeat(error)) } else { Err(error) };
            }
            let is_final = is_rejected || is_over || error.is_credential_rejection();
            if is_final || !rounds.next_after_pause(leased).await {
                break error;
            }
        };
        Err(self.unconfirmed(token, tag, error))
    }

    /// Discards the delivery of a token that does not exist any more.
    async fn gone(&self, token: &Token, tag: &Tag, cause: Error) -> Finished {
        let location = self.destination.location(tag);
        let _ = self.destination.discard(token, tag).await;
        let message = format!(
            "token {} was deleted while it was being created: the key delivered to {location} is void",
            token.id
        );
        Finished::Gone(Error::new(ErrorKind::NotFound, message).caused_by(cause))
    }

    async fn commit(&self, token: &Token, changed: Token, tag: &Tag) -> Result<Finished> {
        let done = with_changes(token, changed);
        let location = self.destination.location(tag);
        if let Err(error) = self.destination.commit(&done, tag).await {
            let message =
                format!("token {} is enabled and its key was delivered to {location}, but: {error}", done.id);
            let mut error = not_committed(message, &done, error);
            error.details_mut().maybe_applied = true;
            return Err(error);
        }
        let result = if self.destination.returns_secret() { done } else { done.without_secret() };
        Ok(Finished::Token(Box::new(result)))
    }

    /// Returns the error for a delivered token that may or may not be enabled. Nothing is deleted: it may be in use.
    fn unconfirmed(&self, token: &Token, tag: &Tag, cause: Error) -> Error {
        let finish = Advice::Finish {
            id: token.id,
            note: self.token.note().unwrap_or_default().to_owned(),
            status: self.token.status.into(),
        };
        let is_result = self.destination.is_result();
        let delivered = if is_result {
            String::new()
        } else {
            format!(" and its key delivered to {}", self.destination.location(tag))
        };
        let message = format!(
            "token {} was created{delivered}, but whether it has its final status and note is unknown: {cause}",
            token.id
        );
        let advice = if self.destination.finishes_on_repeat() { Advice::Repeat } else { finish };
        let mut error = Error::new(ErrorKind::OutcomeUnknown, message).suggest(advice);
        let details = error.details_mut();
        details.maybe_applied = true;
        details.token = is_result.then(|| token.clone());
        details.candidates = Some(vec![token.without_secret()]);
        error.caused_by_response(cause)
    }

    /// Deletes a delivered token, then discards the delivery: a key is never removed before its token. Returns the
    /// error, and whether the token is deleted.
    async fn take_back(&self, client: &Client, token: &Token, tag: &Tag, cause: Error) -> (Error, bool) {
        let (error, is_deleted) = give_up(client, token.clone(), cause, true).await;
        if is_deleted {
            let _ = self.destination.discard(token, tag).await;
        }
        (error, is_deleted)
    }
}

/// Returns the error for a token that is delivered, but whose destination failed to commit.
pub(super) fn not_committed(message: String, token: &Token, cause: Error) -> Error {
    let mut error = Error::new(ErrorKind::Delivery, message);
    let details = error.details_mut();
    details.advice.clone_from(&cause.details().advice);
    details.candidates = Some(vec![token.without_secret()]);
    error.caused_by(cause)
}

/// Deletes a token that will not be finished. Returns the error, and whether the token is deleted.
async fn give_up(client: &Client, token: Token, mut cause: Error, is_disabled: bool) -> (Error, bool) {
    let id = token.id;
    let Err(deletion) = delete(client, token).await else {
        return (
            cause.suggest(format!("token {id} was never enabled by this call and has been deleted")),
            true,
        );
    };
    // What remains on the portal is more urgent than the advice about the cause.
    cause.details_mut().advice.clear();
    let (state, remedy) =
        if is_disabled { ("disabled", Advice::Sweep) } else { ("maybe enabled", Advice::Delete { id }) };
    let left = format!("token {id} remains, {state}, because deleting it failed ({deletion}); delete it");
    (cause.suggest(left).suggest(remedy), false)
}

fn is_unreachable(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Connect | ErrorKind::Transport | ErrorKind::RequestTimeout | ErrorKind::Tls
    )
}

/// Returns the token as created, with the members that the change can affect.
pub(super) fn with_changes(token: &Token, changed: Token) -> Token {
    Token {
        // A response without a note does not show the marker.
        marker: if changed.note.is_some() { changed.marker } else { token.marker },
        note: changed.note,
        status: changed.status.or(token.status),
        last_used_on: changed.last_used_on,
        was_used: changed.was_used,
        ..token.clone()
    }
}

/// Returns the error for a POST whose outcome is unknown: the lookup failed with `lookup_error`, or these credentials
/// may not view tokens.
fn outcome_unknown(admin_id: AdminId, tag: &Tag, cause: Error, lookup_error: Option<Error>) -> Error {
    let why = match &lookup_error {
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
    details.lookup_error = lookup_error;
    error.caused_by_response(cause)
}

/// Returns the error for a POST whose response names a token under another note, which is not surely the created one.
pub(super) fn other_note(reported: &Token, cause: Error) -> Error {
    let id = reported.id;
    let message = format!("token {id} may have been created, but its key is not used: {cause}");
    let mut error = Error::new(ErrorKind::OutcomeUnknown, message)
        .suggest("check that it is not a token of others")
        .suggest(Advice::Delete { id });
    let details = error.details_mut();
    details.maybe_applied = true;
    details.candidates = Some(vec![reported.clone().without_secret()]);
    error.caused_by_response(cause)
}

/// Reports the pending token if the create is dropped while it is in progress.
pub(super) struct PendingGuard<'a> {
    client: &'a Client,
    admin_id: AdminId,
    id: Option<i64>,
    tag: &'a Tag,
    pub(super) is_delivered: bool,
    create: &'a TwoPhase<'a>,
    is_armed: bool,
}

impl PendingGuard<'_> {
    pub(super) fn disarm(&mut self) {
        self.is_armed = false;
    }
}

impl Drop for PendingGuard<'_> {
    fn drop(&mut self) {
        if !self.is_armed || !self.client.may_have_written() {
            return;
        }
        let TwoPhase { token, destination, .. } = self.create;
        let admin_id = self.admin_id.get();
        self.client.report(match self.id.filter(|_| self.is_delivered && destination.is_result()) {
            // It may be enabled.
            Some(token_id) => {
                let note = token.note().map(str::to_owned);
                Event::ResultLost { token_id, admin_id: Some(admin_id), note }
            }
            None => Event::LeftPending {
                admin_id,
                id: self.id,
                tag: self.tag.to_string(),
                delivered: self.is_delivered,
                finishes_on_repeat: destination.finishes_on_repeat(),
            },
        });
    }
}
