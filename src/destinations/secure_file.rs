//! Files that hold secrets: checks of their folders, private creation, durable writes.

use std::ffi::OsStr;
#[cfg(unix)]
use std::fs::File;
use std::io;
#[cfg(unix)]
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf, Prefix};

#[cfg(windows)]
use crate::access_list;
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
    if path.file_name().is_none_or(is_reserved) || is_device(path) {
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

#[cfg(windows)]
fn check_permissions(folder: &Path, _metadata: &std::fs::Metadata) -> Result<Option<Event>> {
    let shown = folder.display();
    // `canonicalize`: the list of a link is not that of its folder.
    let others = folder.canonicalize().and_then(|path| access_list::others(&access_list::file_of(&path)?));
    let others =
        others.map_err(|error| failed(format!("cannot read who can access the folder {shown}: {error}")))?;
    if others.can_remove_files() {
        return Err(failed(format!(
            "other users can remove files from the folder {shown} and replace the file"
        ))
        .suggest("take the right to delete subfolders and files from them (icacls shows the access list)")
        .suggest(Advice::TrustFolder));
    }
    Ok(None)
}

/// In a folder to which others can write, they can create the file first and keep it.
#[cfg(windows)]
fn check_owner(path: &Path, _metadata: &std::fs::Metadata) -> Result<()> {
    let is_own = access_list::file_of(path).and_then(|file| access_list::is_of_trusted_owner(&file));
    match is_own {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(failed(format!("{} belongs to another user", path.display())).suggest("use another path"))
        }
        Err(error) => Err(failed(format!("cannot read who owns {}: {error}", path.display()))),
    }
}

/// Returns whether a name has a colon, after which Windows reads the name of a stream inside the file.
fn is_reserved(name: &OsStr) -> bool {
    cfg!(windows) && name.as_encoded_bytes().contains(&b':')
}

/// Returns whether a path names a device of Windows, as NUL does in every folder.
fn is_device(path: &Path) -> bool {
    let absolute = std::path::absolute(path).unwrap_or_default();
    let prefix = absolute.components().next();
    matches!(prefix, Some(Component::Prefix(prefix)) if matches!(prefix.kind(), Prefix::DeviceNS(_)))
}

/// Creates a file that only its owner can read; fails if the path exists.
#[cfg(unix)]
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(windows)]
pub(crate) use access_list::create_file as create_private;

#[cfg(unix)]
pub(crate) use std::fs::{remove_file, rename};

/// As `std::fs::rename`, for a file that another process may have open for a moment.
#[cfg(windows)]
pub(crate) fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    retry_while_in_use(|| std::fs::rename(&from, &to))
}

/// As `std::fs::remove_file`, for a file that another process may have open for a moment.
#[cfg(windows)]
pub(crate) fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    retry_while_in_use(|| std::fs::remove_file(&path))
}

/// Repeats a change that Windows refuses while another process has the file open without sharing its name, as most
/// programs do that read it, and scanners for viruses. Access may also be denied for good, so the wait is short.
#[cfg(windows)]
fn retry_while_in_use(mut change: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    use std::time::{Duration, Instant};
    use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION};
    const TICK: Duration = Duration::from_millis(20);
    const LIMIT: Duration = Duration::from_secs(1);
    let start = Instant::now();
    loop {
        let changed = change();
        let code = changed.as_ref().err().and_then(io::Error::raw_os_error).map(i32::cast_unsigned);
        if !matches!(code, Some(ERROR_ACCESS_DENIED | ERROR_SHARING_VIOLATION)) || start.elapsed() >= LIMIT {
            return changed;
        }
        std::thread::sleep(TICK);
    }
}

/// Makes created, renamed and removed names in a folder durable.
#[cfg(unix)]
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// Does nothing: Windows cannot synchronise a folder. NTFS keeps a journal of names, which are never lost without
/// those that were changed later.
#[cfg(windows)]
#[allow(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
pub(crate) fn sync_folder_of(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, windows))]
mod tests {
    use std::fs::{self, File};
    use std::os::windows::fs::OpenOptionsExt as _;
    use std::path::PathBuf;
    use std::thread;
    use std::time::Duration;

    use windows_sys::Win32::Storage::FileSystem::FILE_SHARE_READ;

    use super::{remove_file, rename};

    /// Two files in a new folder; the second is open in another process, as it were.
    fn files() -> (PathBuf, PathBuf, PathBuf, File) {
        let folder = std::env::temp_dir().join(format!("lmtokens-in-use-{:016x}", getrandom::u64().unwrap()));
        fs::create_dir(&folder).unwrap();
        let (new, old) = (folder.join("new"), folder.join("old"));
        fs::write(&new, "new").unwrap();
        fs::write(&old, "old").unwrap();
        let reader = File::options().read(true).share_mode(FILE_SHARE_READ).open(&old).unwrap();
        (folder, new, old, reader)
    }

    fn close_soon(reader: File) -> thread::JoinHandle<()> {
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            drop(reader);
        })
    }

    #[test]
    fn a_file_that_is_open_for_a_moment_is_replaced() {
        let (folder, new, old, reader) = files();
        fs::rename(&new, &old).unwrap_err();
        let reader = close_soon(reader);
        rename(&new, &old).unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "new");
        reader.join().unwrap();
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_is_open_for_a_moment_is_removed() {
        let (folder, _, old, reader) = files();
        fs::remove_file(&old).unwrap_err();
        let reader = close_soon(reader);
        remove_file(&old).unwrap();
        assert!(!old.exists());
        reader.join().unwrap();
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_stays_open_is_an_error() {
        let (folder, new, old, reader) = files();
        rename(&new, &old).unwrap_err();
        remove_file(&old).unwrap_err();
        drop(reader);
        assert_eq!(fs::read_to_string(&old).unwrap(), "old");
        fs::remove_dir_all(folder).unwrap();
    }
}
