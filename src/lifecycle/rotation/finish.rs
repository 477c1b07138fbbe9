//! The end of a rotation: the old token is disabled once its overlap is over, and deleted once its quarantine is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::cancel::{replaced, stub};
use super::guarded::{GuardedClient, SETTLES, Step};
use super::refused_calls::{RefusedCall, last_refused_call};
use super::resume::{AGE, check_age, is_left};
use super::successors::{Role, Successor, find_successors};
use super::wait::wait_until;
use super::{FinishRotations, QUARANTINE, Rotation, RotationState, wrong_state};
use crate::advice::Advice;
use crate::client::Client;
use crate::error::{ErrorKind, Result};
use crate::event::Event;
use crate::ids::{Status, TokenId};
use crate::lifecycle::sweep::agreed_time;
use crate::marker::Marker;
use crate::model::{Token, TokenStatus};
use crate::operation::Operation;
use crate::tag::Tag;
use crate::tokens::{ListTokens, refuse_self};

/// How a rotation ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    /// How long the old token stays disabled before it is deleted.
    pub(super) quarantine: Duration,
    /// Whether a use of the old token within the last half of the overlap keeps it enabled.
    pub(super) checks_use: bool,
    /// Whether refused calls with the old token keep it from being deleted.
    pub(super) checks_refused_calls: bool,
}

/// One rotation that has a marked successor, or whose old token is disabled.
pub(super) struct Finisher<'a> {
    pub(super) portal: &'a GuardedClient,
    /// The old token as it was last known.
    pub(super) old: &'a Token,
    pub(super) ending: Ending,
}

/// The steps of one pass; more than any rotation takes.
const MAX_STEPS: u32 = 16;

/// What one step came to.
enum Next {
    Again,
    End(RotationState),
}

