//! Advice on invalid command lines, beyond what clap says.

use clap::error::{ContextKind, ContextValue, ErrorKind};

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
        ErrorKind::UnknownArgument => {
            let variable = variable(&named(ContextKind::InvalidArg)?)?;
            // They would pass the secret in another place.
            error.remove(ContextKind::Suggested);
            error.remove(ContextKind::SuggestedArg);
            Some(format!("secrets are never arguments; set {variable} in the environment"))
        }
        _ => None,
    }
}

/// Returns the variable for the credential that an unknown option names.
fn variable(option: &str) -> Option<&'static str> {
    let option = option.strip_prefix("--")?;
    let is_any_of = |words: &[&str]| words.iter().any(|word| option.contains(word));
    if is_any_of(&["bearer", "token"]) {
        Some("LM_BEARER_TOKEN")
    } else if is_any_of(&["access-id", "access_id", "api-id", "api_id"]) {
        Some("LM_ACCESS_ID and LM_ACCESS_KEY")
    } else if is_any_of(&["key", "secret", "password"]) {
        Some("LM_ACCESS_KEY")
    } else {
        None
    }
}
