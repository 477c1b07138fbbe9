//! The rules of an audit, applied to one token.

use std::collections::HashMap;
use std::time::Duration;

use super::earlier::EarlierReport;
use super::reason::AuditReason;
use crate::lifecycle::sweep::left_long_ago;
use crate::marker::Marker;
use crate::model::{Token, TokenStatus};
use crate::times::END_OF_9999;
use crate::tokens::{ListedUser, is_administrator};

const DAY: Duration = Duration::from_secs(24 * 3600);
pub(super) const SECONDS_PER_DAY: i64 = 24 * 3600;

/// What an audit looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The reasons to look for.
    pub reasons: Vec<AuditReason>,
    /// [`AuditReason::Idle`]: the time since the last use.
    pub idle_after: Duration,
    /// [`AuditReason::NeverUsed`]: the time since the creation.
    pub never_used_after: Duration,
    /// [`AuditReason::Old`]: the time since the creation.
    pub old_after: Duration,
    /// [`AuditReason::Disabled`]: the time since the last use, or since the creation if there was none.
    pub disabled_after: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            reasons: AuditReason::ALL.to_vec(),
            idle_after: DAY * 45,
            never_used_after: DAY * 7,
            old_after: DAY * 365,
            disabled_after: DAY * 30,
        }
    }
}

impl Rules {
    /// Returns whether the list of users is needed.
    pub(super) fn need_owners(&self) -> bool {
        self.reasons.iter().any(|reason| reason.depends_on_owner())
    }
}

/// Users by their ids.
pub(super) type Owners = HashMap<i64, ListedUser>;

/// One portal as an audit sees it.
pub(super) struct View<'a> {
    pub(super) rules: &'a Rules,
    pub(super) portal: &'a str,
    /// The portal's time since 1970-01-01 UTC.
    pub(super) now: Duration,
    /// `None` if the users may not be listed.
    pub(super) owners: Option<Owners>,
    /// After how many days the portal disables an unused token; `None` if it does not, or does not tell.
    pub(super) token_disabled_days: Option<i64>,
    pub(super) earlier: Option<&'a EarlierReport>,
}

impl View<'_> {
    /// Returns the reasons that apply to a token, in the order of [`AuditReason::ALL`].
    pub(super) fn reasons(&self, token: &Token) -> Vec<AuditReason> {
        let applies = |reason: &AuditReason| self.looks_for(*reason) && self.applies(*reason, token);
        AuditReason::ALL.iter().copied().filter(applies).collect()
    }

    /// Returns whether the audit can find a reason.
    pub(super) fn looks_for(&self, reason: AuditReason) -> bool {
        self.rules.reasons.contains(&reason) && (self.owners.is_some() || !reason.needs_owner())
    }

    fn applies(&self, reason: AuditReason, token: &Token) -> bool {
        let created_before = |age| token.created_on.is_some_and(|created| self.is_past(created, age));
        let owner = self.owners.as_ref().zip(token.admin_id).and_then(|(owners, id)| owners.get(&id));
        let applies = match reason {
            AuditReason::Idle => {
                token.last_used_on.is_some_and(|used| self.is_past(used, self.rules.idle_after))
            }
            AuditReason::NeverUsed => !token.was_used && created_before(self.rules.never_used_after),
            AuditReason::Old => created_before(self.rules.old_after),
            AuditReason::OwnerSuspended => owner.is_some_and(ListedUser::is_suspended),
            AuditReason::OwnerNotApiOnly => owner.is_some_and(|owner| owner.api_only == Some(false)),
            AuditReason::Administrator => {
                owner.is_some_and(ListedUser::is_administrator) || is_administrator(&token.roles)
            }
            AuditReason::AddressChanged => {
                let earlier = self.earlier.and_then(|earlier| earlier.address(self.portal, token.id));
                earlier.is_some_and(|earlier| token.last_auth_ip.as_deref().is_some_and(|now| now != earlier))
            }
            AuditReason::Disabled => {
                let last = last_activity(token);
                return is_disabled(token)
                    && token.replaced_by().is_none()
                    && last.is_some_and(|last| self.is_past(last, self.rules.disabled_after));
            }
            AuditReason::NoNote => return token.note.as_deref().is_none_or(|note| note.trim().is_empty()),
            AuditReason::Expired => return token.is_expired(self.now),
            AuditReason::RotationStuck => {
                return token.marker.is_some_and(|marker| self.is_stuck(token, &marker));
            }
            AuditReason::Pending => return left_long_ago(token, self.now).is_some(),
        };
        applies && !is_disabled(token)
    }

    /// Returns whether a step of a rotation is overdue: to disable the token that was replaced, to delete it, or to
    /// disable the replacement that was given up.
    fn is_stuck(&self, token: &Token, marker: &Marker) -> bool {
        let is_overdue = |due: Option<i64>| due.is_some_and(|due| self.is_past(due, DAY));
        match marker.cancelled.or(marker.superseded) {
            Some(given_up) => !is_disabled(token) && is_overdue(Some(given_up)),
            None => {
                is_overdue(marker.replaces.and_then(|(_, after)| after))
                    || is_overdue(marker.replaced_by.map(|(_, after)| after))
            }
        }
    }

    fn is_past(&self, moment: i64, age: Duration) -> bool {
        let moment = u64::try_from(moment).map(Duration::from_secs);
        moment.is_ok_and(|moment| self.now.checked_sub(moment).is_some_and(|elapsed| elapsed > age))
    }

    /// Returns when the portal disables a token that stays unused, seconds since 1970-01-01 UTC.
    pub(super) fn portal_disables_on(&self, token: &Token) -> Option<i64> {
        let days = self.token_disabled_days.filter(|_| !is_disabled(token))?;
        let moment = last_activity(token)?.checked_add(days.checked_mul(SECONDS_PER_DAY)?)?;
        (moment <= END_OF_9999).then_some(moment)
    }
}

/// Returns whether a token is surely disabled.
pub(super) fn is_disabled(token: &Token) -> bool {
    token.status == Some(TokenStatus::Disabled)
}

/// Returns when a token was last used, or created if it was never used; `None` if that is unknown.
fn last_activity(token: &Token) -> Option<i64> {
    if token.was_used { token.last_used_on } else { token.created_on }
}
