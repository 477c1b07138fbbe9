//! A new token as text with its secret in plain text, for destinations only.

use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Token, TokenStatus, TokenType, iso_8601};
use crate::secret::Secret;

/// A format for a token with its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// One JSON object with the token's members.
    #[default]
    Json,
    /// Environment variables, quoted for a shell.
    Env,
    /// The secret alone.
    Key,
}

impl FromStr for Form {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "json" => Ok(Self::Json),
            "env" => Ok(Self::Env),
            "key" => Ok(Self::Key),
            _ => Err(Error::invalid("format", format_args!("{word:?}"), "\"json\", \"env\" or \"key\"")),
        }
    }
}

impl Form {
    /// Returns the token in this format, with a line break at the end.
    pub fn write(self, token: &Token) -> Result<Zeroizing<String>> {
        Ok(Zeroizing::new(match self {
            Self::Json => json_line(token)?,
            Self::Env => env(token),
            Self::Key => format!("{}\n", revealed(token)),
        }))
    }
}

/// Named values in a fixed order, serialised as a JSON object.
pub(crate) struct Members(pub Vec<(&'static str, Value)>);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Returns the members of a new token, its secret in plain text.
#[must_use]
pub(crate) fn members(token: &Token) -> Members {
    let secret = token.access_key.as_ref().map(Secret::reveal);
    Members(vec![
        ("id", json!(token.id)),
        ("type", json!(token.r#type.as_str())),
        ("access_id", json!(token.access_id)),
        ("access_key", json!(secret)),
        ("admin_id", json!(token.admin_id)),
        ("admin_name", json!(token.admin_name)),
        ("status", json!(token.status.map(TokenStatus::number))),
        ("note", json!(token.note)),
        ("roles", json!(token.roles)),
        ("created_by", json!(token.created_by)),
        ("created_on", json!(token.created_on.map(iso_8601))),
    ])
}

/// Returns the members as one line of JSON.
pub(crate) fn json_line(token: &Token) -> Result<String> {
    serde_json::to_string(&members(token))
        .map(|text| text + "\n")
        .map_err(|error| Error::new(ErrorKind::Response, format!("cannot write the token as JSON: {error}")))
}

/// Returns the environment variables that this package reads.
#[must_use]
pub(crate) fn env(token: &Token) -> String {
    let secret = revealed(token);
    if token.r#type == TokenType::Bearer {
        return format!("LM_BEARER_TOKEN={}\n", quoted(secret));
    }
    let access_id = token.access_id.as_deref().unwrap_or_default();
    format!("LM_ACCESS_ID={}\nLM_ACCESS_KEY={}\n", quoted(access_id), quoted(secret))
}

fn revealed(token: &Token) -> &str {
    token.access_key.as_ref().map(Secret::reveal).unwrap_or_default()
}

/// Returns a text in single quotes, for a shell. `shlex` may join several kinds of quotes, which readers of `.env`
/// files do not understand.
#[must_use]
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
