//! Looking at a pending file of another create.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _};

use zeroize::Zeroizing;

use super::names::Names;
use super::record::Record;
use crate::destinations::secure_file::failed;
use crate::destinations::secure_folder::{Entry, SecureFolder};
use crate::error::{Error, Result};
use crate::tag::Tag;

/// No record is longer, so that a longer file is not read.
const MAX_BYTES: u64 = 1024 * 1024;

/// What a pending file of an earlier create is.
pub(super) enum Examined {
    /// It was removed: it was empty, or it no longer exists.
    Gone,
    /// Its process lives.
    InProgress,
    /// Its process has ended.
    Record(Box<Record>),
    /// It cannot be used.
    Unusable(&'static str),
}

/// Examines the pending file of a create under a shared lock. An empty one is that of a process that ended before a
/// delivery: it is removed, unless a rotation needs it to know that.
pub(super) fn examine(folder: &SecureFolder, target: &OsStr, tag: &Tag) -> Result<Examined> {
    let name = Names::of(target, tag).pending;
    examine_file(folder, &name, tag)
        .map_err(|error| failed(format!("cannot read {}: {error}", folder.path_of(&name).display())))
}

fn examine_file(folder: &SecureFolder, name: &OsStr, tag: &Tag) -> io::Result<Examined> {
    let Some(mut file) = folder.open_own(name)? else {
        return Ok(match folder.entry(name)? {
            Entry::Missing => Examined::Gone,
            Entry::Special => Examined::Unusable("not a regular file"),
            _ => Examined::Unusable("the file of another user"),
        });
    };
    match file.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Examined::InProgress),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let text = read(&mut file)?;
    if !text.is_empty() {
        let record = Record::parse(&text, tag);
        return Ok(record.map_or(Examined::Unusable("damaged"), |record| Examined::Record(Box::new(record))));
    }
    if tag.replaces.is_none() && folder.names_file(name, &file)? {
        folder.remove(name)?;
    }
    Ok(Examined::Gone)
}

/// Returns the error for a final file that another create is using.
pub(super) fn in_use(folder: &SecureFolder, target: &OsStr) -> Error {
    failed(format!("another create is writing to {}", folder.path_of(target).display()))
        .suggest("wait until it ends, or use another path")
}

/// Reads a file from its beginning.
pub(super) fn read(file: &mut File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(Vec::new());
    file.rewind()?;
    file.take(MAX_BYTES).read_to_end(&mut text)?;
    Ok(text)
}
