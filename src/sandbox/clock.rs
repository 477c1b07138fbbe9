//! The portal's clock: the real clock plus an offset, and plus the time by which it was advanced.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

use super::arguments::expecting;
use crate::error::Error;
use crate::times::END_OF_9999_MS;

#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    offset_ms: i64,
    advanced: Duration,
}

impl Clock {
    pub(super) fn new(offset_seconds: i64) -> Self {
        Self { offset_ms: offset_ms(offset_seconds), advanced: Duration::ZERO }
    }

    /// Sets how many seconds the clock is ahead of the real one, apart from the time by which it was advanced.
    pub(super) fn set_offset(&mut self, seconds: i64) {
        self.offset_ms = offset_ms(seconds);
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, by: Duration) {
        self.advanced = self.advanced.saturating_add(by);
    }

    /// Returns milliseconds since 1970-01-01 UTC by the portal's clock.
    pub(super) fn now_ms(self) -> u64 {
        let advanced_ms = u64::try_from(self.advanced.as_millis()).unwrap_or(u64::MAX);
        self.time_of_clients_ms().saturating_add(advanced_ms).min(END_OF_9999_MS)
    }

    /// Returns the time with which signatures are compared, in milliseconds since 1970-01-01 UTC.
    ///
    /// It does not include the time by which the clock was advanced: the clocks of clients did not advance with it, and
    /// their signatures must not become stale.
    pub(super) fn time_of_clients_ms(self) -> u64 {
        real_now_ms().saturating_add_signed(self.offset_ms).min(END_OF_9999_MS)
    }

    /// Returns seconds since 1970-01-01 UTC by the portal's clock.
    pub(super) fn now_seconds(self) -> i64 {
        i64::try_from(self.now_ms() / 1000).unwrap_or(i64::MAX)
    }

    /// Returns a moment for measuring how much time passed, which never goes back: a change of the offset is not time
    /// that passed, but an advance is.
    pub(super) fn instant(self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.advanced).unwrap_or(now)
    }

    /// Returns the value of the `Date` header.
    pub(super) fn http_date(self) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(self.now_ms()))
    }
}

fn offset_ms(seconds: i64) -> i64 {
    seconds.saturating_mul(1000)
}

/// Returns milliseconds since 1970-01-01 UTC by the real clock.
pub(super) fn real_now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// How far to advance the clock: the sum of all members.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AdvanceArguments {
    #[serde(deserialize_with = "read_amount")]
    pub(crate) seconds: f64,
    #[serde(deserialize_with = "read_amount")]
    pub(crate) minutes: f64,
    #[serde(deserialize_with = "read_amount")]
    pub(crate) hours: f64,
    #[serde(deserialize_with = "read_amount")]
    pub(crate) days: f64,
}

impl AdvanceArguments {
    /// The most that one call advances the clock: 100 years.
    const LIMIT: f64 = 36_525.0 * Self::DAY;
    const DAY: f64 = 86_400.0;

    pub(super) fn total(self) -> Result<Duration, Error> {
        let seconds = self.seconds + self.minutes * 60.0 + self.hours * 3600.0 + self.days * Self::DAY;
        let total = Duration::try_from_secs_f64(seconds).ok().filter(|_| seconds <= Self::LIMIT);
        total.ok_or_else(|| Error::invalid("time span", format_args!("{seconds} s"), "at most 36525 days"))
    }
}

fn read_amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    const AMOUNT: &str = "a number, 0 or more: the clock cannot go back";
    let amount = expecting(f64::deserialize(deserializer), AMOUNT)?;
    if amount >= 0.0 { Ok(amount) } else { Err(D::Error::invalid_value(Unexpected::Float(amount), &AMOUNT)) }
}
