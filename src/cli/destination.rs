//! The destinations of `--to`.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::ValueEnum;

use super::github::GithubFile;
use super::output::{self, Format, Output};
use crate::destinations::{BoxFuture, Destination, Keyring, ToCommand, ToFile, ToKeyring};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::locked;
use crate::model::Token;
use crate::portal::PortalAddress;
use crate::process;
use crate::tag::Tag;
use crate::token_output::{Form, GithubEnvironment};

const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// A value of `--to`.
#[derive(Debug, Clone)]
pub(super) enum To {
    Stdout,
    File(PathBuf),
    /// The words of a command, and whether placeholders in them are filled in.
    Command(Vec<OsString>, bool),
    /// An entry of the keyring.
    Keyring(String),
}

impl FromStr for To {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "-" {
            return Ok(Self::Stdout);
        }
        if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
            return Ok(Self::File(path.into()));
        }
        if let Some(words) = text.strip_prefix("command:") {
            return split(words).map(|words| Self::Command(words, false));
        }
        if let Some(name) = text.strip_prefix("keyring:") {
            return Ok(Self::Keyring(name.to_owned()));
        }
        Err(Error::argument("expected -, file:PATH, keyring:NAME or command:COMMAND"))
    }
}

/// A format for a file of `--to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FileFormat {
    /// One JSON document
    Json,
    /// Shell commands that export the environment variables, for eval and . of POSIX shells
    Env,
    /// NAME=value lines without quotes, for docker --env-file, kubectl --from-env-file and systemd EnvironmentFile
    EnvFile,
    /// The secret alone
    Key,
}

impl From<FileFormat> for Format {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Json => Self::Json,
            FileFormat::Env => Self::Env,
            FileFormat::EnvFile => Self::EnvFile,
            FileFormat::Key => Self::Key,
        }
    }
}

/// Returns the words of a command. On Windows, a backslash is one of a path.
pub(super) fn split(text: &str) -> Result<Vec<OsString>> {
    let text: Cow<'_, str> = if cfg!(windows) { with_escaped_backslashes(text).into() } else { text.into() };
    let words = shlex::split(&text).filter(|words| !words.is_empty());
    words
        .map(|words| words.into_iter().map(OsString::from).collect())
        .ok_or_else(|| Error::argument("the command is empty, or its quotes are not closed"))
}

/// Escapes each backslash that a POSIX shell would read as an escape.
fn with_escaped_backslashes(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut quote = None;
    for c in text.chars() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (_, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => escaped.push(c),
            _ => {}
        }
        escaped.push(c);
    }
    escaped
}

impl To {
    /// Returns the text of the option; the words of a command are separated by NUL.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Stdout => "-".to_owned(),
            Self::File(path) => format!("file:{}", path.display()),
            Self::Keyring(name) => format!("keyring:{name}"),
            Self::Command(words, _) => {
                let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
                format!("command:{}", words.join("\0"))
            }
        }
    }

    /// Returns the destination with its path, its name or each word of its command replaced.
    pub(super) fn map_words(self, replace: impl Fn(&str) -> Result<String>) -> Result<Self> {
        let replaced = |word: &OsStr| match word.to_str() {
            Some(word) => replace(word).map(OsString::from),
            None => Ok(word.to_owned()),
        };
        Ok(match self {
            Self::Stdout => Self::Stdout,
            Self::File(path) => Self::File(replaced(path.as_os_str())?.into()),
            Self::Keyring(name) => Self::Keyring(replace(&name)?),
            Self::Command(words, _) => {
                let filled: Vec<_> = words.iter().map(|word| replaced(word)).collect::<Result<_>>()?;
                let is_filled = filled != words;
                Self::Command(filled, is_filled)
            }
        })
    }

    /// Returns the destination; `None` for standard output.
    pub(super) fn destination(
        self,
        keyring: &Arc<dyn Keyring>,
        format: Option<Format>,
        overwrite: bool,
        trust_folder: bool,
    ) -> Result<Option<Arc<dyn Destination>>> {
        match self {
            Self::Stdout if overwrite || trust_folder => {
                Err(Error::argument("--overwrite and --trust-folder need --to file:PATH or keyring:NAME"))
            }
            Self::Stdout => Ok(None),
            Self::File(path) => {
                let form = file_form(format)?;
                Ok(Some(ToFile { path, form, overwrite, trust_folder }.destination()))
            }
            Self::Keyring(_) if format.is_some() || trust_folder => {
                Err(Error::argument("a format and --trust-folder cannot be combined with --to keyring:"))
            }
            Self::Keyring(name) => {
                Ok(Some(ToKeyring::new(Arc::clone(keyring), name, overwrite)?.destination()))
            }
            Self::Command(..) if format.is_some() || overwrite || trust_folder => Err(Error::argument(
                "a command receives the token as JSON; a format, --overwrite and --trust-folder cannot be combined with it",
            )),
            Self::Command(words, is_filled) => {
                let command = ToCommand::new(words, COMMAND_TIMEOUT)?;
                Ok(Some(Arc::new(if is_filled { command.for_one_token() } else { command })))
            }
        }
    }
}

