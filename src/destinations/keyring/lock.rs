//! The lock of a create to an entry of the keyring, which has no locks of its own.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::thread::sleep;
use std::time::Duration;

use crate::credentials::{ProcessEnvironment, settings_folder};
use crate::destinations::secure_file::failed;
use crate::destinations::secure_folder::SecureFolder;
use crate::error::Result;

/// A lock that one process at a time has, until it drops it or ends.
pub(super) struct EntryLock {
    file: File,
    /// A forked child has a copy of this value, but the lock belongs to its parent.
    process_id: u32,
}

impl EntryLock {
    /// Acquires the lock of an entry, or fails if another create to it is in progress.
    pub(super) fn acquire(entry: &str) -> Result<Self> {
        // A create that was cancelled a moment ago may still have it.
        const PAUSE: Duration = Duration::from_millis(25);
        let mut tries = 0..40;
        let cannot =
            |error: &dyn std::fmt::Display| failed(format!("cannot lock the keyring entry {entry}: {error}"));
        let file = open(entry).map_err(|error| cannot(&error))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file, process_id: std::process::id() }),
                Err(TryLockError::WouldBlock) if tries.next().is_some() => sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(failed(format!("another create is writing to the keyring entry {entry}"))
                        .suggest("wait until it ends, or use another name"));
                }
                Err(TryLockError::Error(error)) => return Err(cannot(&error)),
            }
        }
    }
}

impl Drop for EntryLock {
    fn drop(&mut self) {
        // A forked child may hold a copy of the descriptor, and with it the lock.
        if self.process_id == std::process::id() {
            let _ = self.file.unlock();
        }
    }
}

/// Opens the empty file that is locked. It is never removed: another process may be about to lock it.
fn open(entry: &str) -> io::Result<File> {
    // Folders of the session, such as XDG_RUNTIME_DIR, would differ between a login and cron.
    let folder = settings_folder(&ProcessEnvironment).ok().flatten().filter(|path| path.is_dir());
    let folder = SecureFolder::open(&folder.unwrap_or_else(std::env::temp_dir))?;
    // The folder of temporary files may be that of all users, except on Windows.
    #[cfg(unix)]
    let user = format!("{}-", rustix::process::geteuid().as_raw());
    #[cfg(windows)]
    let user = "";
    let name = format!("lmtokens-{user}{entry}.lock");
    match folder.create(name.as_ref()) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            folder.open_own_to_lock(name.as_ref())?.ok_or_else(|| {
                io::Error::other(format!(
                    "{} is not a file of this user",
                    folder.path_of(name.as_ref()).display()
                ))
            })
        }
        created => created,
    }
}
