//! The names of the files of a create, beside its final file.

use std::cmp::Reverse;
use std::ffi::{OsStr, OsString};

use crate::destinations::secure_file::failed;
use crate::destinations::secure_folder::SecureFolder;
use crate::error::Result;
use crate::tag::Tag;

const SUFFIX: &str = ".pending";

/// The names of the files of one create.
#[derive(Clone)]
pub(super) struct Names {
    /// The final file.
    pub(super) target: OsString,
    /// `PATH.TAG.pending`
    pub(super) pending: OsString,
    /// `PATH.TAG.new`: the final file while it is being written.
    pub(super) new: OsString,
}

impl Names {
    pub(super) fn of(target: &OsStr, tag: &Tag) -> Self {
        let with = |suffix: &str| {
            let mut name = target.to_owned();
            name.push(suffix);
            name
        };
        Self {
            target: target.to_owned(),
            pending: with(&format!(".{tag}{SUFFIX}")),
            new: with(&format!(".{tag}.new")),
        }
    }
}

/// Returns `PATH.ID.previous`: the final file of a token that was replaced.
pub(in crate::destinations) fn previous_name(target: &OsStr, old_id: i64) -> OsString {
    let mut name = target.to_owned();
    name.push(format!(".{old_id}.previous"));
    name
}

/// Returns the tags of the pending files of a final file, the newest first.
pub(super) fn tags(folder: &SecureFolder, target: &OsStr) -> Result<Vec<Tag>> {
    let prefix = [target.as_encoded_bytes(), b"."].concat();
    let tag = |name: OsString| {
        let tag = name.as_encoded_bytes().strip_prefix(prefix.as_slice())?;
        match Tag::parse(str::from_utf8(tag.strip_suffix(SUFFIX.as_bytes())?).ok()?) {
            Some((tag, None)) => Some(tag),
            _ => None,
        }
    };
    let names = folder
        .names()
        .map_err(|error| failed(format!("cannot read the folder {}: {error}", folder.path().display())))?;
    let mut tags: Vec<Tag> = names.into_iter().filter_map(tag).collect();
    tags.sort_by_cached_key(|tag| (Reverse(tag.seconds), tag.to_string()));
    Ok(tags)
}
