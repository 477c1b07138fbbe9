//! Masking of credentials in text that the portal or a proxy returned: either may repeat what it was sent.

use crate::secret::MASK;

/// Masks the secret and the signature of the request in `message`, then shortens it. Shortening first could leave a
/// part of a secret that no longer matches.
pub(super) fn redacted(message: &str, secret: &str, authorization: &str) -> String {
    const MAX_CHARACTERS: usize = 500;
    // The header is "LMv1 ACCESS_ID:SIGNATURE:MILLISECONDS".
    let signature = authorization.split(':').nth(1).unwrap_or_default();
    mask(&mask(message, secret), signature).chars().take(MAX_CHARACTERS).collect()
}

/// Masks `hidden` in upper and lower case, since a proxy may repeat it as a host name in lower case. A text shorter
/// than any real secret is
/// left alone: it occurs in unrelated words, and masking those would garble the message and reveal the secret.
fn mask(text: &str, hidden: &str) -> String {
    const MIN_CHARACTERS: usize = 6;
    if hidden.chars().count() < MIN_CHARACTERS {
        return text.to_owned();
    }
    let (lower, hidden) = (text.to_ascii_lowercase(), hidden.to_ascii_lowercase());
    let mut masked = String::with_capacity(text.len());
    let mut from = 0;
    for (at, found) in lower.match_indices(&hidden) {
        masked.push_str(text.get(from..at).unwrap_or_default());
        masked.push_str(MASK);
        from = at + found.len();
    }
    masked.push_str(text.get(from..).unwrap_or_default());
    masked
}
