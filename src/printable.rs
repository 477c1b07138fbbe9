//! Text that comes from elsewhere (the portal, a proxy, a file, an argument), made safe to show.
//!
//! A character that could control a terminal, reorder a line or hide in it is written as `\u{1b}`: its number in
//! hexadecimal, as in Rust. JSON has an escape of its own, `\u001b`. Nothing else is changed, so that text which is
//! escaped already stays as it is.

use std::fmt::Write as _;

/// Returns whether a character is a control character, a line or paragraph separator, or invisible (bidirectional
/// controls, zero-width characters, tags, fillers). Variation selectors that emoji use are shown.
pub(crate) fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Returns the text as a part of one line.
pub(crate) fn line(text: &str) -> String {
    escaped(text, is_hidden)
}

/// Returns the text with its line breaks.
pub(crate) fn lines(text: &str) -> String {
    escaped(text, |c| c != '\n' && is_hidden(c))
}

/// Returns the JSON of the same value. Outside its strings, JSON has no such characters except line breaks.
pub(crate) fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !is_hidden(c) {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_escaped(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}
