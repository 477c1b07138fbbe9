//! Reading a journal, to resume a run or to export its keys.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::entry::{Journaled, Line, RowInput, RowKey};
use super::header::{Header, VERSION, run_of};
use super::seal;
use crate::advice::Advice;
use crate::destinations::secure_file::failed;
use crate::error::{Error, Result};
use crate::model::Token;
use crate::tokens::User;

/// The state of every row.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::lifecycle) struct States {
    by_row: HashMap<RowKey, RowState>,
    /// The rows in the order of their first lines.
    order: Vec<RowKey>,
}

/// The state of one row.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::lifecycle) struct RowState {
    /// The tokens that were created, without those that were discarded before they were finished.
    pub(in crate::lifecycle) tokens: Vec<RowToken>,
    /// The input of the last run that had the row; `None` in a journal of an earlier version.
    pub(in crate::lifecycle) input: Option<RowInput>,
    last: Last,
}

/// A token of a row.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::lifecycle) struct RowToken {
    pub(in crate::lifecycle) journaled: Journaled,
    pub(in crate::lifecycle) state: TokenState,
    /// The number that its row had when it was created; 0 in a journal of an earlier version.
    pub(in crate::lifecycle) number: u64,
}

/// What the journal says about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lifecycle) enum TokenState {
    /// Not known to have its final status and note.
    Pending,
    /// It had its final status and note.
    Finished,
    /// It was finished, and a later run found it deleted.
    Deleted,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum Last {
    #[default]
    Nothing,
    Failed(String),
    Unknown(String),
    Removed,
}

impl RowState {
    /// Returns whether one of its tokens had its final status and note.
    pub(in crate::lifecycle) fn is_finished(&self) -> bool {
        self.tokens.iter().any(|token| token.state != TokenState::Pending)
    }

    /// Returns whether the row ended without a token and was missing in the input of a later run.
    pub(in crate::lifecycle) fn is_removed(&self) -> bool {
        self.last == Last::Removed
    }

    /// Returns the number that the row had when its token was created, or else in the last input.
    pub(in crate::lifecycle) fn number(&self) -> u64 {
        let of_token = self.tokens.last().map(|token| token.number).filter(|number| *number > 0);
        of_token.or_else(|| self.input.as_ref().map(|input| input.number)).unwrap_or_default()
    }

    fn record(&mut self, input: Option<RowInput>) {
        self.input = input.or(self.input.take());
    }
}

impl States {
    /// Returns the rows with their states.
    pub(in crate::lifecycle) fn rows(&self) -> impl Iterator<Item = (&RowKey, &RowState)> {
        self.by_row.iter()
    }

    /// Takes the rows that are not in the input, in the order of their first lines.
    pub(in crate::lifecycle) fn take_others(&mut self, input: &HashSet<&RowKey>) -> Vec<(RowKey, RowState)> {
        let others = self.order.iter().filter(|row| !input.contains(row));
        others.filter_map(|row| self.by_row.remove_entry(row)).collect()
    }

    pub(in crate::lifecycle) fn get(&self, row: &RowKey) -> Option<&RowState> {
        self.by_row.get(row)
    }

    pub(in crate::lifecycle) fn take(&mut self, row: &RowKey) -> Option<RowState> {
        self.by_row.remove(row)
    }

    /// Returns the tokens of all rows.
    pub(in crate::lifecycle) fn tokens(&self) -> impl Iterator<Item = &RowToken> {
        self.by_row.values().flat_map(|state| &state.tokens)
    }

    fn add(&mut self, line: Line) {
        let row = match &line {
            Line::Pending { row, .. }
            | Line::Created { row, .. }
            | Line::Discarded { row, .. }
            | Line::Failed { row, .. }
            | Line::Unknown { row, .. }
            | Line::Removed { row } => row.clone(),
        };
        if !self.by_row.contains_key(&row) {
            self.order.push(row.clone());
        }
        let state = self.by_row.entry(row).or_default();
        match line {
            Line::Pending { token, input, .. } => {
                let number = input.as_ref().map_or(0, |input| input.number);
                state.record(input);
                state.tokens.push(RowToken { journaled: token, state: TokenState::Pending, number });
                state.last = Last::Nothing;
            }
            Line::Created { id, input, .. } => {
                state.record(input);
                for token in state.tokens.iter_mut().filter(|token| token.journaled.id == id) {
                    token.state = TokenState::Finished;
                }
                state.last = Last::Nothing;
            }
            Line::Discarded { id, .. } => state.tokens.retain_mut(|token| {
                let was_finished = token.state != TokenState::Pending;
                if token.journaled.id == id && was_finished {
                    token.state = TokenState::Deleted;
                }
                token.journaled.id != id || was_finished
            }),
            Line::Failed { error, input, .. } => {
                state.record(input);
                state.last = Last::Failed(error);
            }
            Line::Unknown { error, input, .. } => {
                state.record(input);
                state.last = Last::Unknown(error);
            }
            Line::Removed { .. } => state.last = Last::Removed,
        }
    }
}

