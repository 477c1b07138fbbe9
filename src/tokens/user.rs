//! The owner of a token, by id or by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::list::endless;
use super::users::UserPages;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::filter::{Condition, Field, Filter, Operator, Value};
use crate::ids::AdminId;
use crate::printable::is_hidden;

/// A user, by id or by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum User {
    /// By id.
    Id(AdminId),
    /// By name.
    Name(UserName),
}

/// The exact name of a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct UserName(String);

impl TryFrom<String> for UserName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::new(name)
    }
}

impl UserName {
    /// Checks a name. A number in any notation is refused: the caller most likely means the id.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        if name.trim().is_empty() || is_number(&name) {
            return Err(Error::invalid("admin_id", format_args!("{name:?}"), AdminId::EXPECTED));
        }
        Ok(Self(name))
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

    /// Reads a user from a text of a row or of the command line: digits are an id, and a number in another notation is
    /// refused. White space around the text does not matter.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        match text.parse::<i64>() {
            // Not `032` or `+32`.
            Ok(id) if id.to_string() == text => AdminId::new(id).map(Self::Id),
            _ => UserName::new(text).map(Self::Name),
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

/// Returns whether a text is a number as programs and people write it: with a fraction, an exponent, separators of groups
/// or the digits of another script.
fn is_number(text: &str) -> bool {
    let is_separator =
        |c: char| c.is_whitespace() || is_hidden(c) || matches!(c, ',' | '_' | '\'' | '\u{2019}');
    let digits = |c: char| if c.is_numeric() { '0' } else { c };
    let plain: String = text.chars().filter(|c| !is_separator(*c)).map(digits).collect();
    plain.contains('0') && plain.parse::<f64>().is_ok()
}

async fn look_up(client: &Client, UserName(name): &UserName) -> Result<AdminId> {
    // The portal calls the field `username` here and `adminName` in tokens.
    let condition = Condition::new(Field::AdminName, Operator::Equal, Value::Text(name.clone()))?;
    let filter = Filter::from(condition).for_portal(None).replacen(Field::AdminName.name(), "username", 1);
    let mut pages = UserPages::matching(Some(filter).filter(|filter| !filter.is_empty()));
    while let Some(users) = pages.next_page(client).await? {
        if let Some(user) = users.iter().find(|user| user.name.as_ref() == Some(name)) {
            return AdminId::new(user.id).map_err(Error::of_portal);
        }
    }
    if pages.ignores_offset() {
        return Err(endless("users"));
    }
    Err(Error::new(ErrorKind::NotFound, format!("user {name:?} not found")).suggest(
        "check the spelling, or pass the user's id: these credentials may not be permitted to view users",
    ))
}
