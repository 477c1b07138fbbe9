//! One token: as the portal keeps it, and as it shows it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::filter::{Field, FieldKind, Filterable};
use super::user::User;
use crate::secret::Secret;

/// The status of a token that may be used.
pub(super) const ENABLED: i64 = 2;

/// How much of a bearer token lists show.
const CLEAR_CHARACTERS: usize = 24;

/// The two kinds of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenType {
    /// An access id and an access key that signs.
    #[default]
    Lmv1,
    /// One text that is sent as it is.
    Bearer,
}

/// A token to be put on the portal without a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewToken {
    /// The owner.
    pub admin_id: u32,
    /// The label.
    pub note: String,
    /// 1 disabled, 2 enabled; other numbers are kept, for clients that must bear them.
    pub status: i64,
    /// LMv1 or bearer.
    pub r#type: TokenType,
    /// Seconds since 1970-01-01 UTC; `None` is now by the portal's clock.
    pub created_on: Option<i64>,
    /// Seconds since 1970-01-01 UTC; 0 for never.
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

/// A token as the portal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredToken {
    /// Unique in the portal.
    pub id: u32,
    /// LMv1 or bearer.
    pub r#type: TokenType,
    /// The public half of an LMv1 pair; empty for a bearer.
    pub access_id: String,
    /// The secret half, or the bearer itself; it does not travel through serde.
    #[serde(skip, default = "no_secret")]
    pub access_key: Secret,
    /// The owner.
    pub admin_id: u32,
    /// 1 disabled, 2 enabled.
    pub status: i64,
    /// The label.
    pub note: String,
    /// The name of the user who made it.
    pub created_by: String,
    /// Seconds since 1970-01-01 UTC.
    pub created_on: i64,
    /// Seconds since 1970-01-01 UTC; 0 for never.
    pub last_used_on: i64,
    /// The address it was last used from; empty for never.
    pub last_auth_ip: String,
    /// Failures of its access id in a row.
    pub failures: u32,
    /// Whether too many failures locked it out.
    pub locked: bool,
}

fn no_secret() -> Secret {
    Secret::new(String::new())
}

impl StoredToken {
    /// The public text that finds the token in a request: the access id, or what lists show of a bearer.
    pub(super) fn handle(&self) -> &str {
        match self.r#type {
            TokenType::Lmv1 => &self.access_id,
            TokenType::Bearer => bearer_handle(self.access_key.reveal()),
        }
    }

    /// The token in the answer to its create, with the secret.
    pub(super) fn told_once(&self, owner: Option<&User>, caller: &User) -> WireToken<'_> {
        WireToken { access_key: Some(Cow::Borrowed(self.access_key.reveal())), ..self.shown(owner, caller) }
    }

    /// The token in every other answer: no access key, and a bearer masked.
    pub(super) fn shown<'a>(&'a self, owner: Option<&User>, caller: &User) -> WireToken<'a> {
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
        let clear = bearer_handle(bearer);
        Some(format!("{clear}{}", "*".repeat(bearer.len() - clear.len())))
    }
}

/// The part of a bearer that lists show; long enough to be unique here.
pub(super) fn bearer_handle(bearer: &str) -> &str {
    bearer.get(..CLEAR_CHARACTERS).unwrap_or(bearer)
}

/// A token beside its owner, whose name and roles it shows.
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