/// The contents of a journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) header: Header,
    pub(super) states: States,
    /// The number of bytes in intact lines; the rest is torn.
    pub(super) whole_bytes: usize,
    /// Whether the last intact line lacks its newline.
    pub(super) lacks_newline: bool,
    /// The number of the next line.
    pub(super) next: u64,
    /// What is damaged, if damage is skipped.
    pub(super) damage: Vec<String>,
}

/// Why a journal cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    NotAJournal(String),
    Damaged(String),
}

impl Unreadable {
    pub(super) fn error(&self, path: &Path) -> Error {
        let path = path.display();
        match self {
            Self::NotAJournal(problem) => failed(format!("{path} is not a journal: {problem}")),
            Self::Damaged(problem) => {
                failed(format!("the journal {path} is damaged: {problem}")).suggest(Advice::ReadIntactLines)
            }
        }
    }
}

#[derive(Deserialize)]
struct Version {
    lmtokens_journal: u32,
}

/// Parses a journal. Only its end may be incomplete, after a process that was killed while it wrote; everything else is
/// damage. `skip_damaged` keeps the intact lines and describes the others.
pub(super) fn parse(text: &[u8], skip_damaged: bool) -> std::result::Result<Contents, Unreadable> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().ok_or_else(|| Unreadable::Damaged("it is empty".to_owned()))?;
    let header = header(first)?;
    let mut contents = Contents {
        header,
        states: States::default(),
        whole_bytes: first.len(),
        lacks_newline: false,
        next: 2,
        damage: Vec::new(),
    };
    let mut was_damaged = false;
    for (position, line) in (2..).zip(lines) {
        let problem = match contents.read(line, skip_damaged) {
            Read::Line(None) => {
                was_damaged = false;
                continue;
            }
            Read::Torn => break,
            // The damaged line explains the gap.
            Read::Line(Some(_)) if was_damaged => {
                was_damaged = false;
                continue;
            }
            Read::Line(Some(problem)) => format!("line {position} {problem}"),
            Read::Damaged => {
                was_damaged = true;
                format!("line {position} is damaged")
            }
        };
        if !skip_damaged {
            return Err(Unreadable::Damaged(problem));
        }
        contents.damage.push(problem);
    }
    Ok(contents)
}

/// What a line of a journal is.
enum Read {
    /// An intact line, and what is wrong with its place.
    Line(Option<&'static str>),
    Damaged,
    /// The incomplete end of the journal.
    Torn,
}

impl Contents {
    /// Reads one line and adds it to the states, unless it repeats another.
    fn read(&mut self, line: &[u8], skip_damaged: bool) -> Read {
        let ended = line.strip_suffix(b"\n");
        let Some(number) = seal::number(&self.header.run, ended.unwrap_or(line)) else {
            let without_last = line.split_last().map(|(_, rest)| rest);
            let was_whole = without_last.is_some_and(|rest| seal::number(&self.header.run, rest).is_some());
            // A line that is whole but for its newline was not torn by a killed process.
            return if ended.is_some() || was_whole { Read::Damaged } else { Read::Torn };
        };
        let Ok(event) = serde_json::from_slice::<Line>(line) else { return Read::Damaged };
        let problem = if number == self.next {
            None
        } else {
            Some("is not in its place: lines were removed, repeated or moved")
        };
        if problem.is_none() || (skip_damaged && number > self.next) {
            self.states.add(event);
            self.next = number + 1;
            self.whole_bytes += line.len();
            self.lacks_newline = ended.is_none();
        }
        Read::Line(problem)
    }
}

fn header(line: &[u8]) -> std::result::Result<Header, Unreadable> {
    let Ok(Version { lmtokens_journal: version }) = serde_json::from_slice(line) else {
        return Err(Unreadable::NotAJournal("its first line is not a complete journal header".to_owned()));
    };
    if version != VERSION {
        return Err(Unreadable::NotAJournal(format!("it has version {version}; expected {VERSION}")));
    }
    let intact = serde_json::from_slice::<Header>(line).ok().filter(|header| {
        let sealed = line.strip_suffix(b"\n").and_then(|line| seal::number(&header.run, line));
        sealed == Some(1) && run_of(&header.proof) == header.run
    });
    intact.ok_or_else(|| Unreadable::Damaged("line 1 is damaged".to_owned()))
}

/// The state of a token or a row of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryState {
    Created,
    /// Disabled, or not confirmed to be enabled.
    Pending,
    Failed,
    Unknown,
    /// A part of the journal cannot be read.
    Damaged,
}

