//! Standard output: formats, and writes whose errors are noticed.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::Value;

use super::progress;
use super::report::Failure;
use super::signals::run_until_signal;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::locked;
use crate::model::{Token, TokenStatus};
use crate::portal::PortalAddress;
use crate::printable;
use crate::process;
use crate::token_output::{self, Form, GithubEnvironment, Members};

/// A format for a new token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned columns
    Table,
    /// One JSON document
    Json,
    /// One JSON object per line
    Jsonl,
    /// CSV with a header line
    Csv,
    /// Shell commands that export the environment variables, for eval and . of POSIX shells
    Env,
    /// NAME=value lines without quotes, for docker --env-file, kubectl --from-env-file and systemd EnvironmentFile
    EnvFile,
    /// In a GitHub workflow: variables in the file of GITHUB_ENV, and the command that masks the secret on standard
    /// output
    Github,
    /// The secret alone
    Key,
}

/// A format of a report.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ReportFormat {
    /// Lines for people
    Text,
    /// One JSON document
    Json,
}

/// Standard output as a file of its own. Rust's `stdout()` ignores writes to a closed one.
///
/// A terminal gets control characters and invisible ones escaped. Anything else gets the exact values, except in tables,
/// which are for people.
pub(super) struct Output {
    file: File,
    is_terminal: bool,
}

impl Output {
    /// Opens standard output; fails if it is closed.
    pub(super) fn open() -> Result<Self, Failure> {
        let file = own_stdout().map_err(Failure::Output)?;
        Ok(Self { is_terminal: file.is_terminal(), file })
    }

    /// Writes `text` durably, or until a signal arrives: a pipe that its reader does not read blocks the write.
    pub(super) fn write(&self, text: &str) -> Result<(), Failure> {
        let file = self.file.try_clone().map_err(Failure::Output)?;
        let mut own = Self { file, is_terminal: self.is_terminal };
        let text = text.to_owned();
        let written = run_until_signal(async {
            Ok(process::blocking(move || own.write_durably(&text)).await.flatten())
        });
        written?.map_err(Failure::Output)
    }

    /// Writes `text`.
    pub(super) fn write_all(&mut self, text: &str) -> io::Result<()> {
        if self.is_terminal {
            progress::aside(|| write_to_terminal(&mut self.file, printable::lines(text).as_bytes()))
        } else {
            self.file.write_all(text.as_bytes())
        }
    }

