//! Traces of copying in a value that a user set: quotation marks that a tool did not remove, invisible characters,
//! placeholders that were not replaced. The portal would answer them with a 401, which names no cause.
//!
//! Access keys consist of ASCII letters, digits and many symbols (`()[]{}~^_=+-%$!`), so that only a value that is one of
//! these forms as a whole is refused.

use std::borrow::Cow;
use std::path::Path;

use crate::error::{Error, Result};
use crate::printable::is_hidden;

/// Pairs of quotation marks around a value, also those of word processors.
const QUOTED_BY: [(&str, &str); 4] = [("\"", "\""), ("'", "'"), ("`", "`"), ("\\\"", "\\\"")];
const TYPOGRAPHIC: [char; 17] =
    ['“', '”', '„', '‟', '‘', '’', '‚', '«', '»', '‹', '›', '「', '」', '『', '』', '＂', '＇'];

/// Characters of which masks consist. This library's is the first, repeated.
const MASKS: [char; 4] = ['*', '•', '●', '∗'];

/// What surrounds the name of a placeholder.
const PLACEHOLDERS: [(&str, &str); 16] = [
    ("${{", "}}"),
    ("${", "}"),
    ("$(", ")"),
    ("((", "))"),
    ("#{", "}#"),
    ("%{", "}"),
    ("<<", ">>"),
    ("$env:", ""),
    ("$", ""),
    ("%(", ")s"),
    ("%", "%"),
    ("{{", "}}"),
    ("{", "}"),
    ("<", ">"),
    ("[", "]"),
    ("__", "__"),
];

/// Words of which one is in the name of most placeholders.
const WORDS: [&str; 8] = ["key", "token", "secret", "access", "bearer", "company", "portal", "lm_"];

/// Values that stand for none, in lower case and without separators.
const NO_VALUES: [&str; 5] = ["none", "null", "undefined", "changeme", "replaceme"];

/// Checks a setting for traces of copying.
pub(crate) fn check(name: &str, value: &str) -> Result<()> {
    fault(value).map_or(Ok(()), |problem| Err(Error::configuration(format!("invalid {name}: {problem}"))))
}

/// Returns the message about a path that cannot be used. A trace of copying is the reason only if nothing has this path.
pub(crate) fn unusable_path(name: &str, path: &Path, problem: &str) -> String {
    let Some(text) = path.to_str() else { return format!("{name} is not valid UTF-8 and {problem}") };
    match fault(text) {
        Some(fault) if !path.exists() => format!("invalid {name}: {fault}"),
        _ => format!("invalid {name} ({text}): {problem}"),
    }
}

/// Returns what is wrong with a value, without repeating it, and how to correct it; `None` if it bears no trace.
pub(crate) fn fault(value: &str) -> Option<Cow<'static, str>> {
    if !value.is_ascii()
        && let Some(hidden) = value.chars().find(|c| is_invisible(*c))
    {
        let number = u32::from(hidden);
        return Some(format!("contains the invisible character U+{number:04X} (retype the value)").into());
    }
    let value = value.trim();
    // No mark around a value is a letter or a digit.
    let is_marked = !value.starts_with(|c: char| c.is_ascii_alphanumeric());
    let fault = if is_marked && is_member(value) {
        "is a whole member of a JSON object; give the value only"
    } else if is_marked && is_quoted(value) {
        "is wrapped in quotation marks, which some tools keep (docker --env-file); remove them"
    } else if is_mask(value) {
        "is a mask that was shown in place of the value"
    } else if (is_marked && is_placeholder(value)) || is_no_value(value) {
        "is a placeholder that was not replaced by its value"
    } else if is_assignment(value) {
        "is a whole assignment (NAME=value); give the value only"
    } else {
        let word = header_word(value)?;
        return Some(format!("begins with the word {word}; give the value only").into());
    };
    Some(fault.into())
}

/// Returns whether a character is not seen where the value is written. ASCII white space is: it is told apart elsewhere.
fn is_invisible(c: char) -> bool {
    !c.is_ascii() && (is_hidden(c) || c.is_whitespace() || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{2800}'))
}

fn is_quoted(value: &str) -> bool {
    let by = |(open, close): &(&str, &str)| enclosed(value, open, close).is_some();
    QUOTED_BY.iter().any(by)
        || value.strip_prefix(TYPOGRAPHIC).is_some_and(|rest| rest.ends_with(TYPOGRAPHIC))
}

/// Returns the text between two others.
fn enclosed<'a>(value: &'a str, open: &str, close: &str) -> Option<&'a str> {
    value.strip_prefix(open)?.strip_suffix(close)
}

