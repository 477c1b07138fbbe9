//! The command that goes on with a run.

use std::ffi::OsString;

use crate::token_output::quoted;

/// The words that the user gave, and `--resume` where it was not among them.
pub(super) fn of(arguments: &[OsString]) -> String {
    let mut words: Vec<String> = arguments.iter().map(|word| shown(&word.to_string_lossy())).collect();
    if !words.iter().any(|word| word == "--resume") {
        words.push("--resume".to_owned());
    }
    format!("lmtokens {}", words.join(" "))
}

fn shown(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { quoted(word) }
}
