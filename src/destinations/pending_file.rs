//! The pending file of a create: the record of its token, beside the final file, until the token is enabled.
//!
//! Its process holds a lock on it from before the POST to the end. A file without a lock is therefore that of a process
//! that has ended, and its record suffices to finish or to clear the create.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::secure_file::failed;
use super::secure_folder::{Entry, SecureFolder};
use crate::advice::Advice;
use crate::error::{Error, Result};
use crate::ids::{AdminId, Status, TokenId, Type};
use crate::model::{Token, TokenStatus, TokenType};
use crate::secret::Secret;
use crate::tag::Tag;
use crate::token_output::Form;
use crate::tokens::NewToken;

const VERSION: u32 = 1;
const SUFFIX: &str = ".pending";

/// No record is longer, so that a longer file is not read.
const MAX_BYTES: u64 = 1024 * 1024;

/// Another process holds a lock for a moment when it looks at a file, which is not a create in progress.
const PAUSE: Duration = Duration::from_millis(25);
const TRIES: u32 = 40;

/// The token that a create is to make.
pub(super) struct Wanted {
    /// The base URL of the portal.
    pub(super) portal: String,
    pub(super) admin_id: AdminId,
    pub(super) token: NewToken,
}

/// A token as it was delivered, and where it belongs.
#[derive(Serialize, Deserialize)]
struct Record {
    lmtokens_pending: u32,
    portal: String,
    tag: String,
    id: i64,
    r#type: String,
    access_id: Option<String>,
    access_key: Zeroizing<String>,
    admin_id: i64,
    admin_name: Option<String>,
    status: i64,
    note: Option<String>,
    roles: Vec<String>,
    created_by: Option<String>,
    created_on: Option<i64>,
}

impl Record {
    fn of(portal: &str, tag: &Tag, token: &Token) -> Self {
        Self {
            lmtokens_pending: VERSION,
            portal: portal.to_owned(),
            tag: tag.to_string(),
            id: token.id,
            r#type: token.r#type.as_str().to_owned(),
            access_id: token.access_id.clone(),
            access_key: Zeroizing::new(
                token.access_key.as_ref().map(Secret::reveal).unwrap_or_default().to_owned(),
            ),
            admin_id: token.admin_id.unwrap_or_default(),
            admin_name: token.admin_name.clone(),
            status: token.status.map_or_else(|| Status::default().number(), TokenStatus::number),
            note: token.note.clone(),
            roles: token.roles.clone(),
            created_by: token.created_by.clone(),
            created_on: token.created_on,
        }
    }

    /// Reads a record; `None` if it is damaged or not that of this tag.
    fn parse(text: &[u8], tag: &Tag) -> Option<Self> {
        let record: Self = serde_json::from_slice(text.strip_suffix(b"\n")?).ok()?;
        let is_valid = record.lmtokens_pending == VERSION
            && record.tag == tag.to_string()
            && TokenId::new(record.id).is_ok()
            && AdminId::new(record.admin_id).is_ok()
            && Status::from_number(record.status).is_ok()
            && record.r#type.parse::<Type>().is_ok()
            && !record.access_key.is_empty();
        is_valid.then_some(record)
    }

    fn token(&self) -> Token {
        Token {
            id: self.id,
            r#type: TokenType::from_word(&self.r#type),
            access_id: self.access_id.clone(),
            access_key: Some(Secret::new(self.access_key.to_string())),
            masked_bearer: None,
            admin_id: Some(self.admin_id),
            admin_name: self.admin_name.clone(),
            status: Some(TokenStatus::from_number(self.status)),
            note: self.note.clone(),
            roles: self.roles.clone(),
            created_by: self.created_by.clone(),
            created_on: self.created_on,
            last_used_on: None,
            was_used: false,
            last_auth_ip: None,
            user_permission: None,
        }
    }

