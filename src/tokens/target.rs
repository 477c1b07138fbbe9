//! The token that a change applies to, and the guard of the calling token.

use super::find::FindToken;
use crate::advice::Advice;
use crate::client::Client;
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{AdminId, TokenId};
use crate::model::{Token, TokenType};
use crate::operation::Operation as _;

/// A token as a caller names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A token that the portal returned.
    Token(Box<Token>),
    /// A token to find.
    Find(FindToken),
}

/// A token and its place at the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) admin_id: AdminId,
    pub(super) id: TokenId,
    /// The note as the portal last reported it.
    pub(super) note: Option<String>,
    pub(super) r#type: TokenType,
}

impl Target {
    /// Returns the operation that reads the token from the portal.
    pub(crate) fn find(self) -> Result<FindToken> {
        match self {
            Self::Token(token) => TokenId::new(token.id).map(FindToken::Id),
            Self::Find(find) => Ok(find),
        }
    }

    pub(super) async fn locate(self, client: &Client) -> Result<Located> {
        located(self.token(client, |token| token.admin_id.is_some()).await?)
    }

    /// As `locate`, but fails if the token is the calling one; `change` says what the caller wants to do.
    pub(super) async fn locate_unless_self(self, client: &Client, change: &str) -> Result<Located> {
        let is_known = |token: &Token| token.admin_id.is_some() && can_identify_self(client, token);
        let token = self.token(client, is_known).await?;
        if is_self(client, &token) {
            return Err(Error::new(
                ErrorKind::SelfLockout,
                format!("token {} signs this call: {change} it would lock this client out", token.id),
            )
            .suggest(Advice::Force));
        }
        located(token)
    }

    /// Returns the token; reads it from the portal unless `is_known` of what the caller has.
    async fn token(self, client: &Client, is_known: impl Fn(&Token) -> bool) -> Result<Token> {
        match self {
            Self::Token(token) if is_known(&token) => Ok(*token),
            other => other.find()?.run(client).await,
        }
    }
}

fn located(token: Token) -> Result<Located> {
    let Some(admin_id) = token.admin_id else {
        return Err(Error::new(
            ErrorKind::Response,
            format!("the portal does not name the owner of token {}", token.id),
        ));
    };
    Ok(Located {
        admin_id: AdminId::new(admin_id)?,
        id: TokenId::new(token.id)?,
        note: token.note,
        r#type: token.r#type,
    })
}

/// Returns whether the members of a token suffice to tell whether it is the calling one.
fn can_identify_self(client: &Client, token: &Token) -> bool {
    match (&client.identity().credentials, &token.r#type) {
        (Credentials::Lmv1 { .. }, TokenType::Lmv1) => token.access_id.is_some(),
        (Credentials::Bearer { .. }, TokenType::Bearer) => {
            token.masked_bearer.is_some() || token.access_key.is_some()
        }
        (_, TokenType::Other(_)) => false,
        _ => true,
    }
}

/// Returns whether a token is the calling one.
pub(crate) fn is_self(client: &Client, token: &Token) -> bool {
    match &client.identity().credentials {
        Credentials::Lmv1 { access_id, .. } => token.access_id.as_deref() == Some(access_id),
        Credentials::Bearer { token: bearer } => {
            let shown = token.access_key.as_ref().or(token.masked_bearer.as_ref());
            shown.is_some_and(|shown| is_mask_of(shown.reveal(), bearer.reveal()))
        }
    }
}

/// Returns whether a masked text belongs to this bearer token. Lists show at least its first 20 characters.
fn is_mask_of(masked: &str, bearer: &str) -> bool {
    const CLEAR_CHARACTERS: usize = 20;
    let clear: String = masked.chars().take_while(|c| *c != '*').collect();
    clear.len() >= CLEAR_CHARACTERS.min(bearer.len()) && bearer.starts_with(&clear)
}
