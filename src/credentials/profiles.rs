//! Profiles: named sets of settings in a configuration file, which is read only if a call needs it.
//!
//! No message repeats text of the file, which may hold secrets, except the names of profiles.

use std::fmt;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml_edit::{Document, DocumentMut, Item, TableLike};
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use super::credential_process;
use super::secret_file;
use super::sources::NoVariables;
use super::{Arguments, Environment, KeyringEntry, Provenance, Supplied, Supplier, located, named_portal};
#[cfg(windows)]
use crate::access_list;
use crate::error::{Error, Result};
use crate::portal::PortalAddress;
use crate::secret::Secret;

/// The variable with the path of the configuration file.
pub(crate) const CONFIG_FILE: &str = "LM_CONFIG_FILE";

/// The value of [`CONFIG_FILE`] that stands for no file at all.
pub(crate) const NO_CONFIG_FILE: &str = if cfg!(windows) { "nul" } else { "/dev/null" };

/// The key of the table with the profiles.
pub(crate) const PROFILES: &str = "profiles";

/// The key with the name of the default profile.
pub(crate) const DEFAULT: &str = "default";

/// The keys of a profile.
pub(crate) const KEYS: [&str; 8] =
    ["company", "domain", "base_url", "access_id", "access_key", "bearer_token", "keyring", PROCESS];

/// The key of a command that prints credentials.
const PROCESS: &str = "credential_process";

/// The keys of a profile whose values are secrets.
const SECRET_KEYS: [&str; 2] = ["access_key", "bearer_token"];

/// The path of the configuration file, which may not exist.
#[derive(Clone)]
pub(crate) struct ConfigPath {
    path: PathBuf,
    /// Whether `LM_CONFIG_FILE` names it. The value of the variable may be a misplaced secret, and is not shown.
    is_named: bool,
}

impl ConfigPath {
    /// Returns the path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for ConfigPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_named {
            write!(f, "the file that {CONFIG_FILE} names")
        } else {
            self.path.display().fmt(f)
        }
    }
}

/// A configuration file with profiles.
pub(crate) struct ConfigFile {
    path: ConfigPath,
    document: Document<String>,
}

/// The settings of a profile.
pub(crate) struct Profile {
    /// The profile and its file.
    pub(crate) provenance: Provenance,
    /// Its portal and the credentials that are in the file.
    pub(crate) settings: Arguments,
    name: String,
    /// The configuration file.
    file: PathBuf,
    outside: Option<Outside>,
}

/// Where the secret of a profile is, if it is not in the file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Outside {
    /// In the keyring of the operating system.
    Keyring,
    /// In the output of a command.
    Process(Vec<String>),
}

impl Outside {
    /// Returns the key in the file.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::Process(_) => PROCESS,
        }
    }
}

/// Returns the path of the configuration file, if it has one.
fn path(environment: &dyn Environment) -> Result<Option<ConfigPath>> {
    if let Some(path) = environment.filled(CONFIG_FILE)? {
        let is_none =
            if cfg!(windows) { path.eq_ignore_ascii_case(NO_CONFIG_FILE) } else { path == NO_CONFIG_FILE };
        return Ok((!is_none).then(|| ConfigPath { path: path.into(), is_named: true }));
    }
    let folder = settings_folder(environment)?;
    Ok(folder.map(|folder| ConfigPath { path: folder.join("config.toml"), is_named: false }))
}

/// Returns the folder for settings of the user, which may not exist; `None` if the home folder is unknown.
pub(crate) fn settings_folder(environment: &dyn Environment) -> Result<Option<PathBuf>> {
    // Relative paths are to be ignored, as the XDG Base Directory Specification says.
    let folder = |name: &str| {
        let value = environment.os_variable(name)?.map(PathBuf::from);
        Ok::<_, Error>(value.filter(|path| path.is_absolute()))
    };
    let settings = if cfg!(windows) {
        folder("APPDATA")?
    } else {
        match folder("XDG_CONFIG_HOME")? {
            Some(folder) => Some(folder),
            None => folder("HOME")?.map(|home| home.join(".config")),
        }
    };
    Ok(settings.map(|folder| folder.join("lmtokens")))
}