    fn is(&self, wanted: &Wanted) -> bool {
        self.portal == wanted.portal
            && self.admin_id == wanted.admin_id.get()
            && self.r#type == wanted.token.r#type.as_str()
            && self.status == wanted.token.status.number()
            && self.note.as_deref().unwrap_or_default() == wanted.token.note().unwrap_or_default()
    }
}

/// The names of the files of one create.
#[derive(Clone)]
struct Names {
    /// The final file.
    last: OsString,
    /// `PATH.TAG.pending`
    pending: OsString,
    /// `PATH.TAG.new`: the final file while it is being written.
    new: OsString,
}

impl Names {
    fn of(last: &OsStr, tag: &Tag) -> Self {
        let with = |suffix: &str| {
            let mut name = last.to_owned();
            name.push(format!(".{tag}{suffix}"));
            name
        };
        Self { last: last.to_owned(), pending: with(SUFFIX), new: with(".new") }
    }
}

/// Returns the tags of the pending files of a final file, the newest first.
fn tags(folder: &SecureFolder, last: &OsStr) -> Result<Vec<Tag>> {
    let prefix = [last.as_encoded_bytes(), b"."].concat();
    let tag = |name: OsString| {
        let tag = name.as_encoded_bytes().strip_prefix(prefix.as_slice())?;
        match Tag::parse(str::from_utf8(tag.strip_suffix(SUFFIX.as_bytes())?).ok()?) {
            Some((tag, None)) => Some(tag),
            _ => None,
        }
    };
    let names = folder.names().map_err(|error| cannot_read(folder, &error))?;
    let mut tags: Vec<Tag> = names.into_iter().filter_map(tag).collect();
    tags.sort_unstable_by_key(|tag| (std::cmp::Reverse(tag.seconds), tag.to_string()));
    Ok(tags)
}

fn cannot_read(folder: &SecureFolder, error: &io::Error) -> Error {
    failed(format!("cannot read the folder {}: {error}", folder.path().display()))
}

/// A pending file that this process has locked. Dropped without a record, it is removed.
pub(super) struct Pending {
    folder: Arc<SecureFolder>,
    names: Names,
    file: File,
    portal: String,
    record: Option<Record>,
    /// A forked child has a copy of this value, but the file belongs to its parent.
    process_id: u32,
}

impl Pending {
    /// Creates the pending file of an attempt, or fails if another create to the same final file is in progress.
    pub(super) fn create(folder: Arc<SecureFolder>, last: &OsStr, portal: String, tag: &Tag) -> Result<Self> {
        let names = Names::of(last, tag);
        let path = folder.path_of(&names.pending);
        let failure =
            |error: &dyn std::fmt::Display| failed(format!("cannot write {}: {error}", path.display()));
        let mut tries = 0..TRIES;
        let file = loop {
            let error = match folder.create(&names.pending) {
                Ok(file) => match file.try_lock() {
                    // A process that looks for pending files may have removed the empty one.
                    Ok(()) if !folder.holds(&names.pending, &file).map_err(|error| failure(&error))? => {
                        io::Error::from(io::ErrorKind::NotFound)
                    }
                    // Without locks in the file system, a later call cannot tell that this process has ended.
                    Ok(()) | Err(TryLockError::Error(_)) => break file,
                    Err(TryLockError::WouldBlock) => io::Error::from(io::ErrorKind::WouldBlock),
                },
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => error,
                Err(error) => return Err(failure(&error)),
            };
            if tries.next().is_none() {
                return Err(failure(&error));
            }
            sleep(PAUSE);
        };
        let pending = Self { folder, names, file, portal, record: None, process_id: std::process::id() };
        pending.keep_out_others(tag)?;
        Ok(pending)
    }

