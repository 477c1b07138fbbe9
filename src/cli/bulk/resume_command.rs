//! The command line that resumes a run.

use std::borrow::Cow;
use std::ffi::OsString;

/// Returns the user's own command line with `--resume`, quoted for a shell.
pub(super) fn of(arguments: &[OsString]) -> String {
    let mut words: Vec<Cow<'_, str>> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    // Words after `--` are not options.
    let options_end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    if !words.iter().take(options_end).any(|word| word == "--resume") {
        words.insert(options_end, "--resume".into());
    }
    // Quoting fails for NUL characters only, which arguments cannot contain.
    let quoted = shlex::try_join(words.iter().map(Cow::as_ref)).unwrap_or_default();
    format!("lmtokens {quoted}")
}

#[cfg(test)]
mod tests {
    use super::of;

    fn resumed(arguments: &[&str]) -> String {
        of(&arguments.iter().map(Into::into).collect::<Vec<_>>())
    }

    #[test]
    fn resume_is_added_once_and_as_an_option() {
        assert_eq!(resumed(&["bulk", "in.csv"]), "lmtokens bulk in.csv --resume");
        assert_eq!(resumed(&["bulk", "--resume", "in.csv"]), "lmtokens bulk --resume in.csv");
        assert_eq!(resumed(&["bulk", "--", "in put.csv"]), "lmtokens bulk --resume -- 'in put.csv'");
    }
}
