//! Errors of invalid command lines, beyond what clap says.

use std::error::Error as _;
use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::secret::MASK;

/// The longest value that errors repeat: enough for numbers, durations and most names. Keys are longer.
const MAX_SHOWN_VALUE: usize = 16;
/// The longest name of an option that errors repeat.
const MAX_SHOWN_OPTION: usize = 24;

const RUN_IN_SANDBOX: &str = "to run a command, write lmtokens sandbox -- COMMAND";
const INJECT_FAULT: &str = "inject a fault into the running sandbox: curl \"${LM_BASE_URL%/santaba/rest}/sandbox/faults\" \
                            -d '{\"kind\": \"act-then-close\", \"method\": \"POST\"}'";

/// Words that users of similar programs try, and the commands that they mean.
const SYNONYMS: [(&str, &str); 15] = [
    ("create", "add"),
    ("new", "add"),
    ("ls", "list"),
    ("tokens", "list"),
    ("get", "show"),
    ("find", "show"),
    ("edit", "update"),
    ("set", "update"),
    ("activate", "enable"),
    ("suspend", "disable"),
    ("rm", "delete"),
    ("remove", "delete"),
    ("revoke", "delete"),
    ("admins", "users"),
    ("clean", "sweep"),
];

/// Masks a word that is neither known, nor short and either a format or similar to a known one: it may be a secret in
/// the wrong place. A long word is masked with its suggestion, because clap also takes some keys for misspelt words.
pub(super) fn mask_unknown_word(error: &mut clap::Error, arguments: &[OsString]) {
    let (kind, suggestion) = match error.kind() {
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand),
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        ErrorKind::InvalidValue | ErrorKind::TooManyValues => {
            (ContextKind::InvalidValue, ContextKind::SuggestedValue)
        }
        _ => return,
    };
    let Some(ContextValue::String(word)) = error.get(kind) else { return };
    let is_short = word.chars().count() <= MAX_SHOWN_VALUE;
    let is_known = word.is_empty()
        || (is_short && (error.get(suggestion).is_some() || is_of_format(error)))
        || (kind == ContextKind::InvalidSubcommand && SYNONYMS.iter().any(|(synonym, _)| synonym == word))
        || (kind == ContextKind::InvalidArg && is_option_name(word, arguments))
        || (is_short && is_of_sandbox(error) && is_plain(word));
    if !is_known {
        error.insert(kind, ContextValue::String(MASK.to_owned()));
        error.remove(suggestion);
        // They repeat the word.
        error.remove(ContextKind::Suggested);
    }
}

/// Returns whether an error is about the value of an option for a format, which is no place for a secret.
fn is_of_format(error: &clap::Error) -> bool {
    matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(option)) if option.ends_with("<FORMAT>"))
}

/// Returns whether an error is about `lmtokens sandbox`, which needs no credentials.
fn is_of_sandbox(error: &clap::Error) -> bool {
    matches!(error.get(ContextKind::Usage), Some(ContextValue::StyledStr(usage))
        if usage.to_string().starts_with("Usage: lmtokens sandbox [OPTIONS]"))
}

fn is_plain(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

/// Returns whether a word is the name of an option, though perhaps of no existing one, and not a key that begins with a
/// hyphen. clap shows only the first characters of a short option.
fn is_option_name(word: &str, arguments: &[OsString]) -> bool {
    match word.strip_prefix("--") {
        Some(name) => variable(name).is_some() || (word.len() <= MAX_SHOWN_OPTION && is_plain(name)),
        None => arguments.iter().any(|argument| argument == word) && word.chars().count() == 2,
    }
}

/// Returns the error for a word that looks like an option in the place of a note. Only the name of the option is shown.
pub(super) fn option_after_note(command: &mut Command, word: &str) -> clap::Error {
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    let shown = if is_option_name(name, &[name.into()]) { name } else { MASK };
    let message = format!("--note has no value: {shown} follows; if that is the note, write --note=NOTE");
    let mut error = command.error(ErrorKind::InvalidValue, message);
    // For the advice.
    error.insert(ContextKind::InvalidArg, ContextValue::String(name.to_owned()));
    error
}

/// Returns the text of an error, with its usage. A long value may be a secret, and is masked.
pub(super) fn text(error: &clap::Error) -> String {
    let text = error.render().to_string().trim_end().to_owned();
    let (Some(source), Some(ContextValue::String(value))) =
        (error.source(), error.get(ContextKind::InvalidValue))
    else {
        return text;
    };
    let (source, quoted) = (source.to_string(), format!("{value:?}"));
    let text = match source.split_once("; expected ") {
        // The value again, by the name that Python has for it.
        Some((invalid, expected))
            if invalid.ends_with(&quoted) || invalid.ends_with(&format!(" {value}")) =>
        {
            text.replacen(&format!(": {source}"), &format!("; expected {expected}"), 1)
        }
        _ => text,
    };
    if value.chars().count() <= MAX_SHOWN_VALUE {
        return text;
    }
    text.replace(&quoted, &format!("{MASK:?}")).replace(value, MASK)
}

/// Returns what the user can do about an error. Suggestions of clap that are wrong for secrets are removed from it.
pub(super) fn advice(error: &mut clap::Error) -> Option<String> {
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = named(ContextKind::InvalidSubcommand)?;
            let (_, meant) = SYNONYMS.iter().find(|(synonym, _)| *synonym == word)?;
            Some(format!("use lmtokens {meant}"))
        }
        ErrorKind::UnknownArgument | ErrorKind::InvalidValue => {
            let word = named(ContextKind::InvalidArg)?;
            if error.kind() == ErrorKind::UnknownArgument && is_of_sandbox(error) && !word.starts_with('-') {
                let is_fault = matches!(word.as_str(), "fail" | "fault" | "faults");
                return Some(if is_fault { INJECT_FAULT } else { RUN_IN_SANDBOX }.to_owned());
            }
            let variable = variable(&word)?;
            // They would pass the secret in another place.
            error.remove(ContextKind::Suggested);
            error.remove(ContextKind::SuggestedArg);
            Some(format!("secrets are never arguments; set {variable} in the environment, or use a profile"))
        }
        _ => None,
    }
}

/// Returns the variable for the credential that an unknown option names, in any spelling.
fn variable(option: &str) -> Option<&'static str> {
    let name: String = option.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = name.to_ascii_lowercase();
    let name =
        ["lm", "api"].iter().fold(name.as_str(), |name, prefix| name.strip_prefix(prefix).unwrap_or(name));
    match name {
        "bearer" | "bearertoken" | "authorization" | "auth" => Some("LM_BEARER_TOKEN"),
        "accessid" => Some("LM_ACCESS_ID and LM_ACCESS_KEY"),
        "accesskey" | "key" | "secret" | "secretkey" | "password" | "passwd" | "pass" => {
            Some("LM_ACCESS_KEY")
        }
        _ => None,
    }
}