    /// Fails if another create is in progress. Of two that begin at the same time, the one with the smaller tag waits
    /// until the other has given up.
    fn keep_out_others(&self, own: &Tag) -> Result<()> {
        let mut tries = 0..TRIES;
        loop {
            let mut in_progress = Vec::new();
            for tag in tags(&self.folder, &self.names.last)?.into_iter().filter(|tag| tag != own) {
                if matches!(Examined::of(&self.folder, &self.names.last, &tag)?, Examined::InProgress) {
                    in_progress.push(tag.to_string());
                }
            }
            if in_progress.is_empty() {
                return Ok(());
            }
            if in_progress.iter().any(|tag| *tag < own.to_string()) || tries.next().is_none() {
                return Err(in_use(&self.folder, &self.names.last));
            }
            sleep(PAUSE);
        }
    }

    /// Takes over the pending file of a process that has ended; `None` if there is none.
    pub(super) fn adopt(folder: Arc<SecureFolder>, last: &OsStr, tag: &Tag) -> Result<Option<Self>> {
        let names = Names::of(last, tag);
        let path = folder.path_of(&names.pending);
        let cannot =
            |error: &dyn std::fmt::Display| failed(format!("cannot take over {}: {error}", path.display()));
        let Some(mut file) = folder.open_own(&names.pending).map_err(|error| cannot(&error))? else {
            return match folder.entry(&names.pending).map_err(|error| cannot(&error))? {
                Entry::Missing => Ok(None),
                _ => Err(cannot(&"it is not a regular file of this user")),
            };
        };
        let mut tries = 0..TRIES;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries.next().is_some() => sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Err(in_use(&folder, last)),
                Err(TryLockError::Error(error)) => return Err(cannot(&error)),
            }
        }
        if !folder.holds(&names.pending, &file).map_err(|error| cannot(&error))? {
            return Ok(None);
        }
        let text = read(&mut file).map_err(|error| cannot(&error))?;
        let record = Record::parse(&text, tag);
        if record.is_none() && !text.is_empty() {
            return Err(cannot(&"it is damaged").suggest("delete the token with this tag, then the file"));
        }
        let portal = record.as_ref().map(|record| record.portal.clone()).unwrap_or_default();
        Ok(Some(Self { folder, names, file, portal, record, process_id: std::process::id() }))
    }

    /// Writes the record of the token, durably.
    pub(super) fn deliver(&mut self, token: &Token, tag: &Tag) -> Result<()> {
        let record = Record::of(&self.portal, tag, token);
        let text = serde_json::to_string(&record).map(|text| Zeroizing::new(text + "\n"));
        let text = text.map_err(|error| self.cannot_write(&error))?;
        let written = self.file.write_all(text.as_bytes()).and_then(|()| {
            self.file.sync_all()?;
            self.folder.sync()
        });
        written.map_err(|error| self.cannot_write(&error))?;
        if !self.is_intact().map_err(|error| self.cannot_write(&error))? {
            return Err(self.cannot_write(&"it was replaced by another process"));
        }
        self.record = Some(record);
        Ok(())
    }

    fn cannot_write(&self, error: &dyn std::fmt::Display) -> Error {
        failed(format!("cannot write {}: {error}", self.path().display()))
    }

    /// Returns the path, for messages.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path_of(&self.names.pending)
    }

    /// Returns the delivered token with its secret.
    pub(super) fn token(&self) -> Option<Token> {
        self.record.as_ref().map(Record::token)
    }

    /// Returns whether the name still denotes this file, in the same folder.
    fn is_intact(&self) -> io::Result<bool> {
        Ok(self.folder.is_in_place()? && self.folder.holds(&self.names.pending, &self.file)?)
    }

    /// Puts the final file in place, with the note and status of the token as it is now, then removes the pending file.
    /// If that fails, the pending file is kept for the next call.
    pub(super) fn put_in_place(self, now: &Token, form: Form, overwrite: bool) -> Result<()> {
        let (pending, last) = (self.path(), self.folder.path_of(&self.names.last));
        let (pending, last) = (pending.display(), last.display());
        let Some(token) = self.token() else { return Err(failed(format!("{pending} has no key"))) };
        let token = Token { note: now.note.clone(), status: now.status, ..token };
        let text = form.write(&token)?;
        let is_kept = self.is_intact().unwrap_or(false);
        if let Err(error) = self.place(text.as_bytes(), overwrite) {
            let failure = failed(format!("cannot move the secret from {pending} to {last}: {error}"));
            return Err(match (is_kept, error.kind()) {
                (false, _) => failure.suggest(Advice::Delete { id: token.id }),
                (true, io::ErrorKind::AlreadyExists) => failure.suggest(Advice::Overwrite).suggest(REPEAT),
                (true, _) => failure.suggest(REPEAT),
            });
        }
        if !is_kept {
            return Err(failed(format!("{pending} was replaced by another process; the key is in {last}"))
                .suggest("find out which process changes files in this folder, and use another folder"));
        }
        self.remove().map_err(|error| {
            failed(format!("the key is in {last}, but {pending} cannot be removed: {error}"))
        })
    }

    /// Writes the final file beside its place, moves it there, and checks that it is there.
    fn place(&self, text: &[u8], overwrite: bool) -> io::Result<()> {
        let Names { last, new, .. } = &self.names;
        if !self.folder.is_in_place()? {
            return Err(io::Error::other("the folder was replaced by another process"));
        }
        // The process that is finished here may have been killed after this step.
        if let Some(mut file) = self.folder.open_own(last)?
            && *read(&mut file)? == text
        {
            return Ok(());
        }
        self.folder.remove(new)?;
        let mut file = self.folder.create(new)?;
        let placed = file.write_all(text).and_then(|()| {
            file.sync_all()?;
            if !self.folder.holds(new, &file)? {
                return Err(io::Error::other("it was replaced by another process"));
            }
            if overwrite { self.folder.rename(new, last) } else { self.folder.rename_to_new(new, last) }
        });
        if let Err(error) = placed {
            let _ = self.folder.remove(new);
            return Err(error);
        }
        if !self.folder.holds(last, &file)? || !self.folder.is_in_place()? {
            return Err(io::Error::other("it was replaced by another process"));
        }
        self.folder.sync()
    }

    /// Removes the pending file, and the final file in case it was being written.
    pub(super) fn remove(mut self) -> io::Result<()> {
        self.folder.remove(&self.names.new)?;
        if self.folder.holds(&self.names.pending, &self.file)? {
            self.folder.remove(&self.names.pending)?;
        }
        self.record = None;
        self.folder.sync()
    }
}

