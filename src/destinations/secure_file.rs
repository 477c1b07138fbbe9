//! Files that hold secrets: in which folders they may be, and that they are on disk when we say so.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// An error of a destination.
pub(crate) fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Delivery, message)
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Fails where the file could be swapped by others, is a symbolic link, or is no file.
pub(crate) fn check_place(path: &Path) -> Result<()> {
    let shown = path.display();
    if path.file_name().is_none() {
        return Err(failed(format!("{shown} names no file")));
    }
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => {
            return Err(failed(format!("{shown} is a symbolic link: a secret is never written through one")));
        }
        Ok(metadata) if !metadata.is_file() => {
            return Err(failed(format!("{shown} exists and is no regular file")));
        }
        _ => {}
    }
    let folder = folder_of(path);
    let metadata = std::fs::metadata(&folder)
        .map_err(|error| failed(format!("cannot look into the folder {}: {error}", folder.display())))?;
    if !metadata.is_dir() {
        return Err(failed(format!("{} is no folder", folder.display())));
    }
    check_permissions(&folder, &metadata)
}

#[cfg(unix)]
fn check_permissions(folder: &Path, metadata: &std::fs::Metadata) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    const OTHERS_MAY_WRITE: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    let mode = metadata.permissions().mode();
    if mode & OTHERS_MAY_WRITE != 0 && mode & STICKY == 0 {
        return Err(failed(format!(
            "others may write to the folder {} (its mode is {:03o}), and could put a file of theirs in place of the secret",
            folder.display(),
            mode & 0o777
        ))
        .suggest("use a folder of your own, or take the right away: chmod go-w"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_permissions(_folder: &Path, _metadata: &std::fs::Metadata) -> Result<()> {
    Ok(())
}

/// A new file that only its owner may read, from birth; fails where there is one, whatever it is.
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

/// Makes what happened to names in a folder durable.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder_of(path))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
