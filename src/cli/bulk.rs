//! `lmtokens bulk`.

mod export;
mod input;
mod results;
mod resume_command;
mod to;

use std::collections::HashSet;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, ValueEnum, value_parser};

use super::advice::words;
use super::connection::Connection;
use super::destination::{FileFormat, To};
use super::exit;
use super::host::Host;
use super::output::Output;
use super::progress::Progress;
use super::report::{Failure, report, say, say_failure, shows_progress};
use super::signals::{Unfinished, run_until_signal};
use crate::advice::Advice;
use crate::error::Error;
use crate::ids::Concurrency;
use crate::lifecycle::{AddTokens, OnError, Outcome, RowResult, Run, RunSettings, Summary};
use crate::printable;
#[cfg(any(test, fuzzing))]
pub(crate) use input::fuzz::fuzz_bulk_input;
use input::{Delimiter, Mapping};
use results::Results;

/// Create the tokens that a file lists and store their keys in a journal
///
/// FILE is CSV with a header line, as spreadsheets write it (UTF-8 or UTF-16), or JSON lines. Each row has an admin_id (the
/// user's id or name) and optionally a note, a status (1 or disabled, 2 or enabled; default 2) and a type (lmv1 or bearer;
/// default lmv1). Digits are an id: give a user whose name is a number by id. Other columns are kept in the journal, and
/// --export prints them beside the keys. Blank rows are skipped. Nothing is sent if any row is invalid.
///
/// The journal is readable by its owner only; --export prints its keys. To correct a row that failed, change it in FILE
/// and use --resume. A row whose other columns alone have changed is the same row.
///
/// CSV has the exact values. A spreadsheet may take a note, a key or another text that begins with =, +, - or @ for a
/// formula: import the columns as text.
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &[exit::PARTLY_DONE, exit::AUTHENTICATION, exit::RATE_LIMIT]))]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Bulk {
    /// File to read; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "export")]
    file: Option<PathBuf>,
    /// Store the keys and the progress of the run in this file
    #[arg(long, value_name = "PATH")]
    journal: PathBuf,
    /// Separate the columns of FILE by comma, semicolon, tab or pipe (the word or the character) [default: what the header
    /// line shows]
    #[arg(long, value_name = "DELIMITER")]
    delimiter: Option<Delimiter>,
    /// Read a column of FILE as admin_id, note, status or type; repeat the option for several columns
    #[arg(long, value_name = "COLUMN=NAME")]
    map: Vec<Mapping>,
    /// Deliver each key to a file (file:PATH), to the keyring (keyring:NAME), or as JSON to the standard input of a command
    /// (command:COMMAND), instead of the journal. {row} in it stands for the number of the row, and {admin_id} for the id of
    /// its user. Give the same one with --resume, and add rows at the end only. A
    /// command with placeholders must differ for each row
    #[arg(long, value_name = "DESTINATION")]
    to: Option<To>,
    /// Select the format of the files of --to
    #[arg(long, value_name = "FORMAT", value_enum, requires = "to")]
    format: Option<FileFormat>,
    /// Resume the run of an existing journal; start one if there is none
    #[arg(long)]
    resume: bool,
    /// Limit the number of tokens in progress at once, 1 to 64
    #[arg(long, value_name = "NUMBER", default_value = "8", allow_negative_numbers = true)]
    #[arg(value_parser = value_parser!(i64).try_map(Concurrency::new))]
    concurrency: Concurrency,
    /// Continue with the other rows when a row fails, or stop
    #[arg(long, value_name = "ACTION", default_value = "continue")]
    #[arg(value_parser = PossibleValuesParser::new(["continue", "stop"]).try_map(|word| word.parse::<OnError>()))]
    on_error: OnError,
    /// Do not lock the journal, for file systems without locks
    #[arg(long)]
    no_lock: bool,
    /// Trust the owner of the journal, and all users who can write to its folder or to those of --to file:
    #[arg(long)]
    trust_folder: bool,
    /// Check the input, and the journal if it is resumed, without creating tokens
    #[arg(long, conflicts_with = "output")]
    dry_run: bool,
    /// Print the keys in the journal without contacting the portal
    #[arg(long, conflicts_with_all = RUN_OPTIONS)]
    export: bool,
    /// Print the keys in the intact lines of a damaged journal
    // Not `requires = "export"`, which clap drops because a FILE conflicts with --export.
    #[arg(long, conflicts_with = "file")]
    skip_damaged: bool,
    /// Print the results of the rows as they end, without keys; with --export, select the format of the keys [default:
    /// none; csv with --export]
    #[arg(short, long, value_name = "FORMAT", value_enum)]
    output: Option<Format>,
    #[command(flatten)]
    connection: Connection,
}

/// What has no effect on --export.
const RUN_OPTIONS: [&str; 12] = [
    "file",
    "delimiter",
    "map",
    "to",
    "format",
    "resume",
    "concurrency",
    "on_error",
    "no_lock",
    "trust_folder",
    "dry_run",
    "Connection",
];

