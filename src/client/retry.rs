//! Whether and when to send a request again.

use std::time::Duration;

use super::limiter::OnLimit;
use super::request::Method;
use crate::error::{Error, ErrorKind, Result};

/// How often a request may be sent, and how long it and the call that it belongs to may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The most attempts, including the first. A retry after a 429 is limited by `max_wait` instead, but counts as an
    /// attempt if another error follows. 1 disables every retry, also after a 429.
    pub max_attempts: u32,
    /// The most time for the whole call; `None` sets no limit beyond the timeouts of each attempt.
    pub deadline: Option<Duration>,
    /// Whether to wait if the rate limit is reached.
    pub on_limit: OnLimit,
    /// The most time that a request may wait for permits in total.
    pub max_wait: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { max_attempts: 3, deadline: None, on_limit: OnLimit::Wait, max_wait: Duration::from_secs(120) }
    }
}

/// Whether and when a request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryDecision {
    No,
    After(Duration),
    /// As soon as the rate limit grants a permit.
    WhenPermitted,
}

impl RetryDecision {
    /// Returns the pause before the next attempt, if it is known.
    pub(super) fn pause(self) -> Option<Duration> {
        match self {
            Self::After(pause) => Some(pause),
            Self::No | Self::WhenPermitted => None,
        }
    }
}

impl Policy {
    const FIRST_PAUSE: Duration = Duration::from_millis(500);
    const MAX_PAUSE: Duration = Duration::from_secs(20);

    /// Creates a policy from a caller's arguments; times are in seconds, and `None` stands for the default.
    pub fn new(
        max_attempts: Option<i64>,
        deadline: Option<f64>,
        on_limit: OnLimit,
        max_wait: Option<f64>,
    ) -> Result<Self> {
        let default = Self::default();
        Ok(Self {
            max_attempts: max_attempts.map_or(Ok(default.max_attempts), attempts)?,
            deadline: deadline.map(|given| seconds("deadline", given, false)).transpose()?,
            on_limit,
            max_wait: max_wait.map_or(Ok(default.max_wait), |given| seconds("max_wait", given, true))?,
        })
    }

    /// Returns the pause after an attempt, counted from 1: exponential back-off with full jitter.
    #[must_use]
    pub fn pause(self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(16);
        let longest = Self::FIRST_PAUSE.saturating_mul(1 << doublings).min(Self::MAX_PAUSE);
        // From the operating system, so that forked children pause differently.
        let random = getrandom::u32().unwrap_or(u32::MAX / 2);
        longest.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// Returns whether to send a request again after attempt number `attempts` failed with `error`.
    pub(super) fn retry(&self, method: Method, error: &Error, attempts: u32) -> RetryDecision {
        if self.max_attempts == 1 || !may_repeat(method, error) {
            RetryDecision::No
        } else if error.kind() == ErrorKind::RateLimit {
            match self.on_limit {
                OnLimit::Wait => RetryDecision::WhenPermitted,
                OnLimit::Raise => RetryDecision::No,
            }
        } else if attempts < self.max_attempts {
            RetryDecision::After(self.pause(attempts))
        } else {
            RetryDecision::No
        }
    }
}

/// Returns whether sending the request again is harmless and may help.
///
/// A request that cannot have reached the portal, or that the portal rejected with 429, may be repeated with any
/// method. Otherwise only GET, PATCH and DELETE may be: they are idempotent. A POST that may have created something
/// never is.
fn may_repeat(method: Method, error: &Error) -> bool {
    let details = error.details();
    let is_idempotent = method != Method::Post;
    match details.kind {
        // A POST is repeated only after status 429. A rate-limit error in the body of a 200 is undocumented, so the
        // portal may have created something.
        ErrorKind::RateLimit => is_idempotent || details.status == Some(429),
        // A proxy's refusal is final: repeated wrong passwords may lock the account.
        ErrorKind::Connect => !details.is_refused_by_proxy,
        ErrorKind::RequestTimeout | ErrorKind::Transport => is_idempotent || !details.maybe_applied,
        ErrorKind::Server => is_idempotent && matches!(details.status, Some(502..=504)),
        _ => false,
    }
}

fn attempts(given: i64) -> Result<u32> {
    const MAX_ATTEMPTS: u32 = 100;
    let accepted = u32::try_from(given).ok().filter(|given| (1..=MAX_ATTEMPTS).contains(given));
    accepted.ok_or_else(|| {
        Error::invalid("max_attempts", given, format_args!("1 (the first attempt only) to {MAX_ATTEMPTS}"))
    })
}

fn seconds(name: &str, given: f64, may_be_zero: bool) -> Result<Duration> {
    const MAX_SECONDS: f64 = 86_400.0 * 365.0;
    let is_accepted = given <= MAX_SECONDS && (given > 0.0 || (may_be_zero && given == 0.0));
    is_accepted.then(|| Duration::from_secs_f64(given)).ok_or_else(|| {
        let range = if may_be_zero { "from 0 to a year" } else { "above 0 and up to a year" };
        Error::invalid(name, given, format_args!("a number of seconds {range}"))
    })
}
