//! The journal of a bulk run: JSON lines, readable by their owner only. No token is enabled before the line with its
//! key is on disk.

mod entry;
mod lock;
mod read;
mod writer;

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::advice::Advice;
use crate::destinations::secure_file::{check_file, create_private, failed, sync_folder_of};
use crate::error::Result;
use crate::model::iso_8601;
use crate::tag::RunId;

pub(super) use entry::{Journaled, Line, RowKey};
pub(crate) use read::{JournalEntry, read_journal};
pub(super) use read::{RowState, States};
pub(super) use writer::Writer;

const VERSION: u32 = 1;

/// The first line of a journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Header {
    lmtokens_journal: u32,
    run: String,
    portal: String,
    begun: String,
    holds_keys: bool,
}

/// A journal that this process writes, exclusively.
pub(super) struct Journal {
    pub(super) run: RunId,
    pub(super) holds_keys: bool,
    writer: Writer,
    _lock: Option<lock::Lock>,
}

/// How a journal is opened.
pub(super) struct Opening<'a> {
    pub(super) path: &'a Path,
    pub(super) portal: &'a str,
    /// Whether an existing journal is resumed.
    pub(super) resume: bool,
    pub(super) lock: bool,
    pub(super) holds_keys: bool,
    pub(super) now_ms: u64,
}

impl Journal {
    /// Opens or creates a journal, and returns the state of its rows.
    pub(super) fn open(opening: &Opening<'_>) -> Result<(Self, States)> {
        let path = opening.path;
        check_file(path)?;
        let exists = path.symlink_metadata().is_ok();
        if exists && !opening.resume {
            return Err(failed(format!("the journal {} exists already", path.display()))
                .suggest(Advice::ResumeExisting));
        }
        let lock = if opening.lock { Some(lock::Lock::take(path)?) } else { None };
        let (file, header, states) =
            if exists { Self::resume(opening)? } else { (Self::create(opening)?, None, States::default()) };
        let (file, header) = match header {
            Some(header) => (file, header),
            None => Self::write_header(file, opening)?,
        };
        let run = header.run.parse().map_err(|_| failed("the journal's run id is damaged"))?;
        let writer = Writer::start(file, path.to_owned())?;
        Ok((Self { run, holds_keys: header.holds_keys, writer, _lock: lock }, states))
    }

    fn create(opening: &Opening<'_>) -> Result<File> {
        create_private(opening.path).map_err(|error| cannot_write(opening.path, &error))
    }

    fn write_header(mut file: File, opening: &Opening<'_>) -> Result<(File, Header)> {
        let header = Header {
            lmtokens_journal: VERSION,
            run: RunId::fresh()?.to_string(),
            portal: opening.portal.to_owned(),
            begun: iso_8601(i64::try_from(opening.now_ms / 1000).unwrap_or_default()),
            holds_keys: opening.holds_keys,
        };
        let text = serde_json::to_string(&header).map_err(|error| failed(error.to_string()))? + "\n";
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written
            .and_then(|()| sync_folder_of(opening.path))
            .map_err(|error| cannot_write(opening.path, &error))?;
        Ok((file, header))
    }

    /// Reads an existing journal and sets a torn last line aside. The header is `None` if the process was killed before
    /// it wrote one.
    fn resume(opening: &Opening<'_>) -> Result<(File, Option<Header>, States)> {
        let path = opening.path;
        let mut file =
            File::options().read(true).write(true).open(path).map_err(|error| cannot_write(path, &error))?;
        keep_private(&file).map_err(|error| cannot_write(path, &error))?;
        let text = std::fs::read(path).map_err(|error| cannot_write(path, &error))?;
        let contents = read::parse(&text).map_err(|problem| not_a_journal(path, &problem))?;
        if let Some(header) = &contents.header {
            if header.portal != opening.portal {
                return Err(failed(format!(
                    "the journal {} belongs to the portal {}, not to {}",
                    path.display(),
                    header.portal,
                    opening.portal
                )));
            }
            if header.holds_keys != opening.holds_keys {
                let (was, now) = if header.holds_keys { ("without", "with") } else { ("with", "without") };
                return Err(failed(format!(
                    "the journal {} was started {was} a destination for the keys and cannot be resumed {now} one",
                    path.display()
                )));
            }
        }
        let whole = contents.whole_bytes;
        if let Some(tail) = text.get(whole..).filter(|tail| !tail.is_empty()) {
            set_aside(path, tail, opening.now_ms)?;
            let cut = u64::try_from(whole).map_err(|error| failed(error.to_string()))?;
            file.set_len(cut).and_then(|()| file.sync_all()).map_err(|error| cannot_write(path, &error))?;
        }
        file.seek(SeekFrom::End(0)).map_err(|error| cannot_write(path, &error))?;
        Ok((file, contents.header, contents.states))
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

    /// Waits until all lines are on disk.
    pub(super) async fn flush(&self) -> Result<()> {
        self.writer.flush().await
    }
}

#[cfg(unix)]
fn keep_private(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o600);
        file.set_permissions(permissions)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn keep_private(_file: &File) -> std::io::Result<()> {
    Ok(())
}

/// Moves a torn last line into a file of its own, with the same protection: it may hold a part of a key.
fn set_aside(path: &Path, tail: &[u8], now_ms: u64) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{now_ms}.torn"));
    let aside: PathBuf = path.with_file_name(name);
    let written = create_private(&aside).and_then(|mut file| {
        file.write_all(tail)?;
        file.sync_all()
    });
    written.map_err(|error| cannot_write(&aside, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> crate::error::Error {
    failed(format!("cannot write the journal {}: {error}", path.display()))
}

fn not_a_journal(path: &Path, problem: &str) -> crate::error::Error {
    failed(format!("{} is not a journal: {problem}", path.display()))
}
