//! Filters for lists, in the portal's grammar and as conditions that are checked locally.
//!
//! The portal's treatment of special characters in a filter is unreliable, and a misread filter silently hides tokens.
//! So the filter in a request is never narrower than the intended one: special characters become the wildcard `*`,
//! conditions that cannot be widened safely are omitted, and the tokens in the response are checked again.
//!
//! Source: the vendor's pages "REST API Basic Filters" and "REST API Advanced Filters".

use crate::error::{Error, Result};
use crate::model::Token;
use crate::times::Timestamp;

/// A field of a token that lists can be filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// The token's id.
    Id,
    /// The public half of a pair.
    AccessId,
    /// The owner's user id.
    AdminId,
    /// The owner's user name.
    AdminName,
    /// 1 or 2.
    Status,
    /// The user's part of the note; a missing one is the empty text.
    Note,
    /// The user name of its creator.
    CreatedBy,
    /// Seconds since 1970-01-01 UTC.
    CreatedOn,
    /// Seconds since 1970-01-01 UTC; 0 for never.
    LastUsedOn,
    /// The address it was last used from.
    LastAuthIp,
}

impl Field {
    /// Returns the portal's name of the field.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::AccessId => "accessId",
            Self::AdminId => "adminId",
            Self::AdminName => "adminName",
            Self::Status => "status",
            Self::Note => "note",
            Self::CreatedBy => "createdBy",
            Self::CreatedOn => "createdOn",
            Self::LastUsedOn => "lastUsedOn",
            Self::LastAuthIp => "lastAuthIp",
        }
    }

    /// Returns whether its values are numbers.
    #[must_use]
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Id | Self::AdminId | Self::Status | Self::CreatedOn | Self::LastUsedOn)
    }

    /// Returns whether its values are times, in seconds.
    #[must_use]
    pub(crate) fn is_time(self) -> bool {
        matches!(self, Self::CreatedOn | Self::LastUsedOn)
    }

    /// Returns the value of the field; `None` for a number that the portal did not report.
    pub(crate) fn of(self, token: &Token) -> Option<Value> {
        let text = |text: &Option<String>| Some(Value::Text(text.clone().unwrap_or_default()));
        match self {
            Self::Id => Some(Value::Number(token.id)),
            Self::AccessId => text(&token.access_id),
            Self::AdminId => token.admin_id.map(Value::Number),
            Self::AdminName => text(&token.admin_name),
            Self::Status => token.status.map(|status| Value::Number(status.number())),
            Self::Note => text(&token.note),
            Self::CreatedBy => text(&token.created_by),
            Self::CreatedOn => token.created_on.map(Value::Number),
            Self::LastUsedOn => token.last_used_on.or((!token.was_used).then_some(0)).map(Value::Number),
            Self::LastAuthIp => text(&token.last_auth_ip),
        }
    }
}

/// The operator of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `:`
    Equal,
    /// `!:`
    NotEqual,
    /// `>`
    Greater,
    /// `>:`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<:`
    LessOrEqual,
    /// `~`
    Contains,
    /// `!~`
    NotContains,
}

impl Operator {
    /// Returns the operator as the portal's filter syntax writes it.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Equal => ":",
            Self::NotEqual => "!:",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">:",
            Self::Less => "<",
            Self::LessOrEqual => "<:",
            Self::Contains => "~",
            Self::NotContains => "!~",
        }
    }
}

/// The value of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A number or a time.
    Number(i64),
    /// A text.
    Text(String),
}

impl Value {
    /// Returns the whole seconds that select the same tokens: the portal stores whole seconds.
    pub(crate) fn of_time(time: Timestamp, operator: Operator) -> Self {
        /// A time at which no token was created.
        const NEVER: i64 = -1;
        Self::Number(match operator {
            Operator::Less | Operator::GreaterOrEqual => time.seconds + i64::from(time.has_fraction),
            Operator::Equal | Operator::NotEqual if time.has_fraction => NEVER,
            _ => time.seconds,
        })
    }
}

/// A comparison of a field with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    field: Field,
    operator: Operator,
    value: Value,
}

impl Condition {
    /// Checks a comparison: numbers with numbers, texts with texts, and only numbers can be ordered or not searched.
    pub(crate) fn new(field: Field, operator: Operator, value: Value) -> Result<Self> {
        let searches = matches!(operator, Operator::Contains | Operator::NotContains);
        let orders = !searches && !matches!(operator, Operator::Equal | Operator::NotEqual);
        match (&value, field.is_number()) {
            (Value::Number(_), true) if searches => Err(Error::argument(format!(
                "{} is a number; it can be compared, not searched",
                field.name()
            ))),
            (Value::Text(_), false) if orders => {
                Err(Error::argument(format!("{} is a text; it cannot be ordered", field.name())))
            }
            (Value::Number(_), true) | (Value::Text(_), false) => Ok(Self { field, operator, value }),
            (Value::Text(_), true) if field.is_time() => Err(Error::argument(format!(
                "{} is compared with {}, not a string",
                field.name(),
                Timestamp::EXPECTED
            ))),
            (Value::Text(_), true) => {
                Err(Error::argument(format!("{} is compared with a number, not a string", field.name())))
            }
            (Value::Number(_), false) => {
                Err(Error::argument(format!("{} is compared with a string, not a number", field.name())))
            }
        }
    }

