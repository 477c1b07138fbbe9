//! Identifiers and other arguments that are checked once, by their constructors.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::marker;
use crate::model::{TokenStatus, TokenType};
use crate::note::normalized;
use crate::tag::Tag;

/// The largest id of a user or token: the portal's ids are 32-bit.
pub const MAX_ID: i64 = i32::MAX as i64;

/// The id of a user, 1 to [`MAX_ID`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64")]
pub struct AdminId(i64);

impl TryFrom<i64> for AdminId {
    type Error = Error;

    fn try_from(id: i64) -> Result<Self> {
        Self::new(id)
    }
}

impl AdminId {
    /// The accepted values of an argument that names a user, for messages.
    pub(crate) const EXPECTED: &'static str = "the user's id (an integer from 1 to 2147483647) or name";

    /// Checks an id.
    pub fn new(id: i64) -> Result<Self> {
        if (1..=MAX_ID).contains(&id) {
            return Ok(Self(id));
        }
        Err(Error::invalid("admin_id", id, Self::EXPECTED))
    }

    /// Returns the number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for AdminId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a token, 1 to [`MAX_ID`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenId(i64);

impl TokenId {
    /// The accepted values of an argument that names a token, for messages.
    pub(crate) const EXPECTED: &'static str =
        "a Token, its id (an integer from 1 to 2147483647) or its access id";

    /// Checks an id.
    pub fn new(id: i64) -> Result<Self> {
        if (1..=MAX_ID).contains(&id) {
            return Ok(Self(id));
        }
        Err(Error::invalid("token", id, Self::EXPECTED))
    }

    /// Returns the number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The note of a token as a user gives it: any text except the tags of pending tokens and what begins like a marker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Note(String);

impl Note {
    /// Checks a note. A note that has the form of a tag or begins like a marker, also after what portals change in notes,
    /// is refused: the token could be swept.
    pub fn new(note: impl Into<String>) -> Result<Self> {
        let note = note.into();
        let stored = normalized(&note);
        if stored.starts_with(marker::PREFIX) {
            return Err(Error::argument(format!(
                "invalid note: it begins with {:?}, as the markers that lmtokens sets itself; expected any other text",
                marker::PREFIX
            )));
        }
        if Tag::parse(&stored).is_some() {
            return Err(Error::argument(
                "invalid note: it has the form of a tag of lmtokens, which marks pending tokens that may be swept; expected \
                 any other text",
            ));
        }
        Ok(Self(note))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The number of rows of a bulk run that are in progress at once, 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency(usize);

impl Concurrency {
    const MAX: usize = 64;
    /// The accepted numbers, for messages.
    pub(crate) const EXPECTED: &str = "1 to 64";

    /// Checks a number.
    pub fn new(number: i64) -> Result<Self> {
        let checked = usize::try_from(number).ok().filter(|number| (1..=Self::MAX).contains(number));
        checked.map(Self).ok_or_else(|| Error::invalid("concurrency", number, Self::EXPECTED))
    }

    /// Returns the number.
    #[must_use]
    pub fn get(self) -> usize {
        self.0
    }
}

impl Default for Concurrency {
    fn default() -> Self {
        Self(8)
    }
}

/// The number of items in one page of a list, 1 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageSize(u32);

impl PageSize {
    /// The largest page that the portal returns.
    pub(crate) const MAX: Self = Self(1000);
    /// The accepted numbers, for messages.
    pub(crate) const EXPECTED: &str = "1 to 1000";

    /// Checks a number.
    pub(crate) fn new(number: i64) -> Result<Self> {
        let checked = u32::try_from(number).ok().filter(|number| (1..=Self::MAX.0).contains(number));
        checked.map(Self).ok_or_else(|| Error::invalid("page_size", number, Self::EXPECTED))
    }

    /// Returns the number.
    #[must_use]
    pub(crate) fn get(self) -> u32 {
        self.0
    }

    /// Returns the size of a page for so many items, if they fit into one page.
    #[must_use]
    pub(crate) fn at_most(items: usize) -> Self {
        Self(u32::try_from(items).unwrap_or(u32::MAX).clamp(1, Self::MAX.0))
    }

    /// Returns a page of half the size; `None` for a page of one item.
    #[must_use]
    pub(crate) fn half(self) -> Option<Self> {
        (self.0 > 1).then_some(Self(self.0 / 2))
    }

    /// Returns a page that can overlap with the one before: of at least two items.
    #[must_use]
    pub(crate) fn at_least_two(self) -> Self {
        Self(self.0.max(2))
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self::MAX
    }
}

/// A status that a caller can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Status {
    /// 1: the portal keeps the token and rejects its requests.
    Disabled,
    /// 2: usable.
    #[default]
    Enabled,
}

impl Status {
    /// The accepted values, for messages.
    pub(crate) const EXPECTED: &'static str = "1 (disabled), 2 (enabled), \"disabled\" or \"enabled\"";

    /// Returns the portal's number.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Disabled => 1,
            Self::Enabled => 2,
        }
    }

    /// Returns the status with a number.
    pub fn from_number(number: i64) -> Result<Self> {
        match number {
            1 => Ok(Self::Disabled),
            2 => Ok(Self::Enabled),
            _ => Err(Error::invalid("status", number, Self::EXPECTED)),
        }
    }
}

impl FromStr for Status {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match TokenStatus::from_word(word) {
            Some(TokenStatus::Enabled) => Ok(Self::Enabled),
            Some(TokenStatus::Disabled) => Ok(Self::Disabled),
            _ => Err(Error::invalid("status", format_args!("{word:?}"), Self::EXPECTED)),
        }
    }
}

impl From<Status> for TokenStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Disabled => Self::Disabled,
            Status::Enabled => Self::Enabled,
        }
    }
}

impl PartialEq<Status> for TokenStatus {
    fn eq(&self, other: &Status) -> bool {
        *self == Self::from(*other)
    }
}

/// A type of token that a caller can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Type {
    /// An access id and an access key that signs.
    #[default]
    Lmv1,
    /// A text that is sent with every request.
    Bearer,
}

impl Type {
    /// The accepted words, for messages.
    pub(crate) const EXPECTED: &'static str = "\"lmv1\" or \"bearer\"";
    /// Both types, in the order in which they are listed.
    pub const ALL: [Self; 2] = [Self::Lmv1, Self::Bearer];

    /// Returns the word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lmv1 => "lmv1",
            Self::Bearer => "bearer",
        }
    }

    /// Returns the value of the query parameter `type`: the portal knows `bearer`, and LMv1 as its absence.
    #[must_use]
    pub fn query_value(self) -> Option<&'static str> {
        match self {
            Self::Lmv1 => None,
            Self::Bearer => Some("bearer"),
        }
    }
}

impl FromStr for Type {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word.to_ascii_lowercase().as_str() {
            "lmv1" => Ok(Self::Lmv1),
            "bearer" => Ok(Self::Bearer),
            _ => Err(Error::invalid("type", format_args!("{word:?}"), Self::EXPECTED)),
        }
    }
}

impl From<Type> for TokenType {
    fn from(r#type: Type) -> Self {
        match r#type {
            Type::Lmv1 => Self::Lmv1,
            Type::Bearer => Self::Bearer,
        }
    }
}
