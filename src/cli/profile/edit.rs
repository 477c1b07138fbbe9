//! Changes of the configuration file, which keep its comments and its order.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;

use std::fs::{File, Metadata, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, Value, value};
use zeroize::Zeroizing;

use crate::cli::host::Host;
use crate::cli::report::Failure;
use crate::cli::signals::run_until_signal;
use crate::credentials::{
    Arguments, ConfigFile, ConfigPath, Credentials, DEFAULT, KEYS, PROFILES, ProcessEnvironment, config_path,
    unknown_profile,
};
use crate::destinations::secure_file::{create_private, folder_of, remove_file, rename, sync_folder_of};
use crate::error::{Error, Result};

/// The configuration file for a change.
pub(super) struct Edit {
    path: ConfigPath,
    target: PathBuf,
    document: DocumentMut,
    layout: Layout,
    _lock: Option<File>,
}

/// What a document does not keep of the text of a file.
#[derive(Clone, Copy, Default)]
struct Layout {
    has_byte_order_mark: bool,
    /// Whether lines end with CR LF, as on Windows.
    has_crlf: bool,
}

const BYTE_ORDER_MARK: char = '\u{feff}';

impl Layout {
    fn of(text: &str) -> Self {
        Self { has_byte_order_mark: text.starts_with(BYTE_ORDER_MARK), has_crlf: text.contains("\r\n") }
    }

    /// Returns the text of a document with this layout.
    fn write(self, document: &DocumentMut) -> Zeroizing<String> {
        let text = Zeroizing::new(document.to_string());
        let mut written = Zeroizing::new(String::with_capacity(text.len() * 2 + BYTE_ORDER_MARK.len_utf8()));
        if self.has_byte_order_mark {
            written.push(BYTE_ORDER_MARK);
        }
        let end = if self.has_crlf { "\r\n" } else { "\n" };
        for line in text.split_inclusive('\n') {
            let content = line.strip_suffix('\n');
            written.push_str(content.map_or(line, |line| line.strip_suffix('\r').unwrap_or(line)));
            written.push_str(if content.is_some() { end } else { "" });
        }
        written
    }
}

impl Edit {
    /// Reads the configuration file, for checks before the user is asked. One that does not exist is empty.
    pub(super) fn read() -> Result<Self> {
        let path = config_path(&ProcessEnvironment)?;
        let target = target(&path)?;
        Self::of(path, target, None)
    }

    /// As [`Edit::read`], locked until it is saved or dropped.
    pub(super) fn open(host: &Host) -> Result<Self, Failure> {
        let path = config_path(&ProcessEnvironment)?;
        let target = target(&path)?;
        let lock = lock(&target, host)?;
        if lock.is_some() {
            remove_leftovers(&target).map_err(|error| cannot_write(&path, &error))?;
        }
        Ok(Self::of(path, target, lock)?)
    }

    /// As [`Edit::open`], in a folder that is created now if it does not exist: the lock needs it.
    pub(super) fn open_or_create(host: &Host) -> Result<Self, Failure> {
        let path = config_path(&ProcessEnvironment)?;
        create_folder(&folder_of(&target(&path)?)).map_err(|error| cannot_write(&path, &error))?;
        Self::open(host)
    }

    fn of(path: ConfigPath, target: PathBuf, lock: Option<File>) -> Result<Self> {
        let exists = metadata(&target).map_err(|error| cannot_write(&path, &error))?.is_some();
        let file = if exists { ConfigFile::read(&ProcessEnvironment)? } else { None };
        let layout = file.as_ref().map(|file| Layout::of(file.text())).unwrap_or_default();
        let document = file.map(ConfigFile::into_document).unwrap_or_default();
        Ok(Self { path, target, document, layout, _lock: lock })
    }

    fn profiles(&self) -> Option<&dyn TableLike> {
        self.document.get(PROFILES)?.as_table_like()
    }

    /// Fails if the profile does not exist.
    pub(super) fn check_exists(&self, name: &str) -> Result<()> {
        let file = self.parsed()?;
        if file.names()?.contains(&name) { Ok(()) } else { Err(unknown_profile("", Some(&file))) }
    }

    /// Fails if the profile exists and must not be replaced.
    pub(super) fn check_new(&self, name: &str, overwrite: bool) -> Result<()> {
        if overwrite || !self.profiles().is_some_and(|profiles| profiles.contains_key(name)) {
            return Ok(());
        }
        Err(Error::configuration(format!("profile {name} exists already in {}", self.path))
            .suggest("use another name, or pass --overwrite to replace it"))
    }

