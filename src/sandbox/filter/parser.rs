//! The grammar of the `filter` query parameter.
//!
//! ```text
//! filter      = alternative { "||" alternative }
//! alternative = condition { "," condition }
//! condition   = field operator value { "|" value }
//! operator    = ":" | "!:" | ">" | ">:" | "<" | "<:" | "~" | "!~"
//! value       = quoted | bare
//! ```
//!
//! A quoted value is enclosed in double quotes. A bare value ends at `,` or `|` and must not contain a reserved
//! character. In both, a backslash escapes the next character and `*` matches any text. The vendor does not document
//! the precedence of `,` and `||`; here `,` (and) binds tighter, as is usual.

use super::{Condition, Filter, Operator, Pattern};

/// The characters that a bare value must escape.
const RESERVED: &[char] = &['"', '(', ')', '$', '&', '#', '[', ']'];

/// Longer operators come before their own prefixes.
const OPERATORS: &[(&str, Operator)] = &[
    ("!:", Operator::NotEqual),
    ("!~", Operator::NotContains),
    (">:", Operator::GreaterOrEqual),
    ("<:", Operator::LessOrEqual),
    (">", Operator::Greater),
    ("<", Operator::Less),
    (":", Operator::Equal),
    ("~", Operator::Contains),
];

/// A recursive-descent parser; its errors are messages for the user.
pub(super) struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(super) fn filter(mut self) -> Result<Filter, String> {
        let mut alternatives = vec![self.alternative()?];
        while self.take("||") {
            alternatives.push(self.alternative()?);
        }
        if self.rest.is_empty() {
            Ok(Filter(alternatives))
        } else {
            Err(format!("expected , or | or || or the end before {:?}", self.rest))
        }
    }

    fn alternative(&mut self) -> Result<Vec<Condition>, String> {
        let mut conditions = vec![self.condition()?];
        while self.take(",") {
            conditions.push(self.condition()?);
        }
        Ok(conditions)
    }

    fn condition(&mut self) -> Result<Condition, String> {
        let (field, operator) = (self.field()?, self.operator()?);
        let mut values = vec![self.value()?];
        while !self.rest.starts_with("||") && self.take("|") {
            values.push(self.value()?);
        }
        Ok(Condition { field, operator, values })
    }

    fn field(&mut self) -> Result<String, String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let end = self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() {
            return Err(format!("expected the name of a field before {:?}", self.rest));
        }
        self.rest = rest;
        Ok(name.to_owned())
    }

    fn operator(&mut self) -> Result<Operator, String> {
        match OPERATORS.iter().find(|(sign, _)| self.take(sign)) {
            Some((_, operator)) => Ok(*operator),
            None => Err(format!("expected an operator before {:?}", self.rest)),
        }
    }

    fn value(&mut self) -> Result<Pattern, String> {
        let quoted = self.take("\"");
        let mut pieces = Vec::new();
        let mut piece = String::new();
        let mut characters = self.rest.char_indices();
        let end = loop {
            match characters.next() {
                Some((_, '\\')) => match characters.next() {
                    Some((_, escaped)) => piece.push(escaped),
                    None => return Err("a backslash at the end".to_owned()),
                },
                Some((_, '*')) => pieces.push(std::mem::take(&mut piece)),
                Some((at, '"')) if quoted => break at + 1,
                Some((at, ',' | '|')) if !quoted => break at,
                Some((_, reserved)) if !quoted && RESERVED.contains(&reserved) => {
                    return Err(format!("{reserved} must be quoted or escaped with a backslash"));
                }
                Some((_, other)) => piece.push(other),
                None if quoted => return Err("a quote is not closed".to_owned()),
                None if self.rest.is_empty() => return Err("a value is missing at the end".to_owned()),
                None => break self.rest.len(),
            }
        };
        if end == 0 {
            return Err(format!("a value is missing before {:?}", self.rest));
        }
        pieces.push(piece);
        self.rest = self.rest.split_at(end).1;
        Ok(Pattern(pieces))
    }

    fn take(&mut self, sign: &str) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}
