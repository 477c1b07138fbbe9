//! `lmtokens bulk --export`.

use std::path::Path;

use super::Format;
use crate::cli::exit;
use crate::cli::github::GithubFile;
use crate::cli::output::{self, ListFormat, Output};
use crate::cli::report::{Failure, say, say_failure};
use crate::error::{Error, Result};
use crate::lifecycle::{EntryState, JournalEntry, ReadJournal, read_journal};
use crate::model::Token;
use crate::portal::PortalAddress;
use crate::token_output::{Form, GithubEnvironment, Members, members};

/// The states of rows that a resumed run continues.
const UNFINISHED: [EntryState; 3] = [EntryState::Pending, EntryState::Failed, EntryState::Unknown];

/// Prints the finished tokens, their keys in plain text.
pub(super) fn export(journal: &Path, format: Format, skip_damaged: bool) -> Result<u8, Failure> {
    let ReadJournal { portal, entries } = read_journal(journal, skip_damaged)?;
    let output = Output::open()?;
    let finished: Vec<&Token> = entries
        .iter()
        .filter(|entry| entry.state == EntryState::Created)
        .filter_map(|entry| entry.token.as_ref())
        .collect();
    let rows = || finished.iter().map(|token| members(token)).collect::<Vec<Members>>();
    let text = match format {
        Format::Csv => output::list(&rows(), ListFormat::Csv)?,
        Format::Jsonl => output::list(&rows(), ListFormat::Jsonl)?,
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
