//! `lmtokens bulk --output`: the results of the rows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::cli::output::{self, ListFormat, Output};
use crate::cli::report::Failure;
use crate::error::{Error, ErrorKind, Result};
use crate::lifecycle::{Outcome, RowResult};
use crate::lock::locked;
use crate::model::Token;
use crate::process;
use crate::token_output::Members;

/// Standard output for one result after the other. They hold no keys, which are in the journal.
pub(super) struct Results {
    output: Arc<Mutex<Output>>,
    format: ListFormat,
    has_begun: AtomicBool,
}

/// Returns the format of results.
pub(super) fn format(given: super::Format) -> Result<ListFormat> {
    match given {
        super::Format::Csv => Ok(ListFormat::Csv),
        super::Format::Jsonl => Ok(ListFormat::Jsonl),
        super::Format::Env | super::Format::EnvFile => Err(Error::argument(
            "invalid --output for results, which hold no keys; expected csv or jsonl, or --export of a finished run",
        )),
    }
}

impl Results {
    pub(super) fn open(format: ListFormat) -> Result<Self, Failure> {
        let output = Arc::new(Mutex::new(Output::open()?));
        Ok(Self { output, format, has_begun: AtomicBool::new(false) })
    }

    /// Writes one result.
    pub(super) async fn write(&self, result: &RowResult) -> Result<()> {
        let text = output::list(&[members(result)], self.format)?;
        let is_first = !self.has_begun.swap(true, Ordering::Relaxed);
        let text = match (self.format, text.split_once('\n')) {
            (ListFormat::Csv, Some((_, record))) if !is_first => record.to_owned(),
            _ => text,
        };
        let output = Arc::clone(&self.output);
        // A pipe that its reader does not read blocks the write, which must not delay the handling of signals.
        let written = process::blocking(move || locked(&output).write_all(&text)).await.flatten();
        written.map_err(|error| {
            Error::new(ErrorKind::Delivery, format!("cannot write to standard output: {error}"))
        })
    }
}

fn members(result: &RowResult) -> Members {
    let row = &result.row.token;
    let (token, reason) = match &result.outcome {
        Outcome::Created(token) => (Some(token), None),
        Outcome::Failed(error) | Outcome::Unknown(error) => (None, Some(error.to_string())),
        Outcome::Skipped { reason, token } => (token.as_ref(), Some(reason.clone())),
    };
    Members(vec![
        ("line", json!(result.row.line)),
        ("state", json!(result.outcome.state())),
        ("admin_id", json!(row.admin)),
        ("note", json!(row.note())),
        ("status", json!(row.status.number())),
        ("type", json!(row.r#type.as_str())),
        ("id", json!(token.map(|token| token.id))),
        ("access_id", json!(token.and_then(|token: &Token| token.access_id.as_deref()))),
        ("reason", json!(reason)),
    ])
}
