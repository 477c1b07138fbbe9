//! `RowResult` and `Summary`: results of a bulk run.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::json;

use crate::lifecycle::{self, Outcome, Row};
use crate::model::Token;
use crate::python::types::errors::LazyException;
use crate::python::types::literals::RowState;
use crate::python::types::new_token::NewToken;
use crate::python::types::token::dict;
use crate::token_output::Members;

/// The result of one row.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct RowResult {
    row: Row,
    state: &'static str,
    token: Option<Token>,
    reason: Option<String>,
    pub(crate) error: LazyException,
}

impl From<lifecycle::RowResult> for RowResult {
    fn from(result: lifecycle::RowResult) -> Self {
        let state = result.outcome.state();
        let (token, reason, error) = match result.outcome {
            Outcome::Created(token) => (Some(token), None, None),
            Outcome::Failed(error) | Outcome::Unknown(error) => (None, Some(error.to_string()), Some(error)),
            Outcome::Skipped { reason, token } => (token, Some(reason), None),
        };
        Self { row: result.row, state, token, reason, error: error.into() }
    }
}

impl RowResult {
    /// Returns whether the run ended before it came to this row.
    pub(crate) fn is_unattempted(&self) -> bool {
        self.state == "skipped" && self.token.is_none()
    }
}

#[pymethods]
impl RowResult {
    /// NewToken: the row.
    #[getter]
    fn row(&self) -> NewToken {
        NewToken(self.row.token.clone())
    }

    /// int: the number of the row, counted from 1.
    #[getter]
    fn number(&self) -> u64 {
        self.row.line
    }

    /// str: ``"created"``; ``"failed"``: nothing was created, or nothing that is enabled; ``"unknown"``: ``error`` says
    /// what is known; ``"skipped"``: created by an earlier run (then ``token`` is set), or not attempted.
    #[getter]
    fn state(&self) -> RowState {
        RowState(self.state)
    }

    /// Token | None: the token; a ``CreatedToken`` with its key unless the key was delivered to ``deliver=``.
    #[getter]
    fn token(&self) -> Option<Token> {
        self.token.clone()
    }

    /// str | None: why it was not created.
    #[getter]
    fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// LMTokensError | None: the error of a failed or unknown row.
    #[getter]
    fn error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.error.get(py)
    }

    /// Return the result as a ``dict`` for ``json``, without a key.
    ///
    /// Returns:
    ///     dict[str, object]: ``number`` and ``state``; ``admin_id``, ``note``, ``status`` and ``type`` of the row; ``id``
    ///         and ``access_id`` of the token; and ``reason``.
    #[pyo3(signature = () -> "dict[str, object]")]
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let row = &self.row.token;
        let token = self.token.as_ref();
        let members = Members(vec![
            ("number", json!(self.row.line)),
            ("state", json!(self.state)),
            ("admin_id", json!(row.admin)),
            ("note", json!(row.note())),
            ("status", json!(row.status.number())),
            ("type", json!(row.r#type.as_str())),
            ("id", json!(token.map(|token| token.id))),
            ("access_id", json!(token.and_then(|token| token.access_id.as_deref()))),
            ("reason", json!(self.reason)),
        ]);
        dict(py, &members)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let token = self.token.as_ref().map(|token| format!(", token {}", token.id)).unwrap_or_default();
        let reason = match &self.reason {
            Some(reason) => format!(": {}", reason.into_pyobject(py)?.repr()?),
            None => String::new(),
        };
        Ok(format!("<lmtokens.RowResult {} {}{token}{reason}>", self.row.line, self.state))
    }
}

/// The number of rows by result, so far.
#[pyclass(frozen, module = "lmtokens", get_all, eq)]
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Summary {
    /// int: all rows.
    pub(crate) total: usize,
    /// int: created by this run.
    pub(crate) created: u64,
    /// int: created by an earlier run.
    pub(crate) already_done: u64,
    /// int: failed.
    pub(crate) failed: u64,
    /// int: outcome unknown.
    pub(crate) unknown: u64,
    /// int: not attempted, because the run ended before.
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
    /// Return the number of rows that have ended.
    #[pyo3(name = "_ended")]
    pub(crate) fn ended(&self) -> u64 {
        self.created + self.already_done + self.failed + self.unknown + self.skipped
    }

    /// Return the numbers as a ``dict`` for ``json``.
    ///
    /// Returns:
    ///     dict[str, int]: the members by attribute name.
    #[pyo3(signature = () -> "dict[str, int]")]
    #[allow(clippy::wrong_self_convention, reason = "Python calls methods by reference")]
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Self { total, created, already_done, failed, unknown, skipped } = self;
        let members = Members(vec![
            ("total", json!(total)),
            ("created", json!(created)),
            ("already_done", json!(already_done)),
            ("failed", json!(failed)),
            ("unknown", json!(unknown)),
            ("skipped", json!(skipped)),
        ]);
        dict(py, &members)
    }

    pub(crate) fn __repr__(&self) -> String {
        let Self { total, created, already_done, failed, unknown, skipped } = self;
        format!(
            "Summary(total={total}, created={created}, already_done={already_done}, failed={failed}, unknown={unknown}, \
             skipped={skipped})"
        )
    }
}
