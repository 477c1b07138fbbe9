//! Other ways to write the same JSON, as the serializers of other languages and libraries do.

use std::fmt::Write as _;

use serde_json::Value;

use super::cause::Cause;
use super::variants::{Variant, permutations};

/// Larger bodies are not written in other ways.
const MAX_LENGTH: usize = 64 * 1024;

/// Deeper bodies are not written in other ways: their indentation would be longer than they are.
const MAX_DEPTH: usize = 16;

/// How many bytes are written at most, in all ways together.
const MAX_WRITTEN: usize = 8 * 1024 * 1024;

/// With more members, only the sorted order is tried.
const MAX_PERMUTED: usize = 3;

enum Token<'a> {
    String {
        text: String,
        /// As it is written, with its quotation marks.
        written: &'a str,
    },
    /// Punctuation, a number or a literal.
    Plain(&'a str),
}

struct Style {
    comma: &'static str,
    colon: &'static str,
    /// A line break, or nothing for JSON in one line.
    line: &'static str,
    indent: usize,
}

const COMPACT: Style = Style { comma: ",", colon: ":", line: "", indent: 0 };
/// Python's default.
const SPACED: Style = Style { comma: ", ", colon: ": ", line: "", indent: 0 };

const STYLES: [Style; 6] = [
    COMPACT,
    SPACED,
    Style { comma: ",", colon: ": ", line: "\n", indent: 2 },
    Style { comma: ",", colon: ": ", line: "\n", indent: 4 },
    // PowerShell 7 and 5.1 on Windows.
    Style { comma: ",", colon: ": ", line: "\r\n", indent: 2 },
    Style { comma: ",", colon: ":  ", line: "\r\n", indent: 4 },
];

/// How strings are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strings {
    /// As they are written in the body.
    AsSent,
    Utf8,
    /// With `\u` escapes for characters that are not ASCII.
    Escaped,
    /// With `\u` escapes for characters with a meaning in HTML, as Go does.
    Html,
    /// With escaped slashes, as PHP does.
    Slashes,
    /// Strings and literals as Python shows them.
    Python,
}

/// Returns other texts of a JSON object or array; nothing for other bodies.
pub(super) fn rewritten(body: &str) -> Vec<Variant> {
    if body.len() > MAX_LENGTH || !body.trim_start().starts_with(['{', '[']) {
        return Vec::new();
    }
    let Ok(sorted) = serde_json::from_str::<Value>(body).map(|value| value.to_string()) else {
        return Vec::new();
    };
    let (Some(tokens), Some(mut sorted)) = (tokens(body), tokens(&sorted)) else { return Vec::new() };
    for token in &mut sorted {
        if let Token::String { text, written } = token {
            let as_sent = tokens.iter().find_map(|token| match token {
                Token::String { text: other, written } if other == text => Some(*written),
                _ => None,
            });
            *written = as_sent.unwrap_or(written);
        }
    }
    if depth(&tokens) > MAX_DEPTH {
        return Vec::new();
    }
    let as_sent: Vec<&Token<'_>> = tokens.iter().collect();
    let mut orders = vec![(as_sent.clone(), None)];
    // Sorting drops a key that occurs twice, and writes numbers in another way.
    if has_same_texts(&sorted, &tokens) {
        orders.push((sorted.iter().collect(), Some(Cause::BodyKeyOrder)));
    }
    orders.extend(permuted(&tokens).into_iter().map(|order| (order, Some(Cause::BodyKeyOrder))));

    let mut variants = Vec::new();
    let mut length = 0;
    for (tokens, order) in &orders {
        if length > MAX_WRITTEN {
            break;
        }
        let mut add = |text: String, causes: &[Option<Cause>]| {
            length += text.len();
            let causes: Vec<Cause> = order.iter().chain(causes.iter().flatten()).copied().collect();
            variants.push(Variant { bytes: text.into_bytes().into(), causes });
        };
        for style in &STYLES {
            let is_as_sent = written(&as_sent, style, Strings::AsSent) == body;
            let white_space = (!is_as_sent).then_some(Cause::BodyWhiteSpace);
            let same_strings = written(tokens, style, Strings::AsSent);
            for strings in [Strings::AsSent, Strings::Utf8, Strings::Escaped, Strings::Html, Strings::Slashes]
            {
                let text = written(tokens, style, strings);
                let escapes = (text != same_strings).then_some(Cause::BodyEscapes);
                // Go's encoder ends with a line break.
                add(format!("{text}\n"), &[white_space, escapes, Some(Cause::BodyLineBreak)]);
                add(text, &[white_space, escapes]);
            }
        }
        add(written(tokens, &SPACED, Strings::Python), &[Some(Cause::BodyRepr)]);
    }
    variants
}

