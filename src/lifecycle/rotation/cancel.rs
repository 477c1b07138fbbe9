//! Cancelling a rotation.

use super::finish::{replaced_by, restore_old};
use super::guarded::{GuardedClient, Step};
use super::successors::{Role, Successor, find_successors, old_of, stub};
use super::wait::{await_mark, is_plausible};
use super::{CancelRotation, Rotation, RotationState, changed_by_others, not_rotated, wrong_state};
use crate::advice::Advice;
use crate::client::Client;
use crate::error::Result;
use crate::ids::{Status, TokenId};
use crate::lifecycle::rounds::Rounds;
use crate::marker::Marker;
use crate::model::{Token, TokenStatus};
use crate::operation::Operation;
use crate::tag::Tag;
use crate::tokens::refuse_self;

impl Operation for CancelRotation {
    type Output = Rotation;

    async fn run(self, client: &Client) -> Result<Rotation> {
        Box::pin(cancel(self, client)).await
    }
}

/// More new tokens than interrupted rotations leave.
const MAX_SUCCESSORS: u32 = 16;

/// Cancels the new token, and then all others that could take the place of the old one.
async fn cancel(operation: CancelRotation, client: &Client) -> Result<Rotation> {
    let portal = GuardedClient::new(client);
    let named = operation.token.read(client).await?;
    let old = old_of(&named);
    let new = find_new(&portal, &old, &named).await?;
    let rotation = Cancellation { portal: &portal, old: &old, new }.run().await?;
    let mut rounds = Rounds::at_most(MAX_SUCCESSORS);
    while let Ok(RotationState::Cancelled) = rotation.state
        && let Some(new) = find_other(&portal, &old).await?
        && rounds.next()
    {
        Cancellation { portal: &portal, old: &old, new }.run().await?.state?;
    }
    Ok(Rotation { changes: portal.changes(), ..rotation })
}

/// Finds the new token of a rotation. The result may not exist any more.
async fn find_new(portal: &GuardedClient, old: &Token, named: &Token) -> Result<Token> {
    let old_now = portal.read(old).await?;
    if let Some((by, _)) = old_now.as_ref().and_then(replaced_by) {
        let stub = stub(by, old);
        return Ok(portal.read(&stub).await?.unwrap_or(stub));
    }
    if named.id != old.id {
        return Ok(named.clone());
    }
    let now = portal.portal_now()?;
    let successors = find_successors(portal, old).await?;
    let found = successors
        .iter()
        .find(|successor| successor.role.takes_part(now))
        .or_else(|| successors.iter().find(|successor| successor.is_enabled()))
        // It may be cancelled already.
        .or(successors.last());
    found.map(|found| found.token.clone()).ok_or_else(|| not_rotated(old))
}

/// Finds another new token that is enabled, or can be.
async fn find_other(portal: &GuardedClient, old: &Token) -> Result<Option<Token>> {
    let successors = find_successors(portal, old).await?;
    let is_left = |successor: &Successor| successor.is_enabled() || successor.role.out_since().is_none();
    Ok(successors.into_iter().find(is_left).map(|successor| successor.token))
}

/// The cancellation of one new token.
struct Cancellation<'a> {
    portal: &'a GuardedClient,
    old: &'a Token,
    new: Token,
}

