//! Placeholders in `--to`, such as `{row}`.

use crate::error::{Error, Result};

/// Returns a word with its placeholders filled in. `value` returns the value of a name, or `None` if it is not known. The
/// word is one of a command that is split already, so that no value becomes another argument.
pub(super) fn fill(
    word: &str,
    expected: &str,
    value: impl Fn(&str) -> Result<Option<String>>,
) -> Result<String> {
    let mut filled = String::with_capacity(word.len());
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or_default();
        let Some(value) = value(name)? else {
            return Err(Error::invalid("placeholder in --to", format_args!("{word:?}"), expected));
        };
        filled.push_str(before);
        filled.push_str(&value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}
