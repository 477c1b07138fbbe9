//! The header and its signature, however they are written.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

use super::add;
use super::cause::Cause;

pub(super) const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The lengths of SHA-1, SHA-256 and SHA-512 digests.
const DIGEST_LENGTHS: [usize; 3] = [20, 32, 64];

/// The shortest signature: a SHA-1 digest in base64, without padding.
const MIN_SIGNATURE_LENGTH: usize = 27;

/// The earliest time in milliseconds, in 2001. Smaller numbers are times in another unit.
const MIN_MILLISECONDS: u64 = 1_000_000_000_000;
/// The first number that is not a time in milliseconds, in the year 5138.
const MILLISECONDS_END: u64 = 100_000_000_000_000;

/// The fields of a header, and the mistakes in its form.
pub(super) struct Header {
    pub(super) access_id: String,
    pub(super) signature: String,
    /// The digits as they are written.
    pub(super) epoch: String,
    pub(super) causes: Vec<Cause>,
}

impl Header {
    pub(super) fn read(header: &str) -> Self {
        let mut causes = Vec::new();
        let header = unwrapped(header.trim(), &mut causes);
        let fields = match header.split_once(char::is_whitespace) {
            Some(("LMv1", fields)) => {
                if !header.starts_with("LMv1 ") {
                    causes.push(Cause::HeaderWhiteSpace);
                }
                fields
            }
            Some((scheme, fields)) if !scheme.contains(':') => {
                causes.push(Cause::Scheme);
                fields
            }
            _ => {
                causes.push(Cause::Scheme);
                header
                    .split_once(':')
                    .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("LMv1"))
                    .map_or(header, |it| it.1)
            }
        };
        let fields: Vec<String> = fields.split(':').map(|field| cleaned(field, &mut causes)).collect();
        let is_epoch = |field: &String| {
            field.len() >= 9 && field.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        };
        let is_signature = |field: &String| field.len() >= MIN_SIGNATURE_LENGTH;
        let find = |usual: usize, is_wanted: &dyn Fn(&String) -> bool| {
            let at_usual = fields.get(usual).is_some_and(is_wanted).then_some(usual);
            at_usual.or_else(|| fields.iter().position(is_wanted)).unwrap_or(usual)
        };
        let (signature, epoch) = (find(1, &is_signature), find(2, &is_epoch));
        let access_id = (0..fields.len()).find(|index| ![signature, epoch].contains(index)).unwrap_or(0);
        if fields.len() != 3 {
            causes.push(Cause::HeaderFields);
        } else if (access_id, signature, epoch) != (0, 1, 2) {
            causes.push(Cause::FieldOrder);
        }
        let field = |index: usize| fields.get(index).cloned().unwrap_or_default();
        let epoch = field(epoch);
        if number(&epoch).is_none_or(|number| !is_milliseconds(number)) && !epoch.is_empty() {
            causes.push(Cause::EpochUnit);
        }
        Self { access_id: field(access_id), signature: field(signature), epoch, causes }
    }
}

/// Returns a number without leading zeros.
pub(super) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

pub(super) fn is_milliseconds(number: u64) -> bool {
    (MIN_MILLISECONDS..MILLISECONDS_END).contains(&number)
}

/// Returns the time in a header in milliseconds, if its unit can be told.
pub(super) fn milliseconds(epoch: &str) -> Option<u64> {
    let whole = epoch.split('.').next().unwrap_or(epoch);
    let number: u64 = whole.parse().ok()?;
    [number, number.saturating_mul(1000), number / 1000, number / 1_000_000]
        .into_iter()
        .find(|number| is_milliseconds(*number))
}

/// Returns the text without the quotation marks around it.
fn unwrapped<'a>(text: &'a str, causes: &mut Vec<Cause>) -> &'a str {
    if let Some(inner) = quoted(text.strip_prefix('b').unwrap_or_default()) {
        add(causes, Cause::BytesRepr);
        return inner;
    }
    if let Some(inner) = quoted(text) {
        add(causes, Cause::HeaderQuotes);
        return inner;
    }
    text
}

fn quoted(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

/// Returns a field as it should have been written.
fn cleaned(field: &str, causes: &mut Vec<Cause>) -> String {
    let inner = unwrapped(field.trim(), causes);
    let mut clean: String = inner.replace("\\n", "").split_whitespace().collect();
    if clean.len() != inner.len() || field.trim() != field {
        add(causes, Cause::HeaderWhiteSpace);
    }
    if clean.contains('%')
        && let Ok(decoded) = percent_decode_str(&clean).decode_utf8()
        && decoded != clean
    {
        add(causes, Cause::HeaderPercentEncoded);
        clean = decoded.into_owned();
    }
    clean
}

/// Returns the digest in a signature, and the mistakes in its encoding; `None` if it contains none.
pub(super) fn digest(signature: &str) -> Option<(Vec<u8>, Vec<Cause>)> {
    if let Some((digest, mut causes)) = hex_digest(signature.as_bytes()) {
        causes.push(Cause::HexWithoutBase64);
        return Some((digest, causes));
    }
    let (decoded, mut causes) = base64(signature)?;
    if let Some((digest, more)) = hex_digest(&decoded) {
        causes.extend(more);
        return Some((digest, causes));
    }
    if !decoded.is_ascii() {
        causes.push(Cause::RawDigest);
        return Some((decoded, causes)).filter(|(digest, _)| DIGEST_LENGTHS.contains(&digest.len()));
    }
    let again = std::str::from_utf8(&decoded).ok().filter(|text| text.len() < signature.len())?;
    let (digest, more) = digest(again)?;
    causes.push(Cause::DoubleBase64);
    causes.extend(more);
    Some((digest, causes))
}

fn base64(text: &str) -> Option<(Vec<u8>, Vec<Cause>)> {
    let mut causes = Vec::new();
    let standard = text.replace('-', "+").replace('_', "/");
    if standard != text {
        causes.push(Cause::UrlSafeBase64);
    }
    if !text.len().is_multiple_of(4) {
        causes.push(Cause::MissingPadding);
    }
    Some((LENIENT_BASE64.decode(standard.trim_end_matches('=')).ok()?, causes))
}

/// Returns the digest whose hex digits a text contains, however they are written.
fn hex_digest(text: &[u8]) -> Option<(Vec<u8>, Vec<Cause>)> {
    let mut causes = Vec::new();
    let is_utf16 = text.len() > 1 && text.iter().skip(1).step_by(2).all(|byte| *byte == 0);
    let text: Vec<u8> = if is_utf16 {
        causes.push(Cause::Utf16);
        text.iter().copied().step_by(2).collect()
    } else {
        text.to_vec()
    };
    let text = String::from_utf8(text).ok()?;
    let text = unwrapped(&text, &mut causes);
    let trimmed = text.trim();
    if trimmed != text {
        causes.push(Cause::HexLineBreak);
    }
    // `SHA2-256(stdin)= 09c8…` of openssl, and `09c8… *stdin` of openssl -r and sha256sum.
    let is_digits = |word: &&str| word.len() >= 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let word = trimmed.split_whitespace().find(is_digits).unwrap_or(trimmed);
    if word != trimmed {
        causes.push(Cause::DigestLabel);
    }
    let digits = word.replace(['-', ':', ' '], "");
    if digits != word {
        causes.push(Cause::HexSeparators);
    }
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
        causes.push(Cause::UpperCaseHex);
    }
    let digest: Option<Vec<u8>> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let digest =
        digest.filter(|digest| DIGEST_LENGTHS.contains(&digest.len()) && digits.len().is_multiple_of(2))?;
    Some((digest, causes))
}