/// Returns the path of the configuration file, which may not exist.
pub(crate) fn config_path(environment: &dyn Environment) -> Result<ConfigPath> {
    path(environment)?.ok_or_else(|| {
        let problem = if environment.filled(CONFIG_FILE).is_ok_and(|value| value.is_some()) {
            format!("{CONFIG_FILE} is {NO_CONFIG_FILE}")
        } else {
            "the home folder is unknown".to_owned()
        };
        Error::configuration(format!("the configuration file has no path: {problem}"))
            .suggest(format!("set {CONFIG_FILE} to the path of the file"))
    })
}

impl ConfigFile {
    /// Reads the configuration file; `None` if it does not exist and `LM_CONFIG_FILE` does not name it.
    pub(crate) fn read(environment: &dyn Environment) -> Result<Option<Self>> {
        let Some(path) = path(environment)? else { return Ok(None) };
        let (text, opened) = match secret_file::read(&path.path) {
            Ok(read) => read,
            // The home folder of some system users is /dev/null.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
                    && !path.is_named =>
            {
                return Ok(None);
            }
            Err(error) => {
                let failed = cannot_read(&path, &error);
                let hint = format!("correct or unset {CONFIG_FILE}");
                return Err(if path.is_named { failed.suggest(hint) } else { failed });
            }
        };
        let file = Self::parse(path, &text)?;
        file.check_access(&opened)?;
        Ok(Some(file))
    }

    /// Reads the text of the file at `path`.
    pub(crate) fn parse(path: ConfigPath, text: &str) -> Result<Self> {
        if is_nested_deeply(text) {
            return Err(Error::configuration(format!(
                "{path} is nested too deeply; expected a table for each profile"
            )));
        }
        let file = match Document::parse(text.to_owned()) {
            Ok(document) => Self { path, document },
            // The message of the parser would show the line.
            Err(error) => {
                let place = in_line(text, error.span());
                return Err(Error::configuration(format!("{path} is not valid TOML: syntax error{place}"))
                    .suggest("check the quotation marks: every value is a string in double quotes"));
            }
        };
        file.check_keys("the file", file.document.as_table(), &[DEFAULT, PROFILES])?;
        file.check_names()?;
        Ok(file)
    }

    /// Returns the path of the file.
    pub(crate) fn path(&self) -> &ConfigPath {
        &self.path
    }

    /// Returns the text of the file.
    pub(crate) fn text(&self) -> &str {
        self.document.raw()
    }

    /// Returns the file for changes. They keep its comments and its order.
    pub(crate) fn into_document(self) -> DocumentMut {
        self.document.into_mut()
    }

    fn profiles(&self) -> Result<Option<&dyn TableLike>> {
        let Some(item) = self.document.get(PROFILES) else { return Ok(None) };
        let table = item.as_table_like();
        table.map(Some).ok_or_else(|| self.error(PROFILES, "is not a table", item.span()))
    }

    /// Returns the names of all profiles, in the order of the file.
    pub(crate) fn names(&self) -> Result<Vec<&str>> {
        let profiles = self.profiles()?;
        Ok(profiles.map(|profiles| profiles.iter().map(|(name, _)| name).collect()).unwrap_or_default())
    }

    /// Returns the name of the default profile.
    pub(crate) fn default_name(&self) -> Result<Option<&str>> {
        let Some(item) = self.document.get(DEFAULT) else { return Ok(None) };
        let name = item.as_str();
        name.map(Some).ok_or_else(|| self.error(DEFAULT, "is not a string", item.span()))
    }

    /// Returns a profile. `source` completes "unknown profile".
    pub(crate) fn profile(&self, name: &str, source: &str) -> Result<Profile> {
        let found = self.profiles()?.and_then(|profiles| profiles.get(name));
        let item = found.ok_or_else(|| unknown_profile(source, Some(self)))?;
        let shown = format!("profile {name}");
        let table = item.as_table_like().ok_or_else(|| self.error(&shown, "is not a table", item.span()))?;
        self.check_keys(&shown, table, &KEYS)?;
        let text = |key: &str| {
            let Some(item) = table.get(key) else { return Ok(None) };
            let text = item.as_str().map(|text| Some(text.to_owned()));
            text.ok_or_else(|| self.error(&format!("{key} of {shown}"), "is not a string", item.span()))
        };
        let secret = |key: &str| text(key).map(|text| text.map(Secret::new));
        let settings = Arguments {
            company: text("company")?,
            domain: text("domain")?,
            base_url: text("base_url")?,
            access_id: secret("access_id")?,
            access_key: secret("access_key")?,
            bearer_token: secret("bearer_token")?,
            ..Arguments::default()
        };
        let outside = self.outside(&shown, table)?;
        let has_secret = settings.access_key.is_some() || settings.bearer_token.is_some();
        if let Some(outside) = outside.as_ref().filter(|_| has_secret) {
            let what = format!("{shown} has {} and a secret;", outside.key());
            return Err(self.error(&what, "expected one of them", None));
        }
        Ok(Profile { outside, ..Profile::new(name, &self.path, settings)? })
    }

