//! The token that a change is for, and the guard of the token that calls.

use super::find::FindToken;
use crate::client::Client;
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Token, TokenType, check_admin_id};

/// A token, as callers name one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One that was had from the portal.
    Token(Box<Token>),
    /// One that is to be found.
    Find(FindToken),
}

/// Where a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) admin_id: i64,
    pub(super) id: i64,
    /// As the portal last told.
    pub(super) note: Option<String>,
    pub(super) r#type: TokenType,
}

impl Target {
    /// Fails where it can never be right, before anything is sent.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Token(_) => Ok(()),
            Self::Find(find) => find.check(),
        }
    }

    pub(super) async fn locate(self, client: &Client) -> Result<Located> {
        let token = match self {
            Self::Token(token) if token.admin_id.is_some() => *token,
            Self::Token(token) => FindToken::Id(token.id).run(client).await?,
            Self::Find(find) => find.run(client).await?,
        };
        located(token)
    }

    /// As `locate`, unless the token is the one that calls.
    pub(super) async fn locate_unless_self(self, client: &Client, change: &str) -> Result<Located> {
        let token = match self {
            Self::Token(token) if token.admin_id.is_some() && can_identify_self(client, &token) => *token,
            Self::Token(token) => FindToken::Id(token.id).run(client).await?,
            Self::Find(find) => find.run(client).await?,
        };
        if is_self(client, &token) {
            return Err(Error::new(
                ErrorKind::SelfLockout,
                format!(
                    "token {} is the one that signs this call: to {change} it would lock this client out",
                    token.id
                ),
            )
            .suggest("use other credentials, or pass force=True to do it all the same"));
        }
        located(token)
    }
}

fn located(token: Token) -> Result<Located> {
    let Some(admin_id) = token.admin_id else {
        return Err(Error::new(
            ErrorKind::Response,
            format!("the portal does not say whose token {} is", token.id),
        ));
    };
    check_admin_id(admin_id)?;
    Ok(Located { admin_id, id: token.id, note: token.note, r#type: token.r#type })
}

/// Whether what is known of a token is enough to tell whether it is the one that calls.
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

/// Whether a token is the one that calls.
pub(super) fn is_self(client: &Client, token: &Token) -> bool {
    match &client.identity().credentials {
        Credentials::Lmv1 { access_id, .. } => token.access_id.as_deref() == Some(access_id),
        Credentials::Bearer { token: bearer } => {
            let shown = token.access_key.as_ref().or(token.masked_bearer.as_ref());
            shown.is_some_and(|shown| shows(shown.reveal(), bearer.reveal()))
        }
    }
}

/// Whether a masked text is of this bearer token. Lists show at least its first 20 characters.
fn shows(masked: &str, bearer: &str) -> bool {
    const CLEAR_CHARACTERS: usize = 20;
    let clear: String = masked.chars().take_while(|c| *c != '*').collect();
    clear.len() >= CLEAR_CHARACTERS.min(bearer.len()) && bearer.starts_with(&clear)
}
