//! Reading a journal: for a run that goes on, and for whoever wants the keys.

use std::collections::HashMap;
use std::path::Path;

use super::entry::{Journaled, Line, RowKey};
use super::{Header, VERSION};
use crate::destinations::secure_file::failed;
use crate::error::Result;
use crate::model::Token;

/// What became of the rows.
#[derive(Default)]
pub(in crate::lifecycle) struct States {
    by_row: HashMap<RowKey, RowState>,
    /// In the order in which they were first written.
    order: Vec<RowKey>,
}

/// What became of one row.
#[derive(Default)]
pub(in crate::lifecycle) struct RowState {
    /// Tokens that were made and are not known to be gone.
    pub(in crate::lifecycle) made: Vec<Journaled>,
    /// The one of them that is finished.
    pub(in crate::lifecycle) created: Option<i64>,
    last: Last,
}

#[derive(Default, Clone)]
enum Last {
    #[default]
    Nothing,
    Failed(String),
    Unknown(String),
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
        self.by_row.values().flat_map(|state| state.made.iter().map(|made| made.id)).collect()
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
                state.made.push(token);
                state.last = Last::Nothing;
            }
            Line::Created { id, .. } => {
                state.created = Some(id);
                state.last = Last::Nothing;
            }
            Line::Discarded { id, .. } => {
                state.made.retain(|made| made.id != id);
                state.created = state.created.filter(|created| *created != id);
            }
            Line::Failed { error, .. } => state.last = Last::Failed(error),
            Line::Unknown { error, .. } => state.last = Last::Unknown(error),
        }
    }
}

/// What stands in a journal.
pub(super) struct Contents {
    pub(super) header: Option<Header>,
    pub(super) states: States,
    /// So many bytes from the beginning are whole lines; what follows is torn.
    pub(super) whole_bytes: usize,
}

/// Reads a journal. Only its end may be damaged: by a process that died while it wrote.
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
                    return Err(format!("it is of version {}, not {VERSION}", header.lmtokens_journal));
                }
                // Of the first line, only a beginning was written.
                _ if !is_whole && is_begun_header(line) => return Ok(contents),
                _ => return Err("its first line is not that of a journal".to_owned()),
            }
        } else {
            match serde_json::from_slice::<Line>(line) {
                Ok(_) if torn => {
                    return Err(format!("it is damaged before line {}, and not only at its end", number + 1));
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

/// One row of a journal, as `read_journal` tells it.
#[derive(Debug, Clone)]
pub struct JournalEntry {
    /// `created`, `pending` (disabled, or not known to be finished), `failed` or `unknown`.
    pub state: &'static str,
    /// The user as the input named one.
    pub admin: String,
    /// The token with its key, where one was made; its status and note are those that the row asks for.
    pub token: Option<Token>,
    /// Why there is none, or why it is not known.
    pub error: Option<String>,
    /// The note that the row asks for.
    pub note: Option<String>,
}

/// Reads the rows of a journal, in the order in which they were first written. A line that a crash tore off at the end
/// is left out: its token never worked.
pub fn read_journal(path: &Path) -> Result<Vec<JournalEntry>> {
    let text = std::fs::read(path)
        .map_err(|error| failed(format!("cannot read the journal {}: {error}", path.display())))?;
    let contents = parse(&text)
        .map_err(|problem| failed(format!("{} cannot be read as a journal: {problem}", path.display())))?;
    let States { by_row, order } = contents.states;
    let mut entries = Vec::with_capacity(order.len());
    for row in order {
        let Some(state) = by_row.get(&row) else { continue };
        let admin = match &row.admin {
            super::entry::AdminName::Id(id) => id.to_string(),
            super::entry::AdminName::Name(name) => name.clone(),
        };
        let entry = |word, made: Option<&Journaled>, error| JournalEntry {
            state: word,
            admin: admin.clone(),
            token: made.map(|made| made.token(&row)),
            error,
            note: row.note.clone(),
        };
        let finished = state.made.iter().find(|made| Some(made.id) == state.created);
        if let Some(made) = finished {
            entries.push(entry("created", Some(made), None));
        } else if let Some(made) = state.made.last() {
            let error = match &state.last {
                Last::Unknown(error) | Last::Failed(error) => Some(error.clone()),
                Last::Nothing => None,
            };
            entries.push(entry("pending", Some(made), error));
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
