//! The end of a rotation: the old token is disabled once its overlap is over, and deleted once its quarantine is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::guarded::{GuardedClient, SETTLES, Step};
use super::refused_calls::{RefusedCall, last_refused_call};
use super::resume::{check_age, is_left};
use super::successors::{Role, Successor, find_successors, old_of, replaced, stub};
use super::wait::await_mark;
use super::{
    FinishRotations, QUARANTINE, Rotation, RotationState, changed_by_others, not_rotated, wrong_state,
};
use crate::advice::Advice;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ids::{Status, TokenId};
use crate::lifecycle::sweep::{AGE, agreed_time};
use crate::marker::Marker;
use crate::model::{Token, TokenStatus};
use crate::operation::Operation;
use crate::tag::Tag;
use crate::times::check_span;
use crate::tokens::{ListTokens, refuse_self};

/// How a rotation ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    /// How long an old token that is disabled now stays so before it is deleted.
    pub(super) quarantine: Duration,
    /// Whether a quarantine that runs ends now.
    pub(super) ends_quarantine: bool,
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
    Again {
        /// Whether the step deleted the old token.
        deleted: bool,
    },
    /// The old token was enabled again.
    Restored(Box<Token>),
    End(RotationState),
}

impl Finisher<'_> {
    /// Does what is due, and returns what remains.
    pub(super) async fn finish(&self) -> Result<Rotation> {
        let mut old = self.old.clone();
        let (mut last_new, mut deletes) = (None, false);
        for _ in 0..MAX_STEPS {
            let successors = find_successors(self.portal, &old).await?;
            let now = self.portal.read(&old).await?;
            let is_gone = now.is_none();
            old = now.unwrap_or(old);
            let (new, next) = if is_gone {
                self.old_is_gone(&old, successors, last_new).await?
            } else if let Some(new) = replaced_by(&old) {
                self.old_is_replaced(&old, new, successors).await?
            } else {
                self.old_is_enabled(&old, successors).await?
            };
            let state = match next {
                Next::Again { deleted } => {
                    deletes |= deleted;
                    last_new = new;
                    continue;
                }
                Next::Restored(restored) => {
                    old = *restored;
                    RotationState::Restored
                }
                Next::End(state) => state,
            };
            let (changes, deleted_old) = (self.portal.changes(), deletes);
            return Ok(Rotation { old, new, state: Ok(state), changes, deleted_old });
        }
        Err(changed_by_others(&old, MAX_STEPS))
    }

    /// Ends a rotation whose old token is deleted. `last_new` is the new token when this call deleted it.
    async fn old_is_gone(
        &self,
        old: &Token,
        successors: Vec<Successor>,
        last_new: Option<Token>,
    ) -> Result<(Option<Token>, Next)> {
        let takes_its_place = |new: &&Successor| new.is_enabled() && new.role.out_since().is_none();
        let Some(Successor { token, role }) = successors.iter().find(takes_its_place) else {
            let others = successors.into_iter().map(|successor| successor.token);
            return match others.chain(last_new).next() {
                None => Ok((None, Next::End(RotationState::Finished))),
                Some(new) => {
                    let problem = format!("it is deleted, and token {}, which replaces it, is not", new.id);
                    Err(wrong_state(old, &format!("{problem} enabled, or its rotation was cancelled"))
                        .suggest(format!(
                            "find out whether token {} is needed, and enable or delete it",
                            new.id
                        )))
                }
            };
        };
        if let Role::Pending(tag) = role {
            check_age(self.portal, self.old, token, tag, AGE)?;
        }
        let new = self.clear_marker(token).await?;
        Ok((Some(new.unwrap_or_else(|| token.clone())), Next::End(RotationState::Finished)))
    }

    async fn old_is_enabled(&self, old: &Token, successors: Vec<Successor>) -> Result<(Option<Token>, Next)> {
        let is_marked = |successor: &&Successor| matches!(successor.role, Role::Replaces { .. });
        let Some(Successor { token: new, role: Role::Replaces { after } }) =
            successors.iter().find(is_marked)
        else {
            return Ok((None, Next::End(self.disable_leftovers(old, &successors).await?)));
        };
        if new.status != Some(TokenStatus::Enabled) {
            return Err(wrong_state(old, &format!("token {}, which replaces it, was disabled", new.id))
                .suggest(Advice::CancelRotation { id: old.id }));
        }
        if old.status != Some(TokenStatus::Enabled) {
            return Err(
                wrong_state(old, "it is disabled, but not by lmtokens").suggest("enable it, or delete it")
            );
        }
        for leftover in &successors {
            self.disable_leftover(new, leftover).await?;
        }
        let Some(after) = *after else {
            let problem = format!("the check of token {}, which is to replace it, has not succeeded", new.id);
            return Err(wrong_state(old, &problem).suggest(Advice::RotateAgain));
        };
        let now = self.portal.now()?;
        if now < after {
            return Ok((Some(new.clone()), Next::End(RotationState::Overlap { until: after })));
        }
        if let Some(last_used_on) = self.in_use(old, new, after, now) {
            let address = old.last_auth_ip.as_ref().and_then(|address| address.parse().ok());
            return Ok((Some(new.clone()), Next::End(in_use(last_used_on, address, new))));
        }
        self.disable_old(old, new).await?;
        Ok((Some(new.clone()), Next::Again { deleted: false }))
    }

    /// Disables the tokens that are left of rotations that were given up, although no other token is to replace the old
    /// one. One that was used since is needed by somebody.
    async fn disable_leftovers(&self, old: &Token, successors: &[Successor]) -> Result<RotationState> {
        let is_left = |successor: &&Successor| successor.is_enabled() && successor.role.out_since().is_some();
        let leftovers: Vec<_> = successors.iter().filter(is_left).collect();
        let is_pending = successors.iter().any(|successor| successor.role.out_since().is_none());
        if !is_pending && leftovers.is_empty() {
            return Err(not_rotated(old));
        }
        if is_pending {
            return Err(wrong_state(old, "no token is marked as the one that replaces it")
                .suggest(Advice::RotateAgain));
        }
        if old.status != Some(TokenStatus::Enabled) {
            return Err(
                wrong_state(old, "it is disabled, but not by lmtokens").suggest("enable it, or delete it")
            );
        }
        for leftover in leftovers {
            let since = leftover.role.out_since().unwrap_or_default().saturating_add(SETTLES);
            let token = &leftover.token;
            if let Some(last_used_on) =
                token.last_used_on.filter(|used| self.ending.checks_use && *used > since)
            {
                let address = token.last_auth_ip.as_ref().and_then(|address| address.parse().ok());
                return Ok(RotationState::InUse { last_used_on, address, is_same_address: false });
            }
            self.disable_leftover(old, leftover).await?;
        }
        Ok(RotationState::Cancelled)
    }

    /// Returns when the old token was last used, if that is within the last half of the overlap.
    fn in_use(&self, old: &Token, new: &Token, after: i64, now: i64) -> Option<i64> {
        let overlap = after.saturating_sub(new.created_on?);
        let last_used_on = old.last_used_on?;
        let checks_use = self.ending.checks_use && overlap > 0;
        (checks_use && last_used_on > now.saturating_sub(overlap / 2)).then_some(last_used_on)
    }

    /// Disables an enabled token that is cancelled or superseded, once that has taken effect and another token works:
    /// the old one, or one that is marked.
    pub(super) async fn disable_leftover(&self, other: &Token, leftover: &Successor) -> Result<()> {
        let old_id = TokenId::new(self.old.id)?;
        let Some(since) = leftover.role.out_since().filter(|_| leftover.is_enabled()) else { return Ok(()) };
        await_mark(self.portal, self.old, &leftover.token, since).await?;
        let disabled = self.portal.write_with(other, &leftover.token, |other, now| {
            let works = other.is_some_and(|other| {
                let is_plain = other.status == Some(TokenStatus::Enabled) && replaced_by(other).is_none();
                if other.id == old_id.get() { is_plain } else { is_intact(other, old_id) }
            });
            let is_due = works && Role::of(now, old_id).and_then(Role::out_since) == Some(since);
            Ok(match now.status {
                Some(TokenStatus::Enabled) if is_due => Step::status(Status::Disabled),
                _ => Step::Done(()),
            })
        });
        disabled.await.map(|_| ())
    }

    async fn disable_old(&self, old: &Token, new: &Token) -> Result<()> {
        let (old_id, new_id) = (TokenId::new(old.id)?, TokenId::new(new.id)?);
        refuse_self(self.portal.client(), old, "disabling").map_err(|mut error| {
            error.details_mut().advice.clear();
            error.suggest(format!("finish the rotation with the credentials of token {new_id}"))
        })?;
        let quarantine = i64::try_from(self.ending.quarantine.as_secs()).unwrap_or(i64::MAX);
        let delete_after = self.portal.portal_now()?.saturating_add(quarantine);
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
            None => self.portal.read(&stub(new_id, old)).await?,
        };
        let Some(new) = new.filter(is_enabled_successor) else {
            let stub = stub(new_id, old);
            let is_due = |new: Option<&Token>| !new.is_some_and(is_enabled_successor);
            let restored = restore_old(self.portal, old, &stub, is_due).await?;
            let is_enabled = |old: &Token| old.status == Some(TokenStatus::Enabled);
            let next = restored
                .filter(is_enabled)
                .map_or(Next::Again { deleted: false }, |old| Next::Restored(Box::new(old)));
            return Ok((None, next));
        };
        if !is_intact(&new, old_id) {
            return Err(wrong_state(old, &format!("the marker in the note of token {new_id} was removed"))
                .suggest(format!("if token {new_id} is in use, delete token {old_id}; if not, enable it")));
        }
        if !self.is_over(delete_after)? {
            return Ok((Some(new), Next::End(RotationState::Quarantine { until: delete_after })));
        }
        if self.ending.checks_refused_calls
            && let Some(RefusedCall { time, address }) = self.last_refused_call(old).await?
        {
            let state = in_use(time, address, &new);
            return Ok((Some(new), Next::End(state)));
        }
        let deleted = self.delete_old(old, &new).await?;
        Ok((Some(new), Next::Again { deleted }))
    }

    /// Returns whether the quarantine is over that ends at a time.
    fn is_over(&self, delete_after: i64) -> Result<bool> {
        Ok(self.ending.ends_quarantine || delete_after <= self.portal.now()?)
    }

    /// Returns the last refused call with the old token in a day. A log that these credentials may not read, or that
    /// the portal does not have, is reported.
    async fn last_refused_call(&self, old: &Token) -> Result<Option<RefusedCall>> {
        const DAY: i64 = 86_400;
        let client = self.portal.client();
        match last_refused_call(client, old, self.portal.now()?.saturating_sub(DAY)).await {
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) => {
                client.report(Event::AuditLogUnreadable { token_id: old.id, reason: error.to_string() });
                Ok(None)
            }
            found => found,
        }
    }

    /// Deletes the old token. Returns whether this call did.
    async fn delete_old(&self, old: &Token, new: &Token) -> Result<bool> {
        let (old_id, new_id) = (TokenId::new(old.id)?, TokenId::new(new.id)?);
        let mut is_sent = false;
        let deleted = self.portal.write_with(new, old, |new, now| {
            let is_disabled = now.status == Some(TokenStatus::Disabled);
            let is_due = match replaced_by(now).filter(|_| is_disabled) {
                Some((by, delete_after)) => by == new_id && self.is_over(delete_after)?,
                None => false,
            };
            let is_replaced = new.is_some_and(|new| is_intact(new, old_id));
            is_sent = is_due && is_replaced;
            Ok(if is_sent { Step::Delete } else { Step::Done(()) })
        });
        Ok(deleted.await?.is_none() && is_sent)
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
    RotationState::InUse { last_used_on, address, is_same_address: address.is_some() && address == of_new }
}