/// Returns whether a value is a name and a value of JSON, such as `"accessKey": "…",`.
fn is_member(value: &str) -> bool {
    let member = value.strip_prefix('"').and_then(|rest| rest.split_once("\":"));
    member.is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

/// Returns whether a value is a mask, or ends with one.
fn is_mask(value: &str) -> bool {
    let length = value.chars().rev().take_while(|c| MASKS.contains(c)).count();
    length > 3 || (length == 3 && value.chars().count() == 3)
}

/// Returns whether a value stands for none, or asks for one: "your-access-key".
fn is_no_value(value: &str) -> bool {
    let letters = || value.bytes().filter(|b| !b"_-".contains(b)).map(|b| b.to_ascii_lowercase());
    NO_VALUES.iter().any(|word| letters().eq(word.bytes()))
        || (letters().take(4).eq(*b"your") && value.contains(['_', '-']) && is_description(value))
}

/// Returns whether a value is a line of a file with variables, such as `export LM_ACCESS_KEY=…`.
fn is_assignment(value: &str) -> bool {
    if !value.bytes().any(|b| matches!(b, b'=' | b':')) {
        return false;
    }
    let mut words = value.split_ascii_whitespace();
    if matches!(words.next(), Some("export" | "set" | "env")) && words.any(|word| word.contains('=')) {
        return true;
    }
    let name = value.strip_prefix("$env:").unwrap_or(value).split(['=', ':', ' ']).next().unwrap_or_default();
    let plain = name.replace('_', "").to_ascii_lowercase();
    ["accessid", "accesskey", "bearertoken"].contains(&plain.as_str())
        || (name.starts_with("LM_") && is_variable(name))
}

/// Returns the word of an `Authorization` header with which a value begins.
fn header_word(value: &str) -> Option<&'static str> {
    ["Authorization", "Bearer", "LMv1"].into_iter().find(|word| {
        let start = value.split_at_checked(word.len());
        start.is_some_and(|(start, rest)| start.eq_ignore_ascii_case(word) && rest.starts_with([' ', ':']))
    })
}

fn is_placeholder(value: &str) -> bool {
    PLACEHOLDERS.iter().any(|(open, close)| {
        enclosed(value, open, close).is_some_and(|inside| {
            let name = inside.trim();
            let name = name.strip_prefix("env:").unwrap_or(name);
            // The default in ${NAME:-default}.
            let name =
                if *open == "${" { name.split([':', '?', '-', '+']).next().unwrap_or(name) } else { name };
            is_variable(name)
                || is_description(name)
                || (*open == "<" && matches!(name, "redacted" | "hidden" | "masked"))
                || (*open == "{{" && name.starts_with("resolve:"))
        })
    })
}

