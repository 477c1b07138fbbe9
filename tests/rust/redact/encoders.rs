//! Encodings that an intermediary may use, and that a reader can undo.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Encoding {
    Percent,
    PercentUnicode,
    QuotedPrintable,
    DecimalEntities,
    HexadecimalEntities,
    UnicodeEscapes,
    HexadecimalEscapes,
    OctalEscapes,
    /// Only every third character is escaped.
    SomePercent,
    SomeEntities,
    Reversed,
    Spaced,
    ZeroWidth,
    Tags,
    Hexadecimal,
    HexadecimalDump,
    Base32,
    Base64,
    Base64Unpadded,
    Base64ForUrls,
    Base64ForUrlsUnpadded,
    Base64OfUtf16,
    /// Base64 of a text that contains it.
    Base64Within,
    Base64Lines,
}

/// Escapes and rearrangements of characters.
pub(crate) fn encoding() -> impl Strategy<Value = Encoding> {
    use Encoding as E;
    prop::sample::select(vec![
        E::Percent,
        E::PercentUnicode,
        E::QuotedPrintable,
        E::DecimalEntities,
        E::HexadecimalEntities,
        E::UnicodeEscapes,
        E::HexadecimalEscapes,
        E::OctalEscapes,
        E::SomePercent,
        E::SomeEntities,
        E::Reversed,
        E::Spaced,
        E::ZeroWidth,
        E::Tags,
    ])
}

/// Encodings of bytes.
pub(crate) fn stream() -> impl Strategy<Value = Encoding> {
    use Encoding as E;
    prop::sample::select(vec![
        E::Hexadecimal,
        E::HexadecimalDump,
        E::Base32,
        E::Base64,
        E::Base64Unpadded,
        E::Base64ForUrls,
        E::Base64ForUrlsUnpadded,
        E::Base64OfUtf16,
        E::Base64Within,
        E::Base64Lines,
    ])
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

impl Encoding {
    pub(crate) fn apply(self, text: &str) -> String {
        let bytes = text.as_bytes();
        match self {
            Self::Percent => each(bytes, |b| format!("%{b:02X}")),
            Self::PercentUnicode => {
                text.encode_utf16().fold(String::new(), |text, unit| format!("{text}%u{unit:04x}"))
            }
            Self::QuotedPrintable => each(bytes, |b| format!("={b:02X}")),
            Self::DecimalEntities => chars(text, |c| format!("&#{};", u32::from(c))),
            Self::HexadecimalEntities => chars(text, |c| format!("&#x{:x};", u32::from(c))),
            Self::UnicodeEscapes => chars(text, |c| format!("\\u{{{:04x}}}", u32::from(c))),
            Self::HexadecimalEscapes => each(bytes, |b| format!("\\x{b:02x}")),
            Self::OctalEscapes => each(bytes, |b| format!("\\{b:03o}")),
            Self::SomePercent => some(text, |c| c == '%', |b| format!("%{b:02x}")),
            Self::SomeEntities => some(text, |c| c == '&', |b| format!("&#{b};")),
            Self::Reversed => text.chars().rev().collect(),
            Self::Spaced => chars(text, |c| format!("{c} ")),
            Self::ZeroWidth => chars(text, |c| format!("{c}\u{200b}")),
            Self::Tags => chars(text, |c| format!("{c}<wbr>")),
            Self::Hexadecimal => each(bytes, |b| format!("{b:02x}")),
            Self::HexadecimalDump => each(bytes, |b| format!("{b:02X}:")),
            Self::Base32 => base32(bytes),
            Self::Base64 => STANDARD.encode(bytes),
            Self::Base64Unpadded => STANDARD_NO_PAD.encode(bytes),
            Self::Base64ForUrls => URL_SAFE.encode(bytes),
            Self::Base64ForUrlsUnpadded => URL_SAFE_NO_PAD.encode(bytes),
            Self::Base64OfUtf16 => {
                STANDARD.encode(text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
            }
            Self::Base64Within => URL_SAFE_NO_PAD.encode(format!("Authorization: Bearer {text} (refused)")),
            Self::Base64Lines => {
                let encoded = STANDARD.encode(bytes);
                let lines = encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap());
                lines.collect::<Vec<_>>().join("\r\n")
            }
        }
    }
}

fn each(bytes: &[u8], escape: impl Fn(u8) -> String) -> String {
    bytes.iter().map(|b| escape(*b)).collect()
}

fn chars(text: &str, escape: impl Fn(char) -> String) -> String {
    text.chars().map(escape).collect()
}

/// Escapes some characters, and always those that begin an escape.
fn some(text: &str, is_escaped: impl Fn(char) -> bool, escape: impl Fn(u8) -> String) -> String {
    let mut encoded = String::new();
    for (index, c) in text.chars().enumerate() {
        match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() && (index % 3 == 0 || is_escaped(c)) => {
                encoded.push_str(&escape(byte));
            }
            _ => encoded.push(c),
        }
    }
    encoded
}

fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut bits = String::new();
    for byte in bytes {
        write!(bits, "{byte:08b}").unwrap();
    }
    while !bits.len().is_multiple_of(5) {
        bits.push('0');
    }
    let digits = bits
        .as_bytes()
        .chunks(5)
        .map(|digit| usize::from_str_radix(std::str::from_utf8(digit).unwrap(), 2).unwrap());
    digits.map(|digit| char::from(ALPHABET[digit])).collect()
}