impl Operation for FinishRotations {
    type Output = Vec<Rotation>;

    async fn run(self, client: &Client) -> Result<Vec<Rotation>> {
        check_span("quarantine", self.quarantine)?;
        Box::pin(finish_rotations(self, client)).await
    }
}

async fn finish_rotations(operation: FinishRotations, client: &Client) -> Result<Vec<Rotation>> {
    let ending = Ending {
        quarantine: operation.quarantine,
        // Of all rotations, some are of other people, who chose their quarantine.
        ends_quarantine: operation.quarantine.is_zero() && operation.token.is_some(),
        checks_use: !operation.force,
        checks_refused_calls: !operation.force,
    };
    if let Some(token) = operation.token {
        let named = token.read(client).await?;
        let (old, portal) = (old_of(&named), GuardedClient::new(client));
        return Ok(vec![Finisher { portal: &portal, old: &old, ending }.finish().await?]);
    }
    let mut rotations = Vec::new();
    let mut listed = ListedRotations::default();
    let tokens = ListTokens::default().collect(client).await?;
    let now = agreed_time(client)?;
    for token in &tokens {
        listed.add(token, now);
    }
    let mut remaining = listed.old_tokens(None);
    for old in remaining.by_ref() {
        let part = client.start_part();
        let portal = GuardedClient::new(&part.client);
        let finished = Finisher { portal: &portal, old: &old, ending }.finish().await;
        let rotation = part.complete(finished);
        let rotation = rotation.unwrap_or_else(|error| {
            let replaces_it = |new: &&Token| {
                let role = TokenId::new(old.id).ok().and_then(|old| Role::of(new, old));
                role.is_some_and(|role| role.out_since().is_none())
            };
            let new = tokens.iter().find(replaces_it).cloned();
            let listed = tokens.iter().find(|token| token.id == old.id).unwrap_or(&old);
            Rotation::failed(listed.clone(), new, error, portal.changes())
        });
        // Repeated authentication failures lock a token.
        let is_last = rotation.state.as_ref().is_err_and(Error::is_credential_rejection);
        rotations.push(rotation);
        if is_last {
            break;
        }
    }
    let ids: Vec<i64> = remaining.map(|old| old.id).collect();
    if !ids.is_empty() {
        client.report(Event::RotationsNotTried { ids });
    }
    Ok(rotations)
}

