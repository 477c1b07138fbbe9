//! Continuing a rotation whose process ended before it marked the new token.

use std::time::Duration;

use super::guarded::{GuardedClient, SETTLES, Step};
use super::rotate::{Enabled, Next, Rotator, has_tag};
use super::successors::Role;
use super::wait::{await_mark, wait_until};
use super::wrong_state;
use crate::advice::Advice;
use crate::error::{Error, Result};
use crate::ids::TokenId;
use crate::lifecycle::sweep::AGE;
use crate::lifecycle::two_phase::LEASE;
use crate::marker::Marker;
use crate::model::{Token, TokenStatus, TokenType};
use crate::tag::Tag;

/// What is added to the lease, after which no process enables its token.
const MARGIN: Duration = Duration::from_secs(120);

impl Rotator<'_> {
    pub(super) async fn continue_successor(&self, old: &Token, found: Token, tag: Tag) -> Result<Next> {
        let destination = &self.settings.destination;
        let is_own = tag.run == self.run;
        if !destination.take_over(&tag).await? && !is_own {
            let least = if self.settings.take_over { LEASE + MARGIN } else { AGE };
            check_age(&self.portal, &self.old, &found, &tag, least)?;
        }
        // Its process has ended, but the last write of that may still be on its way.
        let until = self.portal.now()?.saturating_add(SETTLES);
        wait_until(&self.portal, until, "every write of the interrupted rotation has ended").await?;
        // If this fails, the destination keeps the delivery for the next process.
        let Some(now) = self.portal.read(&found).await? else {
            self.discard_if_gone(&found, &tag).await?;
            return Ok(Next::Again(None));
        };
        let Some((shown, last)) = now.note.as_deref().and_then(Tag::parse).filter(|(shown, _)| *shown == tag)
        else {
            destination.abandon(&tag).await?;
            return Ok(Next::Again(None));
        };
        if let Some(problem) = shown.note_problem(last) {
            return Err(self.needs_cancel(&now, problem));
        }
        // As it will be.
        let marker = tag.marker(TokenId::new(now.id)?);
        let token = Token { note: last.map(str::to_owned), marker, ..now.clone() };
        let is_old_gone = self.portal.read(&self.old).await?.is_none();
        match now.status {
            Some(TokenStatus::Disabled) if !now.was_used && is_old_gone => self.go_forward(token, tag).await,
            Some(TokenStatus::Disabled) if !now.was_used => {
                if self.withdraw(&now, &tag, true).await? {
                    destination.discard(&now, &tag).await?;
                }
                Ok(Next::Again(None))
            }
            Some(TokenStatus::Enabled) => match destination.recover(&tag).await? {
                Some(secret) => {
                    let secret = Some(secret);
                    self.complete(old, Enabled { token, tag, secret, is_continued: true }).await
                }
                None if is_old_gone => {
                    // Its secret was delivered before it was enabled, and no other token is left.
                    self.mark_replaces(&token, Some(&tag), Some(self.portal.portal_now()?)).await?;
                    Ok(Next::Finish(None))
                }
                None => self.mark_superseded(&now, &tag).await,
            },
            _ => Err(self.needs_cancel(&now, "somebody disabled it")),
        }
    }

    /// Enables the new token, or replaces it if its secret is lost: the portal deleted the old bearer token when it
    /// created this one, so that no token of the user works.
    async fn go_forward(&self, token: Token, tag: Tag) -> Result<Next> {
        let destination = &self.settings.destination;
        if self.old.r#type != TokenType::Bearer {
            return Err(self.needs_cancel(&token, "the old token is deleted"));
        }
        if let Some(secret) = destination.recover(&tag).await? {
            self.enable_successor(&token, &tag, self.portal.client(), &mut false).await?;
            let secret = Some(secret);
            return self.complete(&self.old, Enabled { token, tag, secret, is_continued: true }).await;
        }
        if !self.delete_pending(&token, &tag, true).await? {
            return Err(self.taken_away(&token));
        }
        destination.discard(&token, &tag).await?;
        self.create_successor(&self.old).await
    }

    /// Marks an enabled token whose secret is lost, so that another one replaces the old one.
    async fn mark_superseded(&self, token: &Token, tag: &Tag) -> Result<Next> {
        let id = TokenId::new(token.id)?;
        let (_, last) = token.note.as_deref().and_then(Tag::parse).unwrap_or((*tag, None));
        let marked = self.portal.write(token, |now| {
            if let Some(Role::Superseded { since }) = Role::of(now, self.old_id) {
                return Ok(Step::Done(since));
            }
            if !has_tag(now, tag) {
                return Err(self.taken_away(now));
            }
            let superseded = Some(self.portal.portal_now()?);
            let marker = tag.marker(id).unwrap_or(Marker::of(id));
            let marker = Marker { replaces: Some((self.old_id, None)), superseded, ..marker };
            Ok(Step::note(marker.write(last.unwrap_or_default())))
        });
        if let Some(since) = marked.await? {
            await_mark(&self.portal, &self.old, token, since).await?;
        }
        self.settings.destination.abandon(tag).await?;
        Ok(Next::Again(None))
    }

    fn needs_cancel(&self, token: &Token, problem: &str) -> Error {
        let problem =
            format!("token {}, which was to replace it, was changed by others: {problem}", token.id);
        wrong_state(&self.old, &problem).suggest(Advice::CancelRotation { id: token.id })
    }
}

/// Fails if the new token is younger than this, so that it may be that of a process that is still running.
pub(super) fn check_age(
    portal: &GuardedClient,
    old: &Token,
    found: &Token,
    tag: &Tag,
    least: Duration,
) -> Result<()> {
    let age = age_of(found, tag, portal.now()?);
    if age > least {
        return Ok(());
    }
    let problem = format!(
        "another process created token {} to replace it {} s ago, and may still be running",
        found.id,
        age.as_secs()
    );
    let seconds = least.saturating_sub(age).as_secs();
    Err(wrong_state(old, &problem).suggest(match least {
        AGE => Advice::TakeOver { seconds },
        // It was taken over as early as that is safe.
        _ => format!("rotate it again in {seconds} s").into(),
    }))
}

/// Returns whether a pending token is so old that its process has ended.
pub(super) fn is_left(token: &Token, tag: &Tag, now: i64) -> bool {
    age_of(token, tag, now) > AGE
}

/// Returns the age of a pending token, by the later of its two times.
fn age_of(token: &Token, tag: &Tag, now: i64) -> Duration {
    let tagged = i64::try_from(tag.seconds).unwrap_or(i64::MAX);
    let seconds = now.saturating_sub(token.created_on.unwrap_or(tagged).max(tagged));
    Duration::from_secs(seconds.try_into().unwrap_or(0))
}
