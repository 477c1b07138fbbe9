//! Likely causes of rejected credentials. The portal returns one message for every cause; local facts narrow it down.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::credentials::{Credentials, Identity};
use crate::lmv1::TIME_WINDOW_MS;

/// Differences between two clocks below this are not worth a finding.
const NOTABLE_SKEW_MS: u64 = 60_000;

/// Access ids have this many characters in all of the vendor's samples.
const ACCESS_ID_LENGTH: usize = 20;

/// Returns the likely causes, likeliest first. Repeats no part of the credentials.
pub(super) fn of_rejected_credentials(identity: &Identity, date: Option<SystemTime>, now_ms: u64) -> String {
    let mut findings = Vec::new();
    let signed = matches!(identity.credentials, Credentials::Lmv1 { .. });
    if let Some(finding) = date.filter(|_| signed).and_then(|date| clock_skew(date, now_ms)) {
        // The sandbox compares signatures with its clock as it would be without advances.
        let exception = " (unless a sandbox's clock was advanced, which does not affect signatures)";
        findings.push(finding + if identity.portal.is_loopback() { exception } else { "" });
    }
    if let Credentials::Lmv1 { access_id, .. } = &identity.credentials
        && access_id.len() != ACCESS_ID_LENGTH
    {
        // The actual length is not shown: the value may be a key.
        findings.push(format!(
            "the access id does not have the {ACCESS_ID_LENGTH} characters that access ids usually have"
        ));
    }
    if let Credentials::Bearer { token } = &identity.credentials
        && !token.reveal().starts_with("lmb_")
    {
        findings.push("the bearer token does not begin with lmb_".to_owned());
    }
    if !identity.ignored_sources.is_empty() {
        findings.push(format!("{} is also set, but was ignored", identity.ignored_sources.join(", ")));
    }
    findings.push(format!(
        "check that the credentials from {} belong to the portal {} (government portals are on lmgov.us)",
        identity.credentials_from, identity.portal
    ));
    findings.push(
        "otherwise the id or the key is wrong, or the token or its user is disabled, deleted or locked out; do not \
         retry with the same credentials: repeated failures lock the token"
            .to_owned(),
    );
    findings.join("; ")
}

fn clock_skew(date: SystemTime, now_ms: u64) -> Option<String> {
    let portal_ms = u64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
    let skew = now_ms.abs_diff(portal_ms);
    if skew < NOTABLE_SKEW_MS {
        return None;
    }
    let direction = if now_ms > portal_ms { "ahead of" } else { "behind" };
    let verdict = if skew > TIME_WINDOW_MS {
        "and the portal accepts at most 30 minutes: set the clock"
    } else {
        "within the 30 minutes that the portal accepts"
    };
    Some(format!("this machine's clock is {} s {direction} the portal's, {verdict}", skew / 1000))
}
