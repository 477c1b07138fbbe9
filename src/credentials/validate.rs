//! Checks of credentials without contacting the portal. No message repeats any part of a credential, not even of an
//! access id: users swap id and key.

use crate::error::{Error, Result};
use crate::secret::Secret;

/// The prefix of every bearer token.
pub(crate) const BEARER_PREFIX: &str = "lmb_";

/// The prefix of newer access keys.
const ACCESS_KEY_PREFIX: &str = "lma_";

const SURROUNDED_BY_SPACE: &str = "begins or ends with white space (a line break?)";

/// Checks an access id: letters and digits only.
pub(crate) fn check_access_id(access_id: &str) -> Result<()> {
    let problem = if access_id.is_empty() {
        "is empty"
    } else if access_id.trim() != access_id {
        SURROUNDED_BY_SPACE
    } else if access_id.starts_with(BEARER_PREFIX) {
        "is a bearer token (pass it as bearer_token)"
    } else if access_id.starts_with(ACCESS_KEY_PREFIX) {
        "is an access key (are access_id and access_key swapped?)"
    } else if !access_id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        "contains other characters than letters and digits (are access_id and access_key swapped?)"
    } else {
        return Ok(());
    };
    Err(invalid("access_id", problem, "the access id as the portal shows it, letters and digits only"))
}

/// Checks an access key: text without white space and control characters.
pub(crate) fn check_access_key(access_key: &Secret) -> Result<()> {
    let key = access_key.reveal();
    let problem = if key.is_empty() {
        "is empty"
    } else if key.trim() != key {
        SURROUNDED_BY_SPACE
    } else if key.chars().any(|c| c.is_whitespace() || c.is_control()) {
        "contains white space or control characters"
    } else {
        return Ok(());
    };
    Err(invalid("access_key", problem, "the access key as the portal showed it once, without white space"))
}

/// Checks a key for signing: an access key, not a bearer token.
pub(crate) fn check_signing_key(access_key: &Secret) -> Result<()> {
    if access_key.reveal().starts_with(BEARER_PREFIX) {
        return Err(Error::argument(
            "invalid access_key: is a bearer token (it begins with lmb_); expected the access key of an LMv1 token. A \
             bearer token is sent as it is, in the header \"Authorization: Bearer ...\"",
        ));
    }
    check_access_key(access_key)
}

/// Checks a bearer token: visible ASCII, since it is sent in a header.
pub(crate) fn check_bearer_token(token: &Secret) -> Result<()> {
    let token = token.reveal();
    let problem = if token.is_empty() {
        "is empty"
    } else if token.trim() != token {
        SURROUNDED_BY_SPACE
    } else if token.starts_with(ACCESS_KEY_PREFIX) {
        "is an LMv1 access key (it begins with lma_; pass it as access_key with its access_id)"
    } else if token.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("bearer ")) {
        "begins with the word Bearer"
    } else if !token.bytes().all(|b| b.is_ascii_graphic()) {
        "contains white space, control or non-ASCII characters"
    } else {
        return Ok(());
    };
    Err(invalid("bearer_token", problem, "the token as the portal showed it once (it begins with lmb_)"))
}

fn invalid(name: &str, problem: &str, expected: &str) -> Error {
    Error::credentials(format!("invalid {name}: {problem}; expected {expected}"))
}
