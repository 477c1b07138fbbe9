//! `lmtokens list`.

use std::time::Duration;

use clap::Args;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser as _};

use super::connection::Connection;
use super::exit;
use super::host::Host;
use super::output::{self, ListFormat, Output};
use super::report::Failure;
use super::signals::run_until_signal;
use crate::client::Client;
use crate::error::Result;
use crate::filter::{Condition, Field, Filter, Operator, Value};
use crate::ids::{PageSize, Status, Type};
use crate::model::Token;
use crate::operation::{Operation, call};
use crate::times::duration;
use crate::token_output::{Members, TOKEN_MEMBERS};
use crate::tokens::{LearnPortalTime, ListTokens, Selection, User};

/// List tokens, without their keys
///
/// Both types and the tokens of all users are listed, as far as the credentials may view them. A token is listed if
/// it meets all conditions. --note compares the note without the markers of lmtokens, --filter the whole one.
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &exit::OF_CALL))]
pub(super) struct List {
    /// Select the tokens of one user, by id or name
    #[arg(long, value_name = "USER", allow_negative_numbers = true)]
    user: Option<User>,
    /// Select tokens of one type
    #[arg(long, value_name = "TYPE")]
    #[arg(value_parser = PossibleValuesParser::new(["lmv1", "bearer"]).try_map(|word| word.parse::<Type>()))]
    r#type: Option<Type>,
    /// Select tokens with this status
    #[arg(long, value_name = "STATUS")]
    #[arg(value_parser = PossibleValuesParser::new(["enabled", "disabled"]).try_map(|word| word.parse::<Status>()))]
    status: Option<Status>,
    /// Select tokens whose note contains a text
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = NonEmptyStringValueParser::new())]
    note: Option<String>,
    /// Select tokens that were created, and last used if ever, longer ago than this: 30m, 24h, 90d or a number of seconds
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    unused_for: Option<Duration>,
    /// Select tokens with a filter in the portal's syntax, which is sent unchanged
    #[arg(long, value_name = "FILTER", conflicts_with_all = ["status", "note", "unused_for"])]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    filter: Option<String>,
    /// Print only these members, in this order, separated by commas [default: all; the most important ones in a table]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    #[arg(value_parser = PossibleValuesParser::new(TOKEN_MEMBERS.map(|(name, _)| name)))]
    fields: Vec<String>,
    /// Stop after this number of tokens
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Print only the number of tokens
    #[arg(long, conflicts_with_all = ["fields", "limit", "output"])]
    count: bool,
    /// Select the output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    output: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

const EXAMPLES: &str = r#"Examples:
  lmtokens list
  lmtokens list --user api-user --status enabled --unused-for 90d -o csv
  lmtokens list --note ci --fields id,note -o jsonl
  lmtokens list --filter 'createdBy:"admin"' --count"#;

/// The members in a table, which is for people.
const COLUMNS: [&str; 7] = ["id", "type", "access_id", "admin_name", "status", "note", "last_used_on"];

impl List {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let output = Output::open()?;
        let client = self.connection.client(host, false)?;
        if self.unused_for.is_some() {
            // By which the tokens are judged.
            run_until_signal(call(LearnPortalTime, &client))?;
        }
        let selection = match self.filter {
            Some(raw) => Selection::Raw(raw),
            None => selection(self.status, self.note, self.unused_for, &client)?,
        };
        let list = ListTokens { admin: self.user, r#type: self.r#type, selection, ..ListTokens::default() };
        let tokens = run_until_signal(call(FirstTokens { list, limit: self.limit }, &client))?;
        if self.count {
            output.write(&format!("{}\n", tokens.len()))?;
            return Ok(exit::DONE);
        }
        let mut fields: Vec<&str> = Vec::new();
        for field in &self.fields {
            if !fields.contains(&field.as_str()) {
                fields.push(field);
            }
        }
        if fields.is_empty() {
            fields = match self.output {
                ListFormat::Table => COLUMNS.to_vec(),
                _ => TOKEN_MEMBERS.map(|(name, _)| name).to_vec(),
            };
        }
        let rows: Vec<Members> = tokens.iter().map(|token| row(token, &fields)).collect();
        output.write(&output::table_of(&fields, &rows, self.output)?)?;
        Ok(exit::DONE)
    }
}

fn selection(
    status: Option<Status>,
    note: Option<String>,
    unused_for: Option<Duration>,
    client: &Client,
) -> Result<Selection> {
    let mut conditions = Vec::new();
    if let Some(status) = status {
        conditions.push((Field::Status, Operator::Equal, Value::Number(status.number())));
    }
    if let Some(note) = note {
        conditions.push((Field::Note, Operator::Contains, Value::Text(note)));
    }
    if let Some(duration) = unused_for {
        let since = Duration::from_millis(client.portal_now_ms()).saturating_sub(duration);
        let since = Value::Number(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        conditions.push((Field::CreatedOn, Operator::Less, since.clone()));
        // 0 is never.
        conditions.push((Field::LastUsedOn, Operator::Less, since));
    }
    let mut selection: Option<Filter> = None;
    for (field, operator, value) in conditions {
        let filter = Filter::from(Condition::new(field, operator, value)?);
        selection = Some(match selection {
            Some(selection) => selection.and(&filter)?,
            None => filter,
        });
    }
    Ok(selection.map_or(Selection::All, Selection::Filter))
}

fn row(token: &Token, fields: &[&str]) -> Members {
    let members = fields.iter().filter_map(|field| TOKEN_MEMBERS.iter().find(|(name, _)| name == field));
    Members(members.map(|(name, value)| (*name, value(token))).collect())
}

/// The first tokens of a list.
struct FirstTokens {
    list: ListTokens,
    /// How many; `None` for all.
    limit: Option<usize>,
}

impl Operation for FirstTokens {
    type Output = Vec<Token>;

    async fn run(self, client: &Client) -> Result<Vec<Token>> {
        let limit = self.limit.unwrap_or(usize::MAX);
        let page_size = match self.list.selection {
            // This package rejects tokens that the portal's filter lets pass: small pages would cost a request for few.
            Selection::Filter(_) => PageSize::default(),
            _ => PageSize::at_most(limit),
        };
        let mut listing = ListTokens { page_size, ..self.list }.start();
        let mut tokens = Vec::new();
        while tokens.len() < limit
            && let Some(page) = listing.next_page(client).await?
        {
            tokens.extend(page);
        }
        tokens.truncate(limit);
        Ok(tokens)
    }
}