/// Splits valid JSON; `None` if it is not.
fn tokens(json: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = json.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                let text = strings.next()?.ok()?;
                let length = strings.byte_offset();
                tokens.push(Token::String { text, written: rest.get(..length)? });
                length
            }
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => rest.find([',', '}', ']', ' ', '\n', '\r', '\t']).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at_checked(length)?;
        if first != '"' {
            tokens.push(Token::Plain(token));
        }
        rest = after.trim_start();
    }
    Some(tokens)
}

/// Returns whether two lists have the same strings, numbers and punctuation, in any order.
fn has_same_texts(one: &[Token<'_>], other: &[Token<'_>]) -> bool {
    let texts = |tokens: &[Token<'_>]| {
        let text = |token: &Token<'_>| match token {
            Token::String { text, .. } => (true, text.clone()),
            Token::Plain(text) => (false, (*text).to_owned()),
        };
        let mut texts: Vec<(bool, String)> = tokens.iter().map(text).collect();
        texts.sort_unstable();
        texts
    };
    texts(one) == texts(other)
}

/// Returns how deep objects and arrays are nested.
fn depth(tokens: &[Token<'_>]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for token in tokens {
        match token {
            Token::Plain("{" | "[") => depth += 1,
            Token::Plain("}" | "]") => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Returns the tokens of an object with its members in every order.
fn permuted<'a, 'b>(tokens: &'b [Token<'a>]) -> Vec<Vec<&'b Token<'a>>> {
    let [first @ Token::Plain("{"), members @ .., last] = tokens else { return Vec::new() };
    let mut depth = 0_usize;
    let members: Vec<&[Token<'_>]> = members
        .split(|token| {
            match token {
                Token::Plain("{" | "[") => depth += 1,
                Token::Plain("}" | "]") => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && matches!(token, Token::Plain(","))
        })
        .collect();
    if members.len() > MAX_PERMUTED {
        return Vec::new();
    }
    let in_order = |order: Vec<usize>| {
        let members = order.iter().enumerate().flat_map(|(position, index)| {
            let comma = (position > 0).then_some(&Token::Plain(","));
            comma.into_iter().chain(members.get(*index).copied().unwrap_or_default())
        });
        std::iter::once(first).chain(members).chain(std::iter::once(last)).collect()
    };
    permutations(members.len()).into_iter().map(in_order).collect()
}

fn written(tokens: &[&Token<'_>], style: &Style, strings: Strings) -> String {
    let mut text = String::new();
    let mut depth = 0_usize;
    let mut is_after_open = false;
    let break_line = |text: &mut String, depth: usize| {
        text.push_str(style.line);
        text.extend(std::iter::repeat_n(' ', style.indent * depth));
    };
    for token in tokens {
        let is_end = matches!(token, Token::Plain("}" | "]"));
        if is_end {
            depth = depth.saturating_sub(1);
        }
        // An empty object or array stays in one line.
        if is_after_open != is_end {
            break_line(&mut text, depth);
        }
        is_after_open = false;
        match token {
            Token::String { written, .. } if strings == Strings::AsSent => text.push_str(written),
            Token::String { text: string, .. } => text.push_str(&string_in(string, strings)),
            Token::Plain(",") => {
                text.push_str(style.comma);
                break_line(&mut text, depth);
            }
            Token::Plain(":") => text.push_str(style.colon),
            Token::Plain(open @ ("{" | "[")) => {
                text.push_str(open);
                depth += 1;
                is_after_open = true;
            }
            Token::Plain(literal) if strings == Strings::Python => text.push_str(match *literal {
                "true" => "True",
                "false" => "False",
                "null" => "None",
                other => other,
            }),
            Token::Plain(other) => text.push_str(other),
        }
    }
    text
}

fn string_in(string: &str, strings: Strings) -> String {
    if strings == Strings::Python {
        return format!("'{string}'");
    }
    let json = Value::from(string).to_string();
    match strings {
        Strings::AsSent | Strings::Utf8 => return json,
        Strings::Html => {
            return json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
        }
        Strings::Slashes => return json.replace('/', "\\/"),
        Strings::Escaped | Strings::Python => {}
    }
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}
