//! Bulk runs: many creates with a journal from which a run can be resumed after any interruption.

#[cfg(any(feature = "cli", feature = "python"))]
mod cells;
mod destination;
mod removed;
mod resume;
mod row;
mod run;
mod snapshot;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

pub use super::journal::RowInput;
use super::journal::{Journal, Opening, RowKey, RowState, States, TokenState};
use crate::client::Client;
use crate::destinations::Destination;
use crate::destinations::secure_file::{check_folder, failed, folder_of};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::ids::Concurrency;
use crate::model::Token;
#[cfg(feature = "cli")]
use crate::portal::PortalAddress;
use crate::process;
use crate::tokens::{NewToken, User};

#[cfg(any(feature = "cli", feature = "python"))]
pub(crate) use cells::{Cell, Cells, Column, HEADER};
pub use run::Run;

/// One row of the input.
#[derive(Debug, Clone)]
pub struct Row {
    /// The token to create.
    pub token: NewToken,
    /// The line of the input in which the row begins, for messages.
    pub line: u64,
    /// What else the input says about the row.
    pub input: RowInput,
}

impl Row {
    /// Returns the input to journal for a token that an earlier run created, if it differs from what the journal has. An
    /// input without other columns does not discard those in the journal.
    fn changed_input(&self, journaled: Option<&RowInput>) -> Option<RowInput> {
        let mut input = self.input.clone();
        if let Some(journaled) = journaled.filter(|_| input.columns.is_empty()) {
            input.columns.clone_from(&journaled.columns);
        }
        (journaled != Some(&input)).then_some(input)
    }
}

/// What a failed row means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// Continue with the others.
    #[default]
    Continue,
    /// Start no other row.
    Stop,
}

impl FromStr for OnError {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "continue" => Ok(Self::Continue),
            "stop" => Ok(Self::Stop),
            _ => Err(Error::invalid("on_error", format_args!("{word:?}"), "\"continue\" or \"stop\"")),
        }
    }
}

/// The result of a row.
#[derive(Debug)]
pub enum Outcome {
    /// The token is created and its key delivered.
    Created(Token),
    /// Nothing was created, or nothing that is enabled.
    Failed(Error),
    /// It is unknown whether a token was created; the error says what is known.
    Unknown(Error),
    /// The row was not attempted: an earlier run created this token, or the run ended before.
    Skipped {
        /// Why.
        reason: String,
        /// The token of the earlier run.
        token: Option<Token>,
    },
}

impl Outcome {
    /// Returns the word for it.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "unknown",
            Self::Skipped { .. } => "skipped",
        }
    }
}

/// A row and its result.
#[derive(Debug)]
pub struct RowResult {
    /// The row.
    pub row: Row,
    /// Its result.
    pub outcome: Outcome,
}

/// The number of rows by result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Created by this run.
    pub created: u64,
    /// Failed.
    pub failed: u64,
    /// Outcome unknown.
    pub unknown: u64,
    /// Created by an earlier run.
    pub already_done: u64,
    /// Not attempted, or not finished, because the run ended before.
    pub skipped: u64,
}

impl Summary {
    fn count(&mut self, outcome: &Outcome) {
        let count = match outcome {
            Outcome::Created(_) => &mut self.created,
            Outcome::Failed(_) => &mut self.failed,
            Outcome::Unknown(_) => &mut self.unknown,
            Outcome::Skipped { token: Some(_), .. } => &mut self.already_done,
            Outcome::Skipped { token: None, .. } => &mut self.skipped,
        };
        *count += 1;
    }

    /// Returns the number of rows that have ended.
    #[must_use]
    pub fn ended(&self) -> u64 {
        let Self { created, failed, unknown, already_done, skipped } = self;
        created + failed + unknown + already_done + skipped
    }
}

/// Returns the destination of the key of a row, from its user and number.
pub type DestinationForRow = Arc<dyn Fn(&User, u64) -> Result<Arc<dyn Destination>> + Send + Sync>;

/// How a run works.
#[derive(Clone, Default)]
pub struct RunSettings {
    /// Whether an existing journal is resumed.
    pub resume: bool,
    /// Whether the journal stays unlocked, for file systems without locks.
    pub no_lock: bool,
    /// Whether the journal may belong to another user, and other users may write to its folder.
    pub trust_folder: bool,
    /// The number of rows in progress at once.
    pub concurrency: Concurrency,
    /// What a failed row means for the others.
    pub on_error: OnError,
    /// The destinations of the keys; `None` is the journal itself.
    pub destination: Option<DestinationForRow>,
    /// A text that tells the destinations of one run from those of another, if they can be compared.
    pub destination_name: Option<String>,
}

