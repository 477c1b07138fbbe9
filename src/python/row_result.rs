//! How the rows of a run ended.

use pyo3::prelude::*;

use super::errors::Late;
use super::new_token::NewToken;
use super::token::Token;
use crate::lifecycle::{self, Outcome};
use crate::ports::Loss;

/// How one row ended.
#[pyclass(frozen, module = "lmtokens")]
pub(super) struct RowResult {
    row: lifecycle::NewToken,
    state: &'static str,
    token: Option<crate::model::Token>,
    reason: Option<String>,
    pub(super) error: Late,
}

impl From<lifecycle::RowResult> for RowResult {
    fn from(result: lifecycle::RowResult) -> Self {
        let (state, token, reason, error) = match result.outcome {
            Outcome::Created(token) => ("created", Some(token), None, None),
            Outcome::Failed(error) => ("failed", None, Some(error.to_string()), Some(error)),
            Outcome::Unknown(error) => ("unknown", None, Some(error.to_string()), Some(error)),
            Outcome::Skipped { reason, token } => ("skipped", token, Some(reason), None),
        };
        Self { row: result.row, state, token, reason, error: error.into() }
    }
}

/// What a run has made stands in its journal, whoever hears of it.
impl Loss for Option<RowResult> {}

#[pymethods]
impl RowResult {
    /// NewToken: what was asked for.
    #[getter]
    fn row(&self) -> NewToken {
        NewToken(self.row.token.clone())
    }

    /// int: which row it is, counted from 1.
    #[getter]
    fn number(&self) -> u64 {
        self.row.line
    }

    /// str: ``"created"``; ``"failed"``: nothing works that was not there before; ``"unknown"``: ``error`` says what is
    /// known; ``"skipped"``: done by an earlier run, whose token ``token`` is, or not tried.
    #[getter]
    fn state(&self) -> &'static str {
        self.state
    }

    /// Token | None: the token, its key included unless that went to a destination of the caller's.
    #[getter]
    fn token(&self) -> Option<Token> {
        self.token.clone().map(Token::from)
    }

    /// str | None: why it is not created.
    #[getter]
    fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// LMTokensError | None: the error of a failed or unknown row.
    #[getter]
    fn error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.error.get(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let reason = match &self.reason {
            Some(reason) => format!(": {}", reason.into_pyobject(py)?.repr()?),
            None => String::new(),
        };
        Ok(format!("<lmtokens.RowResult {} {}{reason}>", self.row.line, self.state))
    }
}

/// How many rows of a run ended how, so far.
#[pyclass(frozen, module = "lmtokens", get_all, eq)]
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Summary {
    /// int: all rows.
    pub(super) total: usize,
    /// int: made by this run.
    pub(super) created: u64,
    /// int: done by an earlier run.
    pub(super) done_before: u64,
    /// int: failed.
    pub(super) failed: u64,
    /// int: not known.
    pub(super) unknown: u64,
    /// int: not tried, because the run ended before.
    pub(super) skipped: u64,
}

impl Summary {
    pub(super) fn of(total: usize, summary: lifecycle::Summary) -> Self {
        let lifecycle::Summary { created, failed, unknown, done_before, skipped } = summary;
        Self { total, created, done_before, failed, unknown, skipped }
    }
}

#[pymethods]
impl Summary {
    pub(super) fn __repr__(&self) -> String {
        let Self { total, created, done_before, failed, unknown, skipped } = self;
        format!(
            "Summary(total={total}, created={created}, done_before={done_before}, failed={failed}, unknown={unknown}, \
             skipped={skipped})"
        )
    }
}
