//! Identifiers and other arguments that are checked once, by their constructors.

use std::fmt;

use crate::error::{Error, Result};
use crate::tag::Tag;

/// The largest id of a user or token: the portal's ids are 32-bit.
pub const MAX_ID: i64 = i32::MAX as i64;

/// The id of a user, 1 to [`MAX_ID`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AdminId(i64);

impl AdminId {
    /// Checks an id.
    pub fn new(id: i64) -> Result<Self> {
        if (1..=MAX_ID).contains(&id) {
            return Ok(Self(id));
        }
        Err(Error::invalid("admin_id", id, format_args!("the user's id, an integer from 1 to {MAX_ID}")))
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
    /// Checks an id.
    pub fn new(id: i64) -> Result<Self> {
        if (1..=MAX_ID).contains(&id) {
            return Ok(Self(id));
        }
        Err(Error::invalid(
            "token",
            id,
            format_args!("a Token, its id (an integer from 1 to {MAX_ID}) or its access id"),
        ))
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

/// The note of a token as a user gives it: any text except the tags of pending tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Note(String);

impl Note {
    /// Checks a note. A note that has the form of a tag is refused: the token could be swept.
    pub fn new(note: impl Into<String>) -> Result<Self> {
        let note = note.into();
        if Tag::parse(&note).is_some() {
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
pub(crate) struct Concurrency(usize);

impl Concurrency {
    const MAX: usize = 64;
    /// The accepted numbers, for messages.
    pub(crate) const EXPECTED: &str = "1 to 64";

    /// Checks a number.
    pub(crate) fn new(number: i64) -> Result<Self> {
        let checked = usize::try_from(number).ok().filter(|number| (1..=Self::MAX).contains(number));
        checked.map(Self).ok_or_else(|| Error::invalid("concurrency", number, Self::EXPECTED))
    }

    /// Returns the number.
    #[must_use]
    pub(crate) fn get(self) -> usize {
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
