//! Text as it reads once its encodings are undone. An intermediary may encode what it repeats, and a reader decodes it.

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::printable::is_hidden;

/// The characters with which escapes begin: percent, HTML entities, those of JSON and of programming languages, and
/// quoted-printable.
const INTRODUCERS: [char; 4] = ['%', '&', '\\', '='];

/// Returns the text in other spellings: reversed, with the escapes of one kind decoded, and without white space,
/// invisible characters and tags, which may split an escape or the text.
pub(super) fn respelled(text: &str) -> Vec<String> {
    let mut spellings = vec![text.chars().rev().collect()];
    let introducers = INTRODUCERS.iter().filter(|introducer| text.contains(**introducer));
    spellings.extend(introducers.map(|introducer| unescaped(text, *introducer)));
    if spellings.len() > 1 {
        spellings.push(text.chars().filter(|c| !c.is_whitespace() && !is_hidden(*c)).collect());
    }
    if text.contains('<') {
        spellings.push(without_tags(text));
    }
    if text.contains('\u{1b}') {
        spellings.push(without_escape_sequences(text));
    }
    if !text.is_ascii() {
        // Full-width, mathematical and circled letters and digits.
        spellings.push(ComposingNormalizerBorrowed::new_nfkc().normalize(text).into_owned());
    }
    spellings
}

/// Returns what the characters of the text stand for in hexadecimal, base32, base64 (both alphabets) and decimal codes.
/// Other characters are skipped, and the encoded text may begin anywhere, so that it is decoded from each position
/// within a group of bytes.
pub(super) fn decoded(text: &str) -> Vec<String> {
    let without_prefixes = text.replace("0x", "").replace("0X", "");
    let hexadecimal = digits(&without_prefixes, |c| c.to_digit(16));
    let base32 = digits(text, |c| match c.to_ascii_uppercase() {
        c @ 'A'..='Z' => Some(u32::from(c) - u32::from('A')),
        c @ '2'..='7' => Some(u32::from(c) - u32::from('2') + 26),
        _ => None,
    });
    let base64 = digits(text, |c| base64_digit(c, ['+', '/']));
    let base64_for_urls = digits(text, |c| base64_digit(c, ['-', '_']));

    let mut texts = vec![from_decimal_codes(text)];
    texts.extend((0..2).map(|start| unpacked(&hexadecimal, 4, start)));
    texts.extend((0..8).map(|start| unpacked(&base32, 5, start)));
    texts.extend((0..4).map(|start| unpacked(&base64, 6, start)));
    if base64_for_urls != base64 {
        texts.extend((0..4).map(|start| unpacked(&base64_for_urls, 6, start)));
    }
    texts
}

/// Returns the text without sequences such as `ESC[1m`.
fn without_escape_sequences(text: &str) -> String {
    let mut pieces = text.split('\u{1b}');
    let mut rest: String = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let parameters = piece.strip_prefix('[').unwrap_or(piece);
        rest.push_str(
            parameters.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).get(1..).unwrap_or_default(),
        );
    }
    rest
}

fn digits(text: &str, value: impl Fn(char) -> Option<u32>) -> Vec<u32> {
    text.chars().filter_map(value).collect()
}

fn base64_digit(c: char, [digit_62, digit_63]: [char; 2]) -> Option<u32> {
    let number = u32::from(c);
    match c {
        'A'..='Z' => Some(number - u32::from('A')),
        'a'..='z' => Some(number - u32::from('a') + 26),
        '0'..='9' => Some(number - u32::from('0') + 52),
        _ if c == digit_62 => Some(62),
        _ if c == digit_63 => Some(63),
        _ => None,
    }
}

/// Returns the text of the bytes that digits of `width` bits hold.
fn unpacked(digits: &[u32], width: u32, start: usize) -> String {
    let (mut bits, mut count) = (0_u32, 0);
    let mut bytes = Vec::with_capacity(digits.len());
    for digit in digits.iter().skip(start) {
        bits = (bits << width) | digit;
        count += width;
        if count >= 8 {
            count -= 8;
            bytes.extend(u8::try_from((bits >> count) & 0xff));
        }
    }
    from_bytes(&bytes)
}