/// Creates many tokens.
pub struct AddTokens {
    /// The tokens to create.
    pub rows: Vec<Row>,
    /// The path of the journal.
    pub journal: PathBuf,
    /// How the run works.
    pub settings: RunSettings,
}

impl AddTokens {
    /// Opens the journal. The first request is sent by the first [`Run::next`].
    pub fn start(self, client: &Client) -> Result<Run> {
        self.check()?;
        // Before the journal is created: an attempt that cannot begin leaves nothing behind.
        process::check_available()?;
        let folder = self.check_folder()?;
        // One warning is enough if the destinations of all rows deserve it.
        let destination = self.destinations().next().transpose()?.and_then(|(_, it)| it.warning());
        for warning in folder.into_iter().chain(destination) {
            client.report(warning);
        }
        let identity = client.identity();
        let portal = identity.portal.base_url();
        let (journal, states) = Journal::open(&self.opening(), portal, client.now_ms())?;
        let rows = self.keyed(&states)?;
        self.check_kept(&rows, &states)?;
        // Rows wait longer for the rate limit than a single call would.
        Ok(Run::new(client.without_wait_limit(), journal, states, rows, self.settings))
    }

    fn opening(&self) -> Opening<'_> {
        Opening {
            path: &self.journal,
            resume: self.settings.resume,
            lock: !self.settings.no_lock,
            trust_folder: self.settings.trust_folder,
            holds_keys: self.settings.destination.is_none(),
            destination_name: self.settings.destination_name.as_deref(),
        }
    }

    /// Returns the warning about the journal's folder, if there is one.
    fn check_folder(&self) -> Result<Option<Event>> {
        check_folder(&folder_of(&self.journal), self.settings.trust_folder)
    }

    /// Returns how many rows have their token already, by the journal that this run would resume. Nothing is changed
    /// or sent. Fails if the journal could not be used at the portal, if that is known.
    #[cfg(feature = "cli")]
    pub(crate) fn count_done(&self, portal: Option<&PortalAddress>) -> Result<usize> {
        self.check()?;
        self.check_folder()?;
        let states = Journal::check(&self.opening(), portal.map(PortalAddress::base_url))?;
        let rows = self.keyed(&states)?;
        self.check_kept(&rows, &states)?;
        let is_done = |(key, _): &&(RowKey, Row)| states.get(key).is_some_and(RowState::is_finished);
        Ok(rows.iter().filter(is_done).count())
    }

    /// Returns the rows with their keys, or fails if the journal has tokens of another input only. Pending tokens are
    /// reconciled even so: the only row of the input may have been corrected.
    fn keyed(&self, states: &States) -> Result<Vec<(RowKey, Row)>> {
        let rows = keyed(&self.rows, states);
        let has_tokens = states.tokens().next().is_some();
        let is_settled = states.tokens().all(|token| token.state != TokenState::Pending);
        if has_tokens
            && is_settled
            && !rows.is_empty()
            && !rows.iter().any(|(key, _)| states.get(key).is_some())
        {
            return Err(failed(format!(
                "the journal {} belongs to another input: it has none of the {} rows given",
                self.journal.display(),
                rows.len()
            ))
            .suggest("use the journal that was started with this input, or a new one"));
        }
        Ok(rows)
    }

    /// Returns the rows with the destinations of their keys.
    fn destinations(&self) -> impl Iterator<Item = Result<(&Row, Arc<dyn Destination>)>> {
        self.settings.destination.iter().flat_map(|destination_of| {
            self.rows.iter().map(|row| {
                destination_of(&row.token.admin, row.input.number).map(|destination| (row, destination))
            })
        })
    }

    /// Fails if a delivery cannot succeed, before anything is opened or sent.
    pub fn check(&self) -> Result<()> {
        let mut known = HashMap::new();
        for destination in self.destinations() {
            let (row, destination) = destination?;
            if let Some(location) = destination.exclusive_location()
                && let Some(first) = known.insert(location, row.input.number)
            {
                return Err(Error::argument(format!(
                    "invalid destination: {} holds the key of one token, not those of the rows {first} and {}; expected \
                     one that holds all keys, another for each row, or the journal",
                    destination.describe(),
                    row.input.number
                )));
            }
            // A resumed run may have no row left to create. Otherwise the row fails before it is sent.
            if !self.settings.resume {
                destination.check(None)?;
            }
        }
        Ok(())
    }

    /// Fails if the key of a row without a token would be delivered where an earlier run has delivered that of another
    /// row: the rows have other numbers now.
    fn check_kept(&self, rows: &[(RowKey, Row)], states: &States) -> Result<()> {
        let Some(destination_of) = &self.settings.destination else { return Ok(()) };
        let mut kept = HashMap::new();
        for (key, token) in
            states.rows().flat_map(|(key, state)| state.tokens.iter().map(move |it| (key, it)))
        {
            // An error here is that of a user who is given by name now.
            let Ok(destination) = destination_of(key.user(), token.number) else { continue };
            let is_kept = match token.state {
                TokenState::Finished => true,
                // It may be enabled. A destination that replaces nothing decides once that is known.
                TokenState::Pending => !destination.refuses_to_replace(),
                TokenState::Deleted => false,
            };
            if let Some(location) = destination.exclusive_location().filter(|_| is_kept) {
                kept.insert(location, (key, token));
            }
        }
        for (key, row) in rows.iter().filter(|_| !kept.is_empty()) {
            let destination = destination_of(&row.token.admin, row.input.number)?;
            let Some((owner, token)) = destination.exclusive_location().and_then(|it| kept.get(&it)) else {
                continue;
            };
            if *owner != key && !states.get(key).is_some_and(RowState::is_finished) {
                return Err(failed(format!(
                    "row {} would replace the key of token {} in {}: that was row {} when its token was created",
                    row.input.number,
                    token.journaled.id,
                    destination.describe(),
                    token.number
                ))
                .suggest("keep the rows in their order and add rows at the end, or use a new journal"));
            }
        }
        Ok(())
    }
}

