//! The pending files of earlier creates.

use std::ffi::OsStr;
use std::fs::TryLockError;
use std::io;
use std::sync::Arc;

use super::record::{Record, Wanted};
use super::{Names, Pending, in_use, read, tags};
use crate::destinations::secure_file::failed;
use crate::destinations::secure_folder::{Entry, SecureFolder};
use crate::error::Result;
use crate::tag::Tag;

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

impl Examined {
    /// Examines a file under a shared lock. An empty one is that of a process that ended before a delivery: it is
    /// removed.
    pub(super) fn of(folder: &SecureFolder, last: &OsStr, tag: &Tag) -> Result<Self> {
        let name = Names::of(last, tag).pending;
        Self::named(folder, &name, tag)
            .map_err(|error| failed(format!("cannot read {}: {error}", folder.path_of(&name).display())))
    }

    fn named(folder: &SecureFolder, name: &OsStr, tag: &Tag) -> io::Result<Self> {
        let Some(mut file) = folder.open_own(name)? else {
            return Ok(match folder.entry(name)? {
                Entry::Missing => Self::Gone,
                Entry::Special => Self::Unusable("not a regular file"),
                _ => Self::Unusable("the file of another user"),
            });
        };
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Self::InProgress),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let text = read(&mut file)?;
        if !text.is_empty() {
            let record = Record::parse(&text, tag);
            return Ok(record.map_or(Self::Unusable("damaged"), |record| Self::Record(Box::new(record))));
        }
        if folder.holds(name, &file)? {
            folder.remove(name)?;
        }
        Ok(Self::Gone)
    }
}

/// The pending files of earlier creates to a final file.
#[derive(Default)]
pub(in crate::destinations) struct Earlier {
    /// Those of the same token as requested now, locked, the newest first. If there are very many, only a part.
    pub(in crate::destinations) matching: Vec<(Tag, Pending)>,
    /// The others, in words.
    pub(in crate::destinations) others: Vec<String>,
}

impl Earlier {
    /// Finds the pending files of a final file. Fails if a create to it is in progress.
    pub(in crate::destinations) fn find(
        folder: &Arc<SecureFolder>,
        last: &OsStr,
        wanted: &Wanted,
    ) -> Result<Self> {
        /// Each holds a descriptor.
        const MAX_LOCKED: usize = 16;
        let mut earlier = Self::default();
        for tag in tags(folder, last)? {
            let path = folder.path_of(&Names::of(last, &tag).pending);
            match Examined::of(folder, last, &tag)? {
                Examined::Gone => {}
                Examined::InProgress => return Err(in_use(folder, last)),
                Examined::Record(record) if record.is(wanted) && earlier.matching.len() < MAX_LOCKED => {
                    let adopted = Pending::adopt(Arc::clone(folder), last, &tag)?;
                    earlier.matching.extend(adopted.map(|pending| (tag, pending)));
                }
                Examined::Record(record) => earlier.others.push(format!(
                    "{} (token {} of user {}, note {:?})",
                    path.display(),
                    record.id,
                    record.admin_id,
                    record.note.as_deref().unwrap_or_default()
                )),
                Examined::Unusable(why) => earlier.others.push(format!("{} ({why})", path.display())),
            }
        }
        Ok(earlier)
    }

    /// Returns whether a final file has pending files. Errors are left to the call that uses them.
    pub(in crate::destinations) fn exists(folder: &SecureFolder, last: &OsStr) -> bool {
        tags(folder, last).is_ok_and(|tags| !tags.is_empty())
    }
}