impl Finisher<'_> {
    /// Does what is due, and returns what remains.
    pub(super) async fn finish(&self) -> Result<Rotation> {
        let mut old = self.old.clone();
        for _ in 0..MAX_STEPS {
            let successors = find_successors(self.portal, &old).await?;
            let now = self.portal.read(&old).await?;
            let is_gone = now.is_none();
            old = now.unwrap_or(old);
            let (new, next) = if is_gone {
                self.old_is_gone(successors).await?
            } else if let Some(new) = replaced_by(&old) {
                self.old_is_replaced(&old, new, successors).await?
            } else {
                self.old_is_enabled(&old, successors).await?
            };
            if let Next::End(state) = next {
                return Ok(Rotation { old, new, state: Ok(state), changes: self.portal.changes() });
            }
        }
        Err(wrong_state(&old, "its state changes faster than it can be read"))
    }

    async fn old_is_gone(&self, successors: Vec<Successor>) -> Result<(Option<Token>, Next)> {
        let takes_its_place = |new: &Successor| new.is_enabled() && new.role.out_since().is_none();
        let Some(Successor { token, role }) = successors.into_iter().find(takes_its_place) else {
            return Ok((None, Next::End(RotationState::Finished)));
        };
        if let Role::Pending(tag) = role {
            check_age(self.portal, self.old, &token, &tag, AGE)?;
        }
        let new = self.clear_marker(&token).await?;
        Ok((Some(new.unwrap_or(token)), Next::End(RotationState::Finished)))
    }

    async fn old_is_enabled(&self, old: &Token, successors: Vec<Successor>) -> Result<(Option<Token>, Next)> {
        let is_marked = |successor: &&Successor| matches!(successor.role, Role::Replaces { .. });
        let Some(Successor { token: new, role: Role::Replaces { after } }) =
            successors.iter().find(is_marked)
        else {
            return Err(wrong_state(old, "no token is marked as the one that replaces it")
                .suggest("rotate it again, which continues a rotation or starts one"));
        };
        if new.status != Some(TokenStatus::Enabled) {
            return Err(wrong_state(old, &format!("token {}, which replaces it, was disabled", new.id))
                .suggest(format!("enable token {}, or cancel the rotation", new.id)));
        }
        if old.status != Some(TokenStatus::Enabled) {
            return Err(
                wrong_state(old, "it is disabled, but not by lmtokens").suggest("enable it, or delete it")
            );
        }
        let Some(after) = *after else {
            let problem = format!("the check of token {}, which is to replace it, has not succeeded", new.id);
            return Err(wrong_state(old, &problem).suggest(Advice::RotateAgain));
        };
        let now = self.portal.now()?;
        if now < after {
            return Ok((Some(new.clone()), Next::End(RotationState::Overlap { until: after })));
        }
        for leftover in successors.iter().filter(|successor| successor.token.id != new.id) {
            self.disable_leftover(new, leftover).await?;
        }
        if let Some(last_used_on) = self.in_use(old, new, after, now) {
            let address = old.last_auth_ip.as_ref().and_then(|address| address.parse().ok());
            return Ok((Some(new.clone()), Next::End(in_use(last_used_on, address, new))));
        }
        self.disable_old(old, new).await?;
        Ok((Some(new.clone()), Next::Again))
    }

    /// Returns when the old token was last used, if that is within the last half of the overlap.
    fn in_use(&self, old: &Token, new: &Token, after: i64, now: i64) -> Option<i64> {
        let overlap = after.saturating_sub(new.created_on?);
        let last_used_on = old.last_used_on?;
        let checks_use = self.ending.checks_use && overlap > 0;
        (checks_use && last_used_on > now.saturating_sub(overlap / 2)).then_some(last_used_on)
    }

    /// Disables an enabled token that is cancelled or superseded, once that has taken effect and another token is
    /// enabled and marked.
    pub(super) async fn disable_leftover(&self, new: &Token, leftover: &Successor) -> Result<()> {
        let old_id = TokenId::new(self.old.id)?;
        let Some(since) = leftover.role.out_since() else { return Ok(()) };
        if leftover.token.status != Some(TokenStatus::Enabled) {
            return Ok(());
        }
        wait_until(self.portal, since.saturating_add(SETTLES), "the mark on a token takes effect").await?;
        let is_out = |now: &Token, time| {
            Role::of(now, old_id).and_then(Role::out_since).is_some_and(|since| since + SETTLES <= time)
        };
        let disabled = self.portal.write_with(new, &leftover.token, |new, now| {
            let is_replaced = new.is_some_and(|new| is_intact(new, old_id));
            let is_due = is_replaced && is_out(now, self.portal.now()?);
            Ok(match now.status {
                Some(TokenStatus::Enabled) if is_due => Step::status(Status::Disabled),
                _ => Step::Done(()),
            })
        });
        disabled.await.map(|_| ())
    }

    async fn disable_old(&self, old: &Token, new: &Token) -> Result<()> {
        let (old_id, new_id) = (TokenId::new(old.id)?, TokenId::new(new.id)?);
        refuse_self(self.portal.client(), old, "disabling").map_err(|error| {
            error.suggest(format!(
                "finish the rotation with the credentials of token {new_id}, which are valid"
            ))
        })?;
        let quarantine = i64::try_from(self.ending.quarantine.as_secs()).unwrap_or(i64::MAX);
        let delete_after = self.portal.now()?.saturating_add(quarantine);
        let disabled = self.portal.write_with(new, old, |new, now| {
            if now.status != Some(TokenStatus::Enabled) || replaced_by(now).is_some() {
                return Ok(Step::Done(()));
            }
            let Some(new) = new.filter(|new| is_intact(new, old_id)) else { return Ok(Step::Done(())) };
            let Some(Role::Replaces { after: Some(after) }) = Role::of(new, old_id) else {
                return Ok(Step::Done(()));
            };
            let time = self.portal.now()?;
            if time < after || self.in_use(now, new, after, time).is_some() {
                return Ok(Step::Done(()));
            }
            let marker = now.marker.unwrap_or(Marker::of(old_id));
            let marker = Marker { replaced_by: Some((new_id, delete_after)), ..marker };
            let note = marker.write(now.note.as_deref().unwrap_or_default());
            Ok(Step::Change { note: Some(note), status: Some(Status::Disabled) })
        });
        // The next step reads the new token again, before anything relies on it.
        disabled.await.map(|_| ())
    }

    async fn old_is_replaced(
        &self,
        old: &Token,
        (new_id, delete_after): (TokenId, i64),
        successors: Vec<Successor>,
    ) -> Result<(Option<Token>, Next)> {
        let old_id = TokenId::new(old.id)?;
        if old.status != Some(TokenStatus::Disabled) {
            let problem =
                format!("it was disabled because token {new_id} replaces it, and enabled by others");
            return Err(wrong_state(old, &problem).suggest(Advice::CancelRotation { id: old.id }));
        }
        let new = successors.into_iter().find(|successor| successor.token.id == new_id.get());
        let new = match new {
            Some(Successor { token, .. }) => Some(token),
            // Its marker may have been removed.
            None => self.portal.read(&Token { id: new_id.get(), access_id: None, ..old.clone() }).await?,
        };
        let Some(new) = new.filter(is_enabled_successor) else {
            self.restore_old(old, new_id).await?;
            return Ok((None, Next::End(RotationState::Restored)));
        };
        if !is_intact(&new, old_id) {
            return Err(wrong_state(old, &format!("the marker in the note of token {new_id} was removed"))
                .suggest(format!("if token {new_id} is in use, delete token {old_id}; if not, enable it")));
        }
        if self.portal.now()? < delete_after {
            return Ok((Some(new), Next::End(RotationState::Quarantine { until: delete_after })));
        }
        if self.ending.checks_refused_calls
            && let Some(RefusedCall { time, address }) = self.last_refused_call(old).await?
        {
            let state = in_use(time, address, &new);
            return Ok((Some(new), Next::End(state)));
        }
        self.delete_old(old, &new).await?;
        Ok((Some(new), Next::Again))
    }

    /// Returns the last refused call with the old token in a day. A log that may not be read is reported.
    async fn last_refused_call(&self, old: &Token) -> Result<Option<RefusedCall>> {
        const DAY: i64 = 86_400;
        let client = self.portal.client();
        match last_refused_call(client, old, self.portal.now()?.saturating_sub(DAY)).await {
            Err(error) if error.kind() == ErrorKind::Authentication => Err(error),
            Err(error) => {
                client.report(Event::AuditLogUnreadable { token_id: old.id, reason: error.to_string() });
                Ok(None)
            }
            found => found,
        }
    }

    /// Enables the old token again, if the one that replaces it is not as it was.
    pub(super) async fn restore_old(&self, old: &Token, new: TokenId) -> Result<()> {
        let witness = Token { id: new.get(), access_id: None, ..old.clone() };
        let restored = self.portal.write_with(&witness, old, |new_now, now| {
            let is_due = replaced_by(now).is_some_and(|(by, _)| by == new)
                && !new_now.is_some_and(is_enabled_successor);
            Ok(if is_due { restored(now) } else { Step::Done(()) })
        });
        restored.await.map(|_| ())
    }

    async fn delete_old(&self, old: &Token, new: &Token) -> Result<()> {
        let (old_id, new_id) = (TokenId::new(old.id)?, TokenId::new(new.id)?);
        let deleted = self.portal.write_with(new, old, |new, now| {
            let is_disabled = now.status == Some(TokenStatus::Disabled);
            let is_due = match replaced_by(now).filter(|_| is_disabled) {
                Some((by, delete_after)) => by == new_id && delete_after <= self.portal.now()?,
                None => false,
            };
            let is_replaced = new.is_some_and(|new| is_intact(new, old_id));
            Ok(if is_due && is_replaced { Step::Delete } else { Step::Done(()) })
        });
        deleted.await.map(|_| ())
    }

    /// Removes the marker or the tag of a token whose predecessor is deleted. Its expiry is kept.
    async fn clear_marker(&self, new: &Token) -> Result<Option<Token>> {
        let (old_id, new_id) = (TokenId::new(self.old.id)?, TokenId::new(new.id)?);
        let cleared = self.portal.write_with(self.old, new, |old, now| {
            let shown = now.note.as_deref().unwrap_or_default();
            let is_due = old.is_none() && now.status == Some(TokenStatus::Enabled);
            let (marker, own) = match Role::of(now, old_id).filter(|_| is_due) {
                Some(Role::Replaces { .. }) => (now.marker, shown),
                Some(Role::Pending(tag)) => {
                    (tag.marker(new_id), Tag::parse(shown).and_then(|(_, own)| own).unwrap_or_default())
                }
                _ => return Ok(Step::Done(now.clone())),
            };
            let marker = Marker { replaces: None, ..marker.unwrap_or(Marker::of(new_id)) };
            Ok(Step::note(marker.write(own)))
        });
        cleared.await
    }
}

