//! `lmtokens sandbox`.

mod advance;
mod command;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use super::exit;
use super::output::Output;
use super::report::{Failure, report, say};
use super::signals::Signals;
use crate::credentials::{CONFIG_FILE, NO_CONFIG_FILE};
use crate::error::{Error, Result};
use crate::process;
use crate::sandbox::{Portal, Settings};
use crate::token_output::{Variable, exports};

/// Run the sandbox, a fake portal for tests, alone or around a command
///
/// Without COMMAND, prints the environment variables of the sandbox and runs until it is interrupted. With COMMAND,
/// runs it with those variables, without other LM_* variables and with NO_PROXY for 127.0.0.1, forwards signals to it and
/// exits with its status: 128 plus the number of the signal that ended it, 127 if it is not found, 126 if it cannot be
/// run. COMMAND does not outlive lmtokens. The variables shut out the user's profiles and keyring. A line on standard error explains each LMv1 header that is refused. The sandbox listens on 127.0.0.1 only. Its users are 1 (admin), 32 (api-user)
/// and 33 (viewer).
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &[exit::CANNOT_RUN, exit::NO_COMMAND]), args_conflicts_with_subcommands = true)]
#[command(arg = super::refused_profile())]
pub(super) struct Sandbox {
    #[command(subcommand)]
    action: Option<Action>,
    /// Write the received requests to a file at the end, as JSON lines
    #[arg(long, value_name = "PATH")]
    record: Option<PathBuf>,
    /// Command to run and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    #[command(flatten)]
    settings: Settings,
}

/// A command to a running sandbox.
#[derive(Subcommand)]
enum Action {
    Advance(advance::Advance),
}

const EXAMPLES: &str = "\
Examples:
  lmtokens sandbox -- pytest
  lmtokens sandbox --rate-limit 5 --window 10 -- python script.py
  lmtokens sandbox --port 8080 --record requests.jsonl
  lmtokens sandbox --list-lag 2 --note-limit 100 --long-notes cut -- pytest
  lmtokens sandbox -- sh -c 'lmtokens sandbox advance 24h; lmtokens sweep'";

impl Sandbox {
    pub(super) fn run(self) -> Result<u8, Failure> {
        if let Some(Action::Advance(advance)) = self.action {
            return Ok(advance.run()?);
        }
        let record = self.record.as_deref().map(Record::create).transpose()?;
        let portal = Portal::start_reporting(self.settings, say)?;
        let status = match self.command.split_first() {
            Some((program, arguments)) => run_command(&portal, program, arguments)?,
            None => serve(&portal)?,
        };
        if let Some(record) = record {
            record.write(&portal)?;
        }
        Ok(status)
    }
}

fn variables(portal: &Portal) -> [Variable; 6] {
    let variables = [
        ("LM_COMPANY", portal.company().to_owned()),
        ("LM_BASE_URL", portal.base_url()),
        ("LM_ACCESS_ID", portal.access_id().to_owned()),
        ("LM_ACCESS_KEY", portal.access_key().reveal().to_owned()),
        // A profile of the user could name a real portal.
        (CONFIG_FILE, NO_CONFIG_FILE.to_owned()),
        // A secret of the sandbox could replace that of a profile.
        ("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring".to_owned()),
    ];
    variables.map(|(name, value)| (name, Zeroizing::new(value)))
}

fn serve(portal: &Portal) -> Result<u8, Failure> {
    let runtime = process::runtime()?;
    // The reader of the variables may send a signal as soon as it has them.
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    Output::open()?.write(&exports(&variables(portal))?)?;
    say(&format!("sandbox running at {}; press Ctrl-C to stop", portal.base_url()));
    runtime.block_on(signals.next());
    Ok(exit::DONE)
}

fn run_command(portal: &Portal, program: &OsString, arguments: &[OsString]) -> Result<u8> {
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        // Other variables could select another portal or other credentials.
        if name.to_string_lossy().starts_with("LM_") {
            command.env_remove(name);
        }
    }
    command.envs(variables(portal).iter().map(|(name, value)| (name, value.as_str())));
    command.envs(no_proxy(|name| std::env::var_os(name)));
    match command::run(command)? {
        Ok(status) => Ok(status),
        Err(error) => {
            let name = program.to_string_lossy();
            let failure = Error::argument(format!("cannot run {name}: {error}"));
            let is_own = super::command().find_subcommand(program).is_some();
            report(&if is_own {
                failure.suggest(format!("write lmtokens sandbox -- lmtokens {name}"))
            } else {
                failure
            });
            Ok(if error.kind() == io::ErrorKind::NotFound { exit::NO_COMMAND } else { exit::CANNOT_RUN })
        }
    }
}

/// Returns `NO_PROXY` and `no_proxy` with the loopback names added to the user's entries. Programs differ in the spelling
/// that they read first, so that each one gets the other's entries if it is not set.
fn no_proxy(variable: impl Fn(&str) -> Option<OsString>) -> [(&'static str, OsString); 2] {
    let filled = |name| variable(name).filter(|value| !value.is_empty());
    let entries = |name, other| {
        let mut entries = filled(name).or_else(|| filled(other)).unwrap_or_default();
        let given = entries.to_string_lossy().into_owned();
        // A wildcard counts only if it is alone.
        if given.trim() == "*" {
            return entries;
        }
        for host in ["127.0.0.1", "localhost"] {
            if given.split([',', ' ']).any(|entry| entry == host) {
                continue;
            }
            if !entries.is_empty() {
                entries.push(",");
            }
            entries.push(host);
        }
        entries
    };
    [("NO_PROXY", entries("NO_PROXY", "no_proxy")), ("no_proxy", entries("no_proxy", "NO_PROXY"))]
}

/// The file of `--record`, created before anything runs.
struct Record<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> Record<'a> {
    fn create(path: &'a Path) -> Result<Self> {
        File::create(path).map(|file| Self { path, file }).map_err(|error| cannot_write(path, &error))
    }

    fn write(mut self, portal: &Portal) -> Result<()> {
        let mut text = Vec::new();
        for seen in portal.record() {
            let line = serde_json::to_vec(&seen).map_err(|error| cannot_write(self.path, &error.into()))?;
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        self.file.write_all(&text).map_err(|error| cannot_write(self.path, &error))
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Error {
    Error::configuration(format!("cannot write the record to {}: {error}", path.display()))
}
