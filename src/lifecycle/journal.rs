//! The journal of a bulk run: sealed JSON lines, readable by their owner only. No token is enabled before the line with
//! its key is on disk.

mod entry;
mod file;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod header;
mod read;
mod seal;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use crate::destinations::secure_file::{check_file, failed};
use crate::error::Result;
use crate::model::iso_8601;
use crate::tag::RunId;

pub use entry::RowInput;
pub(super) use entry::{Journaled, Line, RowKey};
use file::{JournalFile, cannot_write, exists_already};
#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::fuzz_journal;
use header::{Header, VERSION, destination_digest, run_of};
pub(crate) use read::{EntryState, JournalEntry, ReadJournal, read_journal};
pub(super) use read::{RowState, RowToken, States, TokenState};
pub(super) use writer::Writer;

/// A journal that this process writes, exclusively.
pub(super) struct Journal {
    pub(super) run: RunId,
    pub(super) holds_keys: bool,
    /// When the run began, by the local clock; `None` if it begins now.
    pub(super) begun: Option<i64>,
    writer: Writer,
}

/// How a journal is opened.
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Opening<'a> {
    pub(super) path: &'a Path,
    /// Whether an existing journal is resumed.
    pub(super) resume: bool,
    pub(super) lock: bool,
    /// Whether the journal may belong to another user.
    pub(super) trust_folder: bool,
    pub(super) holds_keys: bool,
    /// A text that tells the destinations of one run from those of another, if they can be compared.
    pub(super) destination_name: Option<&'a str>,
}

impl Journal {
    /// Opens or creates a journal for a portal, and returns the state of its rows.
    pub(super) fn open(opening: &Opening<'_>, portal: &str, now_ms: u64) -> Result<(Self, States)> {
        if exists(opening)? {
            Self::resume(opening, portal)
        } else {
            Self::create(opening, portal, now_ms).map(|journal| (journal, States::default()))
        }
    }

    /// Returns the state of the rows that `open` would return. Fails if it would fail, except that a new journal is not
    /// created, and that a portal that is not known is not compared. Changes nothing.
    #[cfg(feature = "cli")]
    pub(super) fn check(opening: &Opening<'_>, portal: Option<&str>) -> Result<States> {
        if !exists(opening)? {
            return Ok(States::default());
        }
        let (_locked, _, contents) = read(opening, portal)?;
        Ok(contents.states)
    }

    fn create(opening: &Opening<'_>, portal: &str, now_ms: u64) -> Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| {
            failed(format!("cannot get random numbers from the operating system: {error}"))
        })?;
        let proof = format!("{:032x}", u128::from_be_bytes(random));
        let run = run_of(&proof);
        let header = Header {
            lmtokens_journal: VERSION,
            run: run.clone(),
            proof,
            portal: portal.to_owned(),
            begun: iso_8601(i64::try_from(now_ms / 1000).unwrap_or_default()),
            holds_keys: opening.holds_keys,
            destination: opening.destination_name.map(|name| destination_digest(&run, name)),
        };
        let object = serde_json::to_string(&header).map_err(|error| failed(error.to_string()))?;
        let file = JournalFile::create(opening.path, &seal::seal(&run, 1, &object), opening.lock)?;
        let writer = Writer::start(file, run.clone(), 2)?;
        Ok(Self { run: run.parse()?, holds_keys: header.holds_keys, begun: None, writer })
    }

    /// Reads an existing journal and sets a torn last line aside.
    fn resume(opening: &Opening<'_>, portal: &str) -> Result<(Self, States)> {
        let path = opening.path;
        let (mut file, text, contents) = read(opening, Some(portal))?;
        file.keep_private()?;
        let header = contents.header;
        let (run, begun) =
            header
                .run
                .parse()
                .ok()
                .zip(OffsetDateTime::parse(&header.begun, &Rfc3339).ok())
                .ok_or_else(|| failed(format!("the header of the journal {} is damaged", path.display())))?;
        let tail = text.get(contents.whole_bytes..).unwrap_or_default();
        if !tail.is_empty() {
            file::set_aside(path, tail)?;
            let whole = u64::try_from(contents.whole_bytes).map_err(|error| failed(error.to_string()))?;
            file.cut(whole).map_err(|error| cannot_write(path, &error))?;
        }
        if contents.lacks_newline {
            file.append(b"\n", true).map_err(|error| cannot_write(path, &error))?;
        }
        let writer = Writer::start(file, header.run, contents.next)?;
        let begun = Some(begun.unix_timestamp());
        Ok((Self { run, holds_keys: header.holds_keys, begun, writer }, contents.states))
    }

    /// Writes a line, which is on disk when this returns.
    pub(super) async fn write_durably(&self, line: &Line) -> Result<()> {
        self.writer.write(line, true).await
    }

    /// Writes a line, which a crash of the machine can lose.
    pub(super) async fn write(&self, line: &Line) -> Result<()> {
        self.writer.write(line, false).await
    }

    /// Returns why the journal can no longer be written.
    pub(super) fn failure(&self) -> Option<String> {
        self.writer.failure()
    }

    /// Removes the file when the journal is dropped, unless an earlier run created it.
    pub(super) fn remove_if_new(&self) {
        if self.begun.is_none() {
            self.writer.remove_on_drop();
        }
    }

    /// Waits until all lines are on disk and the journal is unlocked. No line can follow.
    pub(super) async fn close(&self) -> Result<()> {
        self.writer.close().await
    }
}

/// Returns whether the journal exists and is to be resumed.
fn exists(opening: &Opening<'_>) -> Result<bool> {
    check_file(opening.path)?;
    let exists = opening.path.symlink_metadata().is_ok();
    if exists && !opening.resume { Err(exists_already(opening.path)) } else { Ok(exists) }
}

/// Opens and reads an existing journal.
fn read(
    opening: &Opening<'_>,
    portal: Option<&str>,
) -> Result<(JournalFile, Zeroizing<Vec<u8>>, read::Contents)> {
    let path = opening.path;
    let (file, text) = JournalFile::open(path, opening.lock, opening.trust_folder)?;
    let contents = read::parse(&text, false).map_err(|problem| problem.error(path))?;
    check_header(&contents.header, opening, portal)?;
    Ok((file, text, contents))
}

/// Fails if the journal belongs to another portal or has another destination for its keys.
fn check_header(header: &Header, opening: &Opening<'_>, portal: Option<&str>) -> Result<()> {
    let path = opening.path.display();
    if let Some(portal) = portal.filter(|portal| *portal != header.portal) {
        return Err(failed(format!(
            "the journal {path} belongs to the portal {}, not to {portal}",
            header.portal
        )));
    }
    if header.holds_keys != opening.holds_keys {
        let (was, now) = if header.holds_keys { ("without", "with") } else { ("with", "without") };
        return Err(failed(format!(
            "the journal {path} was started {was} a destination for the keys and cannot be resumed {now} one"
        )));
    }
    let given = opening.destination_name.map(|name| destination_digest(&header.run, name));
    if header.destination.as_ref().zip(given.as_ref()).is_some_and(|(was, now)| was != now) {
        return Err(failed(format!(
            "the journal {path} was started with another destination for the keys: a delivery in progress could not be \
             completed"
        ))
        .suggest("give the destination that the run was started with, or use a new journal"));
    }
    Ok(())
}