impl EntryState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Damaged => "damaged",
        }
    }
}

/// A token or a row of a journal.
#[derive(Debug, Clone)]
pub(crate) struct JournalEntry {
    pub state: EntryState,
    /// The user as the input named it; `None` if the entry is damaged.
    pub admin_id: Option<User>,
    /// The token with its key, if one was created; status and note are those of the row.
    pub token: Option<Token>,
    /// Why there is none, or why the outcome is unknown.
    pub error: Option<String>,
    /// The note of the row.
    pub note: Option<String>,
    /// Where the row was in the input, and its other columns; `None` if the journal does not say.
    pub input: Option<RowInput>,
}

/// A journal as it is read for its keys.
pub(crate) struct ReadJournal {
    /// The base URL of the portal.
    pub portal: String,
    /// The tokens and the rows without one, in the order of the input: by the number of the row, and those without a
    /// number at the end. A row without a token that was removed from the input is left out.
    pub entries: Vec<JournalEntry>,
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Error {
    /// `ERROR_LOCK_VIOLATION`: on Windows, a lock also prevents reading.
    const LOCKED: i32 = 33;
    let path = path.display();
    if cfg!(windows) && error.raw_os_error() == Some(LOCKED) {
        return failed(format!("cannot read the journal {path}: a run uses it"))
            .suggest("wait until the run ends");
    }
    failed(format!("cannot read the journal {path}: {error}"))
}

/// Reads the tokens of a journal. A torn last line is ignored: a token whose line with the key is torn was never
/// enabled.
pub(crate) fn read_journal(path: &Path, skip_damaged: bool) -> Result<ReadJournal> {
    let text = std::fs::read(path).map_err(|error| cannot_read(path, &error))?;
    let text = zeroize::Zeroizing::new(text);
    let contents = parse(&text, skip_damaged).map_err(|problem| problem.error(path))?;
    let States { by_row, order } = contents.states;
    let holds_keys = contents.header.holds_keys;
    let portal: Arc<str> = contents.header.portal.as_str().into();
    let mut entries = Vec::with_capacity(order.len());
    for row in order {
        let Some(state) = by_row.get(&row) else { continue };
        let entry = |entry_state, token: Option<&RowToken>, error| JournalEntry {
            state: entry_state,
            admin_id: Some(row.admin.clone()),
            token: token
                .map(|token| Token { portal: Some(Arc::clone(&portal)), ..token.journaled.token(&row) }),
            error,
            note: row.note.clone(),
            input: state.input.clone().map(|mut input| {
                // The number that is in the name of its destination.
                if let Some(token) = token.filter(|token| !holds_keys && token.number > 0) {
                    input.number = token.number;
                }
                input
            }),
        };
        let (without_token, error) = match &state.last {
            Last::Nothing | Last::Removed => (None, None),
            Last::Failed(error) => (Some(EntryState::Failed), Some(error.clone())),
            Last::Unknown(error) => (Some(EntryState::Unknown), Some(error.clone())),
        };
        let mut has_token = false;
        for token in &state.tokens {
            let state = match token.state {
                TokenState::Pending => EntryState::Pending,
                TokenState::Finished => EntryState::Created,
                TokenState::Deleted => continue,
            };
            has_token = true;
            entries.push(entry(state, Some(token), error.clone()));
        }
        if let Some(without_token) = without_token.filter(|_| !has_token) {
            entries.push(entry(without_token, None, error));
        }
    }
    // A stable sort: a row that was removed from the input can have the number of another row.
    entries.sort_by_key(|entry| entry.input.as_ref().map_or(u64::MAX, |input| input.number));
    entries.extend(contents.damage.into_iter().map(|problem| JournalEntry {
        state: EntryState::Damaged,
        admin_id: None,
        token: None,
        error: Some(problem),
        note: None,
        input: None,
    }));
    Ok(ReadJournal { portal: contents.header.portal, entries })
}