/// Does what is due for the rotation of a token, with the default quarantine.
pub(in crate::lifecycle) async fn finish_rotation(client: &Client, old: &Token) -> Result<Rotation> {
    let ending = Ending {
        quarantine: QUARANTINE,
        ends_quarantine: false,
        checks_use: true,
        checks_refused_calls: true,
    };
    Finisher { portal: &GuardedClient::new(client), old, ending }.finish().await
}

/// The rotations that a list shows, by the id of their old token.
#[derive(Default)]
pub(in crate::lifecycle) struct ListedRotations {
    rotations: BTreeMap<i64, ListedRotation>,
    /// The ids of the tokens that can replace others: they are enabled, and neither cancelled nor superseded.
    enabled: BTreeSet<i64>,
}

struct ListedRotation {
    /// The old token, or what is known of it.
    old: Token,
    /// When the next step is due; `None` if `rotate` must continue it.
    due: Option<i64>,
    /// The id of the new token, if the old token is disabled and names it.
    new_id: Option<i64>,
    /// Whether the old token says when, not the new one.
    is_replaced: bool,
}

impl ListedRotations {
    /// Adds a token of a list that was read at a time, if it is part of a rotation. One that may be in progress is not
    /// added.
    pub(in crate::lifecycle) fn add(&mut self, token: &Token, now: Duration) {
        if is_enabled_successor(token) {
            self.enabled.insert(token.id);
        }
        if let Some((new_id, due)) = replaced_by(token) {
            let new_id = (token.status == Some(TokenStatus::Disabled)).then(|| new_id.get());
            let listed = ListedRotation { old: token.clone(), due: Some(due), new_id, is_replaced: true };
            self.rotations.insert(token.id, listed);
        }
        let Some(old) = replaced(token) else { return };
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let is_enabled = token.status == Some(TokenStatus::Enabled);
        let due = match Role::of(token, old) {
            Some(Role::Replaces { after }) => after,
            Some(Role::Pending(tag)) if is_enabled && is_left(token, &tag, now) => None,
            // Somebody must disable it, once its mark has taken effect.
            Some(role) if is_enabled => match role.out_since() {
                Some(since) => Some(since.saturating_add(SETTLES)),
                None => return,
            },
            _ => return,
        };
        let listed = ListedRotation { old: stub(old, token), due, new_id: None, is_replaced: false };
        let known = self.rotations.entry(old.get()).or_insert_with(|| listed);
        if !known.is_replaced {
            known.due = [known.due, due].into_iter().flatten().min();
        }
    }

