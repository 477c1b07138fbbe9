//! The portal's clock, as its responses report it.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use crate::lock::locked;

/// The last `Date` header and when it arrived.
#[derive(Debug, Default)]
pub(super) struct PortalClock(Mutex<Option<Reading>>);

#[derive(Debug, Clone, Copy)]
struct Reading {
    date: SystemTime,
    received: Instant,
    /// The same moment by the client's clock.
    received_ms: u64,
}

impl PortalClock {
    pub(super) fn set(&self, date: SystemTime, now_ms: u64) {
        *locked(&self.0) = Some(Reading { date, received: Instant::now(), received_ms: now_ms });
    }

    /// Returns the portal's time now. `None` before the first response, and if the time since the last one is
    /// uncertain: the monotonic clock stops while a machine sleeps, and the client's clock can be set.
    pub(super) fn now(&self, now_ms: u64) -> Option<SystemTime> {
        const MAX_DIFFERENCE: Duration = Duration::from_secs(60);
        let Reading { date, received, received_ms } = (*locked(&self.0))?;
        let elapsed = received.elapsed();
        let by_wall_clock = Duration::from_millis(now_ms.checked_sub(received_ms)?);
        if elapsed.abs_diff(by_wall_clock) > MAX_DIFFERENCE {
            return None;
        }
        date.checked_add(elapsed)
    }
}
