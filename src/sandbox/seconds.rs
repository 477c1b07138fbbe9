//! Arguments that are numbers of seconds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::arguments::expecting;
use crate::error::Error;
use crate::times::END_OF_9999;

/// The longest time span that an argument may ask for, in seconds.
const LIMIT: f64 = 86_400.0;

const SECONDS: &str = "a number of seconds from 0 to 86400";

/// A time span of at most a day; 0 by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Seconds(Duration);

impl Seconds {
    /// Returns the time span; `None` if the number is not from 0 to 86400.
    #[must_use]
    pub fn new(seconds: f64) -> Option<Self> {
        duration(seconds).map(Self)
    }

    pub(super) fn length(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_secs_f64().fmt(f)
    }
}

/// For the shell.
impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().ok().and_then(Self::new).ok_or_else(|| format!("expected {SECONDS}"))
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = expecting(f64::deserialize(deserializer), SECONDS)?;
        Self::new(seconds).ok_or_else(|| D::Error::invalid_value(Unexpected::Float(seconds), &SECONDS))
    }
}

/// Returns a time span of at most a day, or `None` if the number is not one.
pub(super) fn duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|_| seconds <= LIMIT)
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
