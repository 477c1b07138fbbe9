//! Cancelling a rotation.

use super::finish::{replaced_by, restored};
use super::guarded::{GuardedClient, SETTLES, Step};
use super::rotate::SETTLED;
use super::successors::{Role, Successor, find_successors};
use super::wait::wait_until;
use super::{CancelRotation, Rotation, RotationState, wrong_state};
use crate::client::Client;
use crate::error::Result;
use crate::ids::{Status, TokenId};
use crate::lifecycle::rounds::Rounds;
use crate::marker::Marker;
use crate::model::{Token, TokenStatus};
use crate::operation::Operation;
use crate::tag::Tag;

impl Operation for CancelRotation {
    type Output = Rotation;

    async fn run(self, client: &Client) -> Result<Rotation> {
        Box::pin(cancel(self, client)).await
    }
}

/// The old and the new token of a rotation.
pub(super) struct Pair {
    pub(super) old: Token,
    pub(super) old_id: TokenId,
    pub(super) new: Token,
}

/// Returns the token that a token names as the one that it replaces.
pub(super) fn replaced(token: &Token) -> Option<TokenId> {
    let by_marker = token.marker.and_then(|marker| marker.replaces).map(|(old, _)| old);
    by_marker.or_else(|| token.note.as_deref().and_then(Tag::parse).and_then(|(tag, _)| tag.replaces))
}

/// Returns what a reading of the old token looks like that may not exist any more.
pub(super) fn stub(id: TokenId, new: &Token) -> Token {
    Token { id: id.get(), access_id: None, status: None, marker: None, note: None, ..new.clone() }
}

async fn cancel(operation: CancelRotation, client: &Client) -> Result<Rotation> {
    let portal = GuardedClient::new(client);
    let named = operation.token.read(client).await?;
    let pair = match replaced(&named) {
        Some(old_id) if Role::of(&named, old_id).is_some() => {
            let stub = stub(old_id, &named);
            let old = portal.read(&stub).await?.unwrap_or(stub);
            Pair { old, old_id, new: named }
        }
        _ => find_new(&portal, named).await?,
    };
    cancel_pair(&portal, pair).await
}

/// Finds the new token of a rotation by the old one.
async fn find_new(portal: &GuardedClient, old: Token) -> Result<Pair> {
    let old_id = TokenId::new(old.id)?;
    let by = replaced_by(&old).map(|(by, _)| by.get());
    let now = portal.now()?;
    let successors = find_successors(portal, &old).await?;
    let is_enabled = |successor: &Successor| successor.token.status == Some(TokenStatus::Enabled);
    let found = successors
        .iter()
        .find(|successor| Some(successor.token.id) == by)
        .or_else(|| successors.iter().find(|successor| successor.role.takes_part(now)))
        .or_else(|| successors.iter().find(|successor| is_enabled(successor)))
        // It may be cancelled already.
        .or_else(|| successors.last());
    match (found, replaced_by(&old)) {
        (Some(found), _) => Ok(Pair { new: found.token.clone(), old, old_id }),
        // The new token was deleted by others.
        (None, Some((by, _))) => Ok(Pair { new: stub(by, &old), old, old_id }),
        (None, None) => Err(wrong_state(&old, "no token is to replace it")),
    }
}

