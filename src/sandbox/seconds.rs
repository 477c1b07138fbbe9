//! Arguments that are numbers of seconds.

use std::time::Duration;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

use super::arguments::expecting;
use crate::error::Error;
use crate::times::END_OF_9999;

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

/// Reads a point in time. Milliseconds are refused: as seconds, they are a time after the year 9999.
pub(super) fn read_moment<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Into<Option<i64>> + Copy,
{
    const MOMENT: &str =
        "a whole number from 0 to 253402300799: seconds (not milliseconds) since 1970-01-01 UTC";
    let moment: T = expecting(T::deserialize(deserializer), MOMENT)?;
    match moment.into() {
        Some(seconds) if !(0..=END_OF_9999).contains(&seconds) => {
            Err(D::Error::invalid_value(Unexpected::Signed(seconds), &MOMENT))
        }
        _ => Ok(moment),
    }
}
