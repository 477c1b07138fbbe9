//! How the rows of a run ended.

use pyo3::prelude::*;

use crate::lifecycle::{self, Outcome};
use crate::ports::Loss;
use crate::python::types::errors::Late;
use crate::python::types::new_token::NewToken;
use crate::python::types::token::Token;

/// How one row ended.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct RowResult {
    row: lifecycle::NewToken,
    state: &'static str,
    token: Option<crate::model::Token>,
    reason: Option<String>,
    pub(crate) error: Late,
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
pub(crate) struct Summary {
    /// int: all rows.
    pub(crate) total: usize,
    /// int: made by this run.
    pub(crate) created: u64,
    /// int: done by an earlier run.
    pub(crate) already_done: u64,
    /// int: failed.
    pub(crate) failed: u64,
    /// int: not known.
    pub(crate) unknown: u64,
    /// int: not tried, because the run ended before.
    pub(crate) skipped: u64,
}

impl Summary {
    pub(crate) fn of(total: usize, summary: lifecycle::Summary) -> Self {
        let lifecycle::Summary { created, failed, unknown, already_done, skipped } = summary;
        Self { total, created, already_done, failed, unknown, skipped }
    }
}

#[pymethods]
impl Summary {
    pub(crate) fn __repr__(&self) -> String {
        let Self { total, created, already_done, failed, unknown, skipped } = self;
        format!(
            "Summary(total={total}, created={created}, already_done={already_done}, failed={failed}, unknown={unknown}, \
             skipped={skipped})"
        )
    }
}