/// Returns the text of codes such as `[108, 109, 98]`.
fn from_decimal_codes(text: &str) -> String {
    let codes = text.split(|c: char| !c.is_ascii_digit());
    from_bytes(&codes.filter_map(|code| code.parse::<u8>().ok()).collect::<Vec<u8>>())
}

fn from_bytes(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\u{fffd}', "")
}

fn without_tags(text: &str) -> String {
    let mut parts = text.split('<');
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str(part.split_once('>').map_or(part, |(_, after)| after));
    }
    shown
}

/// Decodes each escape of one kind once.
fn unescaped(text: &str, introducer: char) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (decoded, length) =
            escape(rest).filter(|_| c == introducer).unwrap_or((Decoded::Char(c), c.len_utf8()));
        match decoded {
            Decoded::Byte(byte) => bytes.push(byte),
            Decoded::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    from_bytes(&bytes)
}

enum Decoded {
    Byte(u8),
    Char(char),
}

/// A kind of escape: the characters before and after its number, the number's base, and its least and most digits.
struct Numeric(&'static str, &'static str, u32, usize, usize);

const NUMERIC: [Numeric; 13] = [
    Numeric("%u", "", 16, 4, 4),
    Numeric("%", "", 16, 2, 2),
    Numeric("=", "", 16, 2, 2),
    Numeric("&#x", ";", 16, 1, 16),
    Numeric("&#X", ";", 16, 1, 16),
    Numeric("&#", ";", 10, 1, 16),
    Numeric("\\u{", "}", 16, 1, 8),
    Numeric("\\x{", "}", 16, 1, 8),
    Numeric("\\u", "", 16, 4, 4),
    Numeric("\\U", "", 16, 8, 8),
    Numeric("\\x", "", 16, 2, 2),
    Numeric("\\X", "", 16, 2, 2),
    Numeric("\\", "", 8, 1, 3),
];

/// Returns what the escape at the start of a text stands for, and its length.
fn escape(text: &str) -> Option<(Decoded, usize)> {
    if !text.starts_with(INTRODUCERS) {
        return None;
    }
    NUMERIC.iter().find_map(|kind| numeric(text, kind)).or_else(|| named(text)).or_else(|| white_space(text))
}

fn numeric(text: &str, Numeric(before, after, base, least, most): &Numeric) -> Option<(Decoded, usize)> {
    let rest = text.strip_prefix(before)?;
    let length = rest.chars().take(*most).take_while(|c| c.is_digit(*base)).count();
    let number = u32::from_str_radix(rest.get(..length).filter(|_| length >= *least)?, *base).ok()?;
    // The final semicolon may be missing, as in HTML.
    let end = if rest.get(length..)?.starts_with(after) { after.len() } else { 0 };
    let is_bytes = after.is_empty() && *most < 4;
    let decoded = match u8::try_from(number) {
        Ok(byte) if is_bytes => Decoded::Byte(byte),
        _ => Decoded::Char(char::from_u32(number)?),
    };
    Some((decoded, before.len() + length + end))
}

/// Decodes an HTML entity with a name. Those that matter to other encodings are known; no other stands for a letter or
/// digit of a credential.
fn named(text: &str) -> Option<(Decoded, usize)> {
    const KNOWN: [(&str, char); 13] = [
        ("amp", '&'),
        ("num", '#'),
        ("semi", ';'),
        ("percnt", '%'),
        ("bsol", '\\'),
        ("equals", '='),
        ("plus", '+'),
        ("sol", '/'),
        ("lowbar", '_'),
        ("hyphen", '-'),
        ("dash", '-'),
        ("lt", '<'),
        ("gt", '>'),
    ];
    let (name, _) = text.strip_prefix('&')?.split_once(';')?;
    if name.is_empty() || name.len() > 31 || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let known = KNOWN.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
    Some((Decoded::Char(known.map_or(' ', |(_, c)| *c)), name.len() + 2))
}

fn white_space(text: &str) -> Option<(Decoded, usize)> {
    let c = text.strip_prefix('\\')?.chars().next()?;
    match c {
        'n' | 'r' | 't' | 'b' | 'f' | 'v' | 'e' | 'a' => Some((Decoded::Char(' '), 2)),
        '\\' => Some((Decoded::Char('\\'), 2)),
        _ => None,
    }
}