/// Returns all problems of an input as one message; `None` if there are none.
#[cfg(any(feature = "cli", feature = "python"))]
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

/// A row of the journal among equal ones: those with a finished token come first, then those with another token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_unfinished: bool,
    has_no_token: bool,
    nth: u32,
    /// The number of the row in the input.
    number: u64,
}

impl Rank {
    fn of(key: &RowKey, state: &RowState) -> Self {
        let (is_unfinished, has_no_token) = (!state.is_finished(), state.tokens.is_empty());
        Self { is_unfinished, has_no_token, nth: key.nth, number: state.number() }
    }
}

type Columns = [(String, String)];

/// Returns the rows with their keys. Equal rows are told apart by number. A row gets the number of one with the same other
/// columns, if the journal has one, and among several that of the row that was in its place. If the input has fewer rows
/// than the journal, those with a token are taken first: a row that is done is not created again.
fn keyed(rows: &[Row], states: &States) -> Vec<(RowKey, Row)> {
    let mut same: HashMap<(RowKey, &Columns), Vec<Rank>> = HashMap::new();
    for (key, state) in states.rows() {
        let columns = state.input.as_ref().map_or(&[][..], |input| &input.columns);
        same.entry((key.with_number(0), columns)).or_default().push(Rank::of(key, state));
    }
    let mut groups: HashMap<(RowKey, &Columns), Vec<u64>> = HashMap::new();
    for row in rows {
        let group = (RowKey::of(&row.token), row.input.columns.as_slice());
        groups.entry(group).or_default().push(row.input.number);
    }
    let mut found = HashMap::new();
    for (group, numbers) in groups {
        let Some(ranks) = same.get_mut(&group) else { continue };
        ranks.sort_unstable();
        let taken: Vec<Rank> = ranks.drain(..numbers.len().min(ranks.len())).collect();
        found.extend(matched(numbers, taken));
    }

    let mut free: HashMap<RowKey, Vec<Rank>> = HashMap::new();
    for ((key, _), ranks) in same {
        free.entry(key).or_default().extend(ranks);
    }
    let mut rest = HashMap::new();
    let keyed = rows.iter().map(|row| {
        let mut key = RowKey::of(&row.token);
        key.nth = found.get(&row.input.number).copied().unwrap_or_else(|| {
            let numbers = rest.entry(key.clone()).or_insert_with(|| {
                let mut ranks = free.remove(&key).unwrap_or_default();
                ranks.sort_unstable();
                let key = key.clone();
                let others = (0..).filter(move |nth| states.get(&key.with_number(*nth)).is_none());
                ranks.into_iter().map(|rank| rank.nth).chain(others)
            });
            numbers.next().unwrap_or_default()
        });
        (key, row.clone())
    });
    keyed.collect()
}

/// Returns which of the equal rows of the journal each row of the input is, by its number. A row that has kept its number
/// keeps its destination, too.
fn matched(numbers: Vec<u64>, taken: Vec<Rank>) -> HashMap<u64, u32> {
    let mut by_number: HashMap<u64, u32> = taken.iter().map(|rank| (rank.number, rank.nth)).collect();
    let mut found = HashMap::new();
    let mut moved = Vec::new();
    for number in numbers {
        match by_number.remove(&number) {
            Some(nth) => _ = found.insert(number, nth),
            None => moved.push(number),
        }
    }
    let used: HashSet<u32> = found.values().copied().collect();
    let others = taken.into_iter().map(|rank| rank.nth).filter(|nth| !used.contains(nth));
    found.extend(moved.into_iter().zip(others));
    found
}
