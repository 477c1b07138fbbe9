//! Continuing a rotation whose process ended before it marked the new token.

use std::time::Duration;

use super::guarded::{SETTLES, Step};
use super::rotate::{Enabled, Next, Rotator, SETTLED, has_tag};
use super::successors::Role;
use super::wait::wait_until;
use super::wrong_state;
use crate::advice::Advice;
use crate::error::{Error, Result};
use crate::ids::TokenId;
use crate::lifecycle::two_phase::LEASE;
use crate::marker::Marker;
use crate::model::{Token, TokenStatus};
use crate::tag::Tag;

/// The age from which a token of another process is taken over without a proof that the process has ended.
const AGE: Duration = Duration::from_secs(3600);

/// What is added to the lease, after which no process enables its token.
const MARGIN: Duration = Duration::from_secs(120);

impl Rotator<'_> {
    pub(super) async fn continue_successor(&self, old: &Token, found: Token, tag: Tag) -> Result<Next> {
        let destination = &self.settings.destination;
        if !destination.take_over(&tag).await? {
            self.check_age(&found, &tag)?;
        }
        // Its process has ended, but the last write of that may still be on its way.
        let until = self.portal.now()?.saturating_add(SETTLES);
        wait_until(&self.portal, until, "every write of the interrupted rotation has ended").await?;
        // If this fails, the destination keeps the delivery for the next process.
        let Some(now) = self.portal.read(&found).await? else {
            destination.discard(&found, &tag).await?;
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
        match now.status {
            Some(TokenStatus::Disabled) if !now.was_used => {
                if self.withdraw(&now, &tag).await? {
                    destination.discard(&now, &tag).await?;
                }
                Ok(Next::Again(None))
            }
            Some(TokenStatus::Enabled) => match destination.recover(&tag).await? {
                Some(secret) => {
                    let token = Token { note: last.map(str::to_owned), ..now.clone() };
                    let secret = Some(secret);
                    self.complete(old, Enabled { token, tag, secret, is_continued: true }).await
                }
                None => self.mark_superseded(&now, &tag).await,
            },
            _ => Err(self.needs_cancel(&now, "somebody disabled it")),
        }
    }

    /// Fails if the token may be that of a process that is still running.
    fn check_age(&self, found: &Token, tag: &Tag) -> Result<()> {
        let least = if self.settings.take_over { LEASE + MARGIN } else { AGE };
        let least = i64::try_from(least.as_secs()).unwrap_or(i64::MAX);
        let tagged = i64::try_from(tag.seconds).unwrap_or(i64::MAX);
        let created = found.created_on.unwrap_or(tagged).max(tagged);
        let age = self.portal.now()?.saturating_sub(created);
        if age > least {
            return Ok(());
        }
        let problem = format!(
            "another process created token {} to replace it {} s ago, and may still be running",
            found.id,
            age.max(0)
        );
        Err(wrong_state(&self.old, &problem).suggest(Advice::TakeOver { seconds: least.saturating_sub(age) }))
    }

    /// Marks an enabled token whose secret is lost, so that another one takes its part.
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
            let superseded = Some(self.portal.now()?);
            let marker = tag.marker(id).unwrap_or(Marker::of(id));
            let marker = Marker { replaces: Some((self.old_id, None)), superseded, ..marker };
            Ok(Step::note(marker.write(last.unwrap_or_default())))
        });
        if let Some(since) = marked.await? {
            wait_until(&self.portal, since.saturating_add(SETTLES), SETTLED).await?;
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
