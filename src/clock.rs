//! Time as the client and the signer read it.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of the current time. Tests replace it to move the clock.
pub trait Clock: Debug + Send + Sync {
    /// Returns milliseconds since 1970-01-01 UTC.
    fn now_ms(&self) -> u64;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

/// One moment by both clocks: the monotonic one stops while a machine sleeps, the wall clock can be set.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    monotonic: Instant,
    wall_ms: u64,
}

impl Moment {
    /// Returns the present, with the wall clock's milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn at(wall_ms: u64) -> Self {
        Self { monotonic: Instant::now(), wall_ms }
    }

    /// Returns the time since then, by the clock that advanced more.
    pub(crate) fn elapsed(&self, now_ms: u64) -> Duration {
        self.monotonic.elapsed().max(Duration::from_millis(now_ms.saturating_sub(self.wall_ms)))
    }
}
