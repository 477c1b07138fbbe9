//! Sweep: deleting pending tokens that interrupted creates left behind.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::reconcile::delete;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::TokenId;
use crate::model::{Token, TokenStatus};
use crate::operation::Operation;
use crate::tag::Tag;
use crate::tokens::{FindToken, ListTokens, refuse_self};

/// The minimum age of an orphan, by the portal's clock.
const AGE: Duration = Duration::from_secs(3600);

/// The largest difference between the tag's time and the portal's.
const MAX_SKEW_SECONDS: u64 = 3600;

/// Finds orphans and deletes them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SweepTokens {
    /// Whether to delete them, or only to report them.
    pub delete: bool,
}

/// An orphan.
#[derive(Debug)]
pub(crate) struct Swept {
    /// The token.
    pub token: Token,
    /// Whether it is deleted.
    pub deleted: bool,
    /// Why it could not be deleted.
    pub error: Option<Error>,
}

impl Operation for SweepTokens {
    type Output = Vec<Swept>;

    /// Examines every token of both types. Each orphan is read again before its DELETE.
    async fn run(self, client: &Client) -> Result<Vec<Swept>> {
        let mut listing = ListTokens::default().start();
        let mut orphans = Vec::new();
        while let Some(page) = listing.next_page(client).await? {
            let now = portal_time(client)?;
            orphans.extend(page.into_iter().filter(|token| is_orphan(token, now)));
        }
        let mut swept = Vec::with_capacity(orphans.len());
        for token in orphans {
            if !self.delete {
                swept.push(Swept { token, deleted: false, error: None });
                continue;
            }
            match sweep(client, &token).await {
                Ok(true) => swept.push(Swept { token, deleted: true, error: None }),
                // It was deleted or changed since the list was read.
                Ok(false) => {}
                // Repeated authentication failures lock a token.
                Err(error) if error.kind() == ErrorKind::Authentication => return Err(error),
                Err(error) => swept.push(Swept { token, deleted: false, error: Some(error) }),
            }
        }
        Ok(swept)
    }
}

async fn sweep(client: &Client, token: &Token) -> Result<bool> {
    let now = match FindToken::Id(TokenId::new(token.id)?).run(client).await {
        Ok(now) => now,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if now.note != token.note || !is_orphan(&now, portal_time(client)?) {
        return Ok(false);
    }
    // A token that signs calls is enabled, but the portal may report it wrongly.
    refuse_self(client, &now, "deleting")?;
    delete(client, now).await.map(|()| true)
}

fn portal_time(client: &Client) -> Result<SystemTime> {
    client.portal_time().ok_or_else(|| {
        Error::new(
            ErrorKind::Response,
            "the portal sends no Date header, and the local clock is not reliable enough to delete a token",
        )
    })
}

/// Returns whether a token is an orphan: disabled, never used, tagged, created at the time in the tag, and old enough.
fn is_orphan(token: &Token, now: SystemTime) -> bool {
    let (Some((tag, _)), Some(created_on)) = (token.note.as_deref().and_then(Tag::parse), token.created_on)
    else {
        return false;
    };
    let Some(created) = u64::try_from(created_on).ok() else { return false };
    let Ok(now) = now.duration_since(UNIX_EPOCH) else { return false };
    token.status == Some(TokenStatus::Disabled)
        && !token.was_used
        && created.abs_diff(tag.seconds) <= MAX_SKEW_SECONDS
        && now.saturating_sub(Duration::from_secs(created)) > AGE
}
