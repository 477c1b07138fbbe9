//! The portal's things as values, read tolerantly: unknown members are ignored, missing and null ones are `None`.
//!
//! Source of the names: the vendor's pages "Adding API Tokens" and "Getting API Token Details".

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::Error;
use crate::secret::Secret;

/// Whether a token may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenStatus {
    /// 1: kept, and refused by the portal.
    Disabled,
    /// 2: usable.
    Enabled,
    /// A number that this version does not know.
    Other(i64),
}

impl TokenStatus {
    /// The portal's number.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Disabled => 1,
            Self::Enabled => 2,
            Self::Other(number) => number,
        }
    }

    /// The status of a number of the portal's.
    #[must_use]
    pub fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Disabled,
            2 => Self::Enabled,
            other => Self::Other(other),
        }
    }

    /// The status that a user names by number.
    pub fn parse_number(number: i64) -> Result<Self, Error> {
        match Self::from_number(number) {
            Self::Other(_) => Err(Self::not_accepted(&number.to_string())),
            known => Ok(known),
        }
    }

    /// The status that a user names by word.
    pub fn parse_word(word: &str) -> Result<Self, Error> {
        match word.to_ascii_lowercase().as_str() {
            "enabled" | "active" => Ok(Self::Enabled),
            "disabled" | "suspended" => Ok(Self::Disabled),
            _ => Err(Self::not_accepted(&format!("{word:?}"))),
        }
    }

    fn not_accepted(given: &str) -> Error {
        Error::argument(format!(
            "status {given} is not accepted: accepted are 1 (disabled), 2 (enabled), a TokenStatus, \"enabled\" (or \
             \"active\") and \"disabled\" (or \"suspended\")"
        ))
    }
}

impl fmt::Display for TokenStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("disabled"),
            Self::Enabled => f.write_str("enabled"),
            Self::Other(number) => write!(f, "{number}"),
        }
    }
}

/// The two kinds of API token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TokenType {
    /// An access id and an access key that signs.
    Lmv1,
    /// One text that is sent as it is.
    Bearer,
    /// A type that this version does not know.
    Other(String),
}

impl TokenType {
    /// The type that a user names.
    pub fn parse(word: &str) -> Result<Self, Error> {
        match word.to_ascii_lowercase().as_str() {
            "lmv1" => Ok(Self::Lmv1),
            "bearer" => Ok(Self::Bearer),
            _ => Err(Error::argument(format!(
                "type {word:?} is not accepted: accepted are \"lmv1\" and \"bearer\""
            ))),
        }
    }

    /// What to send as the query parameter `type`: the portal knows `bearer`, and LMv1 as its absence.
    #[must_use]
    pub fn query_value(&self) -> Option<&str> {
        match self {
            Self::Lmv1 => None,
            Self::Bearer => Some("bearer"),
            Self::Other(other) => Some(other),
        }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Lmv1 => "lmv1",
            Self::Bearer => "bearer",
            Self::Other(other) => other,
        }
    }
}

impl fmt::Display for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One API token, as the portal last told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The token's number, unique in the portal.
    pub id: i64,
    /// LMv1 or bearer.
    pub r#type: TokenType,
    /// The public half of an LMv1 pair.
    pub access_id: Option<String>,
    /// The secret half, or the bearer itself; only a create tells it.
    pub access_key: Option<Secret>,
    /// What a list shows of a bearer token: its beginning, and asterisks. Tells whether it is the one that calls.
    pub masked_bearer: Option<Secret>,
    /// The owner's user id.
    pub admin_id: Option<i64>,
    /// The owner's user name.
    pub admin_name: Option<String>,
    /// Enabled or disabled.
    pub status: Option<TokenStatus>,
    /// The label.
    pub note: Option<String>,
    /// The names of the owner's roles, which are the token's.
    pub roles: Vec<String>,
    /// The user name of who made it.
    pub created_by: Option<String>,
    /// When it was made, seconds since 1970-01-01 UTC.
    pub created_on: Option<i64>,
    /// When it was last used, seconds since 1970-01-01 UTC; `None` for never.
    pub last_used_on: Option<i64>,
    /// The address it was last used from.
    pub last_auth_ip: Option<String>,
    /// What the caller may do with the owner: `write`, `read` or `none`.
    pub user_permission: Option<String>,
}

