//! CSV as in RFC 4180, read strictly: a lenient reader makes a note of all the rows after a quotation mark that is not
//! closed.

use std::iter::Peekable;
use std::str::Chars;

use super::delimiter::Delimiter;

/// The records of a text with the lines in which they begin. After an error, which has the line in which its field
/// begins, there are no more. Blank lines are skipped.
pub(super) struct Records<'a> {
    text: Peekable<Chars<'a>>,
    delimiter: char,
    line: u64,
}

impl<'a> Records<'a> {
    pub(super) fn of(text: &'a str, delimiter: Delimiter, line: u64) -> Self {
        Self { text: text.chars().peekable(), delimiter: delimiter.character(), line }
    }

    /// Returns whether a character that is not quoted ends a field.
    fn is_end(&self, c: char) -> bool {
        c == self.delimiter || is_line_break(c)
    }

    /// Takes a character, and counts the lines: they end with LF, CR LF or CR.
    fn advance(&mut self) -> Option<char> {
        let c = self.text.next()?;
        if c == '\n' || c == '\r' && self.text.peek() != Some(&'\n') {
            self.line += 1;
        }
        Some(c)
    }

    fn field(&mut self) -> Result<String, &'static str> {
        let mut field = String::new();
        let mut is_quoted = self.text.next_if_eq(&'"').is_some();
        while !is_quoted && let Some(c) = self.text.peek().copied().filter(|c| !self.is_end(*c)) {
            self.text.next();
            if c != '"' {
                field.push(c);
            } else if field == "\u{feff}" {
                // Each file begins with a byte order mark if several were joined.
                field.clear();
                is_quoted = true;
            } else {
                return Err(
                    "a quotation mark inside a field that is not quoted; quote the field from its first to its \
                     last character, and write the quotation mark twice",
                );
            }
        }
        if !is_quoted {
            return Ok(field);
        }
        loop {
            match self.advance() {
                Some('"') if self.text.next_if_eq(&'"').is_none() => break,
                Some(c) => field.push(c),
                None => return Err("the quotation mark at the beginning of a field is not closed"),
            }
        }
        if self.text.peek().copied().is_none_or(|c| self.is_end(c)) {
            return Ok(field);
        }
        Err(
            "text after the closing quotation mark of a field; write a quotation mark inside a quoted field twice",
        )
    }
}

fn is_line_break(c: char) -> bool {
    matches!(c, '\r' | '\n')
}

impl Iterator for Records<'_> {
    type Item = (u64, Result<Vec<String>, &'static str>);

    fn next(&mut self) -> Option<Self::Item> {
        while is_line_break(*self.text.peek()?) {
            self.advance();
        }
        let begin = self.line;
        let mut fields = Vec::new();
        loop {
            let line = self.line;
            match self.field() {
                Ok(field) => fields.push(field),
                Err(problem) => {
                    self.text = "".chars().peekable();
                    return Some((line, Err(problem)));
                }
            }
            if self.advance() != Some(self.delimiter) {
                return Some((begin, Ok(fields)));
            }
        }
    }
}
