//! What goes to standard output, and certainty that it went there.

use std::fs::File;
use std::io::{self, Write as _};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::Failure;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Token, TokenStatus, TokenType, iso_8601};
use crate::secret::Secret;

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
    /// With a header line
    Csv,
    /// Variables for a shell's eval or an env file
    Env,
}

/// Standard output as a file of its own. Rust's `stdout()` takes a closed one for a good one.
pub(super) struct Output(File);

impl Output {
    /// Fails where there is no standard output.
    pub(super) fn open() -> Result<Self, Failure> {
        own_stdout().map(Self).map_err(Failure::Output)
    }

    /// Writes all of `text`, and returns when a file has it on disk.
    pub(super) fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.0.write_all(text.as_bytes()).map_err(Failure::Output)?;
        match self.0.sync_data() {
            // Pipes, terminals and the like cannot be synchronised; what they took, they have.
            Err(error) if is_disk_error(&error) => Err(Failure::Output(error)),
            _ => Ok(()),
        }
    }
}

fn is_disk_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    ) || error.raw_os_error() == Some(EIO)
}

/// Input/output error, the same number on every Unix.
const EIO: i32 = 5;

#[cfg(unix)]
fn own_stdout() -> io::Result<File> {
    use std::os::fd::AsFd as _;
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

#[cfg(windows)]
fn own_stdout() -> io::Result<File> {
    use std::os::windows::io::AsHandle as _;
    io::stdout().as_handle().try_clone_to_owned().map(File::from)
}

/// A token that was just made, its secret in the clear.
pub(super) fn new_token(token: &Token, format: Format) -> Result<String> {
    let members = members(token);
    let written = |error: serde_json::Error| Error::new(ErrorKind::Response, error.to_string());
    Ok(match format {
        Format::Table => table(&members),
        Format::Json => serde_json::to_string_pretty(&members).map_err(written)? + "\n",
        Format::Jsonl => serde_json::to_string(&members).map_err(written)? + "\n",
        Format::Csv => csv(&members)?,
        Format::Env => env(token),
    })
}

/// The members of a token in the order in which people look for them.
struct Members(Vec<(&'static str, Value)>);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn members(token: &Token) -> Members {
    let secret = token.access_key.as_ref().map(Secret::reveal);
    Members(vec![
        ("id", json!(token.id)),
        ("type", json!(token.r#type.as_str())),
        ("access_id", json!(token.access_id)),
        ("access_key", json!(secret)),
        ("admin_id", json!(token.admin_id)),
        ("admin_name", json!(token.admin_name)),
        ("status", json!(token.status.map(TokenStatus::number))),
        ("note", json!(token.note)),
        ("roles", json!(token.roles)),
        ("created_by", json!(token.created_by)),
        ("created_on", json!(token.created_on.map(iso_8601))),
    ])
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
        table.add_row([*name, &printable(&plain(value))]);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim().to_owned() + "\n").collect();
    lines.concat()
}

/// What a portal sends must not steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn csv(members: &Members) -> Result<String> {
    let failed = |error: String| Error::new(ErrorKind::Response, error);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(members.0.iter().map(|(name, _)| *name))
        .map_err(|error| failed(error.to_string()))?;
    writer
        .write_record(members.0.iter().map(|(_, value)| plain(value)))
        .map_err(|error| failed(error.to_string()))?;
    let bytes = writer.into_inner().map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
}

fn env(token: &Token) -> String {
    let secret = token.access_key.as_ref().map(Secret::reveal).unwrap_or_default();
    if token.r#type == TokenType::Bearer {
        return format!("LM_BEARER_TOKEN={}\n", quoted(secret));
    }
    let access_id = token.access_id.as_deref().unwrap_or_default();
    format!("LM_ACCESS_ID={}\nLM_ACCESS_KEY={}\n", quoted(access_id), quoted(secret))
}

/// Access keys are full of a shell's own characters.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
