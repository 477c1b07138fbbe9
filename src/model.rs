//! Tokens as the portal reports them. Reading is tolerant: unknown members are ignored, missing and null ones are
//! `None`.
//!
//! Source of the names: the vendor's pages "Adding API Tokens" and "Getting API Token Details".

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::json::{Member, items, members};
use crate::marker::{self, Marker};
use crate::portal::PortalAddress;
use crate::secret::Secret;
use crate::times::END_OF_9999;

/// A status as the portal reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenStatus {
    /// 1: the portal keeps the token and rejects its requests.
    Disabled,
    /// 2: usable.
    Enabled,
    /// A number that this version does not know.
    Other(i64),
}

impl TokenStatus {
    /// Returns the portal's number.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Disabled => 1,
            Self::Enabled => 2,
            Self::Other(number) => number,
        }
    }

    /// Returns the status for a word; the portal's user interface calls the two "active" and "suspended".
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "enabled" | "active" => Some(Self::Enabled),
            "disabled" | "suspended" => Some(Self::Disabled),
            _ => None,
        }
    }

    /// Returns the status with a number.
    #[must_use]
    pub fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Disabled,
            2 => Self::Enabled,
            other => Self::Other(other),
        }
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

/// A type of token as the portal reports it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TokenType {
    /// An access id and an access key that signs.
    Lmv1,
    /// A text that is sent with every request.
    Bearer,
    /// A type that this version does not know.
    Other(String),
}

impl TokenType {
    /// Returns the type for a word of the portal.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "lmv1" => Self::Lmv1,
            "bearer" => Self::Bearer,
            _ => Self::Other(word.to_owned()),
        }
    }

    /// Returns whether one token can have both types: one that this version does not know proves nothing.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        self == other || matches!(self, Self::Other(_)) || matches!(other, Self::Other(_))
    }

    /// Returns the word for it.
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

/// One API token, as the portal last reported it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The base URL of its portal, without which the id means nothing; `None` if it is not known.
    pub portal: Option<Arc<str>>,
    /// The id, unique in the portal.
    pub id: i64,
    /// LMv1 or bearer.
    pub r#type: TokenType,
    /// The public half of an LMv1 pair.
    pub access_id: Option<String>,
    /// The secret half, or the bearer token itself; only the response to a create holds it.
    pub access_key: Option<Secret>,
    /// A bearer token as lists show it: its beginning, then asterisks. It identifies the calling token.
    pub masked_bearer: Option<Secret>,
    /// The owner's user id.
    pub admin_id: Option<i64>,
    /// The owner's user name.
    pub admin_name: Option<String>,
    /// Enabled or disabled.
    pub status: Option<TokenStatus>,
    /// The marker at the start of its note, if it is about this token.
    pub marker: Option<Marker>,
    /// The user's part of the note: what follows the marker.
    pub note: Option<String>,
    /// The names of the owner's roles, which are the token's.
    pub roles: Vec<String>,
    /// The user name of its creator.
    pub created_by: Option<String>,
    /// When it was created, seconds since 1970-01-01 UTC.
    pub created_on: Option<i64>,
    /// When it was last used, seconds since 1970-01-01 UTC; `None` for never, or if [`Token::was_used`] for an unknown
    /// time.
    pub last_used_on: Option<i64>,
    /// Whether it was ever used. A last use that cannot be read is one: only an unused token may be deleted as an orphan.
    pub was_used: bool,
    /// The address it was last used from.
    pub last_auth_ip: Option<String>,
    /// The caller's permission on the owner: `write`, `read` or `none`.
    pub user_permission: Option<String>,
}

/// The response that a token was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A create: `accessKey` is the secret.
    Create,
    /// Any other response: `accessKey` is masked or stale, and dropped.
    Other,
}

impl Token {
    /// Reads one token; `None` if the JSON is not an object with an id.
    ///
    /// `requested` is the type in the request: the response need not repeat it.
    #[must_use]
    pub fn from_json(json: &[u8], origin: Origin, requested: &TokenType) -> Option<Self> {
        Self::from_json_text(std::str::from_utf8(json).ok()?, origin, requested)
    }

    /// As [`Token::from_json`], of an item of a list.
    pub(crate) fn from_json_text(json: &str, origin: Origin, requested: &TokenType) -> Option<Self> {
        let names = [
            "id",
            "type",
            "accessId",
            "accessKey",
            "adminId",
            "adminName",
            "status",
            "note",
            "roles",
            "createdBy",
            "createdOn",
            "lastUsedOn",
            "lastAuthIp",
            "userPermission",
        ];
        let [
            id,
            r#type,
            access_id,
            access_key,
            admin_id,
            admin_name,
            status,
            note,
            roles,
            created_by,
            created_on,
            last_used_on,
            last_auth_ip,
            user_permission,
        ] = members(json, names).ok()??;
        let shown = text(access_key).filter(|text| is_whole(text)).map(Secret::new);
        let (access_key, masked_bearer) = match (origin, requested) {
            (Origin::Create, _) => (shown, None),
            (Origin::Other, TokenType::Bearer) => (None, shown),
            (Origin::Other, _) => (None, None),
        };
        let id = id.whole_number()?;
        let (marker, note) = split_note(id, note.text());
        Some(Self {
            portal: None,
            id,
            r#type: text(r#type).map_or_else(|| requested.clone(), |word| TokenType::from_word(&word)),
            access_id: text(access_id),
            access_key,
            masked_bearer,
            admin_id: admin_id.whole_number(),
            admin_name: text(admin_name),
            status: token_status(status),
            marker,
            note,
            roles: role_names(roles),
            created_by: text(created_by),
            created_on: epoch_seconds(created_on),
            last_used_on: epoch_seconds(last_used_on),
            was_used: was_used(last_used_on),
            last_auth_ip: text(last_auth_ip),
            user_permission: text(user_permission),
        })
    }
}