    /// Returns where else the secret of a profile is.
    fn outside(&self, shown: &str, table: &dyn TableLike) -> Result<Option<Outside>> {
        let invalid = |key: &str, problem: &str, item: &Item| {
            self.error(&format!("{key} of {shown}"), problem, item.span())
        };
        let keyring = match table.get("keyring") {
            Some(item) => item.as_bool().ok_or_else(|| invalid("keyring", "is not true or false", item))?,
            None => false,
        };
        let words = |item: &Item| -> Option<Vec<String>> {
            let words = item.as_array()?.iter().map(|word| word.as_str().map(str::to_owned));
            words.collect::<Option<Vec<_>>>().filter(|words| !words.is_empty())
        };
        let Some(item) = table.get(PROCESS) else {
            return Ok(keyring.then_some(Outside::Keyring));
        };
        let problem = "is not a list of a program and its arguments, each in quotation marks";
        let words = words(item).ok_or_else(|| invalid(PROCESS, problem, item))?;
        if keyring {
            return Err(self.error(shown, "has keyring and credential_process, expected one", item.span()));
        }
        Ok(Some(Outside::Process(words)))
    }

    fn error(&self, what: &str, problem: &str, span: Option<Range<usize>>) -> Error {
        let place = in_line(self.document.raw(), span);
        Error::configuration(format!("{} is invalid: {what} {problem}{place}", self.path))
    }

    fn check_names(&self) -> Result<()> {
        let Some(profiles) = self.profiles()? else { return Ok(()) };
        let Some((name, _)) = profiles.iter().find(|(name, _)| check_name(name).is_err()) else {
            return Ok(());
        };
        let span = profiles.key(name).and_then(toml_edit::Key::span);
        Err(self.error("the name of a profile", &format!("is not {NAME}"), span))
    }

    /// Fails if a table has another key than the known ones. Ignoring it could send a request with other settings than
    /// the user wants.
    fn check_keys(&self, what: &str, table: &dyn TableLike, known: &[&str]) -> Result<()> {
        let Some((name, _)) = table.iter().find(|(name, _)| !known.contains(name)) else { return Ok(()) };
        let span = table.key(name).and_then(toml_edit::Key::span);
        Err(self.error(what, &format!("has an unknown key, expected {}", known.join(", ")), span))
    }

    /// Fails if other users can change the file or read a secret in it. They could run a command, or receive
    /// credentials that the caller has from somewhere else.
    #[cfg(unix)]
    fn check_access(&self, file: &File) -> Result<()> {
        use std::os::unix::fs::MetadataExt as _;
        const ACCESS: u32 = 0o077;
        const WRITE: u32 = 0o022;
        let path = &self.path;
        let metadata = file.metadata().map_err(|error| cannot_read(path, &error))?;
        let (mode, owner) = (metadata.mode() & 0o777, metadata.uid());
        if self.has_secrets()? && mode & ACCESS != 0 {
            return Err(Error::configuration(format!(
                "{path} holds secrets, and other users can access it (mode {mode:03o})"
            ))
            .suggest(
                "make it accessible to its owner only (chmod 600), and replace the secrets if others may have read them",
            ));
        }
        if mode & WRITE != 0 {
            return Err(Error::configuration(format!("other users can change {path} (mode {mode:03o})"))
                .suggest("check its content, and make it writable by its owner only (chmod go-w)"));
        }
        if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            return Err(Error::configuration(format!("{path} belongs to another user (id {owner})"))
                .suggest("use a file of your own"));
        }
        Ok(())
    }

    #[cfg(windows)]
    fn check_access(&self, file: &File) -> Result<()> {
        let path = &self.path;
        let others = access_list::others(file).map_err(|error| cannot_read(path, &error))?;
        if self.has_secrets()? && others.can_read() {
            return Err(Error::configuration(format!("{path} holds secrets, and other users can read it"))
                .suggest(
                    "give access to yourself only, as with icacls FILE /inheritance:r /grant:r %USERNAME%:F, and replace \
                     the secrets if others may have read them",
                ));
        }
        if others.can_change() {
            return Err(Error::configuration(format!("other users can change {path}")).suggest(
                "check its content, and give access to yourself only, as with icacls FILE /inheritance:r /grant:r \
                 %USERNAME%:F",
            ));
        }
        Ok(())
    }

    /// Returns whether a profile has a secret.
    pub(crate) fn has_secrets(&self) -> Result<bool> {
        let has_secret = |profile: &Item| {
            let table = profile.as_table_like();
            table.is_some_and(|table| SECRET_KEYS.iter().any(|key| table.contains_key(key)))
        };
        Ok(self.profiles()?.is_some_and(|profiles| profiles.iter().any(|(_, profile)| has_secret(profile))))
    }
}

