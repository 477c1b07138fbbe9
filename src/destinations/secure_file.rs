//! Files that hold secrets: checks of their folders, private creation, durable writes.

use std::fs::File;
use std::io;
#[cfg(unix)]
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

#[cfg(unix)]
use crate::advice::Advice;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;

/// Returns an error of a destination.
pub(crate) fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Delivery, message)
}

/// Returns the folder of a file.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Fails if the path is a symbolic link or exists and is not a regular file, or if it is the file of another user in a
/// folder that all users can write to.
pub(crate) fn check_file(path: &Path) -> Result<()> {
    let shown = path.display();
    if path.file_name().is_none() {
        return Err(failed(format!("{shown} is not a file path")));
    }
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => {
            Err(failed(format!("{shown} is a symbolic link; secrets are not written through symbolic links")))
        }
        Ok(metadata) if !metadata.is_file() => Err(failed(format!("{shown} is not a regular file"))),
        Ok(metadata) => check_owner(path, &metadata),
        Err(_) => Ok(()),
    }
}

/// Fails if the folder does not exist, or if other users can replace its files, unless the caller trusts them. Returns
/// a warning if the folder belongs to another user, whom the caller may trust without having said so.
pub(crate) fn check_folder(folder: &Path, trust: bool) -> Result<Option<Event>> {
    let shown = folder.display();
    let metadata = std::fs::metadata(folder)
        .map_err(|error| failed(format!("cannot read the folder {shown}: {error}")))?;
    if !metadata.is_dir() {
        return Err(failed(format!("{shown} is not a folder")));
    }
    if trust { Ok(None) } else { check_permissions(folder, &metadata) }
}

#[cfg(unix)]
const OTHERS_MAY_WRITE: u32 = 0o022;
#[cfg(unix)]
const STICKY: u32 = 0o1000;

#[cfg(unix)]
fn check_permissions(folder: &Path, metadata: &std::fs::Metadata) -> Result<Option<Event>> {
    let mode = metadata.mode();
    if mode & OTHERS_MAY_WRITE != 0 && mode & STICKY == 0 {
        return Err(failed(format!(
            "other users can write to the folder {} (mode {:03o}) and replace the file",
            folder.display(),
            mode & 0o777
        ))
        .suggest("run chmod go-w on it")
        .suggest(Advice::TrustFolder));
    }
    let is_foreign = metadata.uid() != 0 && metadata.uid() != rustix::process::geteuid().as_raw();
    Ok(is_foreign
        .then(|| Event::FolderOfAnotherUser { folder: folder.display().to_string(), owner: metadata.uid() }))
}

/// In a sticky folder, every user can create the file first and keep it.
#[cfg(unix)]
fn check_owner(path: &Path, metadata: &std::fs::Metadata) -> Result<()> {
    let is_shared = std::fs::metadata(folder_of(path))
        .is_ok_and(|folder| folder.mode() & OTHERS_MAY_WRITE != 0 && folder.mode() & STICKY != 0);
    if is_shared && metadata.uid() != rustix::process::geteuid().as_raw() {
        let owner = metadata.uid();
        return Err(failed(format!("{} belongs to another user (id {owner})", path.display()))
            .suggest("use another path: every user can create files in this folder"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_permissions(_folder: &Path, _metadata: &std::fs::Metadata) -> Result<Option<Event>> {
    Ok(None)
}

#[cfg(not(unix))]
fn check_owner(_path: &Path, _metadata: &std::fs::Metadata) -> Result<()> {
    Ok(())
}

/// Creates a file that only its owner can read; fails if the path exists.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

/// Makes created, renamed and removed names in a folder durable.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder_of(path))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