const REPEAT: &str =
    "the key is safe: repeat the call with the same user, type, note and status, which puts it in place";

impl Drop for Pending {
    fn drop(&mut self) {
        let is_ours = self.record.is_none() && self.process_id == std::process::id();
        if is_ours && self.folder.holds(&self.names.pending, &self.file).unwrap_or(false) {
            let _ = self.folder.remove(&self.names.pending);
        }
    }
}

fn in_use(folder: &SecureFolder, last: &OsStr) -> Error {
    failed(format!("another create is writing to {}", folder.path_of(last).display()))
        .suggest("wait until it ends, or use another path")
}

fn read(file: &mut File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(Vec::new());
    file.rewind()?;
    file.take(MAX_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

/// What a pending file of an earlier create is.
enum Examined {
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
    fn of(folder: &SecureFolder, last: &OsStr, tag: &Tag) -> Result<Self> {
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
pub(super) struct Earlier {
    /// Those of the same token as requested now, locked, the newest first. If there are very many, only a part.
    pub(super) matching: Vec<(Tag, Pending)>,
    /// The others, in words.
    pub(super) others: Vec<String>,
}

impl Earlier {
    /// Finds the pending files of a final file. Fails if a create to it is in progress.
    pub(super) fn find(folder: &Arc<SecureFolder>, last: &OsStr, wanted: &Wanted) -> Result<Self> {
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
    pub(super) fn exists(folder: &SecureFolder, last: &OsStr) -> bool {
        tags(folder, last).is_ok_and(|tags| !tags.is_empty())
    }
}
