//! Comparing the token in a response with the one that the request was about.
//!
//! A response can belong to another request on the same connection, or come from a proxy or a portal that is wrong. The
//! id in it is used for further requests only if nothing in the response contradicts the request.

use std::fmt;

use crate::ids::{AdminId, Status, TokenId};
use crate::json::{Member, members};
use crate::marker::Marker;
use crate::model::{Token, TokenStatus, TokenType};
use crate::note::normalized;
use crate::tag::Tag;

/// The token that a request is about.
pub(crate) struct ExpectedToken<'a> {
    /// The id; `None` for a create.
    pub(crate) id: Option<TokenId>,
    pub(crate) admin_id: AdminId,
    pub(crate) r#type: &'a TokenType,
    /// The access id, if it is known.
    pub(crate) access_id: Option<&'a str>,
    /// The note that was sent; `None` if none was.
    pub(crate) note: Option<ExpectedNote<'a>>,
    /// The status that was sent; `None` if none was.
    pub(crate) status: Option<Status>,
}

/// A note that was sent.
#[derive(Clone, Copy)]
pub(crate) enum ExpectedNote<'a> {
    /// A user's note, which the portal may trim, cut or escape. A marker before it must be whole.
    Plain(&'a str),
    /// The note of a pending token. Its tag is unique, and must be whole.
    Tagged(&'a Tag),
}

/// How a token differs from the expected one. A member that the response does not have is no difference: the portal
/// does not return the type of LMv1 tokens, for example.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Differences {
    /// The members that show that it is another token.
    pub(crate) identity: Vec<&'static str>,
    /// Whether the note differs.
    pub(crate) note: bool,
    /// Whether the status differs.
    pub(crate) status: bool,
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (note, status) = (self.note.then_some("note"), self.status.then_some("status"));
        let names: Vec<_> = self.identity.iter().copied().chain(note).chain(status).collect();
        let names = names.join(" and ");
        if self.identity.is_empty() {
            write!(f, "shows another {names} than requested")
        } else {
            write!(f, "shows another token: it differs in {names}")
        }
    }
}

impl ExpectedToken<'_> {
    /// Compares the token of a response. An owner or a status that is given and cannot be read differs.
    pub(crate) fn differences(&self, token: &Token, written: &Written<'_>) -> Differences {
        let Written { owner, status, .. } = written;
        let id_differs = match self.id {
            Some(id) => token.id != id.get(),
            None => TokenId::new(token.id).is_err(),
        };
        let owner_differs =
            token.admin_id.map_or(!owner.is_null(), |admin_id| admin_id != self.admin_id.get());
        let type_differs = !token.r#type.agrees(self.r#type);
        let access_id_differs = !agree(self.access_id, token.access_id.as_deref());
        let identity = [
            (id_differs, "id"),
            (owner_differs, "owner"),
            (type_differs, "type"),
            (access_id_differs, "access id"),
        ];
        Differences {
            identity: identity.into_iter().filter(|(differs, _)| *differs).map(|(_, name)| name).collect(),
            note: match (self.note, token.whole_note()) {
                (Some(expected), Some(found)) => !expected.agrees(&found),
                _ => false,
            },
            status: match (self.status, token.status) {
                (Some(expected), Some(found)) => found != TokenStatus::from(expected),
                (Some(_), None) => !status.is_null(),
                (None, _) => false,
            },
        }
    }
}

/// Returns whether two readings are of one token, as far as both show its members.
pub(crate) fn is_same_token(one: &Token, other: &Token) -> bool {
    let has_same_owner = one.admin_id.is_none() || other.admin_id.is_none() || one.admin_id == other.admin_id;
    one.id == other.id
        && one.r#type.agrees(&other.r#type)
        && has_same_owner
        && agree(one.access_id.as_deref(), other.access_id.as_deref())
}