    /// Returns whether the secret of a profile is in the keyring.
    pub(super) fn uses_keyring(&self, name: &str) -> bool {
        let profile = self.profiles().and_then(|profiles| profiles.get(name));
        profile.and_then(|profile| profile.get("keyring")).and_then(Item::as_bool) == Some(true)
    }

    /// Adds or replaces a profile. Its credentials are written unless they are in the keyring. Fails if the result would
    /// not be valid.
    pub(super) fn set_profile(
        &mut self,
        name: &str,
        settings: &Arguments,
        credentials: &Credentials,
        uses_keyring: bool,
    ) -> Result<()> {
        let (access_id, access_key, bearer_token) = match credentials {
            Credentials::Lmv1 { access_id, access_key, .. } => {
                (Some(access_id.as_str()), Some(access_key.reveal()), None)
            }
            Credentials::Bearer { token } => (None, None, Some(token.reveal())),
        };
        if let Some(profile) = self.table(name) {
            let names = profile.iter().map(|(key, _)| key.to_owned());
            let unknown: Vec<String> = names.filter(|key| !KEYS.contains(&key.as_str())).collect();
            for key in unknown {
                profile.remove(&key);
            }
            set(profile, "company", settings.company.as_deref());
            set(profile, "domain", settings.domain.as_deref());
            set(profile, "base_url", settings.base_url.as_deref());
            set(profile, "access_id", access_id.filter(|_| !uses_keyring));
            set(profile, "access_key", access_key.filter(|_| !uses_keyring));
            set(profile, "bearer_token", bearer_token.filter(|_| !uses_keyring));
            set(profile, "keyring", uses_keyring.then_some(true));
            set(profile, "credential_process", None::<&str>);
        }
        self.parsed()?.profile(name, "").map(drop)
    }

    /// Returns the table of a profile, which replaces anything else with its name.
    fn table(&mut self, name: &str) -> Option<&mut dyn TableLike> {
        let profiles = self.document.entry(PROFILES).or_insert_with(|| {
            let mut table = Table::new();
            // The file then has no line `[profiles]`.
            table.set_implicit(true);
            Item::Table(table)
        });
        // An inline table can hold inline tables only.
        let new = if profiles.is_inline_table() { value(InlineTable::new()) } else { toml_edit::table() };
        let profiles = profiles.as_table_like_mut()?;
        let profile = profiles.entry(name).or_insert_with(|| new.clone());
        if !profile.is_table_like() {
            *profile = new;
            // The spaces before the equals sign.
            if let Some(mut key) = profiles.key_mut(name) {
                key.leaf_decor_mut().clear();
            }
        }
        profiles.get_mut(name)?.as_table_like_mut()
    }

    /// Returns the file as it will be read.
    fn parsed(&self) -> Result<ConfigFile> {
        let text = Zeroizing::new(self.document.to_string());
        ConfigFile::parse(self.path.clone(), &text)
    }

    /// Sets the default profile.
    pub(super) fn set_default(&mut self, name: &str) {
        set(self.document.as_table_mut(), DEFAULT, Some(name));
    }

    /// Removes a profile, also as the default.
    pub(super) fn remove(&mut self, name: &str) {
        if let Some(profiles) = self.document.get_mut(PROFILES).and_then(Item::as_table_like_mut) {
            profiles.remove(name);
        }
        if self.document.get(DEFAULT).and_then(Item::as_str) == Some(name) {
            // The comment before it may be that of the whole file.
            let comment = self.document.key(DEFAULT).and_then(|key| key.leaf_decor().prefix().cloned());
            self.document.remove(DEFAULT);
            self.document.decor_mut().set_prefix(comment.unwrap_or_default());
        }
    }

    /// Replaces the file, which only its owner can read if it holds secrets, and returns its path.
    pub(super) fn save(self) -> Result<ConfigPath> {
        self.write()?.put_in_place()
    }

    /// Writes the new file beside the old one.
    pub(super) fn write(self) -> Result<NewFile> {
        let has_secrets = self.parsed()?.has_secrets()?;
        let text = self.layout.write(&self.document);
        let random = getrandom::u64().map_err(|error| cannot_write(&self.path, &io::Error::other(error)))?;
        let mut name = self.target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{random:016x}{NEW}"));
        let new = NewFile { new: self.target.with_file_name(name), edit: self };
        let written = new.write(text.as_bytes(), has_secrets);
        written.map_err(|error| cannot_write(&new.edit.path, &error))?;
        Ok(new)
    }
}

/// A new configuration file, which is removed unless it is put in the place of the old one.
pub(super) struct NewFile {
    edit: Edit,
    new: PathBuf,
}

impl NewFile {
    fn write(&self, content: &[u8], has_secrets: bool) -> io::Result<()> {
        let before = metadata(&self.edit.target)?;
        let mut file = create(&self.new, before.is_some() && !has_secrets)?;
        file.write_all(content)?;
        before.map_or(Ok(()), |before| keep_access(&file, &before, has_secrets))?;
        file.sync_all()
    }

