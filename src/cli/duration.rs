//! Durations as words of the command line.

use std::time::Duration;

/// Parses `90s`, `30m`, `24h`, `7d` or a number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];
    let unit = units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let (number, seconds) = unit.unwrap_or((text, 1.0));
    // Rust reads words like `inf` as numbers, too.
    let number =
        number.starts_with(|c: char| c.is_ascii_digit()).then(|| number.parse::<f64>().ok()).flatten();
    number
        .and_then(|number| Duration::try_from_secs_f64(number * seconds).ok())
        .ok_or_else(|| "expected a duration such as 90s, 30m, 24h or 7d, or a number of seconds".to_owned())
}