/// Returns whether two access ids are equal, as far as both are shown whole. A mask has other characters.
fn agree(one: Option<&str>, other: Option<&str>) -> bool {
    let is_whole = |id: &&str| id.bytes().all(|b| b.is_ascii_alphanumeric());
    match (one.filter(is_whole), other.filter(is_whole)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

/// The members of a response that may be given and yet be unreadable, as they are written.
#[derive(Default)]
pub(super) struct Written<'a> {
    pub(super) owner: Member<'a>,
    pub(super) status: Member<'a>,
    pub(super) note: Member<'a>,
}

impl<'a> Written<'a> {
    pub(super) fn of(body: &'a [u8]) -> Self {
        let text = std::str::from_utf8(body).unwrap_or_default();
        match members(text, ["adminId", "status", "note"]) {
            Ok(Some([owner, status, note])) => Self { owner, status, note },
            _ => Self::default(),
        }
    }
}

impl ExpectedNote<'_> {
    /// Returns whether a note of a response is the one that was sent.
    pub(crate) fn agrees(self, found: &str) -> bool {
        match self {
            Self::Plain(sent) if sent == found => true,
            Self::Plain(sent) => {
                let marked =
                    |note| Marker::parse(note).map_or((None, note), |(marker, rest)| (Some(marker), rest));
                let ((sent_marker, sent), (found_marker, found)) = (marked(sent), marked(found));
                if sent_marker != found_marker {
                    return false;
                }
                // A note that was cut in a character ends with its replacement.
                let found = found.trim_end_matches(char::REPLACEMENT_CHARACTER);
                let (sent, found) = (normalized(sent), normalized(found));
                if found.is_empty() { sent.is_empty() } else { sent.starts_with(&found) }
            }
            Self::Tagged(tag) => Tag::parse(found).is_some_and(|(found, _)| found == *tag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees(sent: &str, found: &str) -> bool {
        ExpectedNote::Plain(sent).agrees(found)
    }

    #[test]
    fn notes_that_a_portal_changed_agree() {
        for (sent, found) in [
            ("ci", "ci"),
            ("", ""),
            ("  ci\t job ", "ci job"),
            ("a < b & \"c\" 'd'", "a &lt; b &amp; &quot;c&quot; &#39;d&#x27;"),
            ("a & b", "a &amp;amp; b"),
            ("a &amp; b", "a &amp; b"),
            ("cafe\u{301}", "caf\u{e9}"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("a long note", "a long"),
            ("   ", ""),
            (
                "[lmtokens 5 expires 2027-01-31T00:00Z] a & b",
                "[lmtokens 5 expires 2027-01-31T00:00Z] a &amp; b",
            ),
            (
                "[lmtokens 5 expires 2027-01-31T00:00Z] a long note",
                "[lmtokens 5 expires 2027-01-31T00:00Z] a long",
            ),
            ("[lmtokens 5 expires 2027-01-31T00:00Z]  ", "[lmtokens 5 expires 2027-01-31T00:00Z]"),
        ] {
            assert!(agrees(sent, found), "{sent:?} {found:?}");
        }
    }

    #[test]
    fn other_notes_differ() {
        for (sent, found) in [
            ("ci", ""),
            ("", "production"),
            ("ci", "production"),
            ("ci", "ci job"),
            ("ci", "CI"),
            ("a&b", "ab"),
            ("[lmtokens 5 expires 2027-01-31T00:00Z] ci", "ci"),
            ("[lmtokens 5 expires 2027-01-31T00:00Z] ci", "[lmtokens 5 expires 2027-01-31"),
            ("[lmtokens 5 expires 2027-01-31T00:00Z] ci", "[lmtokens 5 expires 2027-01-31T00:01Z] ci"),
            ("[lmtokens 5 expires 2027-01-31T00:00Z] ci", "[lmtokens 6 expires 2027-01-31T00:00Z] ci"),
            ("ci", "[lmtokens 5 expires 2027-01-31T00:00Z] ci"),
        ] {
            assert!(!agrees(sent, found), "{sent:?} {found:?}");
        }
    }
}