fn in_use(last_used_on: i64, address: Option<IpAddr>, new: &Token) -> RotationState {
    let of_new = new.last_auth_ip.as_ref().and_then(|address| address.parse().ok());
    RotationState::InUse { last_used_on, address, is_this_address: address.is_some() && address == of_new }
}

impl Operation for FinishRotations {
    type Output = Vec<Rotation>;

    async fn run(self, client: &Client) -> Result<Vec<Rotation>> {
        Box::pin(finish_rotations(self, client)).await
    }
}

async fn finish_rotations(operation: FinishRotations, client: &Client) -> Result<Vec<Rotation>> {
    let ending = Ending {
        quarantine: operation.quarantine,
        checks_use: !operation.force,
        checks_refused_calls: !operation.force,
    };
    if let Some(token) = operation.token {
        let named = token.read(client).await?;
        let old = replaced(&named).map_or(named.clone(), |old| stub(old, &named));
        let portal = GuardedClient::new(client);
        return Ok(vec![Finisher { portal: &portal, old: &old, ending }.finish().await?]);
    }
    let mut rotations = Vec::new();
    let mut listed = ListedRotations::default();
    let tokens = ListTokens::default().collect(client).await?;
    let now = agreed_time(client)?;
    for token in &tokens {
        listed.add(token, now);
    }
    for old in listed.old_tokens(None) {
        let part = client.start_part();
        let portal = GuardedClient::new(&part.client);
        let finished = Finisher { portal: &portal, old: &old, ending }.finish().await;
        match part.complete(finished) {
            Ok(rotation) => rotations.push(rotation),
            // Repeated authentication failures lock a token.
            Err(error) if error.kind() == ErrorKind::Authentication => return Err(error),
            Err(error) => {
                rotations.push(Rotation { old, new: None, state: Err(error), changes: portal.changes() });
            }
        }
    }
    Ok(rotations)
}

