//! The command `lmtokens`: data to standard output, everything else to standard error, exit codes for scripts.
//!
//! Dependencies point downwards: this file → one file per command → `each` → `connection`, `destination`, `dry_run` →
//! `github` → `output` → `report` → `progress` → `advice`, `exit`, `host`, `signals`, `usage`.

#![allow(clippy::doc_markdown, reason = "doc comments are help texts here, and backticks would be printed")]

mod add;
mod advice;
mod audit;
mod bulk;
mod completions;
mod connection;
mod data;
mod delete;
mod destination;
mod disable;
mod doctor;
mod dry_run;
mod each;
mod enable;
mod exit;
mod explain;
mod github;
mod host;
mod list;
mod output;
mod placeholders;
mod profile;
mod progress;
mod report;
mod rotate;
mod sandbox;
mod show;
mod sign;
mod signals;
mod sweep;
mod update;
mod usage;
mod users;
mod whoami;

use std::borrow::Cow;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::error::Error;
#[cfg(any(test, fuzzing))]
pub(crate) use bulk::fuzz_bulk_input;
pub(crate) use host::Host;
#[cfg(any(test, fuzzing))]
pub(crate) use profile::fuzz_profiles;
use report::{Failure, Level, Settings};
use signals::Signal;

/// Manage LogicMonitor API tokens
///
/// Credentials are read from LM_COMPANY, LM_ACCESS_ID and LM_ACCESS_KEY (or LM_BEARER_TOKEN), or from a file that
/// LM_ACCESS_KEY_FILE (or LM_BEARER_TOKEN_FILE) names, or else from a profile (lmtokens profile); at a terminal, lmtokens
/// prompts for missing ones. Secrets are never passed as arguments.
#[derive(Parser)]
#[command(name = "lmtokens", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = exit::list(&SPECIAL_CODES))]
struct Arguments {
    /// Use a profile for the portal and the credentials, before or after the command [env: LM_PROFILE]
    // `Connection` has this option too, and clap hands the value down.
    #[arg(long, value_name = "NAME", global = true)]
    profile: Option<String>,
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    messages: Messages,
}

impl Arguments {
    /// Fails if `--profile` is given to a command without credentials.
    fn check_profile(self) -> Result<Self, clap::Error> {
        let has_credentials =
            !matches!(self.command, Command::Sandbox(_) | Command::Profile(_) | Command::Completions(_));
        if self.profile.is_some() && !has_credentials {
            let message = "--profile cannot be used with this command";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
        }
        Ok(self)
    }
}

/// Returns the option `--profile` of a command without credentials, which refuses it: its help does not list the option.
fn refused_profile() -> clap::Arg {
    clap::Arg::new("profile").long("profile").value_name("NAME").global(true).hide(true)
}

/// The special exit codes of all commands.
const SPECIAL_CODES: [u8; 6] = [
    exit::PARTLY_DONE,
    exit::AUTHENTICATION,
    exit::NOT_FOUND,
    exit::RATE_LIMIT,
    exit::OUTCOME_UNKNOWN,
    exit::FINDINGS,
];

/// The options of every command, before or after its name.
#[derive(Args)]
#[command(next_help_heading = "Message options")]
struct Messages {
    /// Print only warnings and errors to standard error
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print each request to standard error, with its status and its time
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Select the format of standard error: text, or one JSON object per message
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    #[arg(value_parser = PossibleValuesParser::new(["text", "json"]))]
    error_format: String,
}

#[derive(Subcommand)]
enum Command {
    Users(users::Users),
    List(list::List),
    Show(show::Show),
    Add(add::Add),
    Update(update::Update),
    Enable(enable::Enable),
    Disable(disable::Disable),
    Delete(delete::Delete),
    Bulk(bulk::Bulk),
    Rotate(rotate::Rotate),
    Sweep(sweep::Sweep),
    Audit(audit::Audit),
    Whoami(whoami::Whoami),
    Sign(sign::Sign),
    Explain(explain::Explain),
    Doctor(doctor::Doctor),
    Profile(profile::ProfileCommand),
    Sandbox(sandbox::Sandbox),
    Completions(completions::Completions),
}

