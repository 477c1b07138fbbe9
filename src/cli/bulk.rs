//! `lmtokens bulk`.

mod export;
mod input;
mod resume_command;

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::connection::Connection;
use super::output::{Output, printable};
use super::signals::{Signal, run_until_signal_or};
use super::{Failure, Host, exit, report, say};
use crate::error::Error;
use crate::lifecycle::{AddTokens, OnError, Outcome, RowResult, Run, Summary};

/// Make the tokens that a file lists; their keys go to the journal
///
/// FILE is CSV with a header line, or JSON lines. Its members are admin_id (a user's id or name), and where wanted note,
/// status (1 or disabled, 2 or enabled; the default) and type (lmv1, the default, or bearer). The journal is readable by
/// its owner only; --export hands the keys out of it.
#[derive(Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Bulk {
    /// CSV or JSON lines; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "export")]
    file: Option<PathBuf>,
    /// Where the keys go, and what a run is resumed from
    #[arg(long, value_name = "PATH")]
    journal: PathBuf,
    /// Go on with a journal that is there; begin one where there is none
    #[arg(long)]
    resume: bool,
    /// How many tokens are under way at once, 1 to 64
    #[arg(long, value_name = "NUMBER", default_value_t = 8)]
    concurrency: usize,
    /// What a failed row means for the others
    #[arg(long, value_name = "WHAT", default_value = "continue", value_parser = ["continue", "stop"])]
    on_error: String,
    /// Do not lock the journal, on a file system that has no locks
    #[arg(long)]
    no_lock: bool,
    /// Only check the input, and say what would be made
    #[arg(long, conflicts_with = "export")]
    dry_run: bool,
    /// Print the keys that the journal holds, and call nobody
    #[arg(long, conflicts_with_all = ["file", "resume"])]
    export: bool,
    /// How to print them
    #[arg(short, long, value_enum, default_value = "csv", requires = "export")]
    output: export::Format,
    #[command(flatten)]
    connection: Connection,
}

impl Bulk {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        if self.export {
            return export::export(&self.journal, self.output);
        }
        let rows = input::read(self.file.as_deref())?;
        if rows.is_empty() {
            return Err(Error::argument("the input has no rows").into());
        }
        let verb = AddTokens {
            rows,
            journal: self.journal.clone(),
            resume: self.resume,
            concurrency: self.concurrency,
            on_error: OnError::parse(&self.on_error)?,
            lock: !self.no_lock,
            destination: None,
        };
        verb.check()?;
        if self.dry_run {
            let mut output = Output::open()?;
            output.write(&format!("{} tokens would be made\n", verb.rows.len()))?;
            return Ok(exit::DONE);
        }
        let client = self.connection.client(host)?;
        let mut run = verb.start(&client)?;
        let bar = progress_bar(run.total());
        let mut interrupted: Option<Signal> = None;
        let ended = run_until_signal_or(follow(&mut run, &bar), |signal| {
            interrupted = Some(signal);
        });
        bar.finish_and_clear();
        let summary = run.summary();
        if let Some(signal) = interrupted {
            run.abort();
            say_summary(&summary, run.total());
            say(&format!(
                "what was under way can be finished; go on with:\n  {}",
                resume_command::of(&host.arguments)
            ));
            return Err(Failure::Stopped(signal));
        }
        say_summary(&summary, run.total());
        let all_there = summary.created + summary.already_done == run.total() as u64;
        match ended {
            Some(Err(error)) => {
                report(&error);
                say(&format!("go on with:\n  {}", resume_command::of(&host.arguments)));
                Ok(exit::of(&error))
            }
            _ if all_there => Ok(exit::DONE),
            _ => {
                say(&format!("try the others again with:\n  {}", resume_command::of(&host.arguments)));
                let any = summary.created + summary.already_done > 0;
                Ok(if any { exit::PARTLY_DONE } else { exit::FAILED })
            }
        }
    }
}

async fn follow(run: &mut Run, bar: &ProgressBar) -> Result<(), Error> {
    while let Some(result) = run.next().await? {
        bar.inc(1);
        bar.suspend(|| say_row(&result));
    }
    Ok(())
}

fn progress_bar(total: usize) -> ProgressBar {
    // Hides itself where standard error is no terminal.
    let bar = ProgressBar::new(total as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} ({eta} left)") {
        bar.set_style(style);
    }
    bar
}

fn say_row(result: &RowResult) {
    let line = result.row.line;
    match &result.outcome {
        Outcome::Created(_) | Outcome::Skipped { .. } => {}
        Outcome::Failed(error) => say(&printable(&format!("line {line}: failed: {error}"))),
        Outcome::Unknown(error) => say(&printable(&format!("line {line}: unknown: {error}"))),
    }
}

fn say_summary(summary: &Summary, total: usize) {
    let Summary { created, failed, unknown, already_done, skipped } = *summary;
    let ended = created + failed + unknown + already_done + skipped;
    let under_way = (total as u64).saturating_sub(ended);
    let parts = [
        (created, "created"),
        (already_done, "done before"),
        (failed, "failed"),
        (unknown, "unknown"),
        (skipped + under_way, "not done"),
    ];
    let shown: Vec<String> = parts
        .iter()
        .filter(|(count, word)| *count > 0 || *word == "created")
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    say(&format!("{total} rows: {}", shown.join(", ")));
}
