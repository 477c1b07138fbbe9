//! The tag that stands in a token's note from its birth until its secret is where it belongs.
//!
//! `lmtokens-1-RUN-SECONDS-RANDOM`, then nothing, or a space and the note that the token is to have. RUN are 16 digits in
//! hexadecimal and the same for all tokens of one run, SECONDS is when the tag was made (since 1970-01-01 UTC), RANDOM are
//! 32 digits in hexadecimal from the operating system's generator: forked processes never share a tag. No character of
//! it means anything in the portal's filters.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

const PREFIX: &str = "lmtokens-1-";

/// What the tokens of one run have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId(u64);

impl RunId {
    /// A fresh one.
    pub fn fresh() -> Result<Self> {
        getrandom::u64().map(Self).map_err(no_random_numbers)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for RunId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        hexadecimal(text, 16)
            .and_then(|number| u64::try_from(number).ok())
            .map(Self)
            .ok_or_else(|| Error::argument("a run id has 16 hexadecimal digits"))
    }
}

/// One tag, of one attempt to make a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag {
    /// The run that it belongs to.
    pub run: RunId,
    /// When it was made, seconds since 1970-01-01 UTC by the clock of whoever made it.
    pub seconds: u64,
    random: u128,
}

impl Tag {
    /// A fresh one, unlike any other.
    pub fn fresh(run: RunId, now_ms: u64) -> Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(no_random_numbers)?;
        Ok(Self { run, seconds: now_ms / 1000, random: u128::from_be_bytes(random) })
    }

    /// The note of a token that is not finished, with the note that it is to have.
    #[must_use]
    pub fn note(&self, last: Option<&str>) -> String {
        match last.filter(|note| !note.is_empty()) {
            Some(last) => format!("{self} {last}"),
            None => self.to_string(),
        }
    }

    /// The tag of a note and what follows it; `None` where the whole note is not exactly of that form.
    #[must_use]
    pub fn parse(note: &str) -> Option<(Self, Option<&str>)> {
        let (tag, last) = match note.split_once(' ') {
            Some((_, "")) => return None,
            Some((tag, last)) => (tag, Some(last)),
            None => (note, None),
        };
        let mut parts = tag.strip_prefix(PREFIX)?.split('-');
        let (run, seconds, random) = (parts.next()?, parts.next()?, parts.next()?);
        let canonical = seconds == "0" || !seconds.starts_with('0');
        if parts.next().is_some() || !canonical || !seconds.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let tag =
            Self { run: run.parse().ok()?, seconds: seconds.parse().ok()?, random: hexadecimal(random, 32)? };
        Some((tag, last))
    }

    /// Fails where a user's note is of the tag's form: such a token could be swept.
    pub fn check_note(note: Option<&str>) -> Result<()> {
        match note.and_then(Self::parse) {
            None => Ok(()),
            Some(_) => Err(Error::argument(
                "note is of the form of lmtokens's own tags, which mark tokens that are not finished and may be swept: \
                 choose another",
            )),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}-{}-{:032x}", self.run, self.seconds, self.random)
    }
}

fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != digits || !text.bytes().all(lower) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

fn no_random_numbers(error: getrandom::Error) -> Error {
    Error::new(ErrorKind::Configuration, format!("the operating system gives no random numbers: {error}"))
}
