//! The destination `command`.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::secure_file::failed;
use super::{BoxFuture, Destination};
use crate::error::{Error, Result};
use crate::model::Token;
use crate::process::refused;
use crate::tag::Tag;
use crate::token_output::json_line;

/// A command that reads the token as JSON from its standard input and exits with status 0 once it has stored the
/// secret. Its output is discarded: it may contain the secret.
#[derive(Debug, Clone)]
pub(crate) struct ToCommand {
    program: OsString,
    arguments: Vec<OsString>,
    timeout: Duration,
    is_for_one: bool,
}

impl ToCommand {
    /// Checks a command. `words` are the program and its arguments; they are not passed to a shell.
    pub(crate) fn new(words: Vec<OsString>, timeout: Duration) -> Result<Self> {
        let mut words = words.into_iter();
        let program = words.next().filter(|program| !program.is_empty()).ok_or_else(|| {
            Error::argument("invalid command: it is empty; expected a program and its arguments")
        })?;
        if timeout.is_zero() {
            return Err(Error::invalid("timeout", 0, "a number of seconds above 0"));
        }
        Ok(Self { program, arguments: words.collect(), timeout, is_for_one: false })
    }

    /// Returns the command for one token: it may replace what the same words have stored before.
    pub(crate) fn for_one_token(self) -> Self {
        Self { is_for_one: true, ..self }
    }

    fn name(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    /// Runs the command with a text on its standard input. Its output goes to `output`.
    pub(crate) async fn run(&self, input: &str, output: fn() -> Stdio) -> Result<()> {
        tokio::time::timeout(self.timeout, self.run_to_end(input, output)).await.unwrap_or_else(|_| {
            let seconds = self.timeout.as_secs_f64();
            Err(failed(format!("{} did not exit within {seconds} s and was killed", self.name())))
        })
    }

    async fn run_to_end(&self, input: &str, output: fn() -> Stdio) -> Result<()> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(output())
            .stderr(output())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| refused(failed(format!("cannot run {}: {error}", self.name())), &error))?;
        let stdin = child.stdin.take();
        let feed = async {
            let Some(mut stdin) = stdin else { return Ok(()) };
            stdin.write_all(input.as_bytes()).await?;
            stdin.shutdown().await
        };
        let (written, status) = tokio::join!(feed, child.wait());
        let status = status.map_err(|error| failed(format!("cannot wait for {}: {error}", self.name())))?;
        if !status.success() {
            return Err(failed(format!("{} failed with {status}", self.name())));
        }
        written.map_err(|error| failed(format!("{} did not read the whole token: {error}", self.name())))
    }

    /// Fails if the program does not exist.
    pub(crate) fn check_program(&self) -> Result<()> {
        let program = Path::new(&self.program);
        // Windows adds the extension to a name without one.
        let is_program = |path: &Path| {
            path.is_file()
                || cfg!(windows) && path.extension().is_none() && path.with_extension("exe").is_file()
        };
        let is_there = match program.components().count() {
            1 => std::env::var_os("PATH").is_none_or(|folders| {
                std::env::split_paths(&folders).any(|folder| is_program(&folder.join(program)))
            }),
            _ => is_program(program),
        };
        if is_there {
            return Ok(());
        }
        Err(failed(format!("cannot find the command {}", self.name())))
    }
}

impl Destination for ToCommand {
    fn check(&self, _replaces: Option<&Token>) -> Result<()> {
        self.check_program()
    }

    fn deliver<'a>(&'a self, token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            let text = Zeroizing::new(json_line(token)?);
            self.run(&text, Stdio::null).await.map_err(|error| {
                error.suggest(
                    "run it by hand to see its output, which is not shown here because it may contain the secret",
                )
            })
        })
    }

    fn describe(&self) -> String {
        format!("the command {}", self.name())
    }

    fn exclusive_location(&self) -> Option<String> {
        self.is_for_one.then(|| format!("{:?}", (&self.program, &self.arguments)))
    }
}
