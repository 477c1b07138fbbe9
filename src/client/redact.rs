//! Withholding of the portal's text if it repeats credentials: the portal, or a proxy before it, may return what it was
//! sent.

mod encodings;
mod matcher;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::credentials::Identity;
use crate::error::Details;
use crate::lmv1::Authorization;
use crate::network::Proxy;
use crate::printable;
use crate::secret::Secret;
use matcher::SecretMatcher;

const WITHHELD: &str = "the portal's message is withheld because it repeats a part of the credentials";
const WITHHELD_TARGET: &str = "the portal returned a redirect, whose target is withheld because it repeats a part of the \
                               credentials; redirects are never followed";

/// Replaces the message of an error if it repeats a part of a secret: of the credentials, of a new token whose
/// `new_secret` is known, or of the `body` of the response. Any other message is escaped and shortened.
pub fn redact(
    details: &mut Details,
    identity: &Identity,
    new_secret: Option<&Secret>,
    authorization: &str,
    body: &[u8],
) {
    /// Longer messages are cut before they are checked: what follows is not shown.
    const MAX_CHECKED: usize = 2000;
    const MAX_SHOWN: usize = 500;
    let message: String = details.message.chars().take(MAX_CHECKED).collect();
    let is_leak =
        secrets(identity, new_secret, authorization, body).is_none_or(|secrets| secrets.matches(&message));
    details.message = match details.status {
        _ if !is_leak => printable::line(&message).chars().take(MAX_SHOWN).collect(),
        Some(300..=399) => WITHHELD_TARGET.to_owned(),
        _ => WITHHELD.to_owned(),
    };
}

/// Returns the secrets of the credentials and of the proxy.
pub(super) fn secrets_of(identity: &Identity) -> SecretMatcher {
    let mut secrets = SecretMatcher::default();
    if let Some(credentials) = &identity.credentials {
        secrets.add(credentials.secret().reveal());
    }
    if let Some((user, password)) = identity.network.proxy().and_then(Proxy::credentials)
        && !password.reveal().is_empty()
    {
        secrets.add(password.reveal());
        secrets.add(&BASE64.encode(format!("{user}:{}", password.reveal())));
    }
    secrets
}

/// Returns the secrets that an error must not repeat; `None` if the response has suspiciously many or long ones.
fn secrets(
    identity: &Identity,
    new_secret: Option<&Secret>,
    authorization: &str,
    body: &[u8],
) -> Option<SecretMatcher> {
    const MAX_KEYS: usize = 16;
    const MAX_KEY_LENGTH: usize = 4096;
    let mut secrets = secrets_of(identity);
    if let Some(secret) = new_secret {
        secrets.add(secret.reveal());
    }
    // For half an hour, a signature could be replayed. It is the base64 of hexadecimal digits.
    if let Some(Authorization { signature, .. }) = Authorization::parse(authorization) {
        let digest = BASE64.decode(&signature).unwrap_or_default();
        secrets.add(&String::from_utf8_lossy(&digest));
        secrets.add(&signature);
        secrets.add_base64_of(&bytes(&digest));
    }
    for (number, key) in access_keys(&String::from_utf8_lossy(body)).enumerate() {
        if number == MAX_KEYS || key.len() > MAX_KEY_LENGTH {
            return None;
        }
        secrets.add(&key);
    }
    Some(secrets)
}

/// Returns the keys of new tokens in a body, even if it is not one that a create returns.
fn access_keys(body: &str) -> impl Iterator<Item = String> {
    body.match_indices("\"accessKey\"").filter_map(|(at, name)| {
        let value = body.get(at + name.len()..)?.trim_ascii_start().strip_prefix(':')?;
        serde_json::Deserializer::from_str(value).into_iter().next()?.ok()
    })
}

/// Returns the bytes of hexadecimal digits.
fn bytes(digits: &[u8]) -> Vec<u8> {
    let pairs = digits.chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}