fn file_form(format: Option<Format>) -> Result<Form> {
    match format {
        None | Some(Format::Json | Format::Jsonl) => Ok(Form::Json),
        Some(Format::Env) => Ok(Form::Env),
        Some(Format::EnvFile) => Ok(Form::EnvFile),
        Some(Format::Key) => Ok(Form::Key),
        Some(format @ (Format::Table | Format::Csv | Format::Github)) => {
            let given = format!("{format:?}").to_ascii_lowercase();
            Err(Error::invalid("--output for a file:", given, "json, env, env-file or key"))
        }
    }
}

/// Standard output as a destination. What was written to it cannot be taken back, but the variables in a file can.
pub(super) struct ToStdout {
    output: Arc<Mutex<Output>>,
    format: Format,
    portal: PortalAddress,
    /// For the format of the same name.
    github: Option<Arc<Mutex<GithubFile>>>,
}

impl ToStdout {
    pub(super) fn new(
        output: Output,
        format: Format,
        portal: PortalAddress,
        github: Option<GithubFile>,
    ) -> Self {
        let github = github.map(|file| Arc::new(Mutex::new(file)));
        Self { output: Arc::new(Mutex::new(output)), format, portal, github }
    }
}

impl Destination for ToStdout {
    fn deliver<'a>(&'a self, token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let text = output::new_token(token, self.format, &self.portal)?;
            output::write_in_background(&self.output, text, Output::write_durably).await?;
            let Some(file) = self.github.clone() else { return Ok(()) };
            let variables = GithubEnvironment::of(token, &self.portal)?.variables;
            on_file(move || locked(&file).append(&variables)).await
        })
    }

    fn discard<'a>(&'a self, _token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Some(file) = self.github.clone() else { return Ok(()) };
            on_file(move || locked(&file).remove()).await
        })
    }

    fn describe(&self) -> String {
        "standard output".to_owned()
    }
}

async fn on_file(act: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    let acted = process::blocking(act).await;
    acted.unwrap_or_else(|error| Err(Error::new(ErrorKind::Delivery, error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::with_escaped_backslashes;

    #[test]
    fn backslashes_of_paths_are_kept() {
        for (text, words) in [
            (r"C:\tools\store.exe \server\share", &[r"C:\tools\store.exe", r"\server\share"][..]),
            (r#""C:\Program Files\store.exe" --to x"#, &[r"C:\Program Files\store.exe", "--to", "x"]),
            (r"'C:\Program Files\it.exe' C:\it's\ok'", &[r"C:\Program Files\it.exe", r"C:\its\ok"]),
            (r#""it's C:\a" 'a "quoted" C:\b'"#, &[r"it's C:\a", r#"a "quoted" C:\b"#]),
        ] {
            assert_eq!(shlex::split(&with_escaped_backslashes(text)).unwrap(), words, "{text}");
        }
    }
}
