//! Finishing or clearing a create whose process ended before it committed the delivery.

use std::time::Duration;

use super::reconcile::{delete_read, prove_absent};
use super::two_phase::{TwoPhase, not_committed, with_changes};
use crate::client::{Client, Moment};
use crate::destinations::Remaining;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ids::{AdminId, Status, TokenId};
use crate::model::{Token, TokenStatus};
use crate::tag::Tag;
use crate::tokens::{FindToken, change, is_same_token, refuse_self};

/// What the portal has of a delivered token.
enum State {
    /// The token has its final status.
    Ready(Token),
    /// The token was disabled and never used when it was read, because its last PATCH had not arrived; or it has
    /// expired, so that a sweep may be deleting it.
    ToDelete(Token, Moment),
    Gone,
}

/// Finishes the create of the same token that an earlier call left at the destination, and returns its token. `None` if
/// there is none; tokens that were left disabled are deleted. Nothing is created if the state of one is not clear.
pub(super) async fn finish_earlier(
    client: &Client,
    create: &TwoPhase<'_>,
    admin_id: AdminId,
) -> Result<Option<Token>> {
    let requested = create.token.requested(client, admin_id);
    loop {
        let remains = create.destination.remains(&requested).await?;
        // There may be very many, of which each pass clears a part.
        let is_last = remains.deliveries.is_empty();
        let mut others = remains.others;
        let mut finished = None;
        let undelivered = remains.undelivered.iter().map(ToString::to_string).collect();
        report(client, undelivered, |shown, more| Event::MayRemainPending { shown, more });
        for remaining in remains.deliveries {
            if finished.is_some() {
                others.push(format!("{} (token {})", remaining.path, remaining.token.id));
                create.destination.abandon(&remaining.tag).await?;
                continue;
            }
            finished = finish(client, create, &remaining).await?;
        }
        if is_last || finished.is_some() {
            report(client, others, |shown, more| Event::PendingFilesRemain { shown, more });
            return Ok(finished);
        }
    }
}

fn report(client: &Client, mut others: Vec<String>, event: impl Fn(Vec<String>, usize) -> Event) {
    const SHOWN: usize = 3;
    if !others.is_empty() {
        let more = others.len().saturating_sub(SHOWN);
        others.truncate(SHOWN);
        client.report(event(others, more));
    }
}

async fn finish(client: &Client, create: &TwoPhase<'_>, remaining: &Remaining) -> Result<Option<Token>> {
    let (destination, token_id) = (create.destination, remaining.token.id);
    let client = &client.withholding_secret_of(&remaining.token);
    let deleted = match state(client, create, remaining).await? {
        State::Ready(found) => {
            let done = Token { access_key: remaining.token.access_key.clone(), ..found };
            if let Err(cause) = destination.commit(&done, &remaining.tag).await {
                let message = format!(
                    "an interrupted call created token {token_id}, and its key is not in place: {cause}"
                );
                return Err(not_committed(message, &done, cause));
            }
            let destination = destination.describe();
            client.report(Event::FinishedEarlier { token_id, destination });
            return Ok(Some(done.without_secret()));
        }
        State::ToDelete(found, read) => {
            delete_read(client, read, found).await?;
            true
        }
        State::Gone => false,
    };
    destination.discard(&remaining.token, &remaining.tag).await?;
    client.report(Event::ClearedEarlier { token_id, deleted });
    Ok(None)
}

/// Reads the token from the portal, after its pending file was locked.
async fn state(client: &Client, create: &TwoPhase<'_>, remaining: &Remaining) -> Result<State> {
    let delivered = &remaining.token;
    let id = TokenId::new(delivered.id)?;
    let admin_id = AdminId::new(delivered.admin_id.unwrap_or_default())?;
    let read = Moment::at(client.now_ms());
    let Some(found) = FindToken::Id(id).optional(client).await? else {
        if prove_absent(client, admin_id, id, remaining.tag.run).await? {
            return Ok(State::Gone);
        }
        return Err(unclear(remaining, "the portal does not show whether it is enabled"));
    };
    if !is_same_token(&found, delivered) {
        return Err(unclear(remaining, "the portal has another token with this id"));
    }
    let status = create.token.status;
    let tagged = found.note.as_deref().and_then(Tag::parse);
    if let Some((tag, rest)) = tagged
        && tag == remaining.tag
        && let Some(problem) = tag.note_problem(rest)
    {
        return Err(unclear(remaining, problem));
    }
    match tagged {
        None if found.is_expired(Duration::from_millis(client.portal_now_ms())) => {
            Ok(State::ToDelete(found, read))
        }
        None if found.marker != remaining.tag.marker(id) => {
            Err(unclear(remaining, "somebody has changed its expiry since"))
        }
        None if found.status == Some(status.into()) => Ok(State::Ready(found)),
        None => {
            let status =
                found.status.map_or_else(|| "of unknown status".to_owned(), |status| status.to_string());
            let why = "its note no longer has the tag of that create, so that somebody has changed it";
            Err(unclear(remaining, &format!("it is {status} and {why}")))
        }
        Some((tag, _)) if tag != remaining.tag => {
            Err(unclear(remaining, "its note has the tag of another create"))
        }
        Some(_) if found.status == Some(TokenStatus::Disabled) && !found.was_used => {
            Ok(State::ToDelete(found, read))
        }
        Some((tag, _))
            if tag.marker(id).is_some_and(|marker| marker.is_expired(client.portal_now_ms() / 1000)) =>
        {
            Err(unclear(remaining, "it has expired"))
        }
        Some((tag, _)) if found.status == Some(TokenStatus::Enabled) => {
            // It was enabled by hand, so that a sweep does not delete it.
            let changing = if status == Status::Disabled {
                refuse_self(client, &found, "disabling")?
            } else {
                client.clone()
            };
            let note = create.token.note().unwrap_or_default();
            let note = tag.marker(id).map_or_else(|| note.to_owned(), |marker| marker.write(note));
            let changed = change(&changing, admin_id, &found, Some(&note), Some(status)).await?;
            Ok(State::Ready(with_changes(&found, changed)))
        }
        Some(_) => Err(unclear(remaining, "it is disabled, and was used")),
    }
}

fn unclear(remaining: &Remaining, why: &str) -> Error {
    let (id, path) = (remaining.token.id, &remaining.path);
    Error::new(
        ErrorKind::Delivery,
        format!("an interrupted call created token {id} and left its key in {path}, but {why}"),
    )
    .suggest(format!("if the token is needed, enable it and take the key from there (access_key); if not, delete the token; then remove {path}"))
}