    fn matches(&self, token: &Token) -> bool {
        // An unknown number is neither small nor old: a caller that deletes what a filter selects must not get it.
        let Some(member) = self.field.of(token) else { return self.operator == Operator::NotEqual };
        match (member, &self.value) {
            (Value::Number(member), Value::Number(value)) => self.number_matches(member, *value),
            (Value::Text(member), Value::Text(value)) => match self.operator {
                Operator::Equal => member == *value,
                Operator::NotEqual => member != *value,
                Operator::Contains => member.contains(value),
                Operator::NotContains => !member.contains(value),
                _ => false,
            },
            _ => false,
        }
    }

    fn number_matches(&self, member: i64, value: i64) -> bool {
        match self.operator {
            Operator::Equal => member == value,
            Operator::NotEqual => member != value,
            Operator::Greater => member > value,
            Operator::GreaterOrEqual => member >= value,
            Operator::Less => member < value,
            Operator::LessOrEqual => member <= value,
            Operator::Contains | Operator::NotContains => false,
        }
    }

    /// Returns the condition for the portal, which is never narrower than this one; `None` if it would not restrict
    /// anything.
    fn for_portal(&self) -> Option<String> {
        let (name, sign) = (self.field.name(), self.operator.sign());
        match &self.value {
            // The portal reports "never" as 0 or null, and null matches no condition.
            Value::Number(value) if self.field == Field::LastUsedOn && self.number_matches(0, *value) => None,
            Value::Number(value) => Some(format!("{name}{sign}{value}")),
            Value::Text(text) => match self.operator {
                Operator::Equal => {
                    // A marker may precede the user's part of a note.
                    let pattern = widened(if self.field == Field::Note { "*" } else { "" }, text);
                    (!pattern.trim_matches('*').is_empty()).then(|| format!("{name}{sign}\"{pattern}\""))
                }
                Operator::Contains => {
                    let run = text.split(|c| !is_plain(c)).max_by_key(|run| run.len())?;
                    (!run.trim().is_empty()).then(|| format!("{name}{sign}\"{run}\""))
                }
                _ => None,
            },
        }
    }
}

/// Returns whether a character has no special meaning in the portal's grammar, in any escaping or encoding.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '@')
}

fn widened(start: &str, text: &str) -> String {
    let mut pattern = start.to_owned();
    for c in text.chars() {
        if is_plain(c) {
            pattern.push(c);
        } else if !pattern.ends_with('*') {
            pattern.push('*');
        }
    }
    pattern
}

/// Alternatives joined by "or", each of conditions joined by "and".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    alternatives: Vec<Vec<Condition>>,
}

impl From<Condition> for Filter {
    fn from(condition: Condition) -> Self {
        Self { alternatives: vec![vec![condition]] }
    }
}

impl Filter {
    /// The limit after expanding "and" over "or": the portal's grammar has no parentheses.
    const MAX_ALTERNATIVES: usize = 64;

    /// Returns the filter for tokens that match both.
    pub(crate) fn and(&self, other: &Self) -> Result<Self> {
        let alternatives: Vec<Vec<Condition>> = self
            .alternatives
            .iter()
            .flat_map(|one| other.alternatives.iter().map(move |two| [one.as_slice(), two].concat()))
            .collect();
        Self::checked(alternatives)
    }

    /// Returns the filter for tokens that match either.
    pub(crate) fn or(&self, other: &Self) -> Result<Self> {
        Self::checked([self.alternatives.as_slice(), &other.alternatives].concat())
    }

    fn checked(alternatives: Vec<Vec<Condition>>) -> Result<Self> {
        if alternatives.len() > Self::MAX_ALTERNATIVES {
            return Err(Error::argument(format!(
                "the filter expands to more than {} alternatives; list with a wider filter and select from the result",
                Self::MAX_ALTERNATIVES
            )));
        }
        Ok(Self { alternatives })
    }

    /// Returns whether a token matches.
    #[must_use]
    pub(crate) fn matches(&self, token: &Token) -> bool {
        self.alternatives.iter().any(|conditions| conditions.iter().all(|condition| condition.matches(token)))
    }

    /// Returns the filter for the portal, with `prefix` before each alternative; empty if it does not restrict
    /// anything.
    #[must_use]
    pub(crate) fn for_portal(&self, prefix: Option<&str>) -> String {
        let alternatives: Vec<Vec<String>> = self
            .alternatives
            .iter()
            .map(|conditions| conditions.iter().filter_map(Condition::for_portal).collect())
            .collect();
        if alternatives.iter().any(Vec::is_empty) {
            return prefix.unwrap_or_default().to_owned();
        }
        let written: Vec<String> = alternatives
            .iter()
            .map(|conditions| {
                prefix.into_iter().chain(conditions.iter().map(String::as_str)).collect::<Vec<_>>().join(",")
            })
            .collect();
        written.join("||")
    }
}
