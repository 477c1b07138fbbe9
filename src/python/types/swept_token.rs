//! `SweptToken`.

use pyo3::prelude::*;

use crate::lifecycle::Swept;
use crate::model::Token;
use crate::python::types::errors::LazyException;

/// An orphan that ``sweep_tokens`` found.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct SweptToken {
    token: Token,
    deleted: bool,
    error: LazyException,
}

impl<'py> IntoPyObject<'py> for Swept {
    type Target = SweptToken;
    type Output = Bound<'py, SweptToken>;
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = <SweptToken as pyo3::PyTypeInfo>::TYPE_HINT;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        Bound::new(py, SweptToken { token: self.token, deleted: self.deleted, error: self.error.into() })
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

    /// LMTokensError | None: why it could not be deleted.
    #[getter]
    fn error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.error.get(py)
    }

    fn __repr__(&self) -> String {
        let what = if self.deleted { "deleted" } else { "orphan" };
        format!("<lmtokens.SweptToken {}, {what}>", self.token.id)
    }
}
