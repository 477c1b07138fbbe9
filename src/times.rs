//! Times of the portal: seconds since 1970-01-01 UTC in tokens, milliseconds in signatures.
//!
//! A number in another unit is a time before 2001 or after the year 9999, when there is no portal, and is refused.

use std::ops::RangeInclusive;

use crate::error::{Error, Result};

/// The last second of the year 9999, after which dates need more than four digits.
pub(crate) const END_OF_9999: i64 = 253_402_300_799;

/// The last millisecond of the year 9999.
pub(crate) const END_OF_9999_MS: u64 = 253_402_300_799_999;

/// The times of a portal, in seconds. As seconds, the minutes and days since 1970 and the seconds since the start of a
/// machine are less, and milliseconds are more.
const SECONDS: RangeInclusive<i64> = 1_000_000_000..=END_OF_9999;

/// The times of a portal, in milliseconds.
const MILLISECONDS: RangeInclusive<u64> = 1_000_000_000_000..=END_OF_9999_MS;

/// A point in time, down to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timestamp {
    /// Whole seconds since 1970-01-01 UTC, rounded down.
    pub(crate) seconds: i64,
    /// Whether a fraction of a second follows.
    pub(crate) has_fraction: bool,
}

impl Timestamp {
    /// The accepted values of an argument, for messages.
    pub(crate) const EXPECTED: &str = "an aware datetime, or seconds (not milliseconds) since 1970-01-01 UTC";

    /// Checks a number of seconds; 0 means never.
    pub(crate) fn from_seconds(name: &str, seconds: f64) -> Result<Self> {
        #[allow(clippy::cast_possible_truncation, reason = "a number that does not fit is out of range")]
        let whole = seconds.floor() as i64;
        if seconds == 0.0 || SECONDS.contains(&whole) {
            return Ok(Self { seconds: whole, has_fraction: seconds.fract() != 0.0 });
        }
        let (first, last) = (SECONDS.start(), SECONDS.end());
        let expected =
            format_args!("{}: 0, or from {first} (in 2001) to {last} (the end of 9999)", Self::EXPECTED);
        Err(Error::invalid(name, seconds, expected))
    }
}

/// The accepted times of a signature, for messages.
pub(crate) const EXPECTED_MILLISECONDS: &str = "milliseconds since 1970-01-01 UTC: 0, or from 1000000000000 (in 2001) to \
                                                253402300799999 (the end of 9999)";

/// Checks the time of a signature; 0 is for test vectors.
pub(crate) fn milliseconds(name: &str, number: i64) -> Result<u64> {
    match u64::try_from(number) {
        Ok(milliseconds) if milliseconds == 0 || MILLISECONDS.contains(&milliseconds) => Ok(milliseconds),
        _ if SECONDS.contains(&number) => Err(Error::argument(format!(
            "invalid {name} {number}, which is a number of seconds; expected {EXPECTED_MILLISECONDS}; multiply it by 1000"
        ))),
        _ => Err(Error::invalid(name, number, EXPECTED_MILLISECONDS)),
    }
}
