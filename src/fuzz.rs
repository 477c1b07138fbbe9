//! Targets of the fuzzer: each gives its input to a parser of text from outside (the portal, files, commands,
//! arguments) and fails if the result lacks a property that holds for every input.
//!
//! They are compiled for the fuzzer (`make fuzz`) and for the unit tests, which replay the inputs in `fuzz/corpus`.

#![allow(clippy::panic, reason = "a target fails by panicking")]

mod explain;
mod notes;
mod outcome;
mod portal;
mod report;
mod tokens;

use std::borrow::Cow;

use crate::error::Error;

/// A target.
pub type Target = fn(&[u8]);

/// The targets by name.
pub const TARGETS: &[(&str, Target)] = &[
    #[cfg(feature = "cli")]
    ("bulk_input", crate::cli::fuzz_bulk_input),
    ("command_output", crate::credentials::fuzz_command_output),
    ("explain", explain::explain),
    #[cfg(feature = "sandbox")]
    ("filter", crate::sandbox::fuzz_filter),
    ("headers", crate::client::fuzz_headers),
    ("journal", crate::lifecycle::fuzz_journal),
    ("notes", notes::notes),
    ("outcome", outcome::outcome),
    ("portal", portal::portal),
    #[cfg(feature = "cli")]
    ("profiles", crate::cli::fuzz_profiles),
    ("report", report::report),
    ("tokens", tokens::tokens),
];

/// The text that stands for a secret in inputs.
pub(crate) const SECRET: &str = "unitSecret7x9";

/// Returns an input as text.
pub(crate) fn text(input: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(input)
}

/// Returns a text as its first line and the rest.
pub(crate) fn first_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// Fails if an error repeats the secret.
pub(crate) fn assert_hides_secret(error: &Error) {
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(SECRET), "{shown}");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::TARGETS;

    #[allow(clippy::print_stdout, reason = "names the input with which the test fails")]
    #[test]
    fn targets_accept_their_corpus() {
        /// Only a hang, or work that grows faster than the input, reaches it.
        const LIMIT: Duration = Duration::from_secs(20);
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            let inputs = fs::read_dir(corpus.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut count = 0;
            for input in inputs {
                let path = input.unwrap().path();
                println!("{}", path.display());
                let started = Instant::now();
                target(&fs::read(&path).unwrap());
                assert!(started.elapsed() < LIMIT);
                count += 1;
            }
            assert!(count > 0, "{name} has no inputs");
        }
    }
}
