//! Likely causes of rejected credentials. The portal returns one message for every cause; local facts narrow it down.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::advice::Advice;
use crate::credentials::{Credentials, Identity};
use crate::lmv1::TIME_WINDOW_MS;

/// Differences between two clocks below this are not worth a finding.
const NOTABLE_SKEW_MS: u64 = 60_000;

/// Access ids have this many characters in all of the vendor's samples.
pub(crate) const ACCESS_ID_LENGTH: usize = 20;

/// Returns the likely causes, likeliest first. Repeats no part of the credentials.
pub(super) fn of_rejected_credentials(
    identity: &Identity,
    date: Option<SystemTime>,
    now_ms: u64,
) -> Vec<Advice> {
    let mut findings = Vec::new();
    let signed = matches!(identity.credentials, Some(Credentials::Lmv1 { .. }));
    if let Some(skew) = date.filter(|_| signed).and_then(|date| ClockSkew::of(date, now_ms)) {
        let verdict = if skew.is_accepted() {
            "within the 30 minutes that the portal accepts"
        } else {
            "and the portal accepts at most 30 minutes: set the clock"
        };
        // The sandbox compares signatures with its clock as it would be without advances.
        let exception = if identity.portal.is_loopback() {
            " (unless a sandbox's clock was advanced, which does not affect signatures)"
        } else {
            ""
        };
        findings.push(format!("{skew}, {verdict}{exception}"));
    }
    if let Some(Credentials::Lmv1 { access_id, .. }) = &identity.credentials
        && access_id.len() != ACCESS_ID_LENGTH
    {
        // The actual length is not shown: the value may be a key.
        findings.push(format!(
            "the access id does not have the {ACCESS_ID_LENGTH} characters that access ids usually have"
        ));
    }
    if let Some(Credentials::Bearer { token }) = &identity.credentials
        && !token.reveal().starts_with("lmb_")
    {
        findings.push("the bearer token does not begin with lmb_".to_owned());
    }
    if !identity.ignored_sources.is_empty() {
        findings.push(format!("{} is also set, but was ignored", identity.ignored_sources.join(", ")));
    }
    findings.push(format!(
        "check that the credentials from {} belong to the portal {} from {} (government portals are on lmgov.us)",
        identity.credentials_from,
        identity.shown_portal(),
        identity.portal_from
    ));
    findings.push(
        "otherwise the id or the key is wrong, or the token or its user is disabled, deleted or locked out; do not \
         retry with the same credentials: repeated failures lock the token"
            .to_owned(),
    );
    findings.into_iter().map(Advice::from).collect()
}

/// A notable difference between this machine's clock and the portal's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockSkew {
    milliseconds: u64,
    is_ahead: bool,
}

impl ClockSkew {
    /// Compares the clocks; `None` if they agree.
    pub(crate) fn of(date: SystemTime, now_ms: u64) -> Option<Self> {
        let portal_ms = u64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
        let milliseconds = now_ms.abs_diff(portal_ms);
        (milliseconds >= NOTABLE_SKEW_MS).then_some(Self { milliseconds, is_ahead: now_ms > portal_ms })
    }

    /// Returns whether the portal accepts signatures of this machine.
    pub(crate) fn is_accepted(self) -> bool {
        self.milliseconds <= TIME_WINDOW_MS
    }
}

impl fmt::Display for ClockSkew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.is_ahead { "ahead of" } else { "behind" };
        write!(f, "this machine's clock is {} s {direction} the portal's", self.milliseconds / 1000)
    }
}