impl Cancellation<'_> {
    async fn run(self) -> Result<Rotation> {
        let Self { portal, old, new } = &self;
        let (old_id, new_id) = (TokenId::new(old.id)?, TokenId::new(new.id)?);
        let first = self.check().await?;
        let mut rounds = Rounds::at_most(6);
        while let Some(since) = self.mark_cancelled(old_id).await? {
            restore_old(portal, old, new, |_| true).await?;
            // Other processes that have read the token before the mark have ended their writes then.
            await_mark(portal, old, new, since).await?;
            let is_standing = |now: &Token| Role::of(now, old_id) == Some(Role::Cancelled { since });
            if portal.read(new).await?.as_ref().is_none_or(is_standing) {
                break;
            }
            if !rounds.next() {
                return Err(changed_by_others(old, rounds.number()));
            }
        }
        if restore_old(portal, old, new, |_| true).await?.is_some() {
            self.disable_cancelled(old_id, new_id).await?;
            // A write that began before the mark may have disabled it just now.
            restore_old(portal, old, new, |_| true).await?;
        } else {
            self.keep_successor(old_id).await?;
        }
        let (old_now, new_now) = (portal.read(old).await?, portal.read(new).await?);
        let is_enabled = |token: Option<&Token>| token.is_some_and(is_enabled);
        let state = match (is_enabled(old_now.as_ref()), is_enabled(new_now.as_ref())) {
            (true, false) => Ok(RotationState::Cancelled),
            (false, true) if old_now.is_none() => Ok(RotationState::TooLate),
            (true, true) => Err(wrong_state(old, &format!("token {new_id} was enabled by others"))),
            (false, true) => Err(wrong_state(old, "it was disabled by others")),
            (false, false) => {
                Err(wrong_state(old, &format!("neither it nor token {new_id} is enabled any more")))
            }
        };
        let old = old_now.or(first).unwrap_or_else(|| (*old).clone());
        Ok(Rotation { old, new: new_now, state: Ok(state?), changes: portal.changes(), deleted_old: false })
    }

    /// Fails if the cancellation would leave no working token, or would lock this client out. Returns the old token.
    async fn check(&self) -> Result<Option<Token>> {
        let Self { portal, old, new } = self;
        let (old_now, new_now) = (portal.read(old).await?, portal.read(new).await?);
        let new_is_enabled = new_now.as_ref().is_some_and(is_enabled);
        match &old_now {
            None if new_is_enabled => {}
            None => {
                let problem = format!("it is deleted, and token {} is not enabled", new.id);
                return Err(wrong_state(old, &problem).suggest(Advice::RotateAgain));
            }
            Some(old) => {
                let is_replaced = replaced_by(old).is_some_and(|(by, _)| by.get() == new.id);
                if old.status != Some(TokenStatus::Enabled) && !is_replaced {
                    return Err(wrong_state(old, "it is disabled, but not because of this rotation")
                        .suggest("enable it first"));
                }
                if let Some(new) = new_now.filter(is_enabled) {
                    refuse_self(portal.client(), &new, "disabling").map_err(|mut error| {
                        error.details_mut().advice.clear();
                        error.suggest(format!("cancel with the credentials of another token than {}", new.id))
                    })?;
                }
            }
        }
        Ok(old_now)
    }

    /// Marks the new token as cancelled. Returns since when it is; `None` if it does not exist.
    async fn mark_cancelled(&self, old_id: TokenId) -> Result<Option<i64>> {
        let id = TokenId::new(self.new.id)?;
        let marked = self.portal.write(&self.new, |now| {
            let time = self.portal.portal_now()?;
            if let Some(Role::Cancelled { since }) = Role::of(now, old_id)
                && is_plausible(since, time)
            {
                return Ok(Step::Done(since));
            }
            let shown = now.note.as_deref().unwrap_or_default();
            let tagged = Tag::parse(shown);
            let own = tagged.map_or(shown, |(_, last)| last.unwrap_or_default());
            let of_tag = tagged.and_then(|(tag, _)| tag.marker(id));
            let marker = now.marker.or(of_tag).unwrap_or(Marker::of(id));
            let replaces = marker.replaces.or(Some((old_id, None)));
            let marker = Marker { replaces, cancelled: Some(time), ..marker };
            Ok(Step::note(marker.write(own)))
        });
        marked.await
    }

    /// Gives the new token its final note: the old one is deleted, so that it is needed.
    async fn keep_successor(&self, old_id: TokenId) -> Result<()> {
        let kept = self.portal.write_with(self.old, &self.new, |old, now| {
            let is_cancelled = matches!(Role::of(now, old_id), Some(Role::Cancelled { .. }));
            let is_due = old.is_none() && is_enabled(now) && is_cancelled;
            let Some(marker) = now.marker.filter(|_| is_due) else { return Ok(Step::Done(())) };
            Ok(Step::note(marker.without_rotation().write(now.note.as_deref().unwrap_or_default())))
        });
        kept.await.map(|_| ())
    }

    /// Disables the new token, if the old one is enabled.
    async fn disable_cancelled(&self, old_id: TokenId, new_id: TokenId) -> Result<()> {
        let disabled = self.portal.write_with(self.old, &self.new, |old, now| {
            let is_free =
                old.is_some_and(|old| is_enabled(old) && replaced_by(old).is_none_or(|(by, _)| by != new_id));
            let is_cancelled = matches!(Role::of(now, old_id), Some(Role::Cancelled { .. }));
            Ok(if is_free && is_cancelled && is_enabled(now) {
                Step::status(Status::Disabled)
            } else {
                Step::Done(())
            })
        });
        disabled.await.map(|_| ())
    }
}

fn is_enabled(token: &Token) -> bool {
    token.status == Some(TokenStatus::Enabled)
}
