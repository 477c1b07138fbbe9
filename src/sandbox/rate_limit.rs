//! Rate limits: a rolling window for each method and endpoint, shared by all users.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use axum::http::Method;
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

use super::arguments::expecting;
use super::seconds::duration;
use crate::error::Error;

const DEFAULT_WINDOW: Duration = Duration::from_secs(60);

/// Above this limit the window counts in steps, so that a benchmark does not store a time for each request.
const EXACT_UP_TO: u32 = 10_000;
const STEPS: u32 = 1000;

/// The length of a rate limit's window: more than 0 and at most a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window(Duration);

impl Window {
    pub(super) const EXPECTED: &str = "a number of seconds above 0, up to 86400";

    /// Checks a number of seconds; `name` is the name of the argument in the error.
    pub(super) fn from_seconds(name: &str, seconds: f64) -> Result<Self, Error> {
        Self::new(seconds).ok_or_else(|| Error::invalid(name, seconds, Self::EXPECTED))
    }

    fn new(seconds: f64) -> Option<Self> {
        duration(seconds).filter(|length| !length.is_zero()).map(Self)
    }

    pub(super) fn length(self) -> Duration {
        self.0
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = expecting(f64::deserialize(deserializer), Self::EXPECTED)?;
        Self::new(seconds).ok_or_else(|| D::Error::invalid_value(Unexpected::Float(seconds), &Self::EXPECTED))
    }
}

/// A number of requests per window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RateLimit {
    pub(super) limit: u32,
    pub(super) window: Duration,
}

/// The values of the rate limit headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    pub(super) window_seconds: u64,
}

/// The error for a request over the limit.
#[derive(Debug)]
pub(super) struct OverLimit(pub(super) Rate);

#[derive(Debug)]
pub(super) struct RateLimits {
    /// Replaces the real portal's limit of every method.
    limit: Option<u32>,
    window: Duration,
    by_method: HashMap<Method, RateLimit>,
    windows: HashMap<(Method, &'static str), RollingWindow>,
}

impl RateLimits {
    /// `limit` replaces the real portal's limit of every method.
    pub(super) fn new(limit: Option<u32>, window: Option<Duration>) -> Self {
        Self {
            limit,
            window: window.unwrap_or(DEFAULT_WINDOW),
            by_method: HashMap::new(),
            windows: HashMap::new(),
        }
    }

    /// Sets the rate limit of one method or of all; requests already counted still count.
    pub(super) fn set(&mut self, method: Option<Method>, rate_limit: RateLimit) {
        if let Some(method) = method {
            self.by_method.insert(method, rate_limit);
        } else {
            self.by_method.clear();
            (self.limit, self.window) = (Some(rate_limit.limit), rate_limit.window);
        }
    }

    /// Returns the rate limit of a method at each endpoint.
    pub(super) fn of(&self, method: &Method) -> RateLimit {
        self.by_method.get(method).copied().unwrap_or_else(|| RateLimit {
            limit: self.limit.unwrap_or_else(|| vendor_limit(method)),
            window: self.window,
        })
    }

    /// Counts a request; a request over the limit does not count.
    pub(super) fn count(
        &mut self,
        method: &Method,
        endpoint: &'static str,
        now: Instant,
    ) -> Result<Rate, OverLimit> {
        let rate_limit = self.of(method);
        self.windows.entry((method.clone(), endpoint)).or_default().count(rate_limit, now)
    }
}

impl RateLimit {
    pub(super) fn rate(self, remaining: u32) -> Rate {
        let whole = self.window.as_secs();
        // The header takes whole seconds. It is rounded up, so that a client that waits this long is not too early.
        let window_seconds = if self.window.subsec_nanos() == 0 { whole } else { whole + 1 };
        Rate { limit: self.limit, remaining, window_seconds }
    }
}

/// The vendor's default per minute, for endpoints without a limit of their own.
fn vendor_limit(method: &Method) -> u32 {
    match *method {
        Method::POST | Method::PUT => 200,
        Method::PATCH => 250,
        Method::DELETE => 300,
        _ => 500,
    }
}

/// The requests of the last window.
#[derive(Debug, Default)]
struct RollingWindow {
    /// The start of each step and the number of its requests, oldest first.
    steps: VecDeque<(Instant, u32)>,
    count: u32,
}

impl RollingWindow {
    fn count(&mut self, rate_limit: RateLimit, now: Instant) -> Result<Rate, OverLimit> {
        while let Some(&(since, count)) = self.steps.front()
            && now.saturating_duration_since(since) >= rate_limit.window
        {
            self.steps.pop_front();
            self.count -= count;
        }
        if self.count >= rate_limit.limit {
            return Err(OverLimit(rate_limit.rate(0)));
        }
        let step = if rate_limit.limit > EXACT_UP_TO { rate_limit.window / STEPS } else { Duration::ZERO };
        match self.steps.back_mut() {
            Some((since, count)) if now.saturating_duration_since(*since) < step => *count += 1,
            _ => self.steps.push_back((now, 1)),
        }
        self.count += 1;
        Ok(rate_limit.rate(rate_limit.limit - self.count))
    }
}
