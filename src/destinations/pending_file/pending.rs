//! A pending file that this process writes, or has taken over.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use zeroize::Zeroizing;

use super::examine::{Examined, examine, in_use, read, read_whole};
use super::names::{Names, tags};
use super::record::Record;
use crate::advice::Advice;
use crate::destinations::secure_file::failed;
use crate::destinations::secure_folder::{Entry, SecureFolder};
use crate::error::{Error, Result};
use crate::model::Token;
use crate::portal::PortalAddress;
use crate::secret::Secret;
use crate::tag::Tag;
use crate::token_output::Form;

/// Another process holds a lock for a moment when it looks at a file, which is not a create in progress.
pub(super) const PAUSE: Duration = Duration::from_millis(25);
pub(super) const TRIES: u32 = 40;

/// What happens to a final file that exists with another text.
pub(in crate::destinations) enum Existing {
    Refused,
    Replaced,
    /// Replaced, and its text kept in a new file of this name.
    KeptAs(OsString),
}

/// A pending file that this process has locked. Dropped without a record, it is removed, unless the token is to replace
/// another one: then the file is the proof that its process has ended.
pub(in crate::destinations) struct Pending {
    folder: Arc<SecureFolder>,
    names: Names,
    file: File,
    portal: String,
    record: Option<Record>,
    is_proof: bool,
    /// A forked child has a copy of this value, but the file belongs to its parent.
    process_id: u32,
}

