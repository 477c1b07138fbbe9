//! The journal of a bulk run: sealed JSON lines, readable by their owner only. No token is enabled before the line with
//! its key is on disk.

mod entry;
mod file;
mod header;
mod read;
mod seal;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::destinations::secure_file::{check_file, failed};
use crate::error::Result;
use crate::model::iso_8601;
use crate::tag::RunId;

pub(super) use entry::{Journaled, Line, RowKey};
pub(super) use file::exists_already;
use file::{JournalFile, cannot_write};
use header::{Header, VERSION, run_of};
pub(crate) use read::{EntryState, JournalEntry, ReadJournal, read_journal};
pub(super) use read::{RowState, States, read_states};
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
    pub(super) portal: &'a str,
    /// Whether an existing journal is resumed.
    pub(super) resume: bool,
    pub(super) lock: bool,
    /// Whether the journal may belong to another user.
    pub(super) trust_folder: bool,
    pub(super) holds_keys: bool,
    pub(super) now_ms: u64,
}

impl Journal {
    /// Opens or creates a journal, and returns the state of its rows.
    pub(super) fn open(opening: &Opening<'_>) -> Result<(Self, States)> {
        let path = opening.path;
        check_file(path)?;
        let exists = path.symlink_metadata().is_ok();
        match (exists, opening.resume) {
            (true, false) => Err(exists_already(path)),
            (true, true) => Self::resume(opening),
            (false, _) => Self::create(opening).map(|journal| (journal, States::default())),
        }
    }

    fn create(opening: &Opening<'_>) -> Result<Self> {
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
            portal: opening.portal.to_owned(),
            begun: iso_8601(i64::try_from(opening.now_ms / 1000).unwrap_or_default()),
            holds_keys: opening.holds_keys,
        };
        let object = serde_json::to_string(&header).map_err(|error| failed(error.to_string()))?;
        let file = JournalFile::create(opening.path, &seal::seal(&run, 1, &object), opening.lock)?;
        let writer = Writer::start(file, run.clone(), 2)?;
        Ok(Self { run: run.parse()?, holds_keys: header.holds_keys, begun: None, writer })
    }

    /// Reads an existing journal and sets a torn last line aside.
    fn resume(opening: &Opening<'_>) -> Result<(Self, States)> {
        let path = opening.path;
        let (mut file, text) = JournalFile::open(path, opening.lock, opening.trust_folder)?;
        let contents = read::parse(&text, false).map_err(|problem| problem.error(path))?;
        let header = contents.header;
        check_header(&header, opening)?;
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

    /// Waits until all lines are on disk and the journal is unlocked. No line can follow.
    pub(super) async fn close(&self) -> Result<()> {
        self.writer.close().await
    }
}

/// Fails if the journal belongs to another portal or has another destination for its keys.
fn check_header(header: &Header, opening: &Opening<'_>) -> Result<()> {
    let path = opening.path.display();
    if header.portal != opening.portal {
        return Err(failed(format!(
            "the journal {path} belongs to the portal {}, not to {}",
            header.portal, opening.portal
        )));
    }
    if header.holds_keys != opening.holds_keys {
        let (was, now) = if header.holds_keys { ("without", "with") } else { ("with", "without") };
        return Err(failed(format!(
            "the journal {path} was started {was} a destination for the keys and cannot be resumed {now} one"
        )));
    }
    Ok(())
}
