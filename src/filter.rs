//! Which tokens to list: conditions in the portal's filter grammar, and the same conditions checked here.
//!
//! How the portal reads special characters in a filter is a known rough edge of its API, and a filter that it reads
//! differently than meant silently hides tokens. So what is sent is never narrower than what is meant: special
//! characters travel as the wildcard `*`, conditions that cannot be widened safely do not travel at all, and every
//! token that comes back is checked here.
//!
//! Source: the vendor's pages "REST API Basic Filters" and "REST API Advanced Filters".

use crate::error::{Error, Result};
use crate::model::{Token, TokenStatus};

/// A member of a token that can be filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// The token's number.
    Id,
    /// The public half of a pair.
    AccessId,
    /// The owner's user id.
    AdminId,
    /// The owner's user name.
    AdminName,
    /// 1 or 2.
    Status,
    /// The label; a missing one is the empty text.
    Note,
    /// The user name of who made it.
    CreatedBy,
    /// Seconds since 1970-01-01 UTC.
    CreatedOn,
    /// Seconds since 1970-01-01 UTC; 0 for never.
    LastUsedOn,
    /// The address it was last used from.
    LastAuthIp,
}

impl Field {
    /// The portal's name.
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

    /// Whether its values are numbers.
    #[must_use]
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Id | Self::AdminId | Self::Status | Self::CreatedOn | Self::LastUsedOn)
    }

    fn of(self, token: &Token) -> Value {
        let text = |text: &Option<String>| Value::Text(text.clone().unwrap_or_default());
        match self {
            Self::Id => Value::Number(token.id),
            Self::AccessId => text(&token.access_id),
            Self::AdminId => Value::Number(token.admin_id.unwrap_or_default()),
            Self::AdminName => text(&token.admin_name),
            Self::Status => Value::Number(token.status.map(TokenStatus::number).unwrap_or_default()),
            Self::Note => text(&token.note),
            Self::CreatedBy => text(&token.created_by),
            Self::CreatedOn => Value::Number(token.created_on.unwrap_or_default()),
            Self::LastUsedOn => Value::Number(token.last_used_on.unwrap_or_default()),
            Self::LastAuthIp => text(&token.last_auth_ip),
        }
    }
}

/// How a member is compared with a value.
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
    fn sign(self) -> &'static str {
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

/// What a member is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// For numbers and times.
    Number(i64),
    /// For everything else.
    Text(String),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    field: Field,
    operator: Operator,
    value: Value,
}

impl Condition {
    /// A comparison that makes sense: numbers with numbers, texts with texts, and only numbers have an order.
    pub(crate) fn new(field: Field, operator: Operator, value: Value) -> Result<Self> {
        let searches = matches!(operator, Operator::Contains | Operator::NotContains);
        let orders = !searches && !matches!(operator, Operator::Equal | Operator::NotEqual);
        match (&value, field.is_number()) {
            (Value::Number(_), true) if searches => Err(Error::argument(format!(
                "{} is a number: it can be compared, not searched",
                field.name()
            ))),
            (Value::Text(_), false) if orders => {
                Err(Error::argument(format!("{} is a text: it has no order", field.name())))
            }
            (Value::Number(_), true) | (Value::Text(_), false) => Ok(Self { field, operator, value }),
            (Value::Text(_), true) => {
                Err(Error::argument(format!("{} is compared with a number, not a text", field.name())))
            }
            (Value::Number(_), false) => {
                Err(Error::argument(format!("{} is compared with a text, not a number", field.name())))
            }
        }
    }

    fn matches(&self, token: &Token) -> bool {
        match (self.field.of(token), &self.value) {
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

    /// The condition for the portal, never narrower than what is meant; `None` where that would be no condition.
    fn for_portal(&self) -> Option<String> {
        let (name, sign) = (self.field.name(), self.operator.sign());
        match &self.value {
            // The portal shows "never" as 0 or as null, and a null matches nothing.
            Value::Number(value) if self.field == Field::LastUsedOn && self.number_matches(0, *value) => None,
            Value::Number(value) => Some(format!("{name}{sign}{value}")),
            Value::Text(text) => match self.operator {
                Operator::Equal => {
                    let pattern = widened(text);
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

/// Whether a character means nothing but itself in the portal's grammar, however it is escaped or encoded on the way.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '@')
}

fn widened(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) {
            pattern.push(c);
        } else if !pattern.ends_with('*') {
            pattern.push('*');
        }
    }
    pattern
}

/// Conditions joined by "and" within alternatives that are joined by "or".
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
    /// What "and" over "or" may multiply out to: the portal's grammar has no parentheses.
    const MAX_ALTERNATIVES: usize = 64;

    /// Both.
    pub(crate) fn and(&self, other: &Self) -> Result<Self> {
        let alternatives: Vec<Vec<Condition>> = self
            .alternatives
            .iter()
            .flat_map(|one| other.alternatives.iter().map(move |two| [one.as_slice(), two].concat()))
            .collect();
        Self::checked(alternatives)
    }

    /// Either.
    pub(crate) fn or(&self, other: &Self) -> Result<Self> {
        Self::checked([self.alternatives.as_slice(), &other.alternatives].concat())
    }

    fn checked(alternatives: Vec<Vec<Condition>>) -> Result<Self> {
        if alternatives.len() > Self::MAX_ALTERNATIVES {
            return Err(Error::argument(format!(
                "the filter has more than {} alternatives once its brackets are multiplied out; list with a wider one \
                 and choose from the result",
                Self::MAX_ALTERNATIVES
            )));
        }
        Ok(Self { alternatives })
    }

    /// Whether a token is meant.
    #[must_use]
    pub(crate) fn matches(&self, token: &Token) -> bool {
        self.alternatives.iter().any(|conditions| conditions.iter().all(|condition| condition.matches(token)))
    }

    /// The filter for the portal, each alternative after `prefix`; empty where it says nothing.
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
