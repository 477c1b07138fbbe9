//! The settings of a sandbox.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::arguments::expecting;
use super::rate_limit::Window;
use crate::error::Error;

/// The settings of a [`Portal`](super::Portal); the default behaves like the real portal, on a free port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The port of 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Requests per window for each method and endpoint; `None` keeps the real portal's rate limits.
    pub rate_limit: Option<u32>,
    /// The length of the rolling window of every rate limit, in seconds; `None` is 60.
    #[serde(rename = "window", deserialize_with = "read_window")]
    pub window_seconds: Option<f64>,
    /// How many seconds the portal's clock is ahead of the real one; a negative number is behind.
    #[serde(rename = "clock_offset")]
    pub clock_offset_seconds: i64,
    /// Derives every generated credential from this number; `None` uses the operating system's random numbers.
    pub seed: Option<u64>,
    /// How many failures of its access id in a row lock a token out; 0 never does.
    pub lock_out_after: u32,
    /// Lists report the negative of their total, as some endpoints of the real portal do.
    pub negative_totals: bool,
    /// How many requests the record keeps; the oldest are dropped first. 0 keeps none, which is fastest.
    pub record_limit: u32,
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

impl Settings {
    /// Returns the window of the rate limits.
    pub(super) fn window(&self) -> Result<Option<Duration>, Error> {
        let window =
            self.window_seconds.map(|seconds| Window::from_seconds("window", seconds)).transpose()?;
        Ok(window.map(Window::length))
    }
}

/// Reads the argument `window`; [`Settings::window`] checks its range.
fn read_window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    expecting(Option::deserialize(deserializer), Window::EXPECTED)
}
