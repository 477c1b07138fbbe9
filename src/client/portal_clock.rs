//! The portal's clock, as its responses report it.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use crate::lock::locked;

/// The last `Date` header and when it arrived.
#[derive(Debug, Default)]
pub(super) struct PortalClock(Mutex<Option<(SystemTime, Instant)>>);

impl PortalClock {
    pub(super) fn set(&self, date: SystemTime) {
        *locked(&self.0) = Some((date, Instant::now()));
    }

    /// Returns the portal's time now, at most a day after the last response; `None` before the first response.
    pub(super) fn now(&self) -> Option<SystemTime> {
        const MAX_ADVANCE: Duration = Duration::from_secs(86_400);
        let (date, received) = (*locked(&self.0))?;
        date.checked_add(received.elapsed().min(MAX_ADVANCE))
    }
}
