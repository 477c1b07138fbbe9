//! What a portal is started with.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What a [`Portal`](super::Portal) is started with; [`Default`] is a faithful portal on a free port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The port of 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Requests per window for each method and endpoint; `None` keeps the defaults of the real portal.
    pub rate_limit: Option<u32>,
    /// The length of the rolling window of every rate limit, in seconds; `None` is 60.
    pub window_seconds: Option<f64>,
    /// How far the portal's clock runs ahead of the real one, in seconds; negative is behind.
    pub clock_offset_seconds: i64,
    /// Makes every made-up credential follow from this number; `None` draws them from the operating system.
    pub seed: Option<u64>,
    /// A token is locked out after this many failures of its access id in a row; 0 is never.
    pub lock_out_after: u32,
    /// Lists answer the negative of their total, as some endpoints of the real portal do.
    pub negative_totals: bool,
    /// How many requests the record keeps, newest last; 0 keeps none, which is fastest.
    pub record_limit: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 0,
            rate_limit: None,
            window_seconds: None,
            clock_offset_seconds: 0,
            seed: None,
            lock_out_after: 10,
            negative_totals: false,
            record_limit: 100_000,
        }
    }
}

/// The length of a rate limit's window.
pub(super) fn window(seconds: f64) -> Result<Duration, Error> {
    match duration("window_seconds", seconds)? {
        Duration::ZERO => Err(Error::argument("window_seconds must be more than 0")),
        window => Ok(window),
    }
}

/// A time span that a user wrote as seconds, of at most a day.
pub(super) fn duration(name: &str, seconds: f64) -> Result<Duration, Error> {
    const DAY: f64 = 86_400.0;
    Duration::try_from_secs_f64(seconds).ok().filter(|_| seconds <= DAY).ok_or_else(|| {
        Error::argument(format!("{name} {seconds} is not accepted: accepted are 0 to {DAY} seconds"))
    })
}
