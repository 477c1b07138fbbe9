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