async fn cancel_pair(portal: &GuardedClient, Pair { mut old, old_id, new }: Pair) -> Result<Rotation> {
    let result = |old, new, state| Ok(Rotation { old, new, state: Ok(state), changes: portal.changes() });
    let mut rounds = Rounds::at_most(6);
    loop {
        let marked = mark_cancelled(portal, &new, old_id).await?;
        let restored = restore_old(portal, &new, &old).await?;
        let Some(since) = marked else {
            return result(restored.unwrap_or(old), None, RotationState::Cancelled);
        };
        // Other processes that have read the token before the mark have ended their writes then.
        wait_until(portal, since.saturating_add(SETTLES), SETTLED).await?;
        let Some(now) = portal.read(&new).await? else {
            return result(old, None, RotationState::Cancelled);
        };
        let is_standing =
            matches!(Role::of(&now, old_id), Some(Role::Cancelled { since: at }) if at == since);
        if !is_standing {
            if rounds.next() {
                continue;
            }
            return Err(wrong_state(&old, "other processes change it all the time"));
        }
        let Some(restored) = restore_old(portal, &new, &old).await? else {
            let kept = keep_successor(portal, &old, &now, old_id).await?;
            return result(old, kept, RotationState::TooLate);
        };
        old = restored;
        let disabled = disable_cancelled(portal, &old, &new, old_id).await?;
        return result(old, disabled, RotationState::Cancelled);
    }
}

/// Marks the new token as cancelled. Returns since when it is; `None` if it does not exist.
async fn mark_cancelled(portal: &GuardedClient, new: &Token, old_id: TokenId) -> Result<Option<i64>> {
    let id = TokenId::new(new.id)?;
    let marked = portal.write(new, |now| {
        if let Some(Role::Cancelled { since }) = Role::of(now, old_id) {
            return Ok(Step::Done(since));
        }
        let shown = now.note.as_deref().unwrap_or_default();
        let tagged = Tag::parse(shown);
        let own = tagged.map_or(shown, |(_, last)| last.unwrap_or_default());
        let of_tag = tagged.and_then(|(tag, _)| tag.marker(id));
        let marker = now.marker.or(of_tag).unwrap_or(Marker::of(id));
        let replaces = marker.replaces.or(Some((old_id, None)));
        let marker = Marker { replaces, cancelled: Some(portal.now()?), ..marker };
        Ok(Step::note(marker.write(own)))
    });
    marked.await
}

/// Enables the old token again if the new one has taken its place. Returns the old token; `None` if it does not exist.
async fn restore_old(portal: &GuardedClient, new: &Token, old: &Token) -> Result<Option<Token>> {
    let new_id = TokenId::new(new.id)?;
    let restored = portal.write(old, |now| {
        let is_replaced = replaced_by(now).is_some_and(|(by, _)| by == new_id);
        Ok(if is_replaced { restored(now) } else { Step::Done(now.clone()) })
    });
    restored.await
}

/// Gives the new token its final note: the old one is deleted, so that it is needed.
async fn keep_successor(
    portal: &GuardedClient,
    old: &Token,
    new: &Token,
    old_id: TokenId,
) -> Result<Option<Token>> {
    let kept = portal.write_with(old, new, |old, now| {
        let is_enabled = now.status == Some(TokenStatus::Enabled);
        let is_cancelled = matches!(Role::of(now, old_id), Some(Role::Cancelled { .. }));
        let Some(marker) = now.marker.filter(|_| old.is_none() && is_enabled && is_cancelled) else {
            return Ok(Step::Done(now.clone()));
        };
        let marker = Marker { replaces: None, cancelled: None, superseded: None, ..marker };
        Ok(Step::note(marker.write(now.note.as_deref().unwrap_or_default())))
    });
    kept.await
}

/// Disables the new token. The old one has been read before: it exists, and is not disabled in its favor.
async fn disable_cancelled(
    portal: &GuardedClient,
    old: &Token,
    new: &Token,
    old_id: TokenId,
) -> Result<Option<Token>> {
    let new_id = TokenId::new(new.id)?;
    let disabled = portal.write_with(old, new, |old, now| {
        let is_free = old.is_some_and(|old| replaced_by(old).is_none_or(|(by, _)| by != new_id));
        let is_cancelled = matches!(Role::of(now, old_id), Some(Role::Cancelled { .. }));
        let is_enabled = now.status == Some(TokenStatus::Enabled);
        Ok(if is_free && is_cancelled && is_enabled {
            Step::status(Status::Disabled)
        } else {
            Step::Done(now.clone())
        })
    });
    disabled.await
}
