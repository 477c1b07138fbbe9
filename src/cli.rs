//! The shell face: data to standard output, everything else to standard error, and exit codes that scripts can test.

#![allow(clippy::doc_markdown, reason = "doc comments are help texts here, and backticks would be printed")]

mod add;
mod bulk;
mod connection;
mod destination;
mod exit;
mod output;
mod sandbox;
mod signals;
mod sweep;

use std::ffi::OsString;
use std::io::Write as _;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::ports::Prompt;

/// What the shell needs of whoever runs it.
pub(crate) struct Host {
    /// A person to ask for credentials.
    pub(crate) prompt: Arc<dyn Prompt + Send + Sync>,
    /// What is appended to the `User-Agent`.
    pub(crate) embedder: String,
    /// The words of the command, without the program's name.
    pub(crate) arguments: Vec<OsString>,
}

/// LogicMonitor API tokens from the shell.
///
/// Credentials come from LM_COMPANY, LM_ACCESS_ID and LM_ACCESS_KEY (or LM_BEARER_TOKEN), or are asked for at a
/// terminal. No secret is ever an argument.
#[derive(Parser)]
#[command(name = "lmtokens", version, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Add(add::Add),
    Bulk(bulk::Bulk),
    Sweep(sweep::Sweep),
    Sandbox(sandbox::Sandbox),
}

/// How a command ended.
pub(crate) struct Ended {
    status: u8,
    /// Whether an interrupt is one of the ways in which it is meant to end.
    takes_interrupts: bool,
}

impl Ended {
    pub(crate) fn status(&self) -> u8 {
        self.status
    }

    /// The exit status where an interrupt came as well.
    pub(crate) fn status_if_interrupted(&self) -> u8 {
        if self.takes_interrupts { self.status } else { signals::Signal::INTERRUPT.exit_status() }
    }
}

/// Runs the command that the host's arguments hold.
pub(crate) fn run(host: &Host) -> Ended {
    let program = std::iter::once(OsString::from("lmtokens"));
    let arguments = match Arguments::try_parse_from(program.chain(host.arguments.iter().cloned())) {
        Ok(arguments) => arguments,
        Err(message) => {
            let shown = message.print();
            let wanted = !message.use_stderr();
            let status = if wanted && shown.is_ok() { exit::DONE } else { exit::USAGE };
            return Ended { status, takes_interrupts: false };
        }
    };
    let takes_interrupts = matches!(arguments.command, Command::Sandbox(_));
    let outcome = match arguments.command {
        Command::Add(add) => add.run(host),
        Command::Bulk(bulk) => bulk.run(host),
        Command::Sweep(sweep) => sweep.run(host),
        Command::Sandbox(sandbox) => sandbox.run(),
    };
    Ended { status: outcome.unwrap_or_else(|failure| failure.tell()), takes_interrupts }
}

/// Why a command ended without doing what it was asked.
enum Failure {
    Error(Error),
    Output(std::io::Error),
    Stopped(signals::Signal),
}

impl Failure {
    /// Says why; the result is the exit status.
    fn tell(&self) -> u8 {
        match self {
            Self::Error(error) => {
                report(error);
                exit::of(error)
            }
            Self::Output(error) => {
                say(&format!("error: cannot write to standard output: {error}"));
                exit::FAILED
            }
            Self::Stopped(signal) => {
                let verb = if signal.is_interrupt() { "interrupted" } else { "ended" };
                say(&format!("{verb} by {}", signal.name()));
                signal.exit_status()
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// A line on standard error. That it cannot be written is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The error, what is behind it, and what to do next.
fn report(error: &Error) {
    say(&format!("error: {}{}", error, facts(error)));
    let mut cause = error.details().cause.as_ref();
    while let Some(error) = cause {
        say(&format!("  caused by: {}{}", error, facts(error)));
        cause = error.details().cause.as_ref();
    }
    for token in error.details().candidates.iter().flatten() {
        let access_id = token.access_id.as_deref().unwrap_or("none");
        say(&format!("  candidate: token {}, access id {access_id}", token.id));
    }
    if let Some(suggestion) = &error.details().suggestion {
        say(&format!("hint: {suggestion}"));
    }
}

fn facts(error: &Error) -> String {
    match (error.details().status, error.details().code) {
        (Some(status), Some(code)) if i64::from(status) != code => format!(" (HTTP {status}, code {code})"),
        (Some(status), _) => format!(" (HTTP {status})"),
        (None, Some(code)) => format!(" (code {code})"),
        (None, None) => String::new(),
    }
}