impl Command {
    fn run(self, host: &Host) -> Result<u8, Failure> {
        match self {
            Self::Users(users) => users.run(host),
            Self::List(list) => list.run(host),
            Self::Show(show) => show.run(host),
            Self::Add(add) => add.run(host),
            Self::Update(update) => update.run(host),
            Self::Enable(enable) => enable.run(host),
            Self::Disable(disable) => disable.run(host),
            Self::Delete(delete) => delete.run(host),
            Self::Bulk(bulk) => bulk.run(host),
            Self::Rotate(rotate) => rotate.run(host),
            Self::Sweep(sweep) => sweep.run(host),
            Self::Audit(audit) => audit.run(host),
            Self::Whoami(whoami) => whoami.run(host),
            Self::Sign(sign) => sign.run(host),
            Self::Explain(explain) => explain.run(host),
            Self::Doctor(doctor) => doctor.run(host),
            Self::Profile(profile) => profile.run(host),
            Self::Sandbox(sandbox) => sandbox.run(),
            Self::Completions(completions) => completions.run(),
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

/// Returns the description of the command line, for man pages.
pub(crate) fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the command in the host's arguments.
pub(crate) fn run(host: &Host) -> Ended {
    let program = std::iter::once(OsString::from("lmtokens"));
    let words = program.chain(host.arguments.iter().cloned());
    let checked = check_note(&host.arguments).and_then(|()| check_one_profile(&host.arguments));
    let parsed = checked.and_then(|()| Arguments::try_parse_from(words));
    let parsed = parsed.and_then(Arguments::check_profile);
    let command = match parsed {
        Ok(Arguments { command, messages, .. }) => {
            report::configure(messages.settings());
            command
        }
        Err(mut message) => {
            let status = if message.use_stderr() {
                let is_json = asks_for_json(&host.arguments);
                report::configure(Settings { least: Level::Info, is_json });
                usage::mask_unknown_word(&mut message, &host.arguments);
                let advice = usage::advice(&mut message);
                let text = match message.kind() {
                    // The text is the help.
                    ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if is_json => {
                        "error: no command given".to_owned()
                    }
                    _ => usage::text(&message),
                };
                report::report_usage(&text, advice.as_deref());
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

impl Messages {
    fn settings(&self) -> Settings {
        let least = match (self.quiet, self.verbose) {
            (true, _) => Level::Warning,
            (false, true) => Level::Debug,
            (false, false) => Level::Info,
        };
        Settings { least, is_json: self.error_format == "json" }
    }
}

/// Returns whether an invalid command line asks for messages in JSON.
fn asks_for_json(words: &[OsString]) -> bool {
    let options = words.iter().take_while(|word| *word != "--");
    let pairs = options.clone().zip(options.clone().skip(1));
    options.clone().any(|word| word == "--error-format=json")
        || pairs.into_iter().any(|(option, value)| option == "--error-format" && value == "json")
}

/// Fails if `--profile` is given before the command and after it, where clap would take the last one.
fn check_one_profile(words: &[OsString]) -> Result<(), clap::Error> {
    let mut arguments = Arguments::command();
    arguments.build();
    // The value of `--data`, for example, may look like an option.
    let takes_any = |word: &str| {
        let Some(name) = word.strip_prefix("--") else { return false };
        let mut options = arguments.get_subcommands().flat_map(clap::Command::get_arguments);
        options.any(|option| option.get_long() == Some(name) && option.is_allow_hyphen_values_set())
    };
    let mut words = words.iter().map(|word| word.to_string_lossy()).take_while(|word| word != "--");
    let mut count = 0;
    while let Some(word) = words.next() {
        if word == "--profile" || word.starts_with("--profile=") {
            count += 1;
        } else if takes_any(&word) {
            words.next();
        }
    }
    if count < 2 {
        return Ok(());
    }
    let message = "--profile cannot be used multiple times";
    Err(Arguments::command().error(ErrorKind::ArgumentConflict, message))
}

/// Fails if `--note` is followed by an option instead of its value. A note may begin with a hyphen, but with
/// `add 32 --note --dry-run`, the user wants a dry run and not this note.
fn check_note(words: &[OsString]) -> Result<(), clap::Error> {
    let words: Vec<Cow<'_, str>> = words.iter().map(|word| word.to_string_lossy()).collect();
    let mut arguments = Arguments::command();
    arguments.build();
    let names: Vec<&str> = arguments.get_subcommands().map(clap::Command::get_name).collect();
    let name = words.iter().find(|word| names.contains(&&***word)).cloned();
    let Some(command) = name.and_then(|name| arguments.find_subcommand_mut(&*name)) else { return Ok(()) };
    let short: Vec<char> = command.get_arguments().filter_map(clap::Arg::get_short).collect();
    let is_option = |word: &str| {
        word.strip_prefix('-').is_some_and(|rest| rest.starts_with('-') || rest.starts_with(short.as_slice()))
    };
    let mut pairs = words.iter().zip(words.iter().skip(1)).take_while(|(word, _)| *word != "--");
    let Some((_, next)) = pairs.find(|(word, next)| *word == "--note" && is_option(next)) else {
        return Ok(());
    };
    Err(usage::option_after_note(command, next))
}
