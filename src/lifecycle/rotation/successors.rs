//! The tokens whose notes name another token as the one that they replace.

use super::guarded::{GuardedClient, SETTLES};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{AdminId, TokenId, Type};
use crate::lifecycle::reconcile::{is_near, tokens_of};
use crate::model::{Token, TokenStatus, TokenType};
use crate::tag::Tag;

/// What a token's note says about the token that it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It was created to replace it.
    Pending(Tag),
    /// It works, and replaces it after a time; `None` until a check of the caller succeeds.
    Replaces { after: Option<i64> },
    /// Another token replaces the old one.
    Superseded { since: i64 },
    /// The rotation was cancelled.
    Cancelled { since: i64 },
}

impl Role {
    /// Returns the role of a token in the rotation of `old`; `None` if it has none.
    pub(super) fn of(token: &Token, old: TokenId) -> Option<Self> {
        if let Some(marker) = token.marker
            && let Some((replaced, after)) = marker.replaces
        {
            if replaced != old {
                return None;
            }
            let cancelled = marker.cancelled.map(|since| Self::Cancelled { since });
            let superseded = marker.superseded.map(|since| Self::Superseded { since });
            return cancelled.or(superseded).or(Some(Self::Replaces { after }));
        }
        let (tag, _) = Tag::parse(token.note.as_deref()?)?;
        // On a token of another time, the note was copied.
        let is_bound = token.created_on.is_none_or(|created_on| is_near(created_on, tag.seconds));
        (tag.replaces == Some(old) && is_bound).then_some(Self::Pending(tag))
    }

    /// Returns since when the token is cancelled or superseded.
    pub(super) fn out_since(self) -> Option<i64> {
        match self {
            Self::Superseded { since } | Self::Cancelled { since } => Some(since),
            Self::Pending(_) | Self::Replaces { .. } => None,
        }
    }

    /// Returns whether the token takes part in elections: also for a while after it was cancelled or superseded,
    /// because a process may not have seen the mark yet.
    pub(super) fn takes_part(self, now: i64) -> bool {
        self.out_since().is_none_or(|since| now < since.saturating_add(SETTLES))
    }
}

/// A token that names another one as the one that it replaces.
#[derive(Debug, Clone)]
pub(super) struct Successor {
    pub(super) token: Token,
    pub(super) role: Role,
}

impl Successor {
    pub(super) fn is_enabled(&self) -> bool {
        self.token.status == Some(TokenStatus::Enabled)
    }
}

/// Returns the token that a token names as the one that it replaces.
pub(super) fn replaced(token: &Token) -> Option<TokenId> {
    let by_marker = token.marker.and_then(|marker| marker.replaces).map(|(old, _)| old);
    by_marker.or_else(|| token.note.as_deref().and_then(Tag::parse).and_then(|(tag, _)| tag.replaces))
}

/// Returns what is known of a token of a rotation from the other one: they have the same owner and type.
pub(super) fn stub(id: TokenId, other: &Token) -> Token {
    Token {
        id: id.get(),
        access_id: None,
        status: None,
        marker: None,
        note: None,
        created_by: None,
        created_on: None,
        last_used_on: None,
        was_used: false,
        last_auth_ip: None,
        ..other.clone()
    }
}

/// Returns the old token of the rotation that a token is part of, as far as that token tells.
pub(super) fn old_of(token: &Token) -> Token {
    match replaced(token) {
        Some(old) if Role::of(token, old).is_some() => stub(old, token),
        _ => token.clone(),
    }
}

/// Finds the tokens that name `old`, the oldest first. The list tells which tokens there are. Each of them is then read
/// by itself, because what a list shows of a token may be out of date.
pub(super) async fn find_successors(portal: &GuardedClient, old: &Token) -> Result<Vec<Successor>> {
    let old_id = TokenId::new(old.id)?;
    let owner = AdminId::new(old.admin_id.unwrap_or_default()).map_err(Error::of_portal)?;
    let r#type = if old.r#type == TokenType::Bearer { Type::Bearer } else { Type::Lmv1 };
    let mut successors = Vec::new();
    for listed in tokens_of(portal.client(), owner, r#type).await? {
        if Role::of(&listed, old_id).is_none() || listed.id == old.id {
            continue;
        }
        let Some(token) = portal.read(&listed).await? else { continue };
        successors.extend(Role::of(&token, old_id).map(|role| Successor { token, role }));
    }
    successors.sort_by_key(|successor| successor.token.id);
    refuse_copies(&successors)?;
    Ok(successors)
}

/// Fails if two tokens have the same tag: which of them is the new token cannot be told, so neither is changed.
fn refuse_copies(successors: &[Successor]) -> Result<()> {
    for (number, one) in successors.iter().enumerate() {
        let is_copy = |other: &&Successor| matches!(one.role, Role::Pending(_)) && other.role == one.role;
        if let Some(other) = successors.iter().skip(number + 1).find(is_copy) {
            let message = format!(
                "tokens {} and {} have the same tag: the note of one of them is a copy",
                one.token.id, other.token.id
            );
            return Err(
                Error::new(ErrorKind::Rotation, message).suggest("remove the tag from the note of the copy")
            );
        }
    }
    Ok(())
}
