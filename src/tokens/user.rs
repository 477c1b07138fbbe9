//! The owner of a token, by id or by name.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::client::{Client, Method, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::filter::{Condition, Field, Filter, Operator};
use crate::ids::{AdminId, MAX_ID};

/// A user, by id or by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum User {
    /// By id.
    Id(AdminId),
    /// By name.
    Name(UserName),
}

/// The exact name of a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserName(String);

impl UserName {
    /// Checks a name. Digits alone are refused: the caller most likely means the id.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let problem = if name.trim().is_empty() {
            "an empty string"
        } else if name.bytes().all(|b| b.is_ascii_digit()) {
            "a string of digits"
        } else {
            return Ok(Self(name));
        };
        Err(Error::argument(format!(
            "invalid admin_id: {problem}; expected the user's id, an integer from 1 to {MAX_ID}, or the user's name"
        )))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl User {
    /// Returns the user's id; a name is looked up at the portal.
    pub async fn id(&self, client: &Client) -> Result<AdminId> {
        match self {
            Self::Id(id) => Ok(*id),
            Self::Name(name) => look_up(client, name).await,
        }
    }
}

impl FromStr for User {
    type Err = Error;

    /// Reads a user from a text: digits are an id.
    fn from_str(text: &str) -> Result<Self> {
        match text.parse() {
            Ok(id) => AdminId::new(id).map(Self::Id),
            Err(_) => UserName::new(text).map(Self::Name),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => f.write_str(&name.0),
        }
    }
}

async fn look_up(client: &Client, UserName(name): &UserName) -> Result<AdminId> {
    const PAGE: usize = 1000;
    // The portal calls the field `username` here and `adminName` in tokens.
    let condition =
        Condition::new(Field::AdminName, Operator::Equal, crate::filter::Value::Text(name.clone()))?;
    let filter = Filter::from(condition).for_portal(None).replacen(Field::AdminName.name(), "username", 1);
    let mut offset = 0;
    let id = loop {
        let mut query = vec![
            ("size", PAGE.to_string()),
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
        let response = client.send(&request).await?;
        let Some(Value::Array(users)) = response.body.get("items") else {
            return Err(Error::new(ErrorKind::Response, "the response does not contain a list of users"));
        };
        let has_name = |user: &&Value| user.get("username").and_then(Value::as_str) == Some(name);
        if let Some(user) = users.iter().find(has_name) {
            break user.get("id").and_then(Value::as_i64);
        }
        if users.len() < PAGE {
            break None;
        }
        offset += users.len();
    };
    match id {
        Some(id) => AdminId::new(id),
        None => Err(Error::new(ErrorKind::NotFound, format!("user {name:?} not found")).suggest(
            "check the spelling, or pass the user's id: these credentials may not be permitted to view users",
        )),
    }
}
