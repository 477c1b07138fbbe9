//! One token, by id or access id. The portal has no request for one token: its list is asked with a filter.

use super::list::found_by;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{MAX_ID, Token, TokenType};

/// Finds one token anywhere in the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindToken {
    /// By its number.
    Id(i64),
    /// By the public half of its pair.
    AccessId(String),
}

impl FindToken {
    /// Fails where it can never be right, before anything is sent.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Id(id) if !(1..=MAX_ID).contains(id) => Err(Error::argument(format!(
                "token {id} is not accepted: accepted are a token's id, an integer from 1 to {MAX_ID}, its access id and \
                 a Token"
            ))),
            Self::AccessId(access_id) => crate::credentials::check_access_id(access_id)
                .map_err(|error| Error::argument(format!("the token's {}", error.details().message))),
            Self::Id(_) => Ok(()),
        }
    }

    /// Looks among LMv1 tokens, then among bearer tokens.
    pub async fn run(self, client: &Client) -> Result<Token> {
        self.check()?;
        let filter = match &self {
            Self::Id(id) => format!("id:{id}"),
            Self::AccessId(access_id) => format!("accessId:\"{access_id}\""),
        };
        let is_meant = |token: &Token| match &self {
            Self::Id(id) => token.id == *id,
            Self::AccessId(access_id) => token.access_id.as_deref() == Some(access_id),
        };
        for r#type in [TokenType::Lmv1, TokenType::Bearer] {
            let tokens = found_by(client, &r#type, filter.clone()).await?;
            if let Some(token) = tokens.into_iter().find(is_meant) {
                return Ok(token);
            }
        }
        // An access id that was not found may be a key that was put in its place.
        let name = match &self {
            Self::Id(id) => format!("with id {id}"),
            Self::AccessId(_) => "with this access id".to_owned(),
        };
        Err(Error::new(ErrorKind::NotFound, format!("no token {name} can be seen"))
            .suggest("check it, and the portal; credentials that may not view tokens see none"))
    }
}
