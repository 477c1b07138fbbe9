//! The pending files of earlier creates.

use std::ffi::OsStr;
use std::sync::Arc;

use super::examine::{Examined, examine, in_use};
use super::names::{Names, tags};
use super::pending::{PAUSE, Pending, TRIES};
use crate::destinations::RequestedToken;
use crate::destinations::secure_folder::SecureFolder;
use crate::error::Result;
use crate::ids::TokenId;
use crate::tag::Tag;

/// The pending files of earlier creates to a final file.
#[derive(Default)]
pub(in crate::destinations) struct Earlier {
    /// Those of the same token as requested now, locked, the newest first. If there are very many, only a part.
    pub(in crate::destinations) matching: Vec<(Tag, Pending)>,
    /// The tags of those that were empty and are removed.
    pub(in crate::destinations) undelivered: Vec<Tag>,
    /// The others, in words.
    pub(in crate::destinations) others: Vec<String>,
}

/// Examines a pending file. A create that was cancelled a moment ago may still hold the lock.
fn settled(folder: &SecureFolder, target: &OsStr, tag: &Tag) -> Result<Examined> {
    for _ in 1..TRIES {
        match examine(folder, target, tag)? {
            Examined::InProgress => std::thread::sleep(PAUSE),
            examined => return Ok(examined),
        }
    }
    examine(folder, target, tag)
}

impl Earlier {
    /// Finds the pending files of a final file. Fails if a create to it is in progress.
    pub(in crate::destinations) fn find(
        folder: &Arc<SecureFolder>,
        target: &OsStr,
        requested: &RequestedToken,
    ) -> Result<Self> {
        /// Each holds a descriptor.
        const MAX_LOCKED: usize = 16;
        let mut earlier = Self::default();
        for tag in tags(folder, target)? {
            let path = folder.path_of(&Names::of(target, &tag).pending);
            match settled(folder, target, &tag)? {
                Examined::Gone => {}
                Examined::Undelivered => earlier.undelivered.push(tag),
                Examined::InProgress => return Err(in_use(folder, target, &tag, None)),
                // A token that is to replace another one is finished by its rotation only.
                Examined::Record(record)
                    if record.is(requested, &tag)
                        && tag.replaces.is_none()
                        && earlier.matching.len() < MAX_LOCKED =>
                {
                    let adopted = Pending::adopt(Arc::clone(folder), target, &tag)?;
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

    /// Returns the tags of the pending files of tokens that are to replace `old`.
    pub(in crate::destinations) fn replacing(
        folder: &SecureFolder,
        target: &OsStr,
        old: TokenId,
    ) -> Result<Vec<Tag>> {
        Ok(tags(folder, target)?.into_iter().filter(|tag| tag.replaces == Some(old)).collect())
    }

    /// Returns whether a final file has pending files. Errors are left to the call that uses them.
    pub(in crate::destinations) fn exists(folder: &SecureFolder, target: &OsStr) -> bool {
        tags(folder, target).is_ok_and(|tags| !tags.is_empty())
    }
}
