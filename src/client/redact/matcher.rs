//! Recognition of secrets in text, in whichever form they are spelled.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::encodings::{decoded, respelled};

/// The number of consecutive letters and digits of a secret that may not be shown.
const WINDOW: usize = 8;

/// A secret with fewer letters and digits is recognized only as it is spelled, and one with fewer characters not at all:
/// it occurs in unrelated words, and no portal issues a secret that is so short.
const SHORTEST: usize = 6;

/// How often one encoding may be nested in another: base64, for example, within hexadecimal digits. Escapes may be
/// nested without limit.
const NESTING: usize = 2;

/// The total length of the forms of one text, in bytes. No message comes near it.
const MAX_FORMS: usize = 256 << 10;

/// Recognizes parts of secrets by their letters and digits alone, in any case.
#[derive(Default)]
pub(in crate::client) struct SecretMatcher {
    /// Parts of secrets by their length, the characters of each as the bytes of a number.
    parts: HashMap<usize, HashSet<u64>>,
    /// Secrets with hardly any letters and digits, in lower case.
    literal: Vec<String>,
}

impl SecretMatcher {
    /// Adds a secret.
    pub(super) fn add(&mut self, secret: &str) {
        let folded = folded(secret);
        if folded.len() < SHORTEST {
            self.literal.extend((secret.chars().count() >= SHORTEST).then(|| secret.to_lowercase()));
            return;
        }
        self.add_parts(&folded);
        if folded.len() >= WINDOW {
            self.add_base64_of(secret.as_bytes());
        }
    }

    /// Adds bytes that are shown in base64. It need not be decodable: in the name of a host, for example, it is in lower
    /// case.
    pub(super) fn add_base64_of(&mut self, secret: &[u8]) {
        for start in 0..3 {
            self.add_parts(&base64_within(secret, start));
        }
    }

    fn add_parts(&mut self, folded: &[u8]) {
        let length = folded.len().min(WINDOW);
        if length < SHORTEST {
            return;
        }
        let parts = self.parts.entry(length).or_default();
        let reversed: Vec<u8> = folded.iter().rev().copied().collect();
        parts.extend(windows(folded.iter().copied(), length));
        parts.extend(windows(reversed.into_iter(), length));
    }

    /// Returns whether the text, or a form of it with its encodings undone, contains a part of a secret. A text with an
    /// excessive number of forms counts as one that does.
    pub(in crate::client) fn matches(&self, text: &str) -> bool {
        let (mut seen, mut length) = (HashSet::new(), 0);
        let mut sources = vec![text.to_owned()];
        for nesting in 0..=NESTING {
            let mut sources_within = Vec::new();
            for source in sources {
                let mut forms = if nesting == 0 { vec![source] } else { decoded(&source) };
                while let Some(form) = forms.pop() {
                    if form.len() < SHORTEST || seen.contains(&form) {
                        continue;
                    }
                    length += form.len();
                    if length > MAX_FORMS || self.occurs_in(&form) {
                        return true;
                    }
                    forms.extend(respelled(&form));
                    if nesting < NESTING {
                        sources_within.push(form.clone());
                    }
                    seen.insert(form);
                }
            }
            sources = sources_within;
        }
        false
    }

    fn occurs_in(&self, text: &str) -> bool {
        let lower = text.to_lowercase();
        let has_part = |(length, parts): (&usize, &HashSet<u64>)| {
            windows(letters_and_digits(&lower), *length).any(|window| parts.contains(&window))
        };
        self.parts.iter().any(has_part) || self.literal.iter().any(|secret| lower.contains(secret))
    }
}

fn folded(text: &str) -> Vec<u8> {
    letters_and_digits(&text.to_lowercase()).collect()
}

/// Returns the ASCII letters and digits. Secrets have no others, and any other character in a text may be there to
/// separate the characters of a secret.
fn letters_and_digits(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().filter(u8::is_ascii_alphanumeric)
}

/// Returns each `length` consecutive characters, at most 8, as one number.
fn windows(characters: impl Iterator<Item = u8>, length: usize) -> impl Iterator<Item = u64> {
    let mut window = 0;
    let all = characters.map(move |character| {
        window = (window << 8) | u64::from(character);
        window & (u64::MAX >> (8 * (WINDOW - length)))
    });
    all.skip(length - 1)
}

/// Returns the characters that stand for a secret alone in the base64 of a text that contains it, folded. The secret
/// starts at the byte `start` of a group of three.
fn base64_within(secret: &[u8], start: usize) -> Vec<u8> {
    let bytes = [&vec![0; start], secret].concat();
    let encoded = BASE64.encode(&bytes);
    let from = (start * 8).div_ceil(6);
    let until = bytes.len() * 8 / 6;
    folded(encoded.get(from..until).unwrap_or_default())
}
