//! Finding one token. The portal has no request for a single token, so its lists are filtered.

use std::str::FromStr;

use super::expected::is_same_token;
use super::list::filtered;
use crate::client::Client;
use crate::credentials::{Credentials, check_access_id};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{TokenId, Type};
use crate::model::Token;
use crate::operation::Operation;

/// The access id of an LMv1 token: letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccessId(String);

impl AccessId {
    /// Checks an access id of a token to find. Digits alone are refused: the caller most likely means the id.
    pub fn new(access_id: impl Into<String>) -> Result<Self> {
        let access_id = access_id.into();
        if !access_id.is_empty() && access_id.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::invalid("token", format_args!("{access_id:?}"), TokenId::EXPECTED));
        }
        match check_access_id(&access_id) {
            Ok(()) => Ok(Self(access_id)),
            Err(error) => Err(Error::argument(format!("invalid token: {}", error.details().message))),
        }
    }

    /// Returns the text.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Finds one token anywhere in the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindToken {
    /// By its id.
    Id(TokenId),
    /// By its access id.
    AccessId(AccessId),
}

impl FromStr for FindToken {
    type Err = Error;

    /// Reads a token from a text of the command line: digits are an id. The error does not repeat other texts, which
    /// may be a key.
    fn from_str(text: &str) -> Result<Self> {
        match text.parse::<i64>() {
            // Not `032` or `+32`.
            Ok(id) if id.to_string() == text => TokenId::new(id).map(Self::Id),
            _ => AccessId::new(text).map(Self::AccessId),
        }
    }
}

impl FindToken {
    /// Finds the token; `None` if the lists do not show it. A list that does not exist (404) is an error.
    pub(crate) async fn optional(&self, client: &Client) -> Result<Option<Token>> {
        let filter = match self {
            Self::Id(id) => format!("id:{id}"),
            Self::AccessId(AccessId(access_id)) => format!("accessId:\"{access_id}\""),
        };
        let is_match = |token: &Token| match self {
            Self::Id(id) => token.id == id.get(),
            Self::AccessId(AccessId(access_id)) => token.access_id.as_ref() == Some(access_id),
        };
        // The type of the calling token comes first: the guard of that token relies on the list in which a token is
        // found, and a portal that ignores the type shows every token in both.
        let types = match client.credentials().await? {
            Credentials::Lmv1 { .. } => [Type::Lmv1, Type::Bearer],
            Credentials::Bearer { .. } => [Type::Bearer, Type::Lmv1],
        };
        for r#type in types {
            let tokens = filtered(client, r#type, filter.clone()).await?;
            if let Some(token) = tokens.into_iter().find(is_match) {
                return Ok(Some(token));
            }
        }
        Ok(None)
    }
}

/// Returns whether the portal lists a token, as far as its members tell that it is the same.
pub(crate) async fn is_listed(client: &Client, token: &Token) -> Result<bool> {
    let found = FindToken::Id(TokenId::new(token.id)?).optional(client).await?;
    Ok(found.is_some_and(|found| is_same_token(&found, token)))
}

impl Operation for FindToken {
    type Output = Token;

    async fn run(self, client: &Client) -> Result<Token> {
        if let Some(token) = self.optional(client).await? {
            return Ok(token);
        }
        let name = match self {
            Self::Id(id) => format!("with id {id}"),
            // The access id is not repeated: it may be a key in the wrong place.
            Self::AccessId(_) => "with this access id".to_owned(),
        };
        Err(Error::new(ErrorKind::NotFound, format!("token {name} not found"))
            .suggest("check it and the portal; the list is empty for credentials that cannot view tokens"))
    }
}
