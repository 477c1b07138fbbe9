//! How long a connection may be idle before it is used again. A create must not be written to a connection that the
//! server is closing: its outcome would be unknown.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::HeaderMap;

/// Load balancers close idle connections after 60 s.
const DEFAULT_SECONDS: u64 = 20;

/// How much earlier than the server the client stops using a connection: the request takes time too.
const MARGIN_SECONDS: u64 = 1;

/// What is known about the idle connections of one client.
#[derive(Debug)]
pub(super) struct IdleConnections {
    /// The smallest limit of any response so far.
    limit_seconds: AtomicU64,
    /// When the last response ended, milliseconds since 1970-01-01 UTC; 0 before the first.
    since_ms: AtomicU64,
}

impl Default for IdleConnections {
    fn default() -> Self {
        Self { limit_seconds: AtomicU64::new(DEFAULT_SECONDS), since_ms: AtomicU64::new(0) }
    }
}

impl IdleConnections {
    /// Returns how long a connection may be idle; zero if none may be used again.
    pub(super) fn limit(&self) -> Duration {
        Duration::from_secs(self.limit_seconds.load(Ordering::SeqCst))
    }

    /// Takes note of the end of a response.
    pub(super) fn begin(&self, now_ms: u64) {
        self.since_ms.store(now_ms, Ordering::SeqCst);
    }

    /// Returns whether every idle connection is too old by the wall clock. The pool measures with the monotonic clock,
    /// which stops while a machine sleeps.
    pub(super) fn are_stale(&self, now_ms: u64) -> bool {
        let since_ms = self.since_ms.load(Ordering::SeqCst);
        since_ms > 0 && Duration::from_millis(now_ms.saturating_sub(since_ms)) > self.limit()
    }

    /// Takes note of the `Keep-Alive` header of a response. Returns whether the connections that are open now must not
    /// be used again.
    pub(super) fn learn(&self, headers: &HeaderMap) -> bool {
        let KeepAlive { timeout, max } = KeepAlive::of(headers);
        let limit = timeout.map_or(DEFAULT_SECONDS, |timeout| timeout.saturating_sub(MARGIN_SECONDS));
        let before = self.limit_seconds.fetch_min(limit, Ordering::SeqCst);
        limit < before || (max == Some(0) && before > 0)
    }
}

/// The parameters of `Keep-Alive`: seconds, and how many requests the connection still takes.
#[derive(Debug, Default, PartialEq, Eq)]
struct KeepAlive {
    timeout: Option<u64>,
    max: Option<u64>,
}

impl KeepAlive {
    /// Reads the header, the smallest number of each parameter. A number without a name is a timeout.
    fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let values = headers.get_all("keep-alive").iter();
        let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        for parameter in values.iter().flat_map(|value| value.split([',', ';'])) {
            let (name, value) = parameter.split_once('=').unwrap_or(("timeout", parameter));
            let name = name.trim();
            let known = if name.eq_ignore_ascii_case("timeout") {
                &mut found.timeout
            } else if name.eq_ignore_ascii_case("max") {
                &mut found.max
            } else {
                continue;
            };
            if let Some(number) = whole_seconds(value) {
                *known = Some(known.map_or(number, |known| known.min(number)));
            }
        }
        found
    }
}

/// Reads a number of seconds, rounded down; `None` if the value does not begin with one. In another unit, it may be a
/// short time, and counts as 0.
fn whole_seconds(value: &str) -> Option<u64> {
    let value = value.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'');
    let is_negative = value.starts_with('-');
    let digits = value.trim_start_matches(['-', '+']);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, unit) = digits.split_at_checked(end).filter(|(digits, _)| !digits.is_empty())?;
    let is_other_unit = unit
        .trim_start_matches(|c: char| c.is_whitespace() || c.is_ascii_digit() || c == '.')
        .starts_with(|c: char| c.is_alphabetic() && !c.eq_ignore_ascii_case(&'s'));
    // Too many digits for a number are a long time.
    let number = digits.parse().unwrap_or(u64::MAX);
    Some(if is_negative || is_other_unit { 0 } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| ("keep-alive".parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_header_is_read_in_every_spelling() {
        for (values, timeout, max) in [
            (&["timeout=5"][..], Some(5), None),
            (&["timeout=5, max=100"], Some(5), Some(100)),
            (&["TimeOut = 5 ;MAX=\"0\""], Some(5), Some(0)),
            (&["max=7,timeout=\"5\""], Some(5), Some(7)),
            (&["timeout=9", "timeout=5"], Some(5), None),
            (&["timeout=5, timeout=9"], Some(5), None),
            (&["timeout='5'"], Some(5), None),
            (&["5"], Some(5), None),
            (&["timeout=5s"], Some(5), None),
            (&["timeout=5.9"], Some(5), None),
            (&["timeout=5 sec"], Some(5), None),
            (&["timeout=1000ms"], Some(0), None),
            (&["timeout=1000 ms"], Some(0), None),
            (&["timeout=1.5m"], Some(0), None),
            (&["timeout=5, x=\u{e9}"], Some(5), None),
            (&["timeout=+5"], Some(5), None),
            (&["timeout=0"], Some(0), None),
            (&["timeout=-1"], Some(0), None),
            (&["timeout=99999999999999999999999"], Some(u64::MAX), None),
            (&["timeout=, max="], None, None),
            (&["timeout=soon"], None, None),
            (&["timeout"], None, None),
            (&["xtimeout=1, timeouts=1"], None, None),
            (&[""], None, None),
            (&[], None, None),
        ] {
            assert_eq!(KeepAlive::of(&headers(values)), KeepAlive { timeout, max }, "{values:?}");
        }
    }

    #[test]
    fn the_limit_only_falls() {
        let idle = IdleConnections::default();
        for (value, is_retired, seconds) in [
            ("timeout=60", false, 20),
            ("timeout=5", true, 4),
            ("timeout=5", false, 4),
            ("timeout=60", false, 4),
            ("max=0", true, 4),
            ("timeout=1", true, 0),
            ("max=0", false, 0),
        ] {
            assert_eq!(idle.learn(&headers(&[value])), is_retired, "{value}");
            assert_eq!(idle.limit(), Duration::from_secs(seconds), "{value}");
        }
    }
}
