//! Reading a journal, to resume a run or to export its keys.

use std::collections::HashMap;
use std::path::Path;

use super::entry::{Journaled, Line, RowKey};
use super::{Header, VERSION};
use crate::destinations::secure_file::failed;
use crate::error::Result;
use crate::model::Token;

/// The state of every row.
#[derive(Default)]
pub(in crate::lifecycle) struct States {
    by_row: HashMap<RowKey, RowState>,
    /// The rows in the order of their first lines.
    order: Vec<RowKey>,
}

/// The state of one row.
#[derive(Default)]
pub(in crate::lifecycle) struct RowState {
    /// The tokens that were created and not discarded.
    pub(in crate::lifecycle) tokens: Vec<Journaled>,
    /// The id of the finished one.
    created: Option<i64>,
    last: Last,
}

#[derive(Default, Clone)]
enum Last {
    #[default]
    Nothing,
    Failed(String),
    Unknown(String),
}

impl RowState {
    /// Returns the token that has its final status and note.
    pub(in crate::lifecycle) fn finished(&self) -> Option<&Journaled> {
        self.tokens.iter().find(|token| Some(token.id) == self.created)
    }
}

impl States {
    pub(in crate::lifecycle) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(in crate::lifecycle) fn has(&self, row: &RowKey) -> bool {
        self.by_row.contains_key(row)
    }

    pub(in crate::lifecycle) fn take(&mut self, row: &RowKey) -> Option<RowState> {
        self.by_row.remove(row)
    }

    pub(in crate::lifecycle) fn ids(&self) -> Vec<i64> {
        self.by_row.values().flat_map(|state| state.tokens.iter().map(|token| token.id)).collect()
    }

    fn add(&mut self, line: Line) {
        let row = match &line {
            Line::Pending { row, .. }
            | Line::Created { row, .. }
            | Line::Discarded { row, .. }
            | Line::Failed { row, .. }
            | Line::Unknown { row, .. } => row.clone(),
        };
        if !self.by_row.contains_key(&row) {
            self.order.push(row.clone());
        }
        let state = self.by_row.entry(row).or_default();
        match line {
            Line::Pending { token, .. } => {
                state.tokens.push(token);
                state.last = Last::Nothing;
            }
            Line::Created { id, .. } => {
                state.created = Some(id);
                state.last = Last::Nothing;
            }
            Line::Discarded { id, .. } => {
                state.tokens.retain(|token| token.id != id);
                state.created = state.created.filter(|created| *created != id);
            }
            Line::Failed { error, .. } => state.last = Last::Failed(error),
            Line::Unknown { error, .. } => state.last = Last::Unknown(error),
        }
    }
}

/// The contents of a journal.
pub(super) struct Contents {
    pub(super) header: Option<Header>,
    pub(super) states: States,
    /// The number of bytes in complete lines; the rest is torn.
    pub(super) whole_bytes: usize,
}

/// Parses a journal. Only its end may be damaged, by a process that was killed while it wrote.
pub(super) fn parse(text: &[u8]) -> std::result::Result<Contents, String> {
    let mut contents = Contents { header: None, states: States::default(), whole_bytes: 0 };
    let mut torn = false;
    for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let is_whole = line.ends_with(b"\n");
        if number == 0 {
            match serde_json::from_slice::<Header>(line) {
                Ok(header) if is_whole && header.lmtokens_journal == VERSION => {
                    contents.header = Some(header);
                }
                Ok(header) if is_whole => {
                    return Err(format!("it has version {}; expected {VERSION}", header.lmtokens_journal));
                }
                // The process was killed while it wrote the first line.
                _ if !is_whole && is_begun_header(line) => return Ok(contents),
                _ => return Err("its first line is not a journal header".to_owned()),
            }
        } else {
            match serde_json::from_slice::<Line>(line) {
                Ok(_) if torn => {
                    return Err(format!("it is damaged before line {}", number + 1));
                }
                Ok(event) if is_whole => contents.states.add(event),
                _ => torn = true,
            }
        }
        if !torn {
            contents.whole_bytes += line.len();
        }
    }
    Ok(contents)
}

fn is_begun_header(line: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"{\"lmtokens_journal\":";
    let common = line.len().min(BEGINNING.len());
    line.get(..common) == BEGINNING.get(..common)
}

/// One row of a journal.
#[derive(Debug, Clone)]
pub(crate) struct JournalEntry {
    /// `created`, `pending` (disabled, or not confirmed to be enabled), `failed` or `unknown`.
    pub state: &'static str,
    /// The user as the input named it.
    pub admin: String,
    /// The token with its key, if one was created; status and note are those of the row.
    pub token: Option<Token>,
    /// Why there is none, or why the outcome is unknown.
    pub error: Option<String>,
    /// The note of the row.
    pub note: Option<String>,
}

/// Reads the rows of a journal in the order of their first lines. A torn last line is ignored: its token was never
/// enabled.
pub(crate) fn read_journal(path: &Path) -> Result<Vec<JournalEntry>> {
    let text = std::fs::read(path)
        .map_err(|error| failed(format!("cannot read the journal {}: {error}", path.display())))?;
    let contents =
        parse(&text).map_err(|problem| failed(format!("{} is not a journal: {problem}", path.display())))?;
    let States { by_row, order } = contents.states;
    let mut entries = Vec::with_capacity(order.len());
    for row in order {
        let Some(state) = by_row.get(&row) else { continue };
        let admin = match &row.admin {
            super::entry::AdminName::Id(id) => id.to_string(),
            super::entry::AdminName::Name(name) => name.clone(),
        };
        let entry = |state, token: Option<&Journaled>, error| JournalEntry {
            state,
            admin: admin.clone(),
            token: token.map(|token| token.token(&row)),
            error,
            note: row.note.clone(),
        };
        if let Some(finished) = state.finished() {
            entries.push(entry("created", Some(finished), None));
        } else if let Some(pending) = state.tokens.last() {
            let error = match &state.last {
                Last::Unknown(error) | Last::Failed(error) => Some(error.clone()),
                Last::Nothing => None,
            };
            entries.push(entry("pending", Some(pending), error));
        } else {
            match &state.last {
                Last::Unknown(error) => entries.push(entry("unknown", None, Some(error.clone()))),
                Last::Failed(error) => entries.push(entry("failed", None, Some(error.clone()))),
                Last::Nothing => {}
            }
        }
    }
    Ok(entries)
}
