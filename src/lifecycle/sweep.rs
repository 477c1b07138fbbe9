//! Deleting what creates left behind that were never finished.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::reconcile::delete;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Token, TokenStatus};
use crate::tag::Tag;
use crate::tokens::{FindToken, ListTokens};

/// How old a token is at least, by the portal's clock, before it counts as left behind.
const AGE: Duration = Duration::from_secs(3600);

/// How far the tag's time and the portal's may be apart.
const AGREEMENT_SECONDS: u64 = 3600;

/// Finds tokens that were never finished, and deletes them.
#[derive(Debug, Clone, Copy, Default)]
pub struct SweepTokens {
    /// Delete them; else they are only told.
    pub delete: bool,
}

/// A token that was found.
#[derive(Debug)]
pub struct Swept {
    /// What it was.
    pub token: Token,
    /// Whether it is deleted.
    pub deleted: bool,
    /// Why it is not, where it should be.
    pub error: Option<Error>,
}

impl SweepTokens {
    /// Looks at every token of both types. Each is read once more before its DELETE.
    pub async fn run(self, client: &Client) -> Result<Vec<Swept>> {
        let mut listing = ListTokens::default().start()?;
        let mut left_behind = Vec::new();
        while let Some(page) = listing.next_page(client).await? {
            let now = portal_time(client)?;
            left_behind.extend(page.into_iter().filter(|token| is_left_behind(token, now)));
        }
        let mut swept = Vec::with_capacity(left_behind.len());
        for token in left_behind {
            if !self.delete {
                swept.push(Swept { token, deleted: false, error: None });
                continue;
            }
            match sweep(client, &token).await {
                Ok(true) => swept.push(Swept { token, deleted: true, error: None }),
                // Gone, or changed since the list was read.
                Ok(false) => {}
                // Whoever is refused once is refused again, and repeats lock a token.
                Err(error) if error.kind() == ErrorKind::Authentication => return Err(error),
                Err(error) => swept.push(Swept { token, deleted: false, error: Some(error) }),
            }
        }
        Ok(swept)
    }
}

async fn sweep(client: &Client, token: &Token) -> Result<bool> {
    let now = match (FindToken::Id(token.id)).run(client).await {
        Ok(now) => now,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if now.note != token.note || !is_left_behind(&now, portal_time(client)?) {
        return Ok(false);
    }
    delete(client, now).await.map(|()| true)
}

fn portal_time(client: &Client) -> Result<SystemTime> {
    client.portal_time().ok_or_else(|| {
        Error::new(
            ErrorKind::Response,
            "the portal does not tell its time, and a local clock is no ground to delete a token",
        )
    })
}

/// Every condition must hold: disabled, never used, a note that is a tag as a whole, made when the tag says, and old.
fn is_left_behind(token: &Token, now: SystemTime) -> bool {
    let (Some((tag, _)), Some(created_on)) = (token.note.as_deref().and_then(Tag::parse), token.created_on)
    else {
        return false;
    };
    let Some(created) = u64::try_from(created_on).ok() else { return false };
    let Ok(now) = now.duration_since(UNIX_EPOCH) else { return false };
    token.status == Some(TokenStatus::Disabled)
        && token.last_used_on.is_none()
        && created.abs_diff(tag.seconds) <= AGREEMENT_SECONDS
        && now.saturating_sub(Duration::from_secs(created)) > AGE
}
