//! The contents of a pending file.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::destinations::RequestedToken;
use crate::ids::{AdminId, Status, TokenId, Type};
use crate::model::{Token, TokenStatus, TokenType};
use crate::secret::Secret;
use crate::tag::Tag;
use crate::times::Expiry;

const VERSION: u32 = 1;

/// A token as it was delivered, and where it belongs.
#[derive(Serialize, Deserialize)]
pub(in crate::destinations) struct Record {
    lmtokens_pending: u32,
    pub(in crate::destinations) portal: String,
    tag: String,
    pub(in crate::destinations) id: i64,
    r#type: String,
    access_id: Option<String>,
    access_key: Zeroizing<String>,
    pub(in crate::destinations) admin_id: i64,
    admin_name: Option<String>,
    status: i64,
    pub(in crate::destinations) note: Option<String>,
    roles: Vec<String>,
    created_by: Option<String>,
    created_on: Option<i64>,
}

impl Record {
    pub(in crate::destinations) fn of(portal: &str, tag: &Tag, token: &Token) -> Self {
        Self {
            lmtokens_pending: VERSION,
            portal: portal.to_owned(),
            tag: tag.to_string(),
            id: token.id,
            r#type: token.r#type.as_str().to_owned(),
            access_id: token.access_id.clone(),
            access_key: Zeroizing::new(
                token.access_key.as_ref().map(Secret::reveal).unwrap_or_default().to_owned(),
            ),
            admin_id: token.admin_id.unwrap_or_default(),
            admin_name: token.admin_name.clone(),
            status: token.status.map_or_else(|| Status::default().number(), TokenStatus::number),
            note: token.note.clone(),
            roles: token.roles.clone(),
            created_by: token.created_by.clone(),
            created_on: token.created_on,
        }
    }

    /// Reads the record in a file; `None` if it is damaged or not that of this tag.
    pub(super) fn parse(text: &[u8], tag: &Tag) -> Option<Self> {
        let (own, record) = Self::read(text.strip_suffix(b"\n")?)?;
        (own == *tag).then_some(record)
    }

    /// Reads a record and its tag; `None` if it is damaged.
    pub(in crate::destinations) fn read(text: &[u8]) -> Option<(Tag, Self)> {
        let record: Self = serde_json::from_slice(text).ok()?;
        let (tag, None) = Tag::parse(&record.tag)? else { return None };
        let is_valid = record.lmtokens_pending == VERSION
            && TokenId::new(record.id).is_ok()
            && AdminId::new(record.admin_id).is_ok()
            && Status::from_number(record.status).is_ok()
            && record.r#type.parse::<Type>().is_ok()
            && !record.access_key.is_empty();
        is_valid.then_some((tag, record))
    }

    pub(in crate::destinations) fn token(&self) -> Token {
        Token {
            portal: Some(self.portal.as_str().into()),
            id: self.id,
            r#type: TokenType::from_word(&self.r#type),
            access_id: self.access_id.clone(),
            access_key: Some(Secret::new(self.access_key.to_string())),
            masked_bearer: None,
            admin_id: Some(self.admin_id),
            admin_name: self.admin_name.clone(),
            status: Some(TokenStatus::from_number(self.status)),
            marker: None,
            note: self.note.clone(),
            roles: self.roles.clone(),
            created_by: self.created_by.clone(),
            created_on: self.created_on,
            last_used_on: None,
            was_used: false,
            last_auth_ip: None,
            user_permission: None,
        }
    }

    /// Returns whether this is the token as it is requested now. An expiry that is given as a duration counts from the
    /// create of this token.
    pub(in crate::destinations) fn is(&self, requested: &RequestedToken, tag: &Tag) -> bool {
        let has_expiry = match (tag.expires, requested.expires) {
            (Some(_), Some(Expiry::After(_))) | (None, None) => true,
            (Some(time), Some(Expiry::At(requested))) => time == requested,
            _ => false,
        };
        has_expiry
            && self.portal == requested.portal
            && self.admin_id == requested.admin_id.get()
            && self.r#type == requested.r#type.as_str()
            && self.status == requested.status.number()
            && self.note.as_deref().unwrap_or_default() == requested.note
    }
}
