//! Users and their permissions.

use serde::{Deserialize, Serialize};

use super::filter::{Field, FieldKind, Filterable};

/// A user to add, by default with every permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "permissions are independent")]
pub struct NewUser {
    /// The id; `None` takes the next free one. An existing user with this id is replaced.
    pub id: Option<u32>,
    /// The user name; empty becomes `user-ID`.
    pub username: String,
    /// Whether the user can only use the API.
    pub apionly: bool,
    /// The names of the roles. They do not affect permissions.
    pub roles: Vec<String>,
    /// May list tokens. A user without this permission gets an empty list instead of an error.
    pub may_view: bool,
    /// May create tokens.
    pub may_create: bool,
    /// May change and delete tokens.
    pub may_manage: bool,
}

impl Default for NewUser {
    fn default() -> Self {
        Self {
            id: None,
            username: String::new(),
            apionly: false,
            roles: Vec::new(),
            may_view: true,
            may_create: true,
            may_manage: true,
        }
    }
}

/// A user of the portal.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "permissions are independent")]
pub(super) struct User {
    pub(super) id: u32,
    pub(super) username: String,
    pub(super) apionly: bool,
    pub(super) roles: Vec<String>,
    pub(super) may_view: bool,
    pub(super) may_create: bool,
    pub(super) may_manage: bool,
}

impl User {
    pub(super) fn new(id: u32, new: NewUser) -> Self {
        let username = if new.username.is_empty() { format!("user-{id}") } else { new.username };
        Self {
            id,
            username,
            apionly: new.apionly,
            roles: new.roles,
            may_view: new.may_view,
            may_create: new.may_create,
            may_manage: new.may_manage,
        }
    }

    /// Returns the users of a new sandbox.
    pub(super) fn built_in() -> [Self; 3] {
        let user = |id, username: &str, role: &str| {
            let new =
                NewUser { username: username.to_owned(), roles: vec![role.to_owned()], ..NewUser::default() };
            Self::new(id, new)
        };
        let reader = user(33, "viewer", "readonly");
        [
            user(1, "admin", "administrator"),
            Self { apionly: true, ..user(32, "api-user", "token-manager") },
            Self { may_create: false, may_manage: false, ..reader },
        ]
    }

    /// Returns the value of `userPermission` for this caller.
    pub(super) fn permission_word(&self) -> &'static str {
        match (self.may_manage, self.may_view) {
            (true, _) => "write",
            (false, true) => "read",
            (false, false) => "none",
        }
    }
}

impl Filterable for User {
    const FIELDS: &'static [(&'static str, FieldKind)] = &[
        ("id", FieldKind::Number),
        ("username", FieldKind::Text),
        ("apionly", FieldKind::Bool),
        ("status", FieldKind::Text),
        ("roles", FieldKind::Text),
    ];

    fn field(&self, name: &str) -> Option<Field<'_>> {
        Some(match name {
            "id" => Field::Number(self.id.into()),
            "username" => Field::Text(&self.username),
            "apionly" => Field::Bool(self.apionly),
            "status" => Field::Text("active"),
            "roles" => Field::Texts(&self.roles),
            _ => return None,
        })
    }
}