/// Returns whether a text is a conventional name of a variable: upper case, and longer than a key could be by chance.
fn is_variable(name: &str) -> bool {
    name.len() > 2
        && name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Returns whether a text describes a value, such as "your access key".
fn is_description(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b" _-.".contains(&b))
        && WORDS.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn traces_of_copying_are_found_and_not_repeated() {
        for (value, word) in [
            ("\"markerPart\"", "quotation marks"),
            ("'markerPart'", "quotation marks"),
            ("`markerPart`", "quotation marks"),
            ("\\\"markerPart\\\"", "quotation marks"),
            ("“markerPart”", "quotation marks"),
            ("„markerPart“", "quotation marks"),
            ("‘markerPart’", "quotation marks"),
            ("«markerPart»", "quotation marks"),
            ("'markerPart'\n", "quotation marks"),
            ("\"\"", "quotation marks"),
            ("\u{feff}markerPart", "U+FEFF"),
            ("marker\u{200b}Part", "U+200B"),
            ("markerPart\u{200c}", "U+200C"),
            ("marker\u{200d}Part", "U+200D"),
            ("marker\u{2060}Part", "U+2060"),
            ("marker\u{ad}Part", "U+00AD"),
            ("marker\u{a0}Part", "U+00A0"),
            ("marker\u{202f}Part", "U+202F"),
            ("marker\u{200e}Part", "U+200E"),
            ("marker\u{fe0f}Part", "U+FE0F"),
            ("marker\u{e0020}Part", "U+E0020"),
            ("\"marker\u{200b}Part\"", "U+200B"),
            ("「markerPart」", "quotation marks"),
            ("＂markerPart＂", "quotation marks"),
            ("‹markerPart›", "quotation marks"),
            ("\"accessKey\":\"markerPart\",", "JSON"),
            ("\"access_key\": \"markerPart\"", "JSON"),
            ("accessKey: markerPart", "assignment"),
            ("********", "mask"),
            ("***", "mask"),
            ("••••••••", "mask"),
            ("lmb_marker****", "mask"),
            ("None", "placeholder"),
            ("null", "placeholder"),
            ("changeme", "placeholder"),
            ("CHANGE_ME", "placeholder"),
            ("<redacted key>", "placeholder"),
            ("YOUR_ACCESS_KEY", "placeholder"),
            ("your-access-key", "placeholder"),
            ("YOUR_COMPANY", "placeholder"),
            ("${env:LM_ACCESS_KEY}", "placeholder"),
            ("${env:lm_access_key}", "placeholder"),
            ("((lm_access_key))", "placeholder"),
            ("#{LM_ACCESS_KEY}#", "placeholder"),
            ("<<LM_ACCESS_KEY>>", "placeholder"),
            ("%{LM_ACCESS_KEY}", "placeholder"),
            ("{{resolve:secretsmanager:name:SecretString:value}}", "placeholder"),
            ("<redacted>", "placeholder"),
            ("<hidden>", "placeholder"),
            ("$LM_ACCESS_KEY", "placeholder"),
            ("${LM_ACCESS_KEY}", "placeholder"),
            ("${LM_ACCESS_KEY:-}", "placeholder"),
            ("$(LM_ACCESS_KEY)", "placeholder"),
            ("%LM_ACCESS_KEY%", "placeholder"),
            ("$env:LM_ACCESS_KEY", "placeholder"),
            ("{{ secrets.LM_ACCESS_KEY }}", "placeholder"),
            ("{{LM_ACCESS_KEY}}", "placeholder"),
            ("${{ secrets.LM_ACCESS_KEY }}", "placeholder"),
            ("<access key>", "placeholder"),
            ("<your-access-key>", "placeholder"),
            ("[ACCESS KEY]", "placeholder"),
            ("{access_key}", "placeholder"),
            ("__LM_ACCESS_KEY__", "placeholder"),
            ("export LM_ACCESS_KEY=markerPart", "assignment"),
            ("LM_ACCESS_KEY=markerPart", "assignment"),
            ("LM_ACCESS_KEY: markerPart", "assignment"),
            ("access_key=markerPart", "assignment"),
            ("$env:LM_ACCESS_KEY='markerPart'", "assignment"),
            ("set LM_ACCESS_KEY=markerPart", "assignment"),
            ("Bearer markerPart", "word Bearer"),
            ("bearer markerPart", "word Bearer"),
            ("LMv1 markerPart", "word LMv1"),
            ("Authorization: Bearer markerPart", "word Authorization"),
        ] {
            let fault = fault(value).unwrap_or_else(|| panic!("{value:?} was accepted"));
            assert!(fault.contains(word), "{value:?}: {fault}");
            assert!(!fault.contains("marker") && !fault.contains("Part"), "{value:?}: {fault}");
        }
    }

    #[test]
    fn other_values_bear_no_trace() {
        for value in [
            "",
            "acme",
            "exampleAccessId00001",
            "unit+test(key)]{%~^_=Z",
            "\"",
            "'",
            "\"marker",
            "marker\"",
            "mark\"er",
            "\"marker'",
            "$marker",
            "*",
            "**",
            "mark***er",
            "none-inc",
            "nullary",
            "yourcompany",
            "yourtown",
            "your-town",
            "((marker))",
            "\"mark er\":",
            "$A",
            "%ab%",
            "{x}",
            "[a(b)c]",
            "(LM_ACCESS_KEY)",
            "<marker",
            "lma_unit=test:key",
            "lmb_unit-test",
            "LM_ACCESS_KEY",
            "https://acme.logicmonitor.com/santaba/rest",
            "http://user:password@proxy.example:8080",
            "[::1]:8080",
            "localhost,.example.com",
            "/etc/ssl/certs/ca.pem",
            "C:\\certificates\\ca.pem",
            "caf\u{e9}",
        ] {
            assert_eq!(fault(value), None, "{value:?}");
        }
    }

    proptest! {
        /// 40 characters, as the portal generates them.
        #[test]
        fn access_keys_bear_no_trace(key in r"[a-zA-Z0-9()\[\]{}~^_=+\-%$!]{40}") {
            prop_assert_eq!(fault(&key), None);
        }

        #[test]
        fn no_text_makes_the_check_panic(value in ".{0,60}") {
            let _ = fault(&value);
        }
    }
}
