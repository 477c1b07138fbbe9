//! The command `lmtokens`: data to standard output, everything else to standard error, exit codes for scripts.
//!
//! Dependencies point downwards: this file → one file per command → `connection`, `destination` → `output` → `report` →
//! `progress` → `advice`, `exit`, `host`, `signals`.

#![allow(clippy::doc_markdown, reason = "doc comments are help texts here, and backticks would be printed")]

mod add;
mod advice;
mod audit;
mod bulk;
mod connection;
mod destination;
mod exit;
mod explain;
mod host;
mod output;
mod progress;
mod report;
mod rotate;
mod sandbox;
mod signals;
mod sweep;
mod users;

use std::borrow::Cow;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::error::Error;
pub(crate) use host::Host;
use report::{Failure, say};
use signals::Signal;

/// Manage LogicMonitor API tokens
///
/// Credentials are read from LM_COMPANY, LM_ACCESS_ID and LM_ACCESS_KEY (or LM_BEARER_TOKEN); at a terminal, lmtokens
/// prompts for missing ones. Secrets are never passed as arguments.
#[derive(Parser)]
#[command(name = "lmtokens", version, arg_required_else_help = true, max_term_width = 100, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    success
  1    failure
  2    invalid arguments or settings
  3    partial success
  4    credentials missing, rejected or without permission
  5    user or token not found
  6    rate limit reached
  7    outcome unknown: a token may have been created
  10   findings of an audit
  130  interrupted (another signal: 128 plus its number)";

#[derive(Subcommand)]
enum Command {
    Users(users::Users),
    Add(add::Add),
    Bulk(bulk::Bulk),
    Rotate(rotate::Rotate),
    Sweep(sweep::Sweep),
    Audit(audit::Audit),
    Explain(explain::Explain),
    Sandbox(sandbox::Sandbox),
}

impl Command {
    fn run(self, host: &Host) -> Result<u8, Failure> {
        match self {
            Self::Users(users) => users.run(host),
            Self::Add(add) => add.run(host),
            Self::Bulk(bulk) => bulk.run(host),
            Self::Rotate(rotate) => rotate.run(host),
            Self::Sweep(sweep) => sweep.run(host),
            Self::Audit(audit) => audit.run(host),
            Self::Explain(explain) => explain.run(host),
            Self::Sandbox(sandbox) => sandbox.run(),
        }
    }

    /// Returns whether an interrupt is a regular end of the command.
    fn expects_interrupt(&self) -> bool {
        matches!(self, Self::Sandbox(_))
    }
}

/// The end of a command.
pub(crate) struct Ended {
    status: u8,
    expects_interrupt: bool,
}

impl Ended {
    /// Returns the exit status.
    pub(crate) fn status(&self) -> u8 {
        self.status
    }

    /// Returns the exit status if the process was interrupted while the command ran.
    pub(crate) fn status_if_interrupted(&self) -> u8 {
        if self.expects_interrupt { self.status } else { Signal::INTERRUPT.exit_status() }
    }
}

/// Runs the command in the host's arguments.
pub(crate) fn run(host: &Host) -> Ended {
    let program = std::iter::once(OsString::from("lmtokens"));
    let words = program.chain(host.arguments.iter().cloned());
    let parsed = check_note(&host.arguments).and_then(|()| Arguments::try_parse_from(words));
    let command = match parsed {
        Ok(arguments) => arguments.command,
        Err(message) => {
            let status = if message.use_stderr() {
                // It may repeat an argument.
                say(message.render().to_string().trim_end());
                exit::USAGE
            } else if message.print().is_ok() {
                exit::DONE
            } else {
                exit::USAGE
            };
            return Ended { status, expects_interrupt: false };
        }
    };
    let expects_interrupt = command.expects_interrupt();
    // A panic must not reach the user's interpreter.
    let outcome = catch_unwind(AssertUnwindSafe(|| command.run(host)));
    let outcome = outcome.unwrap_or_else(|_| Err(Error::internal().into()));
    let status = outcome.unwrap_or_else(|failure| failure.report());
    Ended { status, expects_interrupt }
}

/// Fails if `--note` is followed by an option instead of its value. A note may begin with a hyphen, but with
/// `add 32 --note --dry-run`, the user wants a dry run and not this note.
fn check_note(words: &[OsString]) -> Result<(), clap::Error> {
    let mut arguments = Arguments::command();
    arguments.build();
    let name = words.first().filter(|name| *name == "add" || *name == "rotate");
    let Some(command) = name.and_then(|name| arguments.find_subcommand_mut(name)) else { return Ok(()) };
    let short: Vec<char> = command.get_arguments().filter_map(clap::Arg::get_short).collect();
    let is_option = |word: &str| {
        word.strip_prefix('-').is_some_and(|rest| rest.starts_with('-') || rest.starts_with(short.as_slice()))
    };
    let words: Vec<Cow<'_, str>> = words.iter().map(|word| word.to_string_lossy()).collect();
    let mut pairs = words.iter().zip(words.iter().skip(1)).take_while(|(word, _)| *word != "--");
    let Some((_, next)) = pairs.find(|(word, next)| *word == "--note" && is_option(next)) else {
        return Ok(());
    };
    let message = format!("--note has no value: {next} follows; if that is the note, write --note={next}");
    Err(command.error(ErrorKind::InvalidValue, message))
}
