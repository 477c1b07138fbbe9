//! Evaluation of the `filter` query parameter; `parser` has the grammar.

#[cfg(any(test, fuzzing))]
mod fuzz;
mod parser;

#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::fuzz_filter;
use parser::Parser;

use super::envelope::Rejection;

/// The value of a field, for filters and sorting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field<'a> {
    Number(i64),
    Text(&'a str),
    Bool(bool),
    Texts(&'a [String]),
}

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    Number,
    Text,
    Bool,
}

/// An item that filters and sorting can be applied to.
pub(super) trait Filterable {
    /// The names and types of the fields.
    const FIELDS: &'static [(&'static str, FieldKind)];

    /// Returns the value of a field; `None` if the field does not exist.
    fn field(&self, name: &str) -> Option<Field<'_>>;
}

impl<T: Filterable> Filterable for &T {
    const FIELDS: &'static [(&'static str, FieldKind)] = T::FIELDS;

    fn field(&self, name: &str) -> Option<Field<'_>> {
        (*self).field(name)
    }
}

/// Returns the type of a field of `T`; `None` if the field does not exist.
pub(super) fn kind_of<T: Filterable>(name: &str) -> Option<FieldKind> {
    T::FIELDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// The pseudo-field that matches any text field of an item.
const ALL_TEXTS: &str = "_all";

/// Enough for a page of ids; more would let one request block the others.
const MAX_CONDITIONS: usize = 1000;

/// A parsed filter: a list of alternatives, each a list of conditions that must all be true.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter(pub(super) Vec<Vec<Condition>>);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) field: String,
    pub(super) operator: Operator,
    /// One of them must match; with a negative operator, none may match.
    pub(super) values: Vec<Pattern>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Contains,
    NotContains,
}

/// A value, split at its wildcards; one text if it has none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern(pub(super) Vec<String>);

impl Filter {
    /// Parses a filter for items of type `T`.
    pub(super) fn parse<T: Filterable>(text: &str) -> Result<Self, Rejection> {
        let filter = Parser::new(text).filter().and_then(|filter| {
            filter.check::<T>()?;
            Ok(filter)
        });
        filter.map_err(|problem| Rejection::bad_request(format!("Invalid filter: {problem}")))
    }

    fn check<T: Filterable>(&self) -> Result<(), String> {
        if self.0.iter().map(Vec::len).sum::<usize>() > MAX_CONDITIONS {
            return Err("too many conditions".to_owned());
        }
        self.0.iter().flatten().try_for_each(Condition::check::<T>)
    }

    pub(super) fn matches(&self, item: &impl Filterable) -> bool {
        self.0.iter().any(|alternative| alternative.iter().all(|condition| condition.matches(item)))
    }
}

impl Condition {
    fn check<T: Filterable>(&self) -> Result<(), String> {
        if self.field == ALL_TEXTS {
            return match self.operator {
                Operator::Contains | Operator::NotContains | Operator::Equal | Operator::NotEqual => Ok(()),
                _ => Err(format!("{ALL_TEXTS} does not support ordering")),
            };
        }
        let kind = kind_of::<T>(&self.field).ok_or_else(|| format!("unknown field {}", self.field))?;
        let searches = matches!(self.operator, Operator::Contains | Operator::NotContains);
        let expected = match kind {
            FieldKind::Number if !searches => "a number",
            FieldKind::Bool => "true or false",
            _ => return Ok(()),
        };
        let has_type = |value: &Pattern| match kind {
            FieldKind::Number => value.number().is_some(),
            _ => value.literal().is_some_and(|text| matches!(text, "true" | "false")),
        };
        if self.values.iter().all(has_type) {
            return Ok(());
        }
        Err(format!("the value of {} must be {expected}", self.field))
    }

    fn matches<T: Filterable>(&self, item: &T) -> bool {
        let found = if self.field == ALL_TEXTS {
            T::FIELDS
                .iter()
                .filter(|(_, kind)| *kind == FieldKind::Text)
                .filter_map(|(name, _)| item.field(name))
                .any(|field| self.matches_field(field))
        } else {
            item.field(&self.field).is_some_and(|field| self.matches_field(field))
        };
        found != matches!(self.operator, Operator::NotEqual | Operator::NotContains)
    }

    /// Returns whether any value matches the field by the positive form of the operator.
    fn matches_field(&self, field: Field<'_>) -> bool {
        match field {
            Field::Texts(texts) => texts.iter().any(|text| self.matches_field(Field::Text(text))),
            Field::Text(text) => self.values.iter().any(|value| match self.operator {
                Operator::Equal | Operator::NotEqual => value.matches(text),
                Operator::Contains | Operator::NotContains => value.occurs_in(text),
                ordering => ordering.accepts(text.cmp(&value.0.join("*"))),
            }),
            Field::Number(number) => self.values.iter().any(|value| match self.operator {
                Operator::Contains | Operator::NotContains => value.occurs_in(&number.to_string()),
                ordering => value.number().is_some_and(|value| ordering.accepts(number.cmp(&value))),
            }),
            Field::Bool(flag) => {
                self.values.iter().any(|value| value.matches(if flag { "true" } else { "false" }))
            }
        }
    }
}

impl Operator {
    fn accepts(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal | Self::NotEqual | Self::Contains | Self::NotContains => ordering.is_eq(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }
}

impl Pattern {
    /// Returns the text of a value without wildcards.
    fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [text] => Some(text),
            _ => None,
        }
    }

    fn number(&self) -> Option<i64> {
        self.literal()?.parse().ok()
    }

    /// Returns whether the pattern matches the whole text.
    fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.0.as_slice() else {
            return self.literal() == Some(text);
        };
        let Some(rest) = text.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()))
        else {
            return false;
        };
        find_in_order(middle, rest)
    }

    /// Returns whether the pattern matches a part of the text.
    fn occurs_in(&self, text: &str) -> bool {
        find_in_order(&self.0, text)
    }
}

/// Returns whether the pieces occur in the text one after the other.
fn find_in_order(pieces: &[String], text: &str) -> bool {
    let mut rest = text;
    pieces.iter().all(|piece| match rest.split_once(piece.as_str()) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}