/// Which answer a token comes from, which says whether its secret is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// To a create: `accessKey` is the secret, told once.
    Create,
    /// To anything else: whatever stands in `accessKey` is masked or stale, and dropped.
    Other,
}

impl Token {
    /// Reads one token; `None` where the value is no object with an id.
    ///
    /// `asked` is the type that was asked for: the portal's answer need not repeat it.
    #[must_use]
    pub fn from_json(value: &Value, answer: Answer, asked: &TokenType) -> Option<Self> {
        let members = value.as_object()?;
        let shown = text(members, "accessKey").map(Secret::new);
        let (access_key, masked_bearer) = match (answer, asked) {
            (Answer::Create, _) => (shown, None),
            (Answer::Other, TokenType::Bearer) => (None, shown),
            (Answer::Other, _) => (None, None),
        };
        Some(Self {
            id: integer(members.get("id")?)?,
            r#type: match members.get("type").and_then(Value::as_str) {
                Some(word) if !word.is_empty() => {
                    TokenType::parse(word).unwrap_or_else(|_| TokenType::Other(word.to_owned()))
                }
                _ => asked.clone(),
            },
            access_id: text(members, "accessId"),
            access_key,
            masked_bearer,
            admin_id: members.get("adminId").and_then(integer),
            admin_name: text(members, "adminName"),
            status: members.get("status").and_then(integer).map(TokenStatus::from_number),
            note: members.get("note").and_then(Value::as_str).map(str::to_owned),
            roles: roles(members.get("roles")),
            created_by: text(members, "createdBy"),
            created_on: members.get("createdOn").and_then(epoch_seconds),
            last_used_on: members.get("lastUsedOn").and_then(epoch_seconds),
            last_auth_ip: text(members, "lastAuthIp"),
            user_permission: text(members, "userPermission"),
        })
    }
}

/// How long a portal's budget lasts and how much is left of it, as its headers told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateHeaders {
    /// Requests in one window.
    pub limit: u64,
    /// Requests left in this window.
    pub remaining: u64,
    /// Length of the rolling window.
    pub window: Duration,
}

/// The most that a user id or token id can be: the portal's are 32-bit.
pub const MAX_ID: i64 = i32::MAX as i64;

/// Checks a user id that a user gave.
pub fn check_admin_id(admin_id: i64) -> Result<i64, Error> {
    if (1..=MAX_ID).contains(&admin_id) {
        return Ok(admin_id);
    }
    Err(Error::argument(format!(
        "admin_id {admin_id} is not accepted: accepted is the id of the token's user, an integer from 1 to {MAX_ID}"
    )))
}

/// A point in time as `2026-11-24T08:21:45+00:00`: the spelling of UTC that Python's `fromisoformat` has always read.
#[must_use]
pub fn iso_8601(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    let text = time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
    text.replace('Z', "+00:00")
}

fn text(members: &Map<String, Value>, name: &str) -> Option<String> {
    members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn epoch_seconds(value: &Value) -> Option<i64> {
    /// Seconds reach this in the year 2286; milliseconds passed it in 1970.
    const MILLISECONDS_FROM: i64 = 10_000_000_000;
    const YEAR_10000: i64 = 253_402_300_800;
    let number = integer(value)?;
    let seconds = if number > MILLISECONDS_FROM { number / 1000 } else { number };
    (1..YEAR_10000).contains(&seconds).then_some(seconds)
}

fn roles(value: Option<&Value>) -> Vec<String> {
    let name = |role: &Value| match role {
        Value::String(name) => Some(name.clone()).filter(|name| !name.is_empty()),
        Value::Object(members) => text(members, "name"),
        _ => None,
    };
    match value {
        Some(Value::Array(roles)) => roles.iter().filter_map(name).collect(),
        Some(role) => name(role).into_iter().collect(),
        None => Vec::new(),
    }
}
