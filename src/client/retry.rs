//! When to send again, and how long to wait before.

use std::time::Duration;

use crate::ports::Random;

/// How often a request may be sent, and how long the pauses between are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How often a request is sent at most, the first time included.
    pub max_attempts: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { max_attempts: 3 }
    }
}

impl Retry {
    const FIRST_PAUSE: Duration = Duration::from_millis(500);
    const LONGEST_PAUSE: Duration = Duration::from_secs(20);

    /// Exponential back-off with full jitter, after the attempt of this number, counted from 1.
    #[must_use]
    pub fn pause(self, attempt: u32, random: &dyn Random) -> Duration {
        let doublings = attempt.saturating_sub(1).min(16);
        let longest = Self::FIRST_PAUSE.saturating_mul(1 << doublings).min(Self::LONGEST_PAUSE);
        longest.mul_f64(random.unit().clamp(0.0, 1.0))
    }
}
