//! Many creates at once, with a journal: a run that goes on after any death.

mod destination;
mod resume;
mod row;
mod run;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::journal::{Journal, Opening, RowKey};
use crate::client::Client;
use crate::destinations::secure_file::failed;
use crate::error::{Error, Result};
use crate::model::Token;
use crate::ports::Destination;
use crate::tag::Tag;
use crate::tokens::AddToken;

pub use run::Run;

/// One row of the input.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What is to be made.
    pub token: AddToken,
    /// Where it stands in the input, counted from 1.
    pub line: u64,
}

/// What a run does when a row fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// Goes on with the others.
    #[default]
    Continue,
    /// Starts no other.
    Stop,
}

impl OnError {
    /// What a user names.
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "continue" => Ok(Self::Continue),
            "stop" => Ok(Self::Stop),
            _ => Err(Error::argument(format!(
                "on_error {word:?} is not accepted: accepted are \"continue\" and \"stop\""
            ))),
        }
    }
}

/// How a row ended.
#[derive(Debug)]
pub enum Outcome {
    /// The token is there, and its key delivered.
    Created(Token),
    /// Nothing was made, or nothing that works.
    Failed(Error),
    /// What became of it is not known; the error says what is.
    Unknown(Error),
    /// It was not tried: it was done by an earlier run, whose token this is, or the run ended before.
    Skipped {
        /// Why not.
        reason: String,
        /// What an earlier run made.
        token: Option<Token>,
    },
}

/// A row and how it ended.
#[derive(Debug)]
pub struct RowResult {
    /// The row.
    pub row: NewToken,
    /// How it ended.
    pub outcome: Outcome,
}

/// How many rows ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Made by this run.
    pub created: u64,
    /// Failed.
    pub failed: u64,
    /// Not known.
    pub unknown: u64,
    /// Done by an earlier run.
    pub already_done: u64,
    /// Not tried, or not finished, because the run ended before.
    pub skipped: u64,
}

/// Makes many tokens.
pub struct AddTokens {
    /// What is to be made.
    pub rows: Vec<NewToken>,
    /// Where the journal is.
    pub journal: PathBuf,
    /// Whether to go on with a journal that is there.
    pub resume: bool,
    /// How many rows are under way at once, 1 to 64.
    pub concurrency: usize,
    /// What a failed row means for the others.
    pub on_error: OnError,
    /// Whether the journal is locked against other processes.
    pub lock: bool,
    /// Where the keys go; `None` is the journal itself.
    pub destination: Option<Arc<dyn Destination>>,
}

impl AddTokens {
    /// Checks every row and opens the journal. Nothing is sent before the first result is asked for.
    pub fn start(self, client: &Client) -> Result<Run> {
        self.check()?;
        let opening = Opening {
            path: &self.journal,
            portal: client.identity().portal.base_url(),
            resume: self.resume,
            lock: self.lock,
            holds_keys: self.destination.is_none(),
            now_ms: client.now_ms(),
        };
        let (journal, states) = Journal::open(&opening)?;
        let rows = keyed(&self.rows);
        if !states.is_empty() && !rows.is_empty() && !rows.iter().any(|(key, _)| states.has(key)) {
            return Err(failed(format!(
                "the journal {} is of another input: none of its rows is among the {} given",
                self.journal.display(),
                rows.len()
            ))
            .suggest("name the journal that was begun with this input, or a new one"));
        }
        Ok(Run::new(run::Plan {
            // The rows of a long run queue for longer than any one call would.
            client: client.without_wait_limit(),
            journal: Arc::new(journal),
            states,
            rows,
            concurrency: self.concurrency,
            on_error: self.on_error,
            destination: self.destination,
        }))
    }

    /// Fails where a row can never be right, before anything is opened or sent.
    pub fn check(&self) -> Result<()> {
        const MOST: usize = 64;
        if !(1..=MOST).contains(&self.concurrency) {
            return Err(Error::argument(format!(
                "concurrency {} is not accepted: accepted are 1 to {MOST}",
                self.concurrency
            )));
        }
        let problems: Vec<String> = self.rows.iter().filter_map(problem).collect();
        if let Some(message) = all_problems(&problems) {
            return Err(Error::argument(message));
        }
        self.destination.as_ref().map_or(Ok(()), |destination| destination.check())
    }
}

fn problem(row: &NewToken) -> Option<String> {
    let checked = row.token.admin.check().and_then(|()| Tag::check_note(row.token.note.as_deref()));
    checked.err().map(|error| format!("row {}: {error}", row.line))
}

/// All problems of an input in one message; `None` where there are none.
pub(crate) fn all_problems(problems: &[String]) -> Option<String> {
    const SHOWN: usize = 20;
    if problems.is_empty() {
        return None;
    }
    let mut lines: Vec<String> = problems.iter().take(SHOWN).cloned().collect();
    if problems.len() > SHOWN {
        lines.push(format!("and {} more", problems.len() - SHOWN));
    }
    Some(lines.join("\n"))
}

/// Rows that ask for the same are told apart by their order among themselves.
fn keyed(rows: &[NewToken]) -> Vec<(RowKey, NewToken)> {
    let mut counts: HashMap<RowKey, u32> = HashMap::new();
    let numbered = rows.iter().map(|row| {
        let mut key = RowKey::of(&row.token);
        let count = counts.entry(key.clone()).or_default();
        key.nth = *count;
        *count += 1;
        (key, row.clone())
    });
    numbered.collect()
}
