//! The compression of a response.

use reqwest::header::{CONTENT_ENCODING, HeaderMap};

/// Returns the names of the compressions in `Content-Encoding`; `None` if the body is not compressed.
pub(super) fn compression(headers: &HeaderMap) -> Option<String> {
    const MAX_LENGTH: usize = 40;
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let names: Vec<_> = values
        .map(|value| value.to_str().unwrap_or("unknown").to_ascii_lowercase())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>())
        .filter(|name| !name.is_empty() && name != "identity")
        .collect();
    let names = names.join(", ");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_, ".contains(c);
    match names.as_str() {
        "" => None,
        _ if names.len() <= MAX_LENGTH && names.chars().all(is_plain) => Some(names),
        _ => Some("unknown".to_owned()),
    }
}
