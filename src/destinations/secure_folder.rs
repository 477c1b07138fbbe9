//! An open folder. Its files are named relative to its descriptor, so that replacing the folder or a part of its path
//! does not redirect a name. Windows has no such names, but an open folder cannot be replaced there.

use std::ffi::{OsStr, OsString};
use std::fs::File;
#[cfg(windows)]
use std::fs::OpenOptions;
use std::io;
#[cfg(windows)]
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

#[cfg(windows)]
use super::secure_file::{remove_file, rename};
#[cfg(windows)]
use crate::access_list;

/// A folder that was opened once.
pub(super) struct SecureFolder {
    path: PathBuf,
    #[cfg(unix)]
    descriptor: std::os::fd::OwnedFd,
    /// The path without links.
    #[cfg(windows)]
    canonical: PathBuf,
    #[cfg(windows)]
    folder: File,
}

/// What a name in a folder is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Missing,
    /// A regular file of this user.
    Own,
    /// A regular file of another user.
    Foreign,
    /// A symbolic link, a folder, a pipe.
    Special,
}

impl SecureFolder {
    /// Returns the path of a file in the folder, for messages.
    pub(super) fn path_of(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the path of the folder, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes a file; a name that does not exist counts as removed.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        match self.unlink(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Renames a file without replacing another.
    pub(super) fn rename_to_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match self.link(from, to) {
            Ok(()) => self.unlink(from),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // The file system has no hard links.
            Err(_) if self.entry(to)? == Entry::Missing => self.rename(from, to),
            Err(error) => Err(error),
        }
    }
}

#[cfg(unix)]
impl SecureFolder {
    /// Opens a folder.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = fs::openat(fs::CWD, path, flags, Mode::empty())?;
        Ok(Self { path: path.to_owned(), descriptor })
    }

    /// Returns whether the path still names this folder.
    pub(super) fn is_in_place(&self) -> io::Result<bool> {
        match fs::stat(&self.path) {
            Ok(there) => Ok(is_same(&there, &fs::fstat(&self.descriptor)?)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns what a name is.
    pub(super) fn entry(&self, name: &OsStr) -> io::Result<Entry> {
        match fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(entry_of(&stat)),
            Err(Errno::NOENT) => Ok(Entry::Missing),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns whether a name denotes an open file.
    pub(super) fn names_file(&self, name: &OsStr, file: &File) -> io::Result<bool> {
        match fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => Ok(is_same(&there, &fs::fstat(file)?)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Creates a file that only its owner can read; fails if the name exists.
    pub(super) fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&self.descriptor, name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(file.into())
    }

    /// Opens a regular file of this user for reading; `None` if the name is anything else.
    pub(super) fn open_own(&self, name: &OsStr) -> io::Result<Option<File>> {
        self.open_own_with(name, OFlags::RDONLY)
    }

    /// As `open_own`, for an exclusive lock: network file systems require that the file is open for writing.
    pub(super) fn open_own_to_lock(&self, name: &OsStr) -> io::Result<Option<File>> {
        self.open_own_with(name, OFlags::RDWR)
    }

    fn open_own_with(&self, name: &OsStr, access: OFlags) -> io::Result<Option<File>> {
        if self.entry(name)? != Entry::Own {
            return Ok(None);
        }
        // A pipe that takes its name in this moment must not block.
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match fs::openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(file) if entry_of(&fs::fstat(&file)?) == Entry::Own => Ok(Some(file.into())),
            Ok(_) | Err(Errno::NOENT | Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Renames a file, replacing another.
    pub(super) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(fs::renameat(&self.descriptor, from, &self.descriptor, to)?)
    }

    fn link(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(fs::linkat(&self.descriptor, from, &self.descriptor, to, AtFlags::empty())?)
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        Ok(fs::unlinkat(&self.descriptor, name, AtFlags::empty())?)
    }

    /// Returns all names in the folder.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        use std::os::unix::ffi::OsStrExt as _;
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.descriptor)? {
            names.push(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned());
        }
        Ok(names)
    }

    /// Makes created, renamed and removed names durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.descriptor)?)
    }
}

#[cfg(unix)]
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
#[cfg(unix)]
use rustix::io::Errno;

#[cfg(unix)]
fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

#[cfg(unix)]
fn entry_of(stat: &Stat) -> Entry {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Entry::Special;
    }
    if stat.st_uid == rustix::process::geteuid().as_raw() { Entry::Own } else { Entry::Foreign }
}

#[cfg(windows)]
impl SecureFolder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        use windows_sys::Win32::Storage::FileSystem::{
            FILE_FLAG_BACKUP_SEMANTICS, FILE_LIST_DIRECTORY, FILE_SHARE_READ, FILE_SHARE_WRITE,
        };
        // Others may use the folder, but neither rename nor remove it while it is open.
        let folder = File::options()
            .access_mode(FILE_LIST_DIRECTORY)
            .share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
            .open(path)?;
        // A link that is replaced later must not redirect a name.
        Ok(Self { path: path.to_owned(), canonical: path.canonicalize()?, folder })
    }

    pub(super) fn is_in_place(&self) -> io::Result<bool> {
        match self.path.canonicalize().and_then(|path| access_list::file_of(&path)) {
            Ok(there) => access_list::is_same(&there, &self.folder),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn entry(&self, name: &OsStr) -> io::Result<Entry> {
        let file = match access_list::file_of(&self.there(name)) {
            Ok(file) => file,
            Err(error) if is_missing(&error) => return Ok(Entry::Missing),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Ok(Entry::Special);
        }
        Ok(if access_list::is_of_trusted_owner(&file)? { Entry::Own } else { Entry::Foreign })
    }

    pub(super) fn names_file(&self, name: &OsStr, file: &File) -> io::Result<bool> {
        match access_list::file_of(&self.there(name)) {
            Ok(there) => access_list::is_same(&there, file),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn create(&self, name: &OsStr) -> io::Result<File> {
        access_list::create_file(&self.there(name))
    }

    pub(super) fn open_own(&self, name: &OsStr) -> io::Result<Option<File>> {
        self.open_own_with(name, File::options().read(true))
    }

    pub(super) fn open_own_to_lock(&self, name: &OsStr) -> io::Result<Option<File>> {
        self.open_own_with(name, File::options().read(true).write(true))
    }

    fn open_own_with(&self, name: &OsStr, options: &OpenOptions) -> io::Result<Option<File>> {
        if self.entry(name)? != Entry::Own {
            return Ok(None);
        }
        match options.open(self.there(name)) {
            Ok(file) => Ok(self.names_file(name, &file)?.then_some(file)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        rename(self.there(from), self.there(to))
    }

    fn link(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        std::fs::hard_link(self.there(from), self.there(to))
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        remove_file(self.there(name))
    }

    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(&self.canonical)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "the same signature as on Unix")]
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    /// Returns the path of a file, for calls.
    fn there(&self, name: &OsStr) -> PathBuf {
        self.canonical.join(name)
    }
}

/// Returns whether a file does not exist, or is being removed: its name remains until its last handle is closed.
#[cfg(windows)]
fn is_missing(error: &io::Error) -> bool {
    use windows_sys::Win32::Foundation::ERROR_DELETE_PENDING;
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(ERROR_DELETE_PENDING.cast_signed())
}
