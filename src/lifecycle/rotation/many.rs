//! Rotating many tokens.

use std::time::Duration;

use super::{RotateToken, Rotation};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::lifecycle::sweep::agreed_time;
use crate::model::{Token, TokenStatus, TokenType};
use crate::operation::Operation;
use crate::tag::Tag;
use crate::tokens::{ListTokens, Selection, Target, User, is_self};

/// Finds tokens to rotate: enabled ones that have not expired, and are not the new tokens of rotations.
#[derive(Debug, Clone, Default)]
pub(crate) struct SelectForRotation {
    /// The only token to select; `None` for all.
    pub token: Option<Target>,
    /// The owner; `None` for every user.
    pub admin: Option<User>,
    /// The tokens to select.
    pub selection: Selection,
    /// The minimum age.
    pub older_than: Option<Duration>,
    /// Whether bearer tokens are selected.
    pub allow_bearer: bool,
}

impl Operation for SelectForRotation {
    type Output = Vec<Token>;

    /// Returns the calling token last: once it is rotated, these calls can no longer be signed with it.
    async fn run(self, client: &Client) -> Result<Vec<Token>> {
        let Self { token, admin, selection, older_than, allow_bearer } = self;
        let mut tokens = match token {
            Some(token) => vec![token.read(client).await?],
            None => ListTokens { admin, selection, ..ListTokens::default() }.collect(client).await?,
        };
        let now = agreed_time(client)?;
        let is_old = |token: &Token, age: Duration| {
            let created_on = token.created_on.and_then(|created_on| u64::try_from(created_on).ok());
            created_on.is_some_and(|created_on| now.saturating_sub(Duration::from_secs(created_on)) > age)
        };
        let is_new_of_rotation = |token: &Token| {
            let tag = token.note.as_deref().and_then(Tag::parse);
            token.replaces().is_some() || tag.is_some()
        };
        tokens.retain(|token| {
            token.status == Some(TokenStatus::Enabled)
                && (allow_bearer || token.r#type == TokenType::Lmv1)
                && !is_new_of_rotation(token)
                && !token.is_expired(now)
                && older_than.is_none_or(|age| is_old(token, age))
        });
        tokens.sort_by_key(|token| (is_self(client, token) == Some(true), token.id));
        Ok(tokens)
    }
}

/// Rotates tokens one after another. If the first one fails, or credentials are rejected, the others are not rotated.
pub(crate) struct RotateTokens {
    /// The rotations, each with its token as it was listed.
    pub rotations: Vec<(Token, RotateToken)>,
    /// Called with the result of each.
    pub on_end: Box<dyn Fn(&Rotation) + Send + Sync>,
}

impl Operation for RotateTokens {
    type Output = Vec<Rotation>;

    async fn run(self, client: &Client) -> Result<Vec<Rotation>> {
        let mut results: Vec<Rotation> = Vec::with_capacity(self.rotations.len());
        for (token, rotation) in self.rotations {
            let part = client.start_part();
            let rotated = Box::pin(rotation.rotate(&part.client)).await;
            let mut result = rotated.unwrap_or_else(|error| Rotation::failed(token, None, error, 0));
            result.state = part.complete(result.state);
            let is_fatal = |error: &Error| results.is_empty() || error.follows_credential_rejection();
            let is_last = result.state.as_ref().is_err_and(is_fatal);
            (self.on_end)(&result);
            results.push(result);
            if is_last {
                break;
            }
        }
        Ok(results)
    }
}
