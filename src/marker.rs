//! The marker at the start of a token's note: what lmtokens will do with the token, readable by people.
//!
//! ```text
//! [lmtokens 248 replaces 17 after 2027-01-31T00:00Z] ci
//! [lmtokens 17 replaced by 248, delete after 2027-02-07T00:00Z] ci
//! [lmtokens 248 expires 2027-01-31T00:00Z] ci
//! ```
//!
//! The first number is the id of the token that the marker stands on; on any other token, such as one whose note was
//! copied, it is ignored. A marker can have several parts, joined by "; ", in this order: `replaces` (whose time may be
//! missing), `replaced by`, `expires`, `superseded` and `cancelled`, the last two with the time at which they were
//! written. Times are UTC; seconds are left out if they are 0. The changes that portals make to notes (white space, HTML
//! escapes, Unicode composition) do not affect a marker.

use std::fmt;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::ids::TokenId;

/// The beginning of every marker. Notes of users that begin with it are refused.
pub(crate) const PREFIX: &str = "[lmtokens ";

/// A marker. Times are seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Marker {
    /// The token that the marker is about.
    pub token: TokenId,
    /// The token that this one replaces, and the time from which that one is disabled.
    pub replaces: Option<(TokenId, Option<i64>)>,
    /// The token that replaces this one, which is disabled, and the time after which this one is deleted.
    pub replaced_by: Option<(TokenId, i64)>,
    /// The time after which the token is deleted.
    pub expires: Option<i64>,
    /// When another token took over the replacement.
    pub superseded: Option<i64>,
    /// When the replacement was cancelled.
    pub cancelled: Option<i64>,
}

impl Marker {
    /// Returns a marker without parts, which is not written.
    #[must_use]
    pub fn of(token: TokenId) -> Self {
        Self { token, replaces: None, replaced_by: None, expires: None, superseded: None, cancelled: None }
    }

    /// Returns this marker without the token that this one replaces.
    pub(crate) fn without_rotation(self) -> Self {
        Self { replaces: None, superseded: None, cancelled: None, ..self }
    }

    /// Returns whether the token has expired at a time, seconds since 1970-01-01 UTC.
    #[must_use]
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires.and_then(|expires| u64::try_from(expires).ok()).is_some_and(|expires| expires <= now)
    }

    /// Returns the marker of a note and the user's part; `None` if the note does not begin with a marker. [`split`] also
    /// checks that the marker is about the token.
    #[must_use]
    pub fn parse(note: &str) -> Option<(Self, &str)> {
        let (inside, rest) = note.strip_prefix(PREFIX)?.split_once(']')?;
        let rest = if rest.is_empty() { rest } else { rest.strip_prefix(' ')? };
        let (token, parts) = inside.split_once(' ')?;
        let mut marker = Self::of(id(token)?);
        for part in parts.split("; ") {
            marker.read(part)?;
        }
        // Only the form that `write` has: with the parts in order, and each once.
        note.starts_with(&marker.to_string()).then_some((marker, rest))
    }

    fn read(&mut self, part: &str) -> Option<()> {
        if let Some(text) = part.strip_prefix("replaces ") {
            self.replaces = Some(match text.split_once(" after ") {
                Some((token, after)) => (id(token)?, Some(seconds(after)?)),
                None => (id(text)?, None),
            });
        } else if let Some(text) = part.strip_prefix("replaced by ") {
            let (token, after) = text.split_once(", delete after ")?;
            self.replaced_by = Some((id(token)?, seconds(after)?));
        } else {
            let (word, text) = part.split_once(' ')?;
            let time = match word {
                "expires" => &mut self.expires,
                "superseded" => &mut self.superseded,
                "cancelled" => &mut self.cancelled,
                _ => return None,
            };
            *time = Some(seconds(text)?);
        }
        Some(())
    }

    /// Returns the note with this marker before the user's part; without parts, the user's part alone.
    #[must_use]
    pub fn write(&self, user_part: &str) -> String {
        let parts = self.parts();
        if parts.is_empty() { user_part.to_owned() } else { note(self.token, &parts, user_part) }
    }

    fn parts(&self) -> Vec<String> {
        let parts = [
            self.replaces.map(|(token, after)| match after {
                Some(after) => format!("replaces {token} after {}", time_text(after)),
                None => format!("replaces {token}"),
            }),
            self.replaced_by
                .map(|(token, after)| format!("replaced by {token}, delete after {}", time_text(after))),
            self.expires.map(expires_part),
            self.superseded.map(|time| format!("superseded {}", time_text(time))),
            self.cancelled.map(|time| format!("cancelled {}", time_text(time))),
        ];
        parts.into_iter().flatten().collect()
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&note(self.token, &self.parts(), ""))
    }
}

/// Returns the note of a token that has a marker. `token` is its id, or a placeholder in a dry run.
pub(crate) fn note(token: impl fmt::Display, parts: &[String], user_part: &str) -> String {
    let space = if user_part.is_empty() { "" } else { " " };
    format!("{PREFIX}{token} {}]{space}{user_part}", parts.join("; "))
}

/// Returns the part of a marker that says when the token expires.
pub(crate) fn expires_part(time: i64) -> String {
    format!("expires {}", time_text(time))
}

/// Returns the marker of a token and the user's part of its note. A marker that is about another token is a part of the
/// user's note.
#[must_use]
pub fn split(token: i64, note: &str) -> (Option<Marker>, &str) {
    match Marker::parse(note).filter(|(marker, _)| marker.token.get() == token) {
        Some((marker, user_part)) => (Some(marker), user_part),
        None => (None, note),
    }
}

/// Returns a time as markers write it: `2027-01-31T00:00Z`, with seconds unless they are 0.
fn time_text(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    let text = time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
    text.strip_suffix(":00Z").map_or(text.clone(), |minutes| format!("{minutes}Z"))
}

fn seconds(text: &str) -> Option<i64> {
    let minutes = text.strip_suffix('Z')?;
    // 2027-01-31T00:00
    let full = if minutes.len() == 16 { format!("{minutes}:00Z") } else { text.to_owned() };
    let seconds = OffsetDateTime::parse(&full, &Rfc3339).ok()?.unix_timestamp();
    (seconds > 0).then_some(seconds)
}

fn id(text: &str) -> Option<TokenId> {
    text.parse().ok().and_then(|id| TokenId::new(id).ok())
}