impl Profile {
    /// Creates a profile of the configuration file at `path`.
    pub(crate) fn new(name: &str, path: &ConfigPath, settings: Arguments) -> Result<Self> {
        let provenance = Provenance::Profile { name: name.to_owned(), file: path.to_string(), through: None };
        let file = std::path::absolute(path.path()).unwrap_or_else(|_| path.path().to_owned());
        let profile = Self { provenance, settings, name: name.to_owned(), file, outside: None };
        profile.settings.check_copied().map_err(|error| profile.located(error))?;
        Ok(profile)
    }

    /// Returns where the secret is, if it is not in the file.
    pub(crate) fn outside(&self) -> Option<&Outside> {
        self.outside.as_ref()
    }

    /// Returns whether the profile has credentials, which may be invalid.
    pub(super) fn has_credentials(&self) -> bool {
        self.outside.is_some() || self.settings.has_credentials()
    }

    /// Returns the credentials.
    pub(crate) fn credentials(&self, environment: &dyn Environment) -> Result<Option<Supplied>> {
        let Some(outside) = &self.outside else {
            let credentials = self.settings.credentials().map_err(|error| self.located(error))?;
            return Ok(credentials.map(|credentials| Supplied::fixed(credentials, self.provenance.clone())));
        };
        let provenance = self.provenance.through(outside.key());
        let source = provenance.to_string();
        let credentials = match outside {
            Outside::Process(words) => {
                return self.process(words, provenance).credentials(environment, None);
            }
            Outside::Keyring => {
                let secret = environment.keyring_secret(&self.name).map_err(|error| self.located(error))?;
                let secret = secret.ok_or_else(|| {
                    Error::credentials(format!("the keyring has no secret of {}", self.provenance))
                        .suggest("store it with lmtokens profile add --overwrite")
                })?;
                self.check_portal_of(&secret, &source)?;
                let parsed = credential_process::parse(&secret, &self.settings);
                let (settings, _) = parsed.ok_or_else(|| {
                    Error::credentials(format!(
                        "{source} has no credentials; expected a secret, or an entry of lmtokens"
                    ))
                    .suggest("store them with lmtokens profile add --overwrite")
                })?;
                settings.credentials().map_err(|error| located(error, &format!("from {source}")))?
            }
        };
        Ok(credentials.map(|credentials| Supplied::fixed(credentials, provenance)))
    }

    /// Returns the supplier of credentials that expire.
    pub(super) fn supplier(&self) -> Option<Arc<dyn Supplier>> {
        match &self.outside {
            Some(Outside::Process(words)) => {
                Some(Arc::new(self.process(words, self.provenance.through(PROCESS))))
            }
            _ => None,
        }
    }

    fn process(&self, words: &[String], provenance: Provenance) -> credential_process::Source {
        let command = credential_process::Command {
            file: self.file.clone(),
            profile: self.name.clone(),
            words: words.to_owned(),
        };
        credential_process::Source { command, settings: self.settings.clone(), provenance }
    }

