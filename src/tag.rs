//! The tag at the start of a pending token's note.
//!
//! `lmtokens-1-RUN-SECONDS-RANDOM`, alone or followed by a space and the final note. RUN is the run id (16 hexadecimal
//! digits), SECONDS the time of the tag (since 1970-01-01 UTC), RANDOM 32 hexadecimal digits from the operating system,
//! so that forked processes never share a tag. None of its characters is special in the portal's filters.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

const PREFIX: &str = "lmtokens-1-";

/// The id of a run, shared by the tags of its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId(u64);

impl RunId {
    /// Returns a fresh id.
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
            .ok_or_else(|| Error::argument("invalid run id; expected 16 hexadecimal digits"))
    }
}

/// The tag of one attempt to create a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag {
    /// The run.
    pub run: RunId,
    /// When it was created, seconds since 1970-01-01 UTC by the portal's clock, or by the local one before the portal's
    /// first response.
    pub seconds: u64,
    random: u128,
}

impl Tag {
    /// Returns a fresh, unique tag. `now_ms` is by the portal's clock if it is known: sweep compares it with the time at
    /// which the portal created the token.
    pub fn fresh(run: RunId, now_ms: u64) -> Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(no_random_numbers)?;
        Ok(Self { run, seconds: now_ms / 1000, random: u128::from_be_bytes(random) })
    }

    /// Returns the note of a pending token whose final note is `last`.
    #[must_use]
    pub fn note(&self, last: Option<&str>) -> String {
        match last.filter(|note| !note.is_empty()) {
            Some(last) => format!("{self} {last}"),
            None => self.to_string(),
        }
    }

    /// Returns the tag of a note and the final note after it; `None` if the note does not have exactly this form.
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
    Error::new(
        ErrorKind::Configuration,
        format!("cannot get random numbers from the operating system: {error}"),
    )
}
