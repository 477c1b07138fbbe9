//! `SweptToken`: what `sweep_tokens` found.

use pyo3::prelude::*;

use crate::lifecycle::Swept;
use crate::python::types::errors::Late;
use crate::python::types::token::Token;

/// A token that was left behind, and whether it is deleted now.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct SweptToken {
    token: crate::model::Token,
    deleted: bool,
    error: Late,
}

impl From<Swept> for SweptToken {
    fn from(swept: Swept) -> Self {
        Self { token: swept.token, deleted: swept.deleted, error: swept.error.into() }
    }
}

#[pymethods]
impl SweptToken {
    /// Token: what it was.
    #[getter]
    fn token(&self) -> Token {
        self.token.clone().into()
    }

    /// bool: whether it is deleted; never in a dry run.
    #[getter]
    fn deleted(&self) -> bool {
        self.deleted
    }

    /// LMTokensError | None: why it could not be deleted.
    #[getter]
    fn error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.error.get(py)
    }

    fn __repr__(&self) -> String {
        let what = if self.deleted { "deleted" } else { "left behind" };
        format!("<lmtokens.SweptToken {}, {what}>", self.token.id)
    }
}
