//! Looking at a pending file of another create.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _};

use zeroize::Zeroizing;

use super::names::Names;
use super::record::Record;
use crate::destinations::secure_file::failed;
use crate::destinations::secure_folder::{Entry, SecureFolder};
use crate::error::{Error, ErrorKind, Result};
use crate::tag::Tag;

/// No record is longer, so that a longer file is not read.
const MAX_BYTES: u64 = 1024 * 1024;

/// What a pending file of an earlier create is.
pub(super) enum Examined {
    /// It no longer exists, or it is needed by a rotation.
    Gone,
    /// It was empty and was removed: its process ended before a delivery.
    Undelivered,
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
        return Ok(Examined::Undelivered);
    }
    Ok(Examined::Gone)
}

/// Returns the error for a final file that another call is using, with this tag. `own` is that of this call.
pub(super) fn in_use(folder: &SecureFolder, target: &OsStr, tag: &Tag, own: Option<&Tag>) -> Error {
    let path = folder.path_of(target);
    match tag.replaces {
        Some(old) if own.is_some_and(|own| own.replaces == Some(old)) => {
            let message = format!("another process is rotating token {old} to {}", path.display());
            Error::new(ErrorKind::Rotation, message).suggest("wait until it ends")
        }
        Some(old) => failed(format!("another process is rotating token {old} to {}", path.display()))
            .suggest("wait until it ends, or use another path"),
        None => failed(format!("another create is writing to {}", path.display()))
            .suggest("wait until it ends, or use another path"),
    }
}

/// Reads the beginning of a file, which is all of a file with a token. Returns whether that is all.
pub(in crate::destinations) fn read_start(file: &mut File) -> io::Result<(Zeroizing<Vec<u8>>, bool)> {
    let mut text = Zeroizing::new(Vec::new());
    file.rewind()?;
    let length = file.take(MAX_BYTES).read_to_end(&mut text)?;
    Ok((text, u64::try_from(length).is_ok_and(|length| length < MAX_BYTES)))
}

/// Reads a file that is kept, of any size.
pub(super) fn read_whole(file: &mut File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(Vec::new());
    file.rewind()?;
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// Reads the beginning of a file, which is all of a file with a token.
pub(super) fn read(file: &mut File) -> io::Result<Zeroizing<Vec<u8>>> {
    read_start(file).map(|(text, _)| text)
}
