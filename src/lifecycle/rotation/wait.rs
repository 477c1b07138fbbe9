//! Waiting by the portal's clock.

use std::time::Duration;

use super::guarded::{GuardedClient, SETTLES};
use super::wrong_state;
use crate::advice::Advice;
use crate::error::Result;
use crate::event::Event;
use crate::model::Token;
use crate::operation::Operation as _;
use crate::tokens::LearnPortalTime;

/// Returns whether this package may have written a mark with this time, by the portal's clock.
pub(super) fn is_plausible(since: i64, portal_now: i64) -> bool {
    since <= portal_now.saturating_add(SETTLES)
}

/// Waits until a mark on a token (cancelled, superseded) takes effect. `old` is the token that it is to replace.
pub(super) async fn await_mark(
    portal: &GuardedClient,
    old: &Token,
    marked: &Token,
    since: i64,
) -> Result<()> {
    if !is_plausible(since, portal.portal_now()?) {
        let problem = format!("the time in the note of token {} was changed by others", marked.id);
        return Err(wrong_state(old, &problem).suggest(Advice::CancelRotation { id: marked.id }));
    }
    // The mark is no younger than this, although the clock that judges may be behind the portal's.
    let since = since.min(portal.now()?);
    wait_until(portal, since.saturating_add(SETTLES), "the mark on a token takes effect").await
}

/// Waits until the portal's clock shows a time. `what` happens then.
pub(super) async fn wait_until(portal: &GuardedClient, until: i64, what: &'static str) -> Result<()> {
    const CLOCK_CHECK: Duration = Duration::from_millis(500);
    let client = portal.client();
    let can_advance = client.identity().portal.is_loopback();
    let mut is_reported = false;
    loop {
        let remaining = Duration::from_secs(until.saturating_sub(portal.now()?).try_into().unwrap_or(0));
        if remaining.is_zero() {
            return Ok(());
        }
        if !is_reported {
            client.report(Event::Waiting { what, remaining });
            is_reported = true;
        }
        // The clock of a sandbox can be advanced.
        let pause = if can_advance { remaining.min(CLOCK_CHECK) } else { remaining };
        // After the deadline, the request below fails.
        tokio::time::sleep(client.remaining().map_or(pause, |remaining| remaining.min(pause))).await;
        LearnPortalTime.run(client).await?;
    }
}
