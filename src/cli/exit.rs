//! Exit codes. The help of `lmtokens` lists them.

use crate::error::{Error, ErrorKind};

pub(super) const DONE: u8 = 0;
pub(super) const FAILED: u8 = 1;
pub(super) const USAGE: u8 = 2;
pub(super) const PARTLY_DONE: u8 = 3;
/// As shells report a command that cannot be run, and one that is not found.
pub(super) const CANNOT_RUN: u8 = 126;
pub(super) const NO_COMMAND: u8 = 127;
pub(super) const FINDINGS: u8 = 10;
const AUTHENTICATION: u8 = 4;
const NOT_FOUND: u8 = 5;
const RATE_LIMIT: u8 = 6;
const OUTCOME_UNKNOWN: u8 = 7;

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
