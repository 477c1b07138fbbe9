//! The lines of a journal after its first.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Token, TokenStatus, TokenType};
use crate::secret::Secret;
use crate::tag::Tag;
use crate::tokens::{NewToken, User, is_mask_of};

/// The identity of a row: its members, and its number among equal rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::lifecycle) struct RowKey {
    pub(super) admin: User,
    pub(super) note: Option<String>,
    pub(super) status: i64,
    pub(super) r#type: String,
    pub(in crate::lifecycle) nth: u32,
}

impl RowKey {
    pub(in crate::lifecycle) fn of(token: &NewToken) -> Self {
        Self {
            admin: token.admin.clone(),
            note: token.note().map(str::to_owned),
            status: token.status.number(),
            r#type: token.r#type.as_str().to_owned(),
            nth: 0,
        }
    }

    pub(in crate::lifecycle) fn with_number(&self, nth: u32) -> Self {
        Self { nth, ..self.clone() }
    }

    pub(in crate::lifecycle) fn user(&self) -> &User {
        &self.admin
    }

    /// Returns the user's id, if the input names it.
    pub(in crate::lifecycle) fn admin_id(&self) -> Option<i64> {
        match self.admin {
            User::Id(id) => Some(id.get()),
            User::Name(_) => None,
        }
    }

    pub(in crate::lifecycle) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    pub(in crate::lifecycle) fn status(&self) -> i64 {
        self.status
    }

    pub(in crate::lifecycle) fn type_word(&self) -> &str {
        &self.r#type
    }
}

/// What the input says about a row besides its token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowInput {
    /// The number of the row, counted from 1. A header line and blank lines do not count.
    pub number: u64,
    /// The names and values of the columns that are not those of a token. No two names are equal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<(String, String)>,
}

/// One event of one row. Journals of earlier versions have no `input`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(in crate::lifecycle) enum Line {
    /// A token was created, disabled. With the default destination, this line delivers its key.
    Pending {
        row: RowKey,
        token: Journaled,
        #[serde(default)]
        input: Option<RowInput>,
    },
    /// The token has its status and note. A resumed run writes this line again with its input, if that has changed.
    Created {
        row: RowKey,
        id: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<RowInput>,
    },
    /// The token is deleted or will be: its key is void.
    Discarded { row: RowKey, id: i64 },
    /// Nothing was created.
    Failed {
        row: RowKey,
        error: String,
        #[serde(default)]
        input: Option<RowInput>,
    },
    /// The outcome is unknown.
    Unknown {
        row: RowKey,
        error: String,
        #[serde(default)]
        input: Option<RowInput>,
    },
    /// The row ended without a token and is missing in the input of a later run.
    Removed { row: RowKey },
}

/// A token as it was created.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::lifecycle) struct Journaled {
    pub(in crate::lifecycle) id: i64,
    pub(in crate::lifecycle) admin_id: i64,
    pub(in crate::lifecycle) admin_name: Option<String>,
    pub(in crate::lifecycle) r#type: String,
    pub(in crate::lifecycle) tag: String,
    pub(in crate::lifecycle) access_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_key: Option<Zeroizing<String>>,
    pub(in crate::lifecycle) created_on: Option<i64>,
}

impl fmt::Debug for Journaled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journaled")
            .field("id", &self.id)
            .field("admin_id", &self.admin_id)
            .finish_non_exhaustive()
    }
}

impl Journaled {
    pub(in crate::lifecycle) fn of(token: &Token, tag: &Tag, with_key: bool) -> Self {
        let key = token.access_key.as_ref().filter(|_| with_key);
        Self {
            id: token.id,
            admin_id: token.admin_id.unwrap_or_default(),
            admin_name: token.admin_name.clone(),
            r#type: token.r#type.as_str().to_owned(),
            tag: tag.to_string(),
            access_id: token.access_id.clone(),
            access_key: key.map(|key| Zeroizing::new(key.reveal().to_owned())),
            created_on: token.created_on,
        }
    }

    /// Returns how the portal's token differs from this one, in the words of a message; `None` if it is the same token.
    /// Its note and status may have been changed since.
    pub(in crate::lifecycle) fn difference(&self, found: &Token) -> Option<&'static str> {
        let r#type = TokenType::from_word(&self.r#type);
        let access_ids = (self.access_id.as_deref(), found.access_id.as_deref());
        if found.id != self.id || found.admin_id != Some(self.admin_id) {
            Some("owner")
        } else if !found.r#type.agrees(&r#type) {
            Some("type")
        } else if r#type == TokenType::Lmv1
            && !matches!(access_ids, (Some(ours), Some(theirs)) if ours == theirs)
        {
            Some("access id")
        } else if let (Some(key), Some(shown)) = (&self.access_key, &found.masked_bearer)
            && is_mask_of(shown.reveal(), key) == Some(false)
        {
            Some("bearer token")
        } else {
            None
        }
    }

    /// Returns the token with the status and note of its row.
    pub(in crate::lifecycle) fn token(&self, row: &RowKey) -> Token {
        Token {
            portal: None,
            id: self.id,
            r#type: TokenType::from_word(&self.r#type),
            access_id: self.access_id.clone(),
            access_key: self.access_key.as_ref().map(|key| Secret::new(key.to_string())),
            masked_bearer: None,
            admin_id: Some(self.admin_id),
            admin_name: self.admin_name.clone(),
            status: Some(TokenStatus::from_number(row.status)),
            marker: None,
            note: row.note.clone(),
            roles: Vec::new(),
            created_by: None,
            created_on: self.created_on,
            last_used_on: None,
            was_used: false,
            last_auth_ip: None,
            user_permission: None,
        }
    }
}

impl Line {
    /// Returns the line as a JSON object, not yet sealed.
    pub(super) fn object(&self) -> Result<Zeroizing<String>> {
        serde_json::to_string(self)
            .map(Zeroizing::new)
            .map_err(|error| Error::new(ErrorKind::Delivery, format!("cannot write a line: {error}")))
    }
}
