//! A new token as text with its secret in the clear: what a destination is given, and nothing else ever is.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Token, TokenStatus, TokenType, iso_8601};
use crate::secret::Secret;

/// How a token is written for whoever is to use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// One JSON object with the token's members.
    #[default]
    Json,
    /// Variables for a shell's `eval` or an env file.
    Env,
    /// The secret alone.
    Key,
}

impl Form {
    /// The form that a user names.
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "json" => Ok(Self::Json),
            "env" => Ok(Self::Env),
            "key" => Ok(Self::Key),
            _ => Err(Error::argument(format!(
                "format {word:?} is not accepted: accepted are \"json\", \"env\" and \"key\""
            ))),
        }
    }

    /// The token in this form, with a line break at its end.
    pub fn write(self, token: &Token) -> Result<Zeroizing<String>> {
        Ok(Zeroizing::new(match self {
            Self::Json => json_line(token)?,
            Self::Env => env(token),
            Self::Key => format!("{}\n", revealed(token)),
        }))
    }
}

/// The members of a token in the order in which people look for them.
pub struct Members(pub Vec<(&'static str, Value)>);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A new token's members, its secret in the clear.
#[must_use]
pub fn members(token: &Token) -> Members {
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

/// The members as one line of JSON.
pub fn json_line(token: &Token) -> Result<String> {
    serde_json::to_string(&members(token))
        .map(|text| text + "\n")
        .map_err(|error| Error::new(ErrorKind::Response, format!("the token cannot be written: {error}")))
}

/// The variables that this package reads.
#[must_use]
pub fn env(token: &Token) -> String {
    let secret = revealed(token);
    if token.r#type == TokenType::Bearer {
        return format!("LM_BEARER_TOKEN={}\n", quoted(secret));
    }
    let access_id = token.access_id.as_deref().unwrap_or_default();
    format!("LM_ACCESS_ID={}\nLM_ACCESS_KEY={}\n", quoted(access_id), quoted(secret))
}

/// Access keys are full of a shell's own characters.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn revealed(token: &Token) -> &str {
    token.access_key.as_ref().map(Secret::reveal).unwrap_or_default()
}
