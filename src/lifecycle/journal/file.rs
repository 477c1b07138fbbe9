//! The file of a journal: created whole, locked against other processes, and watched for their changes.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

#[cfg(windows)]
use crate::access_list;
use crate::advice::Advice;
use crate::destinations::secure_file::{create_private, failed, remove_file, rename, sync_folder_of};
use crate::error::{Error, Result};

/// A journal that this process writes. The lock is on the file itself: it cannot be removed while the path names the
/// file. Once the path names another file, `check` fails. On Windows the lock also prevents reading.
pub(super) struct JournalFile {
    file: File,
    path: PathBuf,
    length: u64,
}

impl JournalFile {
    /// Creates a journal with its first line. The path names the file only when it is complete and locked, so that an
    /// empty journal is always a damaged one.
    pub(super) fn create(path: &Path, first_line: &str, lock: bool) -> Result<Self> {
        let new = beside(path, "new").map_err(|error| cannot_write(path, &error))?;
        let mut file = create_private(&new).map_err(|error| cannot_write(path, &error))?;
        let filled = file
            .write_all(first_line.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|error| cannot_write(path, &error))
            .and_then(|()| if lock { take_lock(&file, path) } else { Ok(()) })
            .and_then(|()| publish(&new, path));
        if let Err(error) = filled {
            let _ = remove_file(&new);
            return Err(error);
        }
        let journal = Self { file, path: path.to_owned(), length: first_line.len() as u64 };
        sync_folder_of(path).and_then(|()| journal.check()).map_err(|error| cannot_write(path, &error))?;
        Ok(journal)
    }

    /// Opens an existing journal and returns its text.
    pub(super) fn open(path: &Path, lock: bool, trust_folder: bool) -> Result<(Self, Zeroizing<Vec<u8>>)> {
        let cannot = |error: &io::Error| cannot_write(path, error);
        let mut file = File::options().read(true).write(true).open(path).map_err(|error| cannot(&error))?;
        if !trust_folder {
            check_owner(&file, path)?;
        }
        if lock {
            take_lock(&file, path)?;
        }
        let mut text = Zeroizing::new(Vec::new());
        file.read_to_end(&mut text).map_err(|error| cannot(&error))?;
        let journal = Self { file, path: path.to_owned(), length: text.len() as u64 };
        // Another process may have replaced the file before it was locked.
        journal.check().map_err(|error| cannot(&error))?;
        Ok((journal, text))
    }

    /// Makes the journal readable by its owner only.
    pub(super) fn keep_private(&self) -> Result<()> {
        keep_private(&self.file, &self.path).map_err(|error| cannot_write(&self.path, &error))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes everything after the first `length` bytes.
    pub(super) fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.sync_all()?;
        self.length = self.file.seek(SeekFrom::Start(length))?;
        Ok(())
    }

    /// Appends whole lines.
    pub(super) fn append(&mut self, text: &[u8], durably: bool) -> io::Result<()> {
        self.check()?;
        self.file.write_all(text)?;
        self.length += text.len() as u64;
        if durably {
            self.file.sync_data()?;
            self.check()?;
        }
        Ok(())
    }

    /// Removes the file while it is locked, if the path still names it.
    pub(super) fn remove(self) -> io::Result<()> {
        self.check()?;
        remove_file(&self.path)
    }

    /// Fails if the path no longer names this file, or if another process changed its length: writes would succeed, and
    /// their lines could not be found.
    fn check(&self) -> io::Result<()> {
        if !is_at(&self.file, &self.path)? {
            return Err(io::Error::other("it was replaced while it was being written"));
        }
        if self.file.metadata()?.len() != self.length {
            return Err(io::Error::other("another process changed it while it was being written"));
        }
        Ok(())
    }
}

impl Drop for JournalFile {
    /// A forked child may hold a copy of the descriptor, and with it the lock.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Returns whether a path names an open file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let (ours, there) = (file.metadata()?, std::fs::symlink_metadata(path)?);
    Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
}

#[cfg(windows)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    access_list::is_same(file, &access_list::file_of(path)?)
}

fn take_lock(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(failed(format!(
            "another run, of this or another process, uses the journal {}",
            path.display()
        ))
        .suggest("wait until it ends, or close it: two runs on one journal would create tokens twice")),
        Err(TryLockError::Error(error)) => {
            Err(failed(format!("cannot lock the journal {}: {error}", path.display()))
                .suggest(Advice::DisableLock))
        }
    }
}

/// Fails if the journal belongs to another user, who can write any line into it.
#[cfg(unix)]
fn check_owner(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = file.metadata().map_err(|error| cannot_write(path, &error))?.uid();
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(failed(format!(
        "the journal {} belongs to another user (uid {owner}), who can change its lines",
        path.display()
    ))
    .suggest(Advice::TrustOwner))
}

#[cfg(windows)]
fn check_owner(file: &File, path: &Path) -> Result<()> {
    if access_list::is_of_trusted_owner(file).map_err(|error| cannot_write(path, &error))? {
        return Ok(());
    }
    Err(failed(format!("the journal {} belongs to another user, who can change its lines", path.display()))
        .suggest(Advice::TrustOwner))
}

#[cfg(unix)]
fn keep_private(file: &File, _path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o600);
        file.set_permissions(permissions)?;
    }
    Ok(())
}

#[cfg(windows)]
fn keep_private(file: &File, path: &Path) -> io::Result<()> {
    let others = access_list::others(file)?;
    if others.can_read() || others.can_change() { access_list::protect(path) } else { Ok(()) }
}

/// Gives a complete new file the path of the journal, unless the path exists.
fn publish(new: &Path, path: &Path) -> Result<()> {
    let published = match std::fs::hard_link(new, path) {
        Ok(()) => remove_file(new),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists_already(path)),
        // The file system has no hard links.
        Err(_) if path.symlink_metadata().is_err() => rename(new, path),
        Err(error) => Err(error),
    };
    published.map_err(|error| cannot_write(path, &error))
}

/// Moves a torn last line into a file of its own, with the same protection: it may hold a part of a key.
pub(super) fn set_aside(path: &Path, tail: &[u8]) -> Result<()> {
    let aside = beside(path, "torn").map_err(|error| cannot_write(path, &error))?;
    let written = create_private(&aside).and_then(|mut file| {
        file.write_all(tail)?;
        file.sync_all()
    });
    written.map_err(|error| cannot_write(&aside, &error))
}

/// Returns `PATH.RANDOM.EXTENSION`.
fn beside(path: &Path, extension: &str) -> io::Result<PathBuf> {
    let random = getrandom::u64().map_err(io::Error::other)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{random:016x}.{extension}"));
    Ok(path.with_file_name(name))
}

/// Returns the error for a new run on an existing journal.
pub(super) fn exists_already(path: &Path) -> Error {
    failed(format!("the journal {} exists already", path.display())).suggest(Advice::ResumeExisting)
}

/// Returns the error of a failed write.
pub(super) fn cannot_write(path: &Path, error: &io::Error) -> Error {
    failed(format!("cannot write the journal {}: {error}", path.display()))
}
