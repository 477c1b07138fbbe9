//! When to send again, how long to wait before, and when to give up.

use std::time::Duration;

use super::limiter::OnLimit;
use crate::error::{Error, Result};

/// How often a request may be sent, and how long it may take with all its pauses and waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How often a request is sent at most, the first time included. Refusals for the budget's sake (429) do not count,
    /// but that 1 means once.
    pub max_attempts: u32,
    /// How long a request may take in all; `None` sets no limit beyond those of its parts.
    pub deadline: Option<Duration>,
    /// Whether to wait where the budget is spent.
    pub on_limit: OnLimit,
    /// How long a request may wait for its budget in all.
    pub max_wait: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { max_attempts: 3, deadline: None, on_limit: OnLimit::Wait, max_wait: Duration::from_secs(120) }
    }
}

impl Policy {
    /// As a caller gives it: seconds, and a word for what to do where the budget is spent.
    pub fn of(
        max_attempts: Option<i64>,
        deadline: Option<f64>,
        on_limit: Option<&str>,
        max_wait: Option<f64>,
    ) -> Result<Self> {
        const MOST_ATTEMPTS: i64 = 100;
        const MOST_SECONDS: f64 = 86_400.0 * 365.0;
        let seconds = |name: &str, given: f64, from_zero: bool| {
            let accepted =
                given.is_finite() && given <= MOST_SECONDS && (given > 0.0 || (from_zero && given == 0.0));
            accepted.then(|| Duration::from_secs_f64(given)).ok_or_else(|| {
                let least = if from_zero { "from 0" } else { "above 0" };
                Error::argument(format!(
                    "{name} {given} is not accepted: accepted are seconds, {least} to a year"
                ))
            })
        };
        let mut policy = Self::default();
        if let Some(given) = max_attempts {
            policy.max_attempts =
                u32::try_from(given).ok().filter(|_| (1..=MOST_ATTEMPTS).contains(&given)).ok_or_else(|| {
                    Error::argument(format!(
                        "max_attempts {given} is not accepted: accepted are 1 (the first attempt only) to {MOST_ATTEMPTS}"
                    ))
                })?;
        }
        policy.deadline = deadline.map(|given| seconds("deadline", given, false)).transpose()?;
        policy.on_limit = match on_limit {
            None | Some("wait") => OnLimit::Wait,
            Some("raise") => OnLimit::Raise,
            Some(other) => {
                return Err(Error::argument(format!(
                    "on_limit {other:?} is not accepted: accepted are \"wait\" and \"raise\""
                )));
            }
        };
        if let Some(given) = max_wait {
            policy.max_wait = seconds("max_wait", given, true)?;
        }
        Ok(policy)
    }

    const FIRST_PAUSE: Duration = Duration::from_millis(500);
    const LONGEST_PAUSE: Duration = Duration::from_secs(20);

    /// Exponential back-off with full jitter, after the attempt of this number, counted from 1.
    #[must_use]
    pub fn pause(self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(16);
        let longest = Self::FIRST_PAUSE.saturating_mul(1 << doublings).min(Self::LONGEST_PAUSE);
        // From the operating system, so that forked children do not pause alike.
        let random = getrandom::u32().unwrap_or(u32::MAX / 2);
        longest.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}
