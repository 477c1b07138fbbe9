//! The user whom a token belongs to, by id or by name.

use serde_json::Value;

use crate::client::{Client, Method, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::filter::{Condition, Field, Filter, Operator};
use crate::model::check_admin_id;

/// A user, as callers name one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admin {
    /// By the user's id.
    Id(i64),
    /// By the user's name, exactly.
    Name(String),
}

impl Admin {
    /// A user by name. Digits alone are refused: whoever writes "32" most likely means the id.
    pub fn named(name: &str) -> Result<Self> {
        const ACCEPTED: &str =
            "accepted is the user's id, an integer from 1 to 2147483647, or the user's name";
        if name.trim().is_empty() {
            return Err(Error::argument(format!("admin_id is an empty text: {ACCEPTED}")));
        }
        if name.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::argument(format!(
                "admin_id is a text of digits: {ACCEPTED}; pass an id as an int"
            )));
        }
        Ok(Self::Name(name.to_owned()))
    }

    /// Fails where it can never be right, before anything is sent.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Id(id) => check_admin_id(*id).map(drop),
            Self::Name(name) => Self::named(name).map(drop),
        }
    }

    /// The user's id; a name is looked up at the portal.
    pub async fn id(&self, client: &Client) -> Result<i64> {
        self.check()?;
        match self {
            Self::Id(id) => Ok(*id),
            Self::Name(name) => look_up(client, name).await,
        }
    }
}

impl std::str::FromStr for Admin {
    type Err = Error;

    /// A user as a shell names one: digits are an id.
    fn from_str(text: &str) -> Result<Self> {
        let admin = text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Id);
        admin.check().map(|()| admin)
    }
}

async fn look_up(client: &Client, name: &str) -> Result<i64> {
    // The field is a user's, whose name the portal spells differently than a token's.
    let condition =
        Condition::new(Field::AdminName, Operator::Equal, crate::filter::Value::Text(name.to_owned()))?;
    let filter = Filter::from(condition).for_portal(None).replacen(Field::AdminName.name(), "username", 1);
    let mut offset = 0;
    let id = loop {
        let mut query = vec![
            ("size", "1000".to_owned()),
            ("offset", offset.to_string()),
            ("sort", "+id".to_owned()),
            ("fields", "id,username".to_owned()),
        ];
        if !filter.is_empty() {
            query.push(("filter", filter.clone()));
        }
        let request = Request {
            method: Method::Get,
            endpoint: "/setting/admins",
            resource_path: "/setting/admins".to_owned(),
            query,
            body: None,
        };
        let answer = client.send(&request).await?;
        let Some(Value::Array(users)) = answer.body.get("items") else {
            return Err(Error::new(ErrorKind::Response, "the answer holds no list of users"));
        };
        let is_meant = |user: &&Value| user.get("username").and_then(Value::as_str) == Some(name);
        if let Some(user) = users.iter().find(is_meant) {
            break user.get("id").and_then(Value::as_i64);
        }
        if users.len() < 1000 {
            break None;
        }
        offset += users.len();
    };
    id.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("no user is named {name:?}")).suggest(
            "check the spelling; these credentials may also not be allowed to view users: then pass the id",
        )
    })
}