impl Pending {
    /// Creates the pending file of an attempt, or fails if another create to the same final file is in progress.
    pub(in crate::destinations) fn create(
        folder: Arc<SecureFolder>,
        target: &OsStr,
        portal: String,
        tag: &Tag,
    ) -> Result<Self> {
        let names = Names::of(target, tag);
        let path = folder.path_of(&names.pending);
        let failure = |error: &io::Error| cannot_write(&path, error);
        let mut tries = 0..TRIES;
        let file = loop {
            let error = match folder.create(&names.pending) {
                Ok(file) => match file.try_lock() {
                    // A process that looks for pending files may have removed the empty one.
                    Ok(())
                        if !folder.names_file(&names.pending, &file).map_err(|error| failure(&error))? =>
                    {
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
        let process_id = std::process::id();
        let mut pending = Self { folder, names, file, portal, record: None, is_proof: false, process_id };
        pending.keep_out_others(tag)?;
        pending.is_proof = tag.replaces.is_some();
        Ok(pending)
    }

    /// Fails if another create is in progress. Of two that begin at the same time, the one with the smaller tag waits
    /// until the other has given up.
    fn keep_out_others(&self, own: &Tag) -> Result<()> {
        let mut tries = 0..TRIES;
        loop {
            let mut in_progress = Vec::new();
            for tag in tags(&self.folder, &self.names.target)?.into_iter().filter(|tag| tag != own) {
                if matches!(examine(&self.folder, &self.names.target, &tag)?, Examined::InProgress) {
                    in_progress.push(tag);
                }
            }
            let Some(first) = in_progress.into_iter().min_by_key(Tag::to_string) else { return Ok(()) };
            if first.to_string() < own.to_string() || tries.next().is_none() {
                return Err(in_use(&self.folder, &self.names.target, &first, Some(own)));
            }
            sleep(PAUSE);
        }
    }

    /// Takes over the pending file of a process that has ended; `None` if there is none.
    pub(in crate::destinations) fn adopt(
        folder: Arc<SecureFolder>,
        target: &OsStr,
        tag: &Tag,
    ) -> Result<Option<Self>> {
        let names = Names::of(target, tag);
        let path = folder.path_of(&names.pending);
        let cannot =
            |error: &dyn std::fmt::Display| failed(format!("cannot take over {}: {error}", path.display()));
        let Some(mut file) = folder.open_own_to_lock(&names.pending).map_err(|error| cannot(&error))? else {
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
                Err(TryLockError::WouldBlock) => return Err(in_use(&folder, target, tag, Some(tag))),
                Err(TryLockError::Error(error)) => return Err(cannot(&error)),
            }
        }
        if !folder.names_file(&names.pending, &file).map_err(|error| cannot(&error))? {
            return Ok(None);
        }
        let text = read(&mut file).map_err(|error| cannot(&error))?;
        let record = Record::parse(&text, tag);
        if record.is_none() && !text.is_empty() {
            return Err(cannot(&"it is damaged").suggest("delete the token with this tag, then the file"));
        }
        let portal = record.as_ref().map(|record| record.portal.clone()).unwrap_or_default();
        let (is_proof, process_id) = (tag.replaces.is_some(), std::process::id());
        Ok(Some(Self { folder, names, file, portal, record, is_proof, process_id }))
    }

    /// Writes the record of the token, durably.
    pub(in crate::destinations) fn deliver(&mut self, token: &Token, tag: &Tag) -> Result<()> {
        let record = Record::of(&self.portal, tag, token);
        let text = serde_json::to_string(&record).map(|text| Zeroizing::new(text + "\n"));
        let text = text.map_err(|error| self.cannot_write(&error.into()))?;
        let written = self.file.write_all(text.as_bytes()).and_then(|()| {
            self.file.sync_all()?;
            self.folder.sync()
        });
        written.map_err(|error| self.cannot_write(&error))?;
        if !self.is_intact().map_err(|error| self.cannot_write(&error))? {
            return Err(self.cannot_write(&io::Error::other("it was replaced by another process")));
        }
        self.record = Some(record);
        Ok(())
    }

    fn cannot_write(&self, error: &io::Error) -> Error {
        cannot_write(&self.path(), error)
    }

    /// Returns the address of the token's portal.
    pub(in crate::destinations) fn portal(&self) -> Result<PortalAddress> {
        PortalAddress::at(&self.portal, None)
    }

    /// Returns the path, for messages.
    pub(in crate::destinations) fn path(&self) -> PathBuf {
        self.folder.path_of(&self.names.pending)
    }

    /// Returns the delivered token with its secret.
    pub(in crate::destinations) fn token(&self) -> Option<Token> {
        self.record.as_ref().map(Record::token)
    }

    /// Returns whether the name still denotes this file, in the same folder.
    fn is_intact(&self) -> io::Result<bool> {
        Ok(self.folder.is_in_place()? && self.folder.names_file(&self.names.pending, &self.file)?)
    }

    /// Reads the delivered secret back from the file.
    pub(in crate::destinations) fn read_secret(&mut self, tag: &Tag) -> Result<Option<Secret>> {
        let text = read(&mut self.file)
            .map_err(|error| failed(format!("cannot read {}: {error}", self.path().display())))?;
        Ok(Record::parse(&text, tag).and_then(|record| record.token().access_key))
    }

    /// Puts the final file in place, with the note, marker and status of the token as it is now.
    pub(in crate::destinations) fn put_in_place(
        &self,
        now: &Token,
        form: Form,
        existing: &Existing,
    ) -> Result<()> {
        let (pending, target) = (self.path(), self.folder.path_of(&self.names.target));
        let (pending, target) = (pending.display(), target.display());
        let Some(token) = self.token() else { return Err(failed(format!("{pending} has no key"))) };
        let token = Token { marker: now.marker, note: now.note.clone(), status: now.status, ..token };
        let text = form.write(&token, &self.portal()?)?;
        let is_kept = self.is_intact().unwrap_or(false);
        if let Err(error) = self.place(text.as_bytes(), existing) {
            let failure = failed(format!("cannot move the secret from {pending} to {target}: {error}"));
            let exists = error.kind() == io::ErrorKind::AlreadyExists;
            return Err(match (is_kept, exists, self.is_proof) {
                (false, ..) => failure.suggest(Advice::Delete { id: token.id }),
                // The token is enabled: another path would be that of another token.
                (true, true, true) => {
                    failure.suggest("move that file to another folder").suggest(Advice::RotateAgain)
                }
                (true, false, true) => failure.suggest(Advice::RotateAgain),
                (true, true, false) => failure.suggest(Advice::Overwrite).suggest(Advice::PutInPlace),
                (true, false, false) => failure.suggest(Advice::PutInPlace),
            });
        }
        if !is_kept {
            return Err(failed(format!("{pending} was replaced by another process; the key is in {target}"))
                .suggest("find out which process changes files in this folder, and use another folder"));
        }
        Ok(())
    }

    /// Removes the pending file, once the final file is in place.
    pub(in crate::destinations) fn remove_placed(self) -> Result<()> {
        let (pending, target) = (self.path(), self.folder.path_of(&self.names.target));
        let (pending, target) = (pending.display(), target.display());
        self.remove().map_err(|error| {
            failed(format!("the key is in {target}, but {pending} cannot be removed: {error}"))
                .suggest("remove that file: it has the key too")
        })
    }

    /// Writes the final file beside its place, moves it there, and checks that it is there.
    fn place(&self, text: &[u8], existing: &Existing) -> io::Result<()> {
        let Names { target, new, .. } = &self.names;
        if !self.folder.is_in_place()? {
            return Err(io::Error::other("the folder was replaced by another process"));
        }
        // The process that is finished here may have been killed after this step.
        let old = match self.folder.open_own(target) {
            // An old key that its owner may not read is another file, which is replaced or reported below.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
            old => old?,
        };
        if let Some(mut file) = old {
            let old = read(&mut file)?;
            if *old == text {
                return Ok(());
            }
            if let Existing::KeptAs(previous) = existing {
                let kept = read_whole(&mut file)
                    .and_then(|old| self.write_new(&old, |folder| folder.rename_to_new(new, previous)));
                kept.map_err(|error| {
                    let previous = self.folder.path_of(previous);
                    io::Error::other(format!("cannot keep the old secret in {}: {error}", previous.display()))
                })?;
            }
        }
        let file = self.write_new(text, |folder| match existing {
            Existing::Refused => folder.rename_to_new(new, target),
            Existing::Replaced | Existing::KeptAs(_) => folder.rename(new, target),
        })?;
        if !self.folder.names_file(target, &file)? || !self.folder.is_in_place()? {
            return Err(io::Error::other("it was replaced by another process"));
        }
        self.folder.sync()
    }

    /// Writes a new file beside the final one, and moves it to its place.
    fn write_new(
        &self,
        text: &[u8],
        place: impl FnOnce(&SecureFolder) -> io::Result<()>,
    ) -> io::Result<File> {
        let new = &self.names.new;
        self.folder.remove(new)?;
        let mut file = self.folder.create(new)?;
        let placed = file.write_all(text).and_then(|()| {
            file.sync_all()?;
            if !self.folder.names_file(new, &file)? {
                return Err(io::Error::other("it was replaced by another process"));
            }
            place(&self.folder)
        });
        if placed.is_err() {
            let _ = self.folder.remove(new);
        }
        placed.map(|()| file)
    }

    /// Removes the pending file, and the final file in case it was being written.
    pub(in crate::destinations) fn remove(mut self) -> io::Result<()> {
        self.folder.remove(&self.names.new)?;
        if self.folder.names_file(&self.names.pending, &self.file)? {
            self.folder.remove(&self.names.pending)?;
        }
        self.record = None;
        self.folder.sync()
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    let failure = failed(format!("cannot write {}: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            failure.suggest("free space on its disk, or use a folder on another one")
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            failure.suggest("use a folder that you may write to")
        }
        _ => failure,
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.process_id != std::process::id() {
            return;
        }
        let is_useless = self.record.is_none() && !self.is_proof;
        if is_useless && self.folder.names_file(&self.names.pending, &self.file).unwrap_or(false) {
            let _ = self.folder.remove(&self.names.pending);
        }
        // A forked child may hold a copy of the descriptor, and with it the lock.
        let _ = self.file.unlock();
    }
}
