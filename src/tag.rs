//! The tag at the start of a pending token's note.
//!
//! `lmtokens-2-RUN-SECONDS-RANDOM[-eEXPIRES][-rOLD]-CHECK`, alone or followed by a space and the final note. RUN is the
//! run id (16 hexadecimal digits), SECONDS the time of the tag (since 1970-01-01 UTC), RANDOM 32 hexadecimal digits from
//! the operating system, so that forked processes never share a tag. EXPIRES is when the token expires (seconds since
//! 1970-01-01 UTC). The marker in its final note says the same, but needs the token's id, which is not known before the
//! create. OLD is the id of the token that this one is to replace. CHECK (16 hexadecimal digits) is the start of the
//! SHA-256 of the text before it and the final note (the user's part), so that any process can tell whether somebody has
//! changed the note since. None of the tag's characters is special in the portal's filters.
//!
//! Version 1 was `lmtokens-1-RUN-SECONDS-RANDOM`, without a check.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::ids::TokenId;
use crate::marker::Marker;
use crate::note;
use crate::times::END_OF_9999;

const PREFIX: &str = "lmtokens-2-";
const PREFIX_1: &str = "lmtokens-1-";

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
        hexadecimal_u64(text)
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
    /// When the token expires, seconds since 1970-01-01 UTC.
    pub expires: Option<i64>,
    /// The token that this one is to replace.
    pub replaces: Option<TokenId>,
    /// The check of the final note; `None` in version 1.
    check: Option<u64>,
}

impl Tag {
    /// Returns a fresh, unique tag of a token that expires at a time and whose final note has the user's part `last`.
    /// `now_ms` is by the portal's clock if it is known: sweep compares it with the time at which the portal created
    /// the token.
    pub fn fresh(run: RunId, now_ms: u64, expires: Option<i64>, last: Option<&str>) -> Result<Self> {
        Self::fresh_replacing(None, run, now_ms, expires, last)
    }

    /// As [`Tag::fresh`], of a token that is to replace another one.
    pub fn fresh_replacing(
        replaces: Option<TokenId>,
        run: RunId,
        now_ms: u64,
        expires: Option<i64>,
        last: Option<&str>,
    ) -> Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(no_random_numbers)?;
        let random = u128::from_be_bytes(random);
        let tag = Self { run, seconds: now_ms / 1000, random, expires, replaces, check: None };
        Ok(Self { check: Some(tag.check_of(last)), ..tag })
    }

    /// Returns the marker in the final note of the token with this id.
    #[must_use]
    pub fn marker(&self, token: TokenId) -> Option<Marker> {
        self.expires.map(|expires| Marker { expires: Some(expires), ..Marker::of(token) })
    }

    /// Returns the note of a pending token whose final note has the user's part `last`.
    #[must_use]
    pub fn note(&self, last: Option<&str>) -> String {
        match last.filter(|note| !note.is_empty()) {
            Some(last) => format!("{self} {last}"),
            None => self.to_string(),
        }
    }

    /// Returns the tag of a note and the text after it; `None` if the note does not have this form. [`Tag::note_problem`]
    /// checks that the text is still the final note.
    #[must_use]
    pub fn parse(note: &str) -> Option<(Self, Option<&str>)> {
        let (tag, last) = match note.split_once(' ') {
            Some((_, "")) => return None,
            Some((tag, last)) => (tag, Some(last)),
            None => (note, None),
        };
        let has_check = tag.starts_with(PREFIX);
        let mut parts = tag.strip_prefix(if has_check { PREFIX } else { PREFIX_1 })?.split('-');
        let (run, seconds, random) = (parts.next()?, parts.next()?, parts.next()?);
        let check = if has_check { Some(hexadecimal_u64(parts.next_back()?)?) } else { None };
        let mut optional = parts.peekable();
        let mut read = |letter| {
            let number = optional.peek().and_then(|part| part.strip_prefix(letter)).map(decimal)?;
            optional.next();
            Some(number.and_then(|number| i64::try_from(number).ok()))
        };
        let expires = match read('e') {
            Some(expires) => Some(expires.filter(|expires| (1..=END_OF_9999).contains(expires))?),
            None => None,
        };
        let replaces = match read('r') {
            Some(id) => Some(TokenId::new(id?).ok()?),
            None => None,
        };
        if optional.next().is_some() || (!has_check && (expires.is_some() || replaces.is_some())) {
            return None;
        }
        let (run, seconds) = (run.parse().ok()?, decimal(seconds)?);
        Some((Self { run, seconds, random: hexadecimal(random, 32)?, expires, replaces, check }, last))
    }

    /// Returns why the text after this tag is not known to be the final note of the create; `None` if it is. What the
    /// portal itself does to notes (white space, HTML escapes, Unicode composition) is no change.
    #[must_use]
    pub fn note_problem(&self, last: Option<&str>) -> Option<&'static str> {
        match (self.check, last) {
            (Some(check), last) if check == self.check_of(last) => None,
            (Some(_), _) => Some("its note was changed after its create"),
            (None, None) => None,
            (None, Some(_)) => Some(
                "an earlier version of lmtokens wrote its tag, which does not tell whether the note after it was changed",
            ),
        }
    }

    /// Returns whether a note is this tag, cut after at least 64 bits of its random part: the portal has a maximum length
    /// of notes.
    pub(crate) fn is_cut_to(&self, note: &str) -> bool {
        let (tag, start) = (self.to_string(), format!("{PREFIX}{}-{}-", self.run, self.seconds));
        (start.len() + 16..tag.len()).contains(&note.len()) && tag.starts_with(note)
    }

    fn check_of(&self, last: Option<&str>) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.with_prefix(PREFIX));
        hash.update(" ");
        hash.update(note::normalized(last.unwrap_or_default()));
        let digest: [u8; 32] = hash.finalize().into();
        digest.first_chunk().copied().map_or(0, u64::from_be_bytes)
    }

    fn with_prefix(&self, prefix: &str) -> String {
        let expires = self.expires.map(|expires| format!("-e{expires}")).unwrap_or_default();
        let replaces = self.replaces.map(|old| format!("-r{old}")).unwrap_or_default();
        format!("{prefix}{}-{}-{:032x}{expires}{replaces}", self.run, self.seconds, self.random)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.check {
            Some(check) => write!(f, "{}-{check:016x}", self.with_prefix(PREFIX)),
            None => f.write_str(&self.with_prefix(PREFIX_1)),
        }
    }
}

/// Reads a number without leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let is_canonical = text == "0" || !text.starts_with('0');
    (is_canonical && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn hexadecimal_u64(text: &str) -> Option<u64> {
    hexadecimal(text, 16).and_then(|number| u64::try_from(number).ok())
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
