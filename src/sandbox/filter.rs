//! The `filter` query parameter: what it means. Its grammar is in `filter_parser`.

use super::envelope::Refusal;
use super::filter_parser::Parser;

/// A member of an item, as filters and sorting see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field<'a> {
    Number(i64),
    Text(&'a str),
    Bool(bool),
    Texts(&'a [String]),
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    Number,
    Text,
    Bool,
}

/// An item that filters and sorting can be applied to.
pub(super) trait Filterable {
    /// The fields that it has.
    const FIELDS: &'static [(&'static str, FieldKind)];

    /// The field of a name; `None` where there is no such field.
    fn field(&self, name: &str) -> Option<Field<'_>>;
}

impl<T: Filterable> Filterable for &T {
    const FIELDS: &'static [(&'static str, FieldKind)] = T::FIELDS;

    fn field(&self, name: &str) -> Option<Field<'_>> {
        (*self).field(name)
    }
}

/// What a field of `T` holds; `None` where there is no such field.
pub(super) fn kind_of<T: Filterable>(name: &str) -> Option<FieldKind> {
    T::FIELDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// The field that stands for every text of an item.
const EVERYTHING: &str = "_all";

/// Enough for a page of ids, and no way to keep the portal busy.
const MAX_CONDITIONS: usize = 1000;

/// A filter that was understood: alternatives, and of one of them every condition holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter(pub(super) Vec<Vec<Condition>>);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) field: String,
    pub(super) operator: Operator,
    /// Any of them is enough; of a negative operator, none may hold.
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

/// A value: the texts between its wildcards, one where there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern(pub(super) Vec<String>);

impl Filter {
    /// Reads a filter of items of type `T`.
    pub(super) fn parse<T: Filterable>(text: &str) -> Result<Self, Refusal> {
        let filter = Parser::new(text).filter().and_then(|filter| {
            filter.check::<T>()?;
            Ok(filter)
        });
        filter.map_err(|problem| Refusal::bad_request(format!("Invalid filter: {problem}")))
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
        if self.field == EVERYTHING {
            return match self.operator {
                Operator::Contains | Operator::NotContains | Operator::Equal | Operator::NotEqual => Ok(()),
                _ => Err(format!("{EVERYTHING} cannot be ordered")),
            };
        }
        let kind = kind_of::<T>(&self.field).ok_or_else(|| format!("there is no field {}", self.field))?;
        let searches = matches!(self.operator, Operator::Contains | Operator::NotContains);
        let wanted = match kind {
            FieldKind::Number if !searches => "a number",
            FieldKind::Bool => "true or false",
            _ => return Ok(()),
        };
        let fits = |value: &Pattern| match kind {
            FieldKind::Number => value.number().is_some(),
            _ => value.literal().is_some_and(|text| matches!(text, "true" | "false")),
        };
        if self.values.iter().all(fits) {
            return Ok(());
        }
        Err(format!("the value of {} must be {wanted}", self.field))
    }

    fn matches<T: Filterable>(&self, item: &T) -> bool {
        let found = if self.field == EVERYTHING {
            T::FIELDS
                .iter()
                .filter(|(_, kind)| *kind == FieldKind::Text)
                .filter_map(|(name, _)| item.field(name))
                .any(|field| self.holds(field))
        } else {
            item.field(&self.field).is_some_and(|field| self.holds(field))
        };
        found != matches!(self.operator, Operator::NotEqual | Operator::NotContains)
    }

    /// Whether any value fits the field, by the positive form of the operator.
    fn holds(&self, field: Field<'_>) -> bool {
        match field {
            Field::Texts(texts) => texts.iter().any(|text| self.holds(Field::Text(text))),
            Field::Text(text) => self.values.iter().any(|value| match self.operator {
                Operator::Equal | Operator::NotEqual => value.matches(text),
                Operator::Contains | Operator::NotContains => value.is_within(text),
                ordering => ordering.admits(text.cmp(&value.0.join("*"))),
            }),
            Field::Number(number) => self.values.iter().any(|value| match self.operator {
                Operator::Contains | Operator::NotContains => value.is_within(&number.to_string()),
                ordering => value.number().is_some_and(|value| ordering.admits(number.cmp(&value))),
            }),
            Field::Bool(flag) => {
                self.values.iter().any(|value| value.matches(if flag { "true" } else { "false" }))
            }
        }
    }
}

impl Operator {
    fn admits(self, ordering: std::cmp::Ordering) -> bool {
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
    /// The text of a value without wildcards.
    fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [text] => Some(text),
            _ => None,
        }
    }

    fn number(&self) -> Option<i64> {
        self.literal()?.parse().ok()
    }

    /// Whether the whole text fits.
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

    /// Whether some part of the text fits.
    fn is_within(&self, text: &str) -> bool {
        find_in_order(&self.0, text)
    }
}

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