    /// Writes `text`. If standard output is a file, the text is on disk when this returns.
    pub(super) fn write_durably(&mut self, text: &str) -> io::Result<()> {
        self.write_all(text)?;
        if !can_be_on_disk(&self.file) {
            return Ok(());
        }
        match self.file.sync_data() {
            // Pipes and terminals cannot be synchronised.
            Err(error) if is_disk_error(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Writes `text` with one of the methods of `Output`, on another thread: a pipe that its reader does not read blocks the
/// write, which must not delay the handling of signals.
pub(super) async fn write_in_background(
    output: &Arc<Mutex<Output>>,
    text: String,
    write: fn(&mut Output, &str) -> io::Result<()>,
) -> Result<()> {
    let output = Arc::clone(output);
    let written = process::blocking(move || write(&mut locked(&output), &text)).await.flatten();
    written
        .map_err(|error| Error::new(ErrorKind::Delivery, format!("cannot write to standard output: {error}")))
}

fn is_disk_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    ) || cfg!(unix) && error.raw_os_error() == Some(EIO)
}

/// `EIO`, which has the same number on every Unix.
const EIO: i32 = 5;

#[cfg(unix)]
fn own_stdout() -> io::Result<File> {
    use std::os::fd::AsFd as _;
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

#[cfg(unix)]
fn write_to_terminal(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
}

#[cfg(unix)]
fn can_be_on_disk(_file: &File) -> bool {
    true
}

/// Writes UTF-8. A console reads other bytes as its code page says; Rust's `stdout()` converts them.
#[cfg(windows)]
fn write_to_terminal(_file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Returns whether a file is not a pipe: synchronising one would wait until its reader has read everything.
#[cfg(windows)]
fn can_be_on_disk(file: &File) -> bool {
    winapi_util::file::typ(file).is_ok_and(|kind| kind.is_disk())
}

#[cfg(windows)]
fn own_stdout() -> io::Result<File> {
    use std::os::windows::io::AsHandle as _;
    io::stdout().as_handle().try_clone_to_owned().map(File::from)
}

/// Returns a new token of a portal in a format, its secret in plain text.
pub(super) fn new_token(token: &Token, format: Format, portal: &PortalAddress) -> Result<String> {
    Ok(match format {
        Format::Table => table(&token_output::members(token)),
        Format::Json => json(&token_output::members(token))?,
        Format::Jsonl => printable::json(&token_output::json_line(token)?),
        Format::Csv => csv(&[token_output::members(token)], true)?,
        Format::Env => Form::Env.write(token, portal)?.to_string(),
        Format::EnvFile => Form::EnvFile.write(token, portal)?.to_string(),
        // The variables are not for standard output.
        Format::Github => GithubEnvironment::of(token, portal)?.masks.to_string(),
        Format::Key => Form::Key.write(token, portal)?.to_string(),
    })
}

/// A format for a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    /// Aligned columns
    Table,
    /// One JSON document
    Json,
    /// One JSON object per line
    Jsonl,
    /// CSV with a header line
    Csv,
}

/// Returns one object in a format. A table has one line per member.
pub(super) fn one(members: &Members, format: ListFormat) -> Result<String> {
    match format {
        ListFormat::Table => Ok(table(members)),
        ListFormat::Json => json(members),
        ListFormat::Jsonl | ListFormat::Csv => list(std::slice::from_ref(members), format),
    }
}

/// Returns rows with the same members in a format, for CSV with the header line.
pub(super) fn list<N: Serialize + AsRef<str>>(rows: &[Members<N>], format: ListFormat) -> Result<String> {
    list_part(rows, format, true)
}

/// As `list`, with the header line of CSV also if there are no rows.
pub(super) fn table_of(columns: &[&str], rows: &[Members], format: ListFormat) -> Result<String> {
    if rows.is_empty() && format == ListFormat::Csv {
        return Ok(columns.join(",") + "\n");
    }
    list(rows, format)
}

/// As `list`. The header line of CSV belongs to the first part of a list.
pub(super) fn list_part<N: Serialize + AsRef<str>>(
    rows: &[Members<N>],
    format: ListFormat,
    is_first: bool,
) -> Result<String> {
    Ok(match format {
        ListFormat::Table => columns(rows),
        ListFormat::Json => json(rows)?,
        ListFormat::Jsonl => {
            let line =
                |row: &Members<N>| serde_json::to_string(row).map(|line| printable::json(&line) + "\n");
            let lines = rows.iter().map(line);
            lines.collect::<serde_json::Result<Vec<_>>>().map_err(|error| cannot_format(&error))?.concat()
        }
        ListFormat::Csv => csv(rows, is_first)?,
    })
}

fn cannot_format(error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Response, format!("cannot format the output: {error}"))
}

fn json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map(|text| printable::json(&text) + "\n")
        .map_err(|error| cannot_format(&error))
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(";"),
        other => other.to_string(),
    }
}

fn table(members: &Members) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, value) in &members.0 {
        table.add_row([*name, &shown(name, value)]);
    }
    trimmed(&table)
}

fn columns<N: AsRef<str>>(rows: &[Members<N>]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(first.0.iter().map(|(name, _)| name.as_ref()));
    for row in rows {
        table.add_row(row.0.iter().map(|(name, value)| shown(name.as_ref(), value)));
    }
    trimmed(&table)
}

/// Returns a member as a table shows it: a status as a word, where data have the portal's number.
fn shown(name: &str, value: &Value) -> String {
    match value.as_i64() {
        Some(status) if name == "status" => TokenStatus::from_number(status).to_string(),
        _ => printable::line(&plain(value)),
    }
}

fn trimmed(table: &Table) -> String {
    // Each cell has a space on both sides. The first one of a row may be empty.
    let shown = |line: String| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned() + "\n";
    let lines: Vec<String> = table.lines().map(shown).collect();
    lines.concat()
}

fn csv<N: AsRef<str>>(rows: &[Members<N>], with_header: bool) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if let Some(first) = rows.first().filter(|_| with_header) {
        writer
            .write_record(first.0.iter().map(|(name, _)| name.as_ref()))
            .map_err(|error| cannot_format(&error))?;
    }
    for row in rows {
        writer
            .write_record(row.0.iter().map(|(_, value)| plain(value)))
            .map_err(|error| cannot_format(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| cannot_format(&error))?;
    String::from_utf8(bytes).map_err(|error| cannot_format(&error))
}
