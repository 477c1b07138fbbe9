//! Notes as portals store them.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

/// Returns a note without what portals change: Unicode composition, HTML escapes and white space.
pub(crate) fn normalized(note: &str) -> String {
    let mut text = Cow::Borrowed(note);
    // A portal may escape a note that is escaped already.
    for _ in 0..3 {
        match html_escape::decode_html_entities(&text) {
            Cow::Owned(decoded) => text = Cow::Owned(decoded),
            Cow::Borrowed(_) => break,
        }
    }
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(&text);
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
}
