//! What can be known to be wrong with a credential without asking the portal. No message repeats any part of one:
//! people swap id and key.

use crate::error::{Error, Result};
use crate::secret::Secret;

/// How every bearer token begins.
pub(super) const BEARER_PREFIX: &str = "lmb_";

/// How access keys of the newer generation begin.
const ACCESS_KEY_PREFIX: &str = "lma_";

/// Checks an access id: letters and digits.
pub fn check_access_id(access_id: &str) -> Result<()> {
    let problem = if access_id.is_empty() {
        "is empty"
    } else if access_id.trim() != access_id {
        "begins or ends with white space (a line break?); pass it without, as with .strip()"
    } else if access_id.starts_with(BEARER_PREFIX) {
        "is a bearer token; give it as bearer_token"
    } else if access_id.starts_with(ACCESS_KEY_PREFIX) {
        "is an access key; are access_id and access_key swapped?"
    } else if !access_id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        "holds other characters than letters and digits; are access_id and access_key swapped?"
    } else {
        return Ok(());
    };
    Err(Error::credentials(format!(
        "access_id {problem}; accepted is the access id as the portal shows it, letters and digits only"
    )))
}

/// Checks an access key: any text without white space.
pub fn check_access_key(access_key: &Secret) -> Result<()> {
    let key = access_key.reveal();
    let problem = if key.is_empty() {
        "is empty"
    } else if key.trim() != key {
        "begins or ends with white space (a line break?); pass it without, as with .strip()"
    } else if key.chars().any(|c| c.is_whitespace() || c.is_control()) {
        "holds white space or control characters"
    } else {
        return Ok(());
    };
    Err(Error::credentials(format!(
        "access_key {problem}; accepted is the access key as the portal showed it once, without white space"
    )))
}

/// Checks what is to sign a request: an access key, and no bearer token.
pub fn check_signing_key(access_key: &Secret) -> Result<()> {
    if access_key.reveal().starts_with(BEARER_PREFIX) {
        return Err(Error::argument(
            "access_key is a bearer token (it begins with lmb_), which signs nothing: send it as it is, in the header \
             \"Authorization: Bearer ...\", or give the access key of an LMv1 token",
        ));
    }
    check_access_key(access_key)
}

/// Checks a bearer token: visible ASCII, since it travels in a header.
pub fn check_bearer_token(token: &Secret) -> Result<()> {
    let token = token.reveal();
    let problem = if token.is_empty() {
        "is empty"
    } else if token.trim() != token {
        "begins or ends with white space (a line break?); pass it without, as with .strip()"
    } else if token.starts_with(ACCESS_KEY_PREFIX) {
        "is an LMv1 access key (it begins with lma_); give it as access_key, together with its access_id"
    } else if token.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("bearer ")) {
        "begins with the word Bearer; pass the token alone"
    } else if !token.bytes().all(|b| b.is_ascii_graphic()) {
        "holds white space, control or non-ASCII characters"
    } else {
        return Ok(());
    };
    Err(Error::credentials(format!(
        "bearer_token {problem}; accepted is the token as the portal showed it once (it begins with lmb_)"
    )))
}
