//! Files that hold secrets: checks of their folders, private creation, durable writes.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

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

/// Fails if the path is not a regular file, is a symbolic link, or is in a folder where other users can replace it.
pub(crate) fn check_place(path: &Path) -> Result<()> {
    let shown = path.display();
    if path.file_name().is_none() {
        return Err(failed(format!("{shown} is not a file path")));
    }
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => {
            return Err(failed(format!(
                "{shown} is a symbolic link; secrets are not written through symbolic links"
            )));
        }
        Ok(metadata) if !metadata.is_file() => {
            return Err(failed(format!("{shown} is not a regular file")));
        }
        _ => {}
    }
    let folder = folder_of(path);
    let metadata = std::fs::metadata(&folder)
        .map_err(|error| failed(format!("cannot read the folder {}: {error}", folder.display())))?;
    if !metadata.is_dir() {
        return Err(failed(format!("{} is not a folder", folder.display())));
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
            "other users can write to the folder {} (mode {:03o}) and replace the file",
            folder.display(),
            mode & 0o777
        ))
        .suggest("use another folder, or run chmod go-w on it"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_permissions(_folder: &Path, _metadata: &std::fs::Metadata) -> Result<()> {
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
