//! Arguments that are numbers of seconds.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::arguments::expecting;
use crate::error::Error;

/// The longest time span that an argument may ask for.
const DAY: f64 = 86_400.0;

const SECONDS: &str = "a number of seconds from 0 to 86400";

/// Returns a time span of at most a day, or `None` if the number is not one.
pub(super) fn duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|_| seconds <= DAY)
}

/// Checks the argument `seconds`.
pub(super) fn check_seconds(seconds: Option<f64>) -> Result<(), Error> {
    match seconds {
        Some(number) if duration(number).is_none() => Err(Error::invalid("seconds", number, SECONDS)),
        _ => Ok(()),
    }
}

/// Reads the argument `seconds`; [`check_seconds`] checks its range.
pub(super) fn read_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    expecting(Option::deserialize(deserializer), SECONDS)
}
