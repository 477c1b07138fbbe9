//! The lock that keeps other processes off a journal.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::advice::Advice;
use crate::destinations::secure_file::failed;
use crate::error::Result;

/// An exclusive lock on a file beside the journal. The operating system releases it when the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(journal: &Path) -> Result<Self> {
        let path = beside(journal);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let cannot =
            |error: &dyn std::fmt::Display| failed(format!("cannot lock {}: {error}", path.display()));
        if path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(cannot(&"it is a symbolic link"));
        }
        let file = options.open(&path).map_err(|error| cannot(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(failed(format!("another process uses the journal {}", journal.display()))
                    .suggest("wait until it ends: two runs on one journal would create tokens twice"))
            }
            Err(TryLockError::Error(error)) => Err(cannot(&error).suggest(Advice::DisableLock)),
        }
    }
}

fn beside(journal: &Path) -> PathBuf {
    let mut name = journal.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    journal.with_file_name(name)
}