    /// Fails if an entry of the keyring has the credentials of another portal than that of this profile.
    fn check_portal_of(&self, entry: &Secret, source: &str) -> Result<()> {
        let of_entry = KeyringEntry::read(entry).and_then(|entry| entry.base_url);
        if let (Some(of_entry), Some(own)) = (of_entry, self.portal(None)?)
            && of_entry != own.base_url()
        {
            // It may not be a URL.
            let message = format!("the credentials from {source} are not for its portal {}", own.base_url());
            return Err(Error::credentials(message)
                .suggest("correct the profile, or store them with lmtokens profile add --overwrite"));
        }
        Ok(())
    }

    /// Returns the portal, with another domain if one is given.
    pub(crate) fn portal(&self, domain: Option<&str>) -> Result<Option<PortalAddress>> {
        if self.settings.base_url.is_some() && domain.is_some() {
            return Err(Error::configuration(format!(
                "domain cannot be combined with the base_url of {}",
                self.provenance
            )));
        }
        let domain = domain.map(str::to_owned).or_else(|| self.settings.domain.clone());
        let found = named_portal(&Arguments { domain, ..self.settings.clone() }, &NoVariables);
        found.map(|found| found.map(|(portal, ..)| portal)).map_err(|error| self.located(error))
    }

    fn located(&self, error: Error) -> Error {
        located(error, &format!("from {}", self.provenance))
    }

    /// Returns the profile that an argument or `LM_PROFILE` names. `source` completes "unknown profile".
    pub(super) fn named(name: &str, source: &str, environment: &dyn Environment) -> Result<Self> {
        match ConfigFile::read(environment)? {
            Some(file) => file.profile(name, source),
            None => Err(unknown_profile(source, None)),
        }
    }

    /// Returns the default profile of the configuration file, if it names one.
    pub(super) fn default(environment: &dyn Environment) -> Result<Option<Self>> {
        let Some(file) = ConfigFile::read(environment)? else { return Ok(None) };
        let name = file.default_name()?;
        name.map(|name| file.profile(name, &format!(" as default of {}", file.path))).transpose()
    }
}

const NAME: &str = "1 to 64 letters, digits, hyphens, underscores and dots, without .pending at the end";

/// The end of the name of a keyring entry with the secret of a token that is not enabled yet. No profile has such a
/// name, because it would use that entry.
pub(crate) const PENDING: &str = ".pending";

/// Fails if a profile cannot have this name. Names are shown in messages.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(is_allowed) && !name.ends_with(PENDING) {
        return Ok(());
    }
    Err(Error::configuration(format!("invalid name of a profile; expected {NAME}")))
}

/// Returns the error for a profile that does not exist. `source` completes "unknown profile". It does not repeat the name, which may be a misplaced secret.
pub(crate) fn unknown_profile(source: &str, file: Option<&ConfigFile>) -> Error {
    let names = file.and_then(|file| file.names().ok()).unwrap_or_default();
    let expected = match file {
        Some(file) if !names.is_empty() => format!("{} has {}", file.path, names.join(", ")),
        Some(file) => format!("{} has no profiles", file.path),
        None => "the configuration file does not exist".to_owned(),
    };
    let error = Error::configuration(format!("unknown profile{source}: {expected}"));
    if names.is_empty() { error.suggest("create the profile with lmtokens profile add") } else { error }
}

fn cannot_read(path: &ConfigPath, error: &std::io::Error) -> Error {
    Error::configuration(format!("cannot read {path}: {error}"))
}

/// Returns the place of a part of a text, in words.
fn in_line(text: &str, span: Option<Range<usize>>) -> String {
    let before = span.and_then(|span| text.get(..span.start));
    before.map_or_else(String::new, |before| format!(" in line {}", before.split('\n').count()))
}

/// Returns whether brackets or keys are nested deeper than in any file with profiles. The parser calls itself for each
/// level, which could exhaust the stack of a thread.
fn is_nested_deeply(text: &str) -> bool {
    const LIMIT: usize = 4;
    let (mut brackets, mut dots) = (0_usize, 0_usize);
    Source::new(text).lex().any(|token| {
        match token.kind() {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => {
                brackets += 1;
                dots = 0;
            }
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                brackets = brackets.saturating_sub(1);
            }
            TokenKind::Dot => dots += 1,
            TokenKind::Equals | TokenKind::Comma | TokenKind::Newline => dots = 0,
            _ => {}
        }
        brackets > LIMIT || dots > LIMIT
    })
}
