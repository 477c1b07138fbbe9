//! `lmtokens bulk --export`.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};

use super::Format;
use crate::cli::exit;
use crate::cli::github::GithubFile;
use crate::cli::output::{self, ListFormat, Output};
use crate::cli::report::{Failure, say, say_failure};
use crate::error::{Error, Result};
use crate::lifecycle::{EntryState, JournalEntry, ReadJournal, RowInput, read_journal};
use crate::model::Token;
use crate::portal::PortalAddress;
use crate::token_output::{Form, GithubEnvironment, Members, members};

/// The states of rows that a resumed run continues.
const UNFINISHED: [EntryState; 3] = [EntryState::Pending, EntryState::Failed, EntryState::Unknown];

/// Prints the finished tokens, their keys in plain text.
pub(super) fn export(journal: &Path, format: Format, skip_damaged: bool) -> Result<u8, Failure> {
    let ReadJournal { portal, entries } = read_journal(journal, skip_damaged)?;
    let output = Output::open()?;
    let created = entries.iter().filter(|entry| entry.state == EntryState::Created);
    let created: Vec<(&Token, Option<&RowInput>)> =
        created.filter_map(|entry| Some((entry.token.as_ref()?, entry.input.as_ref()))).collect();
    let finished: Vec<&Token> = created.iter().map(|(token, _)| *token).collect();
    let text = match format {
        Format::Csv => {
            say_formulas(&created);
            output::list(&rows(&created), ListFormat::Csv)?
        }
        Format::Jsonl => output::list(&rows(&created), ListFormat::Jsonl)?,
        Format::Env => variables(&finished, Form::Env, &portal)?,
        Format::EnvFile => variables(&finished, Form::EnvFile, &portal)?,
        Format::Github => String::new(),
    };
    output.write(&text)?;
    if format == Format::Github
        && let Some(token) = only(&finished)?
    {
        let mut file = GithubFile::open()?;
        let text = GithubEnvironment::of(token, &PortalAddress::at(&portal, None)?)?;
        output.write(&text.masks)?;
        file.append(&text.variables)?;
    }
    let without_key = finished.iter().filter(|token| token.access_key.is_none()).count();
    if without_key > 0 {
        say(&format!(
            "the journal does not hold the keys of {without_key} tokens: they were delivered to another destination"
        ));
    }
    let damaged = say_damage(&entries);
    let unfinished = say_unfinished(&entries);
    Ok(if damaged || unfinished { exit::PARTLY_DONE } else { exit::DONE })
}

/// Returns the members of each token, before them the number of its row, and after them the other columns of the input. A
/// column with the name of a member gets a number at its end.
fn rows(created: &[(&Token, Option<&RowInput>)]) -> Vec<Members<String>> {
    let mut order: Vec<&str> = Vec::new();
    let mut positions: HashMap<&str, usize> = HashMap::new();
    for (name, _) in created.iter().filter_map(|(_, input)| *input).flat_map(|input| &input.columns) {
        positions.entry(name).or_insert_with(|| {
            order.push(name);
            order.len() - 1
        });
    }
    let mut names: Vec<String> = Vec::new();
    let rows = created.iter().map(|(token, input)| {
        let number = ("row", json!(input.map(|input| input.number)));
        let own: Vec<(&str, Value)> = std::iter::once(number).chain(members(token).0).collect();
        if names.is_empty() {
            let is_own = |name: &str| own.iter().any(|(own, _)| *own == name);
            names = other_names(&order, is_own);
        }
        let mut others = vec![Value::Null; names.len()];
        for (name, value) in input.iter().flat_map(|input| &input.columns) {
            if let Some(cell) = positions.get(name.as_str()).and_then(|position| others.get_mut(*position)) {
                *cell = json!(value);
            }
        }
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        Members(own.chain(names.iter().cloned().zip(others)).collect())
    });
    rows.collect()
}

/// Returns the names under which the other columns are printed.
fn other_names(columns: &[&str], is_own: impl Fn(&str) -> bool) -> Vec<String> {
    let name = |column: &&str| {
        let numbered = (2..).map(|number| format!("{column}_{number}"));
        let is_free = |name: &String| !is_own(name) && (name == column || !columns.contains(&name.as_str()));
        std::iter::once((*column).to_owned()).chain(numbered).find(is_free).unwrap_or_default()
    };
    columns.iter().map(name).collect()
}

/// Warns of texts by other people that a spreadsheet would take for formulas. CSV has the exact values.
fn say_formulas(created: &[(&Token, Option<&RowInput>)]) {
    let texts = created.iter().flat_map(|(token, input)| {
        let others = input.iter().flat_map(|input| &input.columns).map(|(_, value)| value);
        token.note.iter().chain(&token.admin_name).chain(others)
    });
    let is_formula = |text: &&String| text.starts_with(['=', '+', '-', '@']) && text.parse::<f64>().is_err();
    let count = texts.filter(is_formula).count();
    if count > 0 {
        say(&format!(
            "{count} texts begin with =, +, - or @, so that a spreadsheet may take them for formulas: import the columns \
             as text"
        ));
    }
}

fn say_damage(entries: &[JournalEntry]) -> bool {
    let damaged = entries.iter().filter(|entry| entry.state == EntryState::Damaged);
    let problems: Vec<&str> = damaged.filter_map(|entry| entry.error.as_deref()).collect();
    for problem in &problems {
        say_failure(&format!("{problem}; keys may be missing"));
    }
    !problems.is_empty()
}

fn say_unfinished(entries: &[JournalEntry]) -> bool {
    let unfinished = entries.iter().filter(|entry| UNFINISHED.contains(&entry.state)).count();
    let pending = entries.iter().filter(|entry| entry.state == EntryState::Pending);
    let ids: Vec<String> = pending.filter_map(|entry| Some(entry.token.as_ref()?.id.to_string())).collect();
    if !ids.is_empty() {
        say_failure(&format!("not known to be enabled, and not printed: tokens {}", ids.join(", ")));
    }
    if unfinished > 0 {
        say_failure(&format!(
            "{unfinished} rows are not finished ({}); run the bulk command again with --resume",
            counts(entries)
        ));
    }
    unfinished > 0
}

/// Returns the environment variables of the only token that has a key.
fn variables(tokens: &[&Token], form: Form, base_url: &str) -> Result<String> {
    Ok(match only(tokens)? {
        Some(token) => form.write(token, &PortalAddress::at(base_url, None)?)?.to_string(),
        None => String::new(),
    })
}

/// Returns the only token that has a key: the variables of a second one would replace those of the first.
fn only<'a>(tokens: &[&'a Token]) -> Result<Option<&'a Token>> {
    let with_key: Vec<&Token> = tokens.iter().copied().filter(|token| token.access_key.is_some()).collect();
    match with_key.as_slice() {
        [] => Ok(None),
        [token] => Ok(Some(token)),
        several => Err(Error::argument(format!(
            "invalid --output for {} tokens: environment variables hold one; expected csv or jsonl",
            several.len()
        ))),
    }
}

fn counts(entries: &[JournalEntry]) -> String {
    let count = |state| entries.iter().filter(|entry| entry.state == state).count();
    let counts: Vec<String> = UNFINISHED
        .into_iter()
        .map(|state| (count(state), state))
        .filter(|(count, _)| *count > 0)
        .map(|(count, state)| format!("{count} {}", state.as_str()))
        .collect();
    counts.join(", ")
}
