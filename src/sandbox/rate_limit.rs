//! Rate limits: a rolling window for each method and endpoint, shared by the whole account.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use axum::http::Method;

const WINDOW: Duration = Duration::from_secs(60);

/// Above this limit the window counts in steps, so that a benchmark does not keep a time stamp for each request.
const EXACT_UP_TO: u32 = 10_000;
const STEPS: u32 = 1000;

/// So many requests per window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RateLimit {
    pub(super) limit: u32,
    pub(super) window: Duration,
}

/// What the rate headers tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    pub(super) window_seconds: u64,
}

/// A request over the limit.
#[derive(Debug)]
pub(super) struct OverLimit(pub(super) Rate);

#[derive(Debug)]
pub(super) struct RateLimits {
    standard: Option<u32>,
    window: Duration,
    set: HashMap<Method, RateLimit>,
    buckets: HashMap<(Method, &'static str), Bucket>,
}

impl RateLimits {
    /// `standard` replaces the default limit of every method.
    pub(super) fn new(standard: Option<u32>, window: Option<Duration>) -> Self {
        Self { standard, window: window.unwrap_or(WINDOW), set: HashMap::new(), buckets: HashMap::new() }
    }

    /// Sets the rate limit of one method, or of every one; what was spent stays spent.
    pub(super) fn set(&mut self, method: Option<Method>, rate_limit: RateLimit) {
        if let Some(method) = method {
            self.set.insert(method, rate_limit);
        } else {
            self.set.clear();
            (self.standard, self.window) = (Some(rate_limit.limit), rate_limit.window);
        }
    }

    /// What one method may do at each endpoint.
    pub(super) fn of(&self, method: &Method) -> RateLimit {
        self.set.get(method).copied().unwrap_or_else(|| RateLimit {
            limit: self.standard.unwrap_or_else(|| default_limit(method)),
            window: self.window,
        })
    }

    /// Spends one request; one that is refused costs nothing.
    pub(super) fn spend(
        &mut self,
        method: &Method,
        endpoint: &'static str,
        now: Instant,
    ) -> Result<Rate, OverLimit> {
        let rate_limit = self.of(method);
        self.buckets.entry((method.clone(), endpoint)).or_default().spend(rate_limit, now)
    }
}

impl RateLimit {
    pub(super) fn rate(self, remaining: u32) -> Rate {
        let whole = self.window.as_secs();
        // The header knows whole seconds only; rounded up, whoever waits that long is never early.
        let window_seconds = if self.window.subsec_nanos() == 0 { whole } else { whole + 1 };
        Rate { limit: self.limit, remaining, window_seconds }
    }
}

/// The vendor's defaults for endpoints without a limit of their own, per minute.
fn default_limit(method: &Method) -> u32 {
    match *method {
        Method::POST | Method::PUT => 200,
        Method::PATCH => 250,
        Method::DELETE => 300,
        _ => 500,
    }
}

/// The requests of the last window, as (since, how many).
#[derive(Debug, Default)]
struct Bucket {
    spent: VecDeque<(Instant, u32)>,
    count: u32,
}

impl Bucket {
    fn spend(&mut self, rate_limit: RateLimit, now: Instant) -> Result<Rate, OverLimit> {
        while let Some(&(since, count)) = self.spent.front()
            && now.saturating_duration_since(since) >= rate_limit.window
        {
            self.spent.pop_front();
            self.count -= count;
        }
        if self.count >= rate_limit.limit {
            return Err(OverLimit(rate_limit.rate(0)));
        }
        let step = if rate_limit.limit > EXACT_UP_TO { rate_limit.window / STEPS } else { Duration::ZERO };
        match self.spent.back_mut() {
            Some((since, count)) if now.saturating_duration_since(*since) < step => *count += 1,
            _ => self.spent.push_back((now, 1)),
        }
        self.count += 1;
        Ok(rate_limit.rate(rate_limit.limit - self.count))
    }
}
