//! Tokens: as the portal stores them, and as its JSON shows them.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::filter::{Field, FieldKind, Filterable};
use super::seconds::read_moment;
use super::user::User;
use crate::secret::Secret;

/// The status of a disabled token.
pub(super) const DISABLED: i64 = 1;
/// The status of an enabled token.
pub(super) const ENABLED: i64 = 2;

/// How many characters of a bearer token lists show.
const VISIBLE_CHARACTERS: usize = 24;

/// The type of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenType {
    /// An access id and an access key, which signs requests.
    #[default]
    Lmv1,
    /// A secret that is sent with each request.
    Bearer,
}

/// A token to create without a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewToken {
    /// The id of the user who owns the token.
    pub admin_id: u32,
    /// The note.
    pub note: String,
    /// 1 disabled, 2 enabled; other numbers are accepted, to test clients with them.
    pub status: i64,
    /// The type.
    pub r#type: TokenType,
    /// Seconds since 1970-01-01 UTC; `None` is the portal's current time.
    #[serde(deserialize_with = "read_moment")]
    pub created_on: Option<i64>,
    /// Seconds since 1970-01-01 UTC; 0 if the token was never used.
    #[serde(deserialize_with = "read_moment")]
    pub last_used_on: i64,
}

impl Default for NewToken {
    fn default() -> Self {
        Self {
            admin_id: 32,
            note: String::new(),
            status: ENABLED,
            r#type: TokenType::Lmv1,
            created_on: None,
            last_used_on: 0,
        }
    }
}

/// A token as the portal stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredToken {
    /// Unique in the portal.
    pub id: u32,
    /// The type.
    pub r#type: TokenType,
    /// The access id; empty for a bearer token.
    pub access_id: String,
    /// The access key, or the bearer token itself. Not serialized.
    #[serde(skip, default = "no_secret")]
    pub access_key: Secret,
    /// The id of the user who owns the token.
    pub admin_id: u32,
    /// 1 disabled, 2 enabled.
    pub status: i64,
    /// The note.
    pub note: String,
    /// The name of the user who created the token.
    pub created_by: String,
    /// Seconds since 1970-01-01 UTC.
    pub created_on: i64,
    /// Seconds since 1970-01-01 UTC; 0 if the token was never used.
    pub last_used_on: i64,
    /// The address of its last use; empty if the token was never used.
    pub last_auth_ip: String,
    /// How many requests with its access id failed in a row.
    pub failures: u32,
    /// Whether too many failures locked the token out.
    pub locked: bool,
    /// When it was enabled; `None` if that was before the sandbox started, or at a given time of creation.
    #[serde(skip)]
    pub(super) enabled_at: Option<Instant>,
}

fn no_secret() -> Secret {
    Secret::new(String::new())
}

impl StoredToken {
    /// Changes the status.
    pub(super) fn set_status(&mut self, status: i64, now: Instant) {
        if status == ENABLED && self.status != ENABLED {
            self.enabled_at = Some(now);
        }
        self.status = status;
    }

    /// Returns how long it has been enabled, if that is known.
    pub(super) fn enabled_for(&self, now: Instant) -> Option<Duration> {
        self.enabled_at.map(|at| now.saturating_duration_since(at))
    }

    /// Returns the public text that identifies the token: the access id, or the visible part of a bearer token.
    pub(super) fn handle(&self) -> &str {
        match self.r#type {
            TokenType::Lmv1 => &self.access_id,
            TokenType::Bearer => bearer_handle(self.access_key.reveal()),
        }
    }

    /// Returns the JSON of the response to a create, which contains the secret.
    pub(super) fn with_secret(&self, owner: Option<&User>, caller: &User) -> WireToken<'_> {
        WireToken {
            access_key: Some(Cow::Borrowed(self.access_key.reveal())),
            ..self.without_secret(owner, caller)
        }
    }

    /// Returns the JSON of any other response: without an access key, and with a bearer token masked.
    pub(super) fn without_secret<'a>(&'a self, owner: Option<&User>, caller: &User) -> WireToken<'a> {
        WireToken {
            id: self.id,
            access_id: &self.access_id,
            access_key: self.masked_bearer().map(Cow::Owned),
            admin_id: self.admin_id,
            admin_name: owner.map(|owner| owner.username.clone()).unwrap_or_default(),
            roles: owner.map(|owner| owner.roles.clone()).unwrap_or_default(),
            status: self.status,
            note: &self.note,
            created_by: &self.created_by,
            created_on: self.created_on,
            last_used_on: self.last_used_on,
            last_auth_ip: &self.last_auth_ip,
            user_permission: caller.permission_word(),
            r#type: (self.r#type == TokenType::Bearer).then_some("bearer"),
        }
    }

    fn masked_bearer(&self) -> Option<String> {
        if self.r#type != TokenType::Bearer {
            return None;
        }
        let bearer = self.access_key.reveal();
        let visible = bearer_handle(bearer);
        Some(format!("{visible}{}", "*".repeat(bearer.len() - visible.len())))
    }
}

/// Returns the part of a bearer token that lists show; it is long enough to be unique.
pub(super) fn bearer_handle(bearer: &str) -> &str {
    bearer.get(..VISIBLE_CHARACTERS).unwrap_or(bearer)
}

/// A token and its owner, whose name and roles are fields of the token.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnedToken<'a> {
    pub(super) token: &'a StoredToken,
    pub(super) owner: Option<&'a User>,
}

impl Filterable for OwnedToken<'_> {
    const FIELDS: &'static [(&'static str, FieldKind)] = &[
        ("id", FieldKind::Number),
        ("accessId", FieldKind::Text),
        ("adminId", FieldKind::Number),
        ("adminName", FieldKind::Text),
        ("roles", FieldKind::Text),
        ("status", FieldKind::Number),
        ("note", FieldKind::Text),
        ("createdBy", FieldKind::Text),
        ("createdOn", FieldKind::Number),
        ("lastUsedOn", FieldKind::Number),
        ("lastAuthIp", FieldKind::Text),
    ];

    fn field(&self, name: &str) -> Option<Field<'_>> {
        let token = self.token;
        Some(match name {
            "id" => Field::Number(token.id.into()),
            "accessId" => Field::Text(&token.access_id),
            "adminId" => Field::Number(token.admin_id.into()),
            "adminName" => Field::Text(self.owner.map_or("", |owner| &owner.username)),
            "roles" => Field::Texts(self.owner.map_or(&[], |owner| &owner.roles)),
            "status" => Field::Number(token.status),
            "note" => Field::Text(&token.note),
            "createdBy" => Field::Text(&token.created_by),
            "createdOn" => Field::Number(token.created_on),
            "lastUsedOn" => Field::Number(token.last_used_on),
            "lastAuthIp" => Field::Text(&token.last_auth_ip),
            _ => return None,
        })
    }
}

/// A token in the portal's JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireToken<'a> {
    id: u32,
    access_id: &'a str,
    access_key: Option<Cow<'a, str>>,
    admin_id: u32,
    admin_name: String,
    roles: Vec<String>,
    status: i64,
    note: &'a str,
    created_by: &'a str,
    created_on: i64,
    last_used_on: i64,
    last_auth_ip: &'a str,
    user_permission: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
}