/// Does what is due for the rotation of a token, with the default quarantine.
pub(in crate::lifecycle) async fn finish_rotation(client: &Client, old: &Token) -> Result<Rotation> {
    let ending = Ending { quarantine: QUARANTINE, checks_use: true, checks_refused_calls: true };
    Finisher { portal: &GuardedClient::new(client), old, ending }.finish().await
}

/// The rotations that a list shows, by the id of their old token.
#[derive(Default)]
pub(in crate::lifecycle) struct ListedRotations(BTreeMap<i64, ListedRotation>);

struct ListedRotation {
    /// The old token, or what is known of it.
    old: Token,
    /// When the next step is due; `None` if `rotate` must continue it.
    due: Option<i64>,
    /// Whether the old token says so, not the new one.
    is_disabled: bool,
}

impl ListedRotations {
    /// Adds a token of a list that was read at a time, if it is part of a rotation. One that may be in progress is not
    /// added.
    pub(in crate::lifecycle) fn add(&mut self, token: &Token, now: Duration) {
        if let Some((_, due)) = replaced_by(token) {
            let listed = ListedRotation { old: token.clone(), due: Some(due), is_disabled: true };
            self.0.insert(token.id, listed);
        }
        let Some(old) = replaced(token) else { return };
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let is_enabled = token.status == Some(TokenStatus::Enabled);
        let due = match Role::of(token, old) {
            Some(Role::Replaces { after }) => after,
            Some(Role::Pending(tag)) if is_enabled && is_left(token, &tag, now) => None,
            _ => return,
        };
        let listed = ListedRotation { old: stub(old, token), due, is_disabled: false };
        let known = self.0.entry(old.get()).or_insert_with(|| listed);
        if !known.is_disabled {
            known.due = [known.due, due].into_iter().flatten().min();
        }
    }

    pub(in crate::lifecycle) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the old tokens of the rotations whose next step is due at a time, or of all.
    pub(in crate::lifecycle) fn old_tokens(self, due_at: Option<i64>) -> impl Iterator<Item = Token> {
        let is_due = move |due: Option<i64>| due_at.is_none_or(|time| due.is_some_and(|due| due <= time));
        self.0.into_values().filter(move |listed| is_due(listed.due)).map(|listed| listed.old)
    }
}

/// Returns the change that enables an old token again.
pub(super) fn restored<T>(old: &Token) -> Step<T> {
    let marker = old.marker.map(|marker| Marker { replaced_by: None, ..marker });
    let own = old.note.as_deref().unwrap_or_default();
    let note = marker.map_or_else(|| own.to_owned(), |marker| marker.write(own));
    Step::Change { note: Some(note), status: Some(Status::Enabled) }
}

/// Returns the token in favor of which an old one was disabled, and the time after which that one is deleted.
pub(super) fn replaced_by(old: &Token) -> Option<(TokenId, i64)> {
    old.marker?.replaced_by
}

/// Returns whether a token is enabled and marked as the one that replaces `old`.
fn is_intact(new: &Token, old: TokenId) -> bool {
    new.status == Some(TokenStatus::Enabled) && matches!(Role::of(new, old), Some(Role::Replaces { .. }))
}

/// Returns whether a token that was marked is enabled, and neither cancelled nor superseded.
fn is_enabled_successor(new: &Token) -> bool {
    let is_out = new.marker.is_some_and(|marker| marker.cancelled.is_some() || marker.superseded.is_some());
    new.status == Some(TokenStatus::Enabled) && !is_out
}
