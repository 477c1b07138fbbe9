//! Exit codes, and their list in help texts.

use super::signals::Signal;
use crate::error::{Error, ErrorKind};

pub(super) const DONE: u8 = 0;
pub(super) const FAILED: u8 = 1;
pub(super) const USAGE: u8 = 2;
pub(super) const PARTLY_DONE: u8 = 3;
pub(super) const AUTHENTICATION: u8 = 4;
pub(super) const NOT_FOUND: u8 = 5;
pub(super) const RATE_LIMIT: u8 = 6;
pub(super) const OUTCOME_UNKNOWN: u8 = 7;
pub(super) const FINDINGS: u8 = 10;
/// As shells report a command that cannot be run, and one that is not found.
pub(super) const CANNOT_RUN: u8 = 126;
pub(super) const NO_COMMAND: u8 = 127;

/// The special exit codes of a command that calls a portal.
pub(super) const OF_CALL: [u8; 3] = [AUTHENTICATION, NOT_FOUND, RATE_LIMIT];
/// The special exit codes of a command that changes several tokens.
pub(super) const OF_CHANGES: [u8; 5] = [PARTLY_DONE, AUTHENTICATION, NOT_FOUND, RATE_LIMIT, OUTCOME_UNKNOWN];

/// Returns the end of a help text: examples, and the exit codes.
pub(super) fn help(examples: &str, special: &[u8]) -> String {
    format!("{examples}\n\n{}", list(special))
}

/// Returns the list of the exit codes that every command has and of special ones.
pub(super) fn list(special: &[u8]) -> String {
    let special = special.iter().map(|code| {
        let meaning = match *code {
            PARTLY_DONE => "partial success",
            AUTHENTICATION => "credentials missing, rejected or without permission",
            NOT_FOUND => "user or token not found",
            RATE_LIMIT => "rate limit reached",
            OUTCOME_UNKNOWN => "outcome unknown: the portal may have applied the request",
            FINDINGS => "findings of audit or doctor",
            CANNOT_RUN => "COMMAND cannot be run",
            NO_COMMAND => "COMMAND not found",
            _ => "",
        };
        (*code, meaning)
    });
    let first = [(DONE, "success"), (FAILED, "failure"), (USAGE, "invalid arguments or settings")];
    let last = [(Signal::INTERRUPT.exit_status(), "interrupted (another signal: 128 plus its number)")];
    let lines =
        first.into_iter().chain(special).chain(last).map(|(code, meaning)| format!("  {code:<3}  {meaning}"));
    format!("Exit codes:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// Returns the exit code of an error.
pub(super) fn of(error: &Error) -> u8 {
    match error.kind() {
        ErrorKind::Argument | ErrorKind::Configuration => USAGE,
        ErrorKind::Credentials
        | ErrorKind::Authentication
        | ErrorKind::PermissionDenied
        | ErrorKind::TwoFactorRequired => AUTHENTICATION,
        ErrorKind::NotFound => NOT_FOUND,
        ErrorKind::RateLimit => RATE_LIMIT,
        ErrorKind::OutcomeUnknown => OUTCOME_UNKNOWN,
        _ => FAILED,
    }
}
