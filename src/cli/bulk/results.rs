//! `lmtokens bulk --output`: the results of the rows.

use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::cli::output::{self, ListFormat, Output};
use crate::cli::report::Failure;
use crate::error::{Error, Result};
use crate::lifecycle::{Outcome, RowResult};
use crate::model::Token;
use crate::token_output::Members;

/// Standard output for one result after the other. They hold no keys, which are in the journal.
pub(super) struct Results {
    output: Arc<Mutex<Output>>,
    format: ListFormat,
    has_begun: bool,
}

/// Returns the format of results.
pub(super) fn format(given: super::Format) -> Result<ListFormat> {
    match given {
        super::Format::Csv => Ok(ListFormat::Csv),
        super::Format::Jsonl => Ok(ListFormat::Jsonl),
        super::Format::Env | super::Format::EnvFile | super::Format::Github => Err(Error::argument(
            "invalid --output for results, which hold no keys; expected csv or jsonl, or --export of a finished run",
        )),
    }
}

impl Results {
    pub(super) fn open(format: ListFormat) -> Result<Self, Failure> {
        let output = Arc::new(Mutex::new(Output::open()?));
        Ok(Self { output, format, has_begun: false })
    }

    /// Writes one result.
    pub(super) async fn write(&mut self, result: &RowResult) -> Result<()> {
        let text = output::list_part(&[members(result)], self.format, !self.has_begun)?;
        self.has_begun = true;
        output::write_in_background(&self.output, text, Output::write_all).await
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
