//! `SweptToken`.

use pyo3::prelude::*;

use crate::lifecycle::Swept;
use crate::model::Token;
use crate::python::types::errors::LazyException;

/// An orphan that ``sweep_tokens`` found, or a token that it keeps because its note was changed.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct SweptToken {
    token: Token,
    deleted: bool,
    kept: Option<&'static str>,
    error: LazyException,
}

impl<'py> IntoPyObject<'py> for Swept {
    type Target = SweptToken;
    type Output = Bound<'py, SweptToken>;
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = <SweptToken as pyo3::PyTypeInfo>::TYPE_HINT;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let Self { token, deleted, kept, error } = self;
        Bound::new(py, SweptToken { token, deleted, kept, error: error.into() })
    }
}

#[pymethods]
impl SweptToken {
    /// Token: the token.
    #[getter]
    fn token(&self) -> Token {
        self.token.clone()
    }

    /// bool: whether it is deleted; ``False`` in a dry run.
    #[getter]
    fn deleted(&self) -> bool {
        self.deleted
    }

    /// str | None: why the token is not an orphan and is kept; ``None`` for an orphan.
    #[getter]
    fn kept(&self) -> Option<&'static str> {
        self.kept
    }

    /// LMTokensError | None: why it could not be deleted.
    #[getter]
    fn error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.error.get(py)
    }

    fn __repr__(&self) -> String {
        let what = match self.kept {
            Some(_) => "kept",
            None if self.deleted => "deleted",
            None => "orphan",
        };
        format!("<lmtokens.SweptToken {}, {what}>", self.token.id)
    }
}
