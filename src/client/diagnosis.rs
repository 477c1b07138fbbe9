//! Why credentials may have been refused. The portal gives one message for every cause; what is known here narrows it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::credentials::{Credentials, Identity};
use crate::lmv1::TIME_WINDOW_MS;

/// Below this a difference between two clocks is no finding.
const NOTABLE_SKEW_MS: u64 = 60_000;

/// Access ids have this many characters in every sample of the vendor's.
const ACCESS_ID_LENGTH: usize = 20;

/// What to look at, likeliest first. Repeats nothing of the credentials.
pub(super) fn of_refused_credentials(identity: &Identity, date: Option<SystemTime>, now_ms: u64) -> String {
    let mut findings = Vec::new();
    let signed = matches!(identity.credentials, Credentials::Lmv1 { .. });
    if let Some(finding) = date.filter(|_| signed).and_then(|date| clock_skew(date, now_ms)) {
        findings.push(finding);
    }
    if let Credentials::Lmv1 { access_id, .. } = &identity.credentials
        && access_id.len() != ACCESS_ID_LENGTH
    {
        // Not how many it has: it may be a key.
        findings.push(format!(
            "the access id does not have the {ACCESS_ID_LENGTH} characters that access ids usually have"
        ));
    }
    if let Credentials::Bearer { token } = &identity.credentials
        && !token.reveal().starts_with("lmb_")
    {
        findings.push("the bearer token does not begin with lmb_ as the portal's do".to_owned());
    }
    if !identity.ignored_sources.is_empty() {
        findings.push(format!("{} is set too and was not used", identity.ignored_sources.join(", ")));
    }
    findings.push(format!(
        "the credentials came from {} and the portal is {}: check that they belong together (government portals are on \
         lmgov.us)",
        identity.credentials_from, identity.portal
    ));
    findings.push(
        "otherwise the id or the key is wrong, or the token or its user is disabled, deleted or locked out; repeats \
         lock a token, so do not simply call again"
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
        "the portal refuses signatures that are more than 30 minutes off: set the clock"
    } else {
        "which is within the 30 minutes that the portal accepts"
    };
    Some(format!("this machine's clock is {} s {direction} the portal's, {verdict}", skew / 1000))
}