    pub(in crate::lifecycle) fn is_empty(&self) -> bool {
        self.rotations.is_empty()
    }

    /// Returns the old tokens of the rotations whose next step is due at a time, or of all. An old token is enabled
    /// again at once if the new one does not work.
    pub(in crate::lifecycle) fn old_tokens(self, due_at: Option<i64>) -> impl Iterator<Item = Token> {
        let Self { rotations, enabled } = self;
        let is_due = move |listed: &ListedRotation| match (due_at, listed.new_id) {
            (None, _) => true,
            (_, Some(new_id)) if !enabled.contains(&new_id) => true,
            (Some(time), _) => listed.due.is_some_and(|due| due <= time),
        };
        rotations.into_values().filter(is_due).map(|listed| listed.old)
    }
}

/// Enables an old token again that was disabled in favor of `new`, if a read of that one allows it. Returns the old
/// token as it is then; `None` if it does not exist.
pub(super) async fn restore_old(
    portal: &GuardedClient,
    old: &Token,
    new: &Token,
    is_due: impl Fn(Option<&Token>) -> bool,
) -> Result<Option<Token>> {
    let restored = portal.write_with(new, old, |new_now, now| {
        let is_replaced = replaced_by(now).is_some_and(|(by, _)| by.get() == new.id);
        Ok(if is_replaced && is_due(new_now) { restored(now) } else { Step::Done(now.clone()) })
    });
    restored.await
}

/// Returns the change that enables an old token again.
fn restored<T>(old: &Token) -> Step<T> {
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
