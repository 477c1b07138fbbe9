//! The portal's clock: the real clock plus an offset.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::times::END_OF_9999_MS;

#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    offset_ms: i64,
}

impl Clock {
    pub(super) fn new(offset_seconds: i64) -> Self {
        Self { offset_ms: offset_seconds.saturating_mul(1000) }
    }

    /// Returns milliseconds since 1970-01-01 UTC by the portal's clock.
    pub(super) fn now_ms(self) -> u64 {
        real_now_ms().saturating_add_signed(self.offset_ms).min(END_OF_9999_MS)
    }

    /// Returns seconds since 1970-01-01 UTC by the portal's clock.
    pub(super) fn now_seconds(self) -> i64 {
        i64::try_from(self.now_ms() / 1000).unwrap_or(i64::MAX)
    }

    /// Returns the value of the `Date` header.
    pub(super) fn http_date(self) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(self.now_ms()))
    }
}

/// Returns milliseconds since 1970-01-01 UTC by the real clock.
pub(super) fn real_now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
