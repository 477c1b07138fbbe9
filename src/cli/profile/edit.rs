//! Changes of the configuration file, which keep its comments and its order.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, TableLike, Value};
use zeroize::Zeroizing;

use crate::credentials::{
    Arguments, ConfigFile, Credentials, DEFAULT, PROFILES, ProcessEnvironment, config_path,
};
use crate::destinations::secure_file::{create_private, folder_of, sync_folder_of};
use crate::error::{Error, Result};

/// The configuration file, locked until it is saved or dropped.
pub(super) struct Edit {
    path: PathBuf,
    document: DocumentMut,
    _lock: Option<File>,
}

impl Edit {
    /// Reads the configuration file. One that does not exist is empty.
    pub(super) fn open() -> Result<Self> {
        let path = config_path(&ProcessEnvironment)?;
        let cannot = |error: &io::Error| cannot_write(&path, error);
        // A symbolic link is kept, and the file to which it leads is changed.
        let target =
            if path.exists() { path.canonicalize().map_err(|error| cannot(&error))? } else { path.clone() };
        let lock = lock_folder(&folder_of(&target));
        let file = if target.exists() { ConfigFile::read(&ProcessEnvironment)? } else { None };
        let document = file.map(ConfigFile::into_document).unwrap_or_default();
        Ok(Self { path: target, document, _lock: lock })
    }

    fn profiles(&self) -> Option<&dyn TableLike> {
        self.document.get(PROFILES)?.as_table_like()
    }

    /// Fails if the profile does not exist.
    pub(super) fn check_exists(&self, name: &str) -> Result<()> {
        if self.profiles().is_some_and(|profiles| profiles.contains_key(name)) {
            return Ok(());
        }
        let names: Vec<&str> = self
            .profiles()
            .map(|profiles| profiles.iter().map(|(name, _)| name).collect())
            .unwrap_or_default();
        let expected = if names.is_empty() { "no profiles".to_owned() } else { names.join(", ") };
        Err(Error::configuration(format!("unknown profile: {} has {expected}", self.path.display())))
    }

    /// Fails if the profile exists and must not be replaced.
    pub(super) fn check_new(&self, name: &str, overwrite: bool) -> Result<()> {
        if overwrite || !self.profiles().is_some_and(|profiles| profiles.contains_key(name)) {
            return Ok(());
        }
        Err(Error::configuration(format!("profile {name} exists already in {}", self.path.display()))
            .suggest("use another name, or pass --overwrite to replace it"))
    }

    /// Returns whether the secret of a profile is in the keyring.
    pub(super) fn uses_keyring(&self, name: &str) -> bool {
        let profile = self.profiles().and_then(|profiles| profiles.get(name));
        profile.and_then(|profile| profile.get("keyring")).and_then(Item::as_bool) == Some(true)
    }

    /// Adds or replaces a profile. Its secret is written unless it is in the keyring.
    pub(super) fn set_profile(
        &mut self,
        name: &str,
        settings: &Arguments,
        credentials: &Credentials,
        uses_keyring: bool,
    ) {
        let (access_id, access_key, bearer_token) = match credentials {
            Credentials::Lmv1 { access_id, access_key, .. } => {
                (Some(access_id.as_str()), Some(access_key.reveal()), None)
            }
            Credentials::Bearer { token } => (None, None, Some(token.reveal())),
        };
        let profiles = self.document.entry(PROFILES).or_insert_with(|| {
            let mut table = Table::new();
            // The file then has no line `[profiles]`.
            table.set_implicit(true);
            Item::Table(table)
        });
        let Some(profiles) = profiles.as_table_like_mut() else { return };
        let Some(profile) = profiles.entry(name).or_insert(toml_edit::table()).as_table_like_mut() else {
            return;
        };
        set(profile, "company", settings.company.as_deref());
        set(profile, "domain", settings.domain.as_deref());
        set(profile, "base_url", settings.base_url.as_deref());
        set(profile, "access_id", access_id);
        set(profile, "access_key", access_key.filter(|_| !uses_keyring));
        set(profile, "bearer_token", bearer_token.filter(|_| !uses_keyring));
        set(profile, "keyring", uses_keyring.then_some(true));
        set(profile, "credential_process", None::<&str>);
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

    /// Replaces the file, which only its owner can read, and returns its path.
    pub(super) fn save(self) -> Result<PathBuf> {
        let text = Zeroizing::new(self.document.to_string());
        let replaced =
            create_folder(&folder_of(&self.path)).and_then(|()| replace(&self.path, text.as_bytes()));
        replaced.map_err(|error| cannot_write(&self.path, &error))?;
        Ok(self.path)
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

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let random = getrandom::u64().map_err(io::Error::other)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{random:016x}.new"));
    let new = path.with_file_name(name);
    let mut file = create_private(&new)?;
    let replaced =
        file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&new, path));
    if replaced.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    replaced.and_then(|()| sync_folder_of(path))
}

fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// Waits for another process that changes the file. Without locks, the last of two changes wins.
#[cfg(unix)]
fn lock_folder(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    folder.lock().ok().map(|()| folder)
}

#[cfg(not(unix))]
fn lock_folder(_folder: &Path) -> Option<File> {
    None
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::configuration(format!("cannot write {}: {error}", path.display()))
}