/// A format for results or keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// CSV with a header line
    Csv,
    /// One JSON object per line
    Jsonl,
    /// With --export of one token: shell commands that export the environment variables, for eval and . of POSIX shells
    Env,
    /// With --export of one token: NAME=value lines without quotes, for docker --env-file, kubectl --from-env-file and
    /// systemd EnvironmentFile
    EnvFile,
    /// With --export of one token in a GitHub workflow: variables in the file of GITHUB_ENV, and the command that masks
    /// the secret on standard output
    Github,
}

const EXAMPLES: &str = "\
Examples:
  lmtokens bulk tokens.csv --journal run.journal
  lmtokens bulk tokens.csv --journal run.journal --resume
  lmtokens bulk team.csv --map User=admin_id --map Purpose=note --journal run.journal
  lmtokens bulk tokens.csv --to 'file:keys/{row}.json' --journal run.journal
  lmtokens bulk --journal run.journal --export -o jsonl

Example of FILE:
  admin_id,note,status
  32,ci,enabled
  api-user,backup,disabled";

impl Bulk {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        if self.export {
            return export::export(&self.journal, self.output.unwrap_or(Format::Csv), self.skip_damaged);
        }
        let results = self.output.map(results::format).transpose()?;
        let input::Input { rows, others } = input::read(self.file.as_deref(), self.delimiter, self.map)?;
        if !others.is_empty() {
            say(&format!("other columns, kept for --export: {}", input::listed(&others)));
        }
        let total = rows.len();
        let destination_name = self.to.as_ref().map(To::text);
        let destination =
            self.to.map(|to| to::destination_of(to, &host.keyring, self.format, self.trust_folder));
        let settings = RunSettings {
            resume: self.resume,
            no_lock: self.no_lock,
            trust_folder: self.trust_folder,
            concurrency: self.concurrency,
            on_error: self.on_error,
            destination,
            destination_name,
        };
        let tokens = AddTokens { rows, journal: self.journal, settings };
        if self.dry_run {
            let portal = self.connection.portal()?;
            let done = tokens.count_done(portal.as_ref())?;
            let already = if done > 0 { format!(", {done} already created") } else { String::new() };
            Output::open()?.write(&format!("{} tokens would be created{already}\n", total - done))?;
            return Ok(exit::DONE);
        }
        let results = results.map(Results::open).transpose()?;
        let client = self.connection.client(host, false)?;
        let mut run = tokens.start(&client)?;
        let progress = Progress::start(total, shows_progress());
        let ended = run_until_signal(follow(&mut run, &progress, results));
        drop(progress);
        if let Err(Unfinished::Stopped(_)) = ended {
            run.abort();
        }
        let (summary, total) = (run.summary(), total as u64);
        say_summary(&summary, total);
        let with_token = summary.created + summary.already_done;
        let outcome = match ended {
            Ok(()) if with_token == total => return Ok(exit::DONE),
            Ok(()) if with_token > 0 => Ok(exit::PARTLY_DONE),
            Ok(()) => Ok(exit::FAILED),
            Err(Unfinished::Failed(error)) => {
                report(&error);
                Ok(exit::of(&error))
            }
            Err(Unfinished::Stopped(signal)) => Err(Failure::Signal(signal)),
        };
        say(&format!("resume the run with:\n  {}", resume_command::of(&host.arguments)));
        outcome
    }
}

/// Reports the rows as they end. If standard output cannot be written, no further row starts; those in progress end,
/// and their keys are in the journal.
async fn follow(run: &mut Run, progress: &Progress, mut results: Option<Results>) -> Result<(), Error> {
    let (mut failure, mut hints) = (None, HashSet::new());
    while let Some(result) = run.next().await? {
        progress.advance();
        report_row(&result, &mut hints);
        if let Some(output) = &mut results
            && let Err(error) = output.write(&result).await
        {
            run.stop();
            (results, failure) = (None, Some(error));
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Reports a row that failed, and each hint once.
fn report_row(result: &RowResult, hints: &mut HashSet<String>) {
    let (word, error) = match &result.outcome {
        Outcome::Created(_) | Outcome::Skipped { .. } => return,
        Outcome::Failed(error) => ("failed", error),
        Outcome::Unknown(error) => ("unknown", error),
    };
    say_failure(&printable::line(&format!("line {}: {word}: {error}", result.row.line)));
    for advice in &error.details().advice {
        // This command does not replace what exists.
        let is_possible = !matches!(advice, Advice::Overwrite | Advice::OverwriteEntry);
        let hint = words(advice).into_owned();
        if is_possible && hints.insert(hint.clone()) {
            say_failure(&printable::line(&format!("hint: {hint}")));
        }
    }
}

fn say_summary(summary: &Summary, total: u64) {
    let in_progress = total.saturating_sub(summary.ended());
    let counts = [
        (summary.created, "created"),
        (summary.already_done, "already created"),
        (summary.failed, "failed"),
        (summary.unknown, "unknown"),
        (summary.skipped + in_progress, "not done"),
    ];
    let shown: Vec<String> = counts
        .iter()
        .filter(|(count, word)| *count > 0 || *word == "created")
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    say(&format!("{total} rows: {}", shown.join(", ")));
}
