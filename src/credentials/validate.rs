//! Checks of credentials without contacting the portal. No message repeats any part of a credential, not even of an
//! access id: users swap id and key.

use std::borrow::Cow;

use crate::copied;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// The prefix of every bearer token.
pub(crate) const BEARER_PREFIX: &str = "lmb_";

/// The prefix of newer access keys.
pub(crate) const ACCESS_KEY_PREFIX: &str = "lma_";

/// Returns what is wrong with a credential that was copied with something around it.
fn copied(text: &str) -> Option<Cow<'static, str>> {
    if text.is_empty() {
        Some("is empty".into())
    } else if text.trim_end_matches('\r') != text {
        Some("ends with a carriage return (a line break of Windows)".into())
    } else if text.trim() != text {
        Some("begins or ends with white space (a line break?)".into())
    } else if text.contains(':') && text.contains("://")
        || text.starts_with("/run/secrets/")
        || text.starts_with("/var/run/secrets/")
    {
        Some("names the place of the value; give the value itself".into())
    } else {
        copied::fault(text)
    }
}

/// Returns whether a value certainly bears no trace of copying, as is true of most access ids and keys: it has no mark at
/// one of its ends, is longer than the words that stand for none, does not begin with "your" or the name of a variable,
/// and has no white space and no character of a mask or a header. Signing checks credentials each time.
fn is_plain(value: &str) -> bool {
    // `$NAME`, `"name": value` and `/run/secrets/name` have a mark at their start only, and `%(name)s` ends with a letter.
    let has_plain_end = !value.starts_with(['$', '"', '/'])
        && value.ends_with(|c: char| c.is_ascii_alphanumeric() && c != 's');
    value.len() > 16
        && (value.starts_with(|c: char| c.is_ascii_alphanumeric()) || has_plain_end)
        && !value.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("your"))
        && !value.starts_with("LM_")
        && value.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'*' | b':'))
        && value.bytes().position(|b| b == b'=').is_none_or(|end| end < "accessid".len())
}

/// Checks a credential of any kind for traces of copying.
pub(super) fn check_copied(name: &str, text: &Secret) -> Result<()> {
    copied(text.reveal())
        .map_or(Ok(()), |problem| Err(invalid(name, &problem, "the value as the portal shows it")))
}

/// Checks an access id: letters and digits only.
pub(crate) fn check_access_id(access_id: &str) -> Result<()> {
    let is_alphanumeric = access_id.bytes().all(|b| b.is_ascii_alphanumeric());
    if is_alphanumeric && is_plain(access_id) {
        return Ok(());
    }
    let problem = if let Some(problem) = copied(access_id) {
        problem
    } else if access_id.starts_with(BEARER_PREFIX) {
        "is a bearer token (pass it as bearer_token)".into()
    } else if access_id.starts_with(ACCESS_KEY_PREFIX) {
        "is an access key (are access_id and access_key swapped?)".into()
    } else if !is_alphanumeric {
        "contains other characters than letters and digits (are access_id and access_key swapped?)".into()
    } else {
        return Ok(());
    };
    Err(invalid("access_id", &problem, "the access id as the portal shows it, letters and digits only"))
}

/// Checks an access key: text without white space and control characters.
pub(crate) fn check_access_key(access_key: &Secret) -> Result<()> {
    let key = access_key.reveal();
    if is_plain(key) {
        return Ok(());
    }
    let problem = if let Some(problem) = copied(key) {
        problem
    } else if key.chars().any(|c| c.is_whitespace() || c.is_control()) {
        "contains white space or control characters".into()
    } else {
        return Ok(());
    };
    Err(invalid("access_key", &problem, "the access key as the portal showed it once, without white space"))
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
    let problem = if let Some(problem) = copied(token) {
        problem
    } else if token.starts_with(ACCESS_KEY_PREFIX) {
        "is an LMv1 access key (it begins with lma_; pass it as access_key with its access_id)".into()
    } else if !token.bytes().all(|b| b.is_ascii_graphic()) {
        "contains white space, control or non-ASCII characters".into()
    } else {
        return Ok(());
    };
    Err(invalid("bearer_token", &problem, "the token as the portal showed it once (it begins with lmb_)"))
}

/// Checks a pair of which each half is valid by itself.
pub(super) fn check_pair(access_id: &str, access_key: &Secret) -> Result<()> {
    /// Of every access id that LogicMonitor has shown. Access keys are at least twice as long.
    const ID_LENGTH: usize = 20;
    let key = access_key.reveal();
    let problem = if key == access_id {
        "is the same text as access_id"
    } else if key.len() == ID_LENGTH
        && access_id.len() >= 2 * ID_LENGTH
        && key.bytes().all(|b| b.is_ascii_alphanumeric())
    {
        "looks like an access id (are access_id and access_key swapped?)"
    } else {
        return Ok(());
    };
    Err(invalid("access_key", problem, "the access key as the portal showed it once"))
}

fn invalid(name: &str, problem: &str, expected: &str) -> Error {
    Error::credentials(format!("invalid {name}: {problem}; expected {expected}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::credentials::Credentials;
    use crate::credentials::random_text::{LETTERS, MANY, RandomText, bearer_characters, key_characters};

    #[test]
    fn random_credentials_are_accepted() {
        let (mut random, keys, bearers) = (RandomText(1), key_characters(), bearer_characters());
        for number in 0..MANY {
            let access_id = match number % 2 {
                0 => random.next(LETTERS, 20),
                _ => "sandbox".to_owned() + &random.next(LETTERS, 13),
            };
            let access_key = match number % 3 {
                0 => random.next(&keys, 40),
                1 => "sandbox-key-".to_owned() + &random.next(&keys, 28),
                _ => "lma_".to_owned() + &random.next(&keys, 116),
            };
            let bearer = match number % 2 {
                0 => "lmb_".to_owned() + &random.next(&bearers, 116),
                _ => "lmb_sandbox-".to_owned() + &random.next(LETTERS, 88),
            };
            let key = Secret::new(access_key.clone());
            assert!(check_signing_key(&key).is_ok(), "{access_key}");
            let pair = Credentials::from_pair(Some(&access_id), key);
            assert!(matches!(pair, Ok(Credentials::Lmv1 { .. })), "{access_id} {access_key}");
            assert!(Credentials::from_bearer(Secret::new(bearer.clone())).is_ok(), "{bearer}");
        }
    }

    proptest! {
        #[test]
        fn plain_credentials_bear_no_trace(
            start in r#"["'`$%<({\[_]{0,3}(/run/secrets/|your|YOUR|LM_|access_?key|none|bearer|export|[a-z_\-]{0,9})?"#,
            rest in r#"[a-zA-Z0-9_=:+*\-%$! ]{10,30}["'`)>%}\]_s#]{0,2}"#,
        ) {
            let value = start + &rest;
            if is_plain(&value) {
                prop_assert_eq!(copied(&value), None);
            }
        }
    }
}