impl Token {
    /// Returns the note as the portal has it: the marker and the user's part.
    #[must_use]
    pub fn whole_note(&self) -> Option<Cow<'_, str>> {
        let note = self.note.as_deref();
        match self.marker {
            Some(marker) => Some(marker.write(note.unwrap_or_default()).into()),
            None => note.map(Cow::Borrowed),
        }
    }

    /// Returns when the token expires, seconds since 1970-01-01 UTC.
    #[must_use]
    pub fn expires_on(&self) -> Option<i64> {
        self.marker?.expires
    }

    /// Returns whether the token has expired at a time since 1970-01-01 UTC.
    #[must_use]
    pub(crate) fn is_expired(&self, now: Duration) -> bool {
        self.marker.is_some_and(|marker| marker.is_expired(now.as_secs()))
    }

    /// Returns the id of the token that this one replaces.
    #[must_use]
    pub fn replaces(&self) -> Option<i64> {
        self.marker?.replaces.map(|(token, _)| token.get())
    }

    /// Returns the id of the token that replaces this one.
    #[must_use]
    pub fn replaced_by(&self) -> Option<i64> {
        self.marker?.replaced_by.map(|(token, _)| token.get())
    }

    /// Returns the token of a portal.
    #[must_use]
    pub(crate) fn at(self, portal: &PortalAddress) -> Self {
        Self { portal: Some(portal.base_url().into()), ..self }
    }

    /// Returns the token without its secret.
    #[must_use]
    pub fn without_secret(&self) -> Self {
        Self { access_key: None, ..self.clone() }
    }
}

/// Returns the marker of the token with this id and the user's part of its note.
pub(crate) fn split_note(id: i64, note: Option<String>) -> (Option<Marker>, Option<String>) {
    match note.as_deref().map(|note| marker::split(id, note)) {
        Some((Some(marker), user_part)) => (Some(marker), Some(user_part.to_owned())),
        _ => (None, note),
    }
}

/// A rate limit, as the response headers gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateHeaders {
    /// Requests per window.
    pub limit: u64,
    /// Requests that remain in this window.
    pub remaining: u64,
    /// The length of the rolling window.
    pub window: Duration,
}

/// Returns a point in time as `2026-11-24T08:21:45+00:00`: every ISO 8601 parser reads this form.
#[must_use]
pub fn iso_8601(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    let text = time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
    text.replace('Z', "+00:00")
}

fn text(member: Member<'_>) -> Option<String> {
    member.text().filter(|text| !text.is_empty())
}

/// Returns whether no character of a text was replaced because it could not be read.
pub(crate) fn is_whole(text: &str) -> bool {
    !text.contains(char::REPLACEMENT_CHARACTER)
}

fn token_status(member: Member<'_>) -> Option<TokenStatus> {
    match member.whole_number() {
        Some(number) => Some(TokenStatus::from_number(number)),
        None => TokenStatus::from_word(member.text()?.trim()),
    }
}

fn epoch_seconds(member: Member<'_>) -> Option<i64> {
    /// Seconds reach this in the year 2286; milliseconds passed it in 1970.
    const MILLISECONDS_FROM: i64 = 10_000_000_000;
    let number = member.floor()?;
    let seconds = if number > MILLISECONDS_FROM { number / 1000 } else { number };
    (1..=END_OF_9999).contains(&seconds).then_some(seconds)
}

/// Returns whether a token was used, from the time of its last use. The portal writes "never" as null or 0; a value
/// that cannot be read is not "never".
fn was_used(last_used_on: Member<'_>) -> bool {
    let is_never = match last_used_on.text() {
        Some(text) => text.is_empty() || text == "0",
        None => last_used_on.is_null() || last_used_on.whole_number() == Some(0),
    };
    !is_never
}

/// Returns the names in a list of roles, which are strings or objects.
pub(crate) fn role_names(roles: Member<'_>) -> Vec<String> {
    /// Far more than any user has. A hostile body has millions.
    const MAX_ROLES: usize = 1000;
    let mut names = Vec::new();
    let mut add = |json| {
        if names.len() < MAX_ROLES {
            names.extend(role_name(json));
        }
    };
    match roles.raw() {
        Some(list) if list.starts_with('[') => drop(items(list, add)),
        Some(role) => add(role),
        None => {}
    }
    names
}

fn role_name(json: &str) -> Option<String> {
    if !json.starts_with('{') {
        return text(Member::of(json));
    }
    let [name] = members(json, ["name"]).ok()??;
    text(name)
}
