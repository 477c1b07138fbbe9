//! Where `--to` says that a secret goes.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::output::{self, Format, Output};
use crate::destinations::{ToCommand, ToFile};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::locked;
use crate::model::Token;
use crate::ports::{BoxFuture, Destination};
use crate::tag::Tag;
use crate::token_output::Form;

/// How long a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// A value of `--to`.
#[derive(Debug)]
pub(super) enum Where {
    Output,
    File(PathBuf),
    Command(Vec<OsString>),
}

impl Where {
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text == "-" {
            return Ok(Self::Output);
        }
        if let Some(path) = text.strip_prefix("file:").filter(|path| !path.is_empty()) {
            return Ok(Self::File(path.into()));
        }
        if let Some(words) = text.strip_prefix("command:") {
            let words = shlex::split(words).filter(|words| !words.is_empty()).ok_or_else(|| {
                Error::argument("the command of --to is empty, or a quotation mark in it is not closed")
            })?;
            return Ok(Self::Command(words.into_iter().map(OsString::from).collect()));
        }
        Err(Error::argument(format!(
            "--to {text} is not accepted: accepted are -, file:PATH and command:WORDS"
        )))
    }

    /// The destination, where it is not standard output.
    pub(super) fn destination(self, format: Option<Format>, overwrite: bool) -> Result<Arc<dyn Destination>> {
        let form = match format {
            None | Some(Format::Json | Format::Jsonl) => Form::Json,
            Some(Format::Env) => Form::Env,
            Some(Format::Key) => Form::Key,
            Some(Format::Table | Format::Csv) => {
                return Err(Error::argument("--output for a file: accepted are json, env and key"));
            }
        };
        match self {
            Self::File(path) => Ok(Arc::new(ToFile { path, form, overwrite })),
            Self::Command(_) if format.is_some() || overwrite => {
                Err(Error::argument("a command is given JSON: --output and --overwrite do not go with it"))
            }
            Self::Command(words) => Ok(Arc::new(ToCommand::new(words, COMMAND_TIMEOUT)?)),
            Self::Output => Err(Error::argument("standard output is no destination of this kind")),
        }
    }
}

/// Standard output: what it took, its reader has.
pub(super) struct ToOutput {
    output: Arc<Mutex<Output>>,
    format: Format,
}

impl ToOutput {
    pub(super) fn new(output: Output, format: Format) -> Self {
        Self { output: Arc::new(Mutex::new(output)), format }
    }
}

impl Destination for ToOutput {
    fn deliver<'a>(&'a self, token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let text = output::new_token(token, self.format)?;
            let output = Arc::clone(&self.output);
            // A reader that does not read holds up the write, and must not hold up a signal.
            let written = tokio::task::spawn_blocking(move || locked(&output).put(&text));
            let failed = |why: &dyn std::fmt::Display| {
                Error::new(ErrorKind::Delivery, format!("cannot write to standard output: {why}"))
            };
            written.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
        })
    }

    fn describe(&self) -> String {
        "standard output".to_owned()
    }
}