    /// Replaces the old file, and returns its path.
    pub(super) fn put_in_place(self) -> Result<ConfigPath> {
        let Edit { path, target, .. } = &self.edit;
        let placed = rename(&self.new, target).and_then(|()| sync_folder_of(target));
        placed.map_err(|error| cannot_write(path, &error))?;
        Ok(path.clone())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        let _ = remove_file(&self.new);
    }
}

/// Sets or removes a value. One that is replaced keeps the comments around it.
fn set(table: &mut dyn TableLike, key: &str, value: Option<impl Into<Value>>) {
    let Some(value) = value else {
        table.remove(key);
        return;
    };
    let mut value = value.into();
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(before) => {
            *value.decor_mut() = before.decor().clone();
            *before = value;
        }
        None => drop(table.insert(key, Item::Value(value))),
    }
}

/// The end of the name of a file that is about to replace the configuration file.
const NEW: &str = ".new";

/// Removes the new files that killed processes left. The folder must be locked: they are not in use then.
fn remove_leftovers(path: &Path) -> io::Result<()> {
    let Some(prefix) = path.file_name().and_then(|name| name.to_str()).map(|name| format!("{name}.")) else {
        return Ok(());
    };
    for entry in std::fs::read_dir(folder_of(path))? {
        let name = entry?.file_name();
        let name = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        let random = name.and_then(|name| name.strip_suffix(NEW));
        if let Some(random) = random.filter(|random| random.len() == 16)
            && random.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            remove_file(path.with_file_name(format!("{prefix}{random}{NEW}")))?;
        }
    }
    Ok(())
}

/// Creates a file that only its owner can read, until it gets the access of the old one.
#[cfg(unix)]
fn create(path: &Path, _is_shared: bool) -> io::Result<File> {
    create_private(path)
}

/// Creates a file that only its owner can read, unless it may be shared: then the folder says who can.
#[cfg(windows)]
fn create(path: &Path, is_shared: bool) -> io::Result<File> {
    if is_shared { File::create_new(path) } else { create_private(path) }
}

/// Gives a new file the owner and the group of the old one, and its mode unless it holds secrets.
#[cfg(unix)]
fn keep_access(file: &File, before: &Metadata, has_secrets: bool) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    if before.uid() != file.metadata()?.uid() {
        fchown(file, Some(before.uid()), None)?;
    }
    // Only a member of the group may do this.
    let _ = fchown(file, None, Some(before.gid()));
    if has_secrets { Ok(()) } else { file.set_permissions(before.permissions()) }
}

#[cfg(windows)]
#[allow(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
fn keep_access(_file: &File, _before: &Metadata, _has_secrets: bool) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn create_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(windows)]
fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    folder.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    match crate::access_list::create_folder(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

/// Returns the file to change. A symbolic link is kept.
fn target(path: &ConfigPath) -> Result<PathBuf> {
    let found = metadata(path.path()).and_then(|found| match found {
        Some(_) => path.path().canonicalize(),
        None => Ok(path.path().to_owned()),
    });
    found.map_err(|error| cannot_write(path, &error))
}

/// Returns the metadata of a file or a link; `None` if there is neither.
fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits for another process that changes the file. Without locks, the last of two changes wins.
fn lock(path: &Path, host: &Host) -> Result<Option<File>, Failure> {
    const TICK: Duration = Duration::from_millis(20);
    let Ok(file) = open_to_lock(path) else { return Ok(None) };
    let is_taken = |locked: &Result<(), TryLockError>| matches!(locked, Err(TryLockError::WouldBlock));
    let mut locked = file.try_lock();
    if is_taken(&locked) {
        run_until_signal(async {
            while is_taken(&locked) && !host.prompt.is_interrupted() {
                tokio::time::sleep(TICK).await;
                locked = file.try_lock();
            }
            Ok(())
        })?;
    }
    Ok(host.unless_interrupted(locked.ok().map(|()| file))?)
}

/// Opens the folder of the file, which every process locks that changes the file.
#[cfg(unix)]
fn open_to_lock(path: &Path) -> io::Result<File> {
    File::open(folder_of(path))
}

/// Opens an empty file beside the file: Windows cannot lock folders. It is never removed, because another process may
/// be about to lock it.
#[cfg(windows)]
fn open_to_lock(path: &Path) -> io::Result<File> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    File::options().read(true).write(true).create(true).truncate(false).open(path.with_file_name(name))
}

fn cannot_write(path: &ConfigPath, error: &io::Error) -> Error {
    Error::configuration(format!("cannot write {path}: {error}"))
}
