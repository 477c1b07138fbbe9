#![allow(clippy::panic, reason = "a target fails by panicking")]

use std::sync::LazyLock;

use super::Filter as PortalFilter;
use crate::filter::{Condition, Field, Filter, Operator, Value};
use crate::fuzz::text;
use crate::model::{Origin, Token, TokenType as PortalType};
use crate::sandbox::token::{OwnedToken, StoredToken, TokenType};
use crate::sandbox::user::{NewUser, User};
use crate::secret::Secret;

const FIELDS: [Field; 10] = [
    Field::Id,
    Field::AccessId,
    Field::AdminId,
    Field::AdminName,
    Field::Status,
    Field::Note,
    Field::CreatedBy,
    Field::CreatedOn,
    Field::LastUsedOn,
    Field::LastAuthIp,
];

/// Those with the longer signs come first.
const OPERATORS: [Operator; 8] = [
    Operator::NotEqual,
    Operator::NotContains,
    Operator::GreaterOrEqual,
    Operator::LessOrEqual,
    Operator::Greater,
    Operator::Less,
    Operator::Equal,
    Operator::Contains,
];

static USER: LazyLock<User> = LazyLock::new(|| User::new(1, NewUser::default()));

/// Reads the lines as a token and the conditions of a filter. The sandbox, which reads what is sent to a portal, selects
/// the token if the filter does. The whole input is also read as a raw filter.
///
/// The first line has numbers of the token, and five lines have its texts. Each further line is a condition, such as
/// `note~ci`, or empty before an alternative. A condition without a value has that of the token.
pub(crate) fn fuzz_filter(input: &[u8]) {
    let text = text(input);
    let mut lines = text.split('\n');
    let mut numbers =
        lines.next().unwrap_or_default().split(' ').map(|number| number.parse().unwrap_or(0_u32));
    let mut number = || numbers.next().unwrap_or_default();
    let (id, admin_id, status) = (number().max(1), number().max(1), number());
    let (created_on, last_used_on) = (number(), number());
    let mut next = || lines.next().unwrap_or_default().to_owned();
    let stored = StoredToken {
        id,
        r#type: TokenType::Lmv1,
        access_id: next(),
        access_key: Secret::new(String::new()),
        admin_id,
        status: status.into(),
        note: next(),
        created_by: next(),
        created_on: created_on.into(),
        last_used_on: last_used_on.into(),
        last_auth_ip: next(),
        failures: 0,
        locked: false,
        enabled_at: None,
    };
    let owner = User::new(admin_id, NewUser { username: next(), ..NewUser::default() });
    let wire = serde_json::to_vec(&stored.without_secret(Some(&owner), &USER)).unwrap_or_default();
    let item = OwnedToken { token: &stored, owner: Some(&owner) };
    if let Ok(raw) = PortalFilter::parse::<OwnedToken<'_>>(&text) {
        let _ = raw.matches(&item);
    }
    let Some(token) = Token::from_json(&wire, Origin::Other, &PortalType::Lmv1) else {
        panic!("the sandbox's token is not read: {stored:?}");
    };
    let Some(filter) = read(lines, &token) else { return };
    for prefix in [None, Some("id>0")] {
        let sent = filter.for_portal(prefix);
        if sent.is_empty() {
            continue;
        }
        let Ok(portal) = PortalFilter::parse::<OwnedToken<'_>>(&sent) else {
            panic!("the sandbox does not read {sent:?}");
        };
        assert!(portal.matches(&item) || !filter.matches(&token), "{sent:?} hides {token:?}");
    }
}

fn read<'a>(lines: impl Iterator<Item = &'a str>, token: &Token) -> Option<Filter> {
    let mut filter: Option<Filter> = None;
    let mut alternative: Option<Filter> = None;
    for line in lines.chain([""]) {
        if let Some(condition) = condition(line, token) {
            let condition = Filter::from(condition);
            alternative = match alternative {
                Some(others) => Some(others.and(&condition).ok()?),
                None => Some(condition),
            };
        } else if let Some(alternative) = alternative.take() {
            filter = match filter {
                Some(others) => Some(others.or(&alternative).ok()?),
                None => Some(alternative),
            };
        }
    }
    filter
}

fn condition(line: &str, token: &Token) -> Option<Condition> {
    let (name, rest) = line.split_at(line.find([':', '!', '>', '<', '~'])?);
    let field = FIELDS.into_iter().find(|field| field.name() == name)?;
    let (value, operator) =
        OPERATORS.into_iter().find_map(|operator| Some((rest.strip_prefix(operator.sign())?, operator)))?;
    let value = match field.of(token) {
        Some(own) if value.is_empty() => own,
        _ if field.is_number() => Value::Number(value.parse().ok()?),
        _ => Value::Text(value.to_owned()),
    };
    Condition::new(field, operator, value).ok()
}
