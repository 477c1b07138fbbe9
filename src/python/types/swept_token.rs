//! `SweptToken`.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::lifecycle::{self, RotationState, Swept};
use crate::model::Token;
use crate::python::types::errors::LazyException;
use crate::python::types::literals::{self, SweepReason};
use crate::python::types::token::dict;
use crate::token_output::Members;

/// A token that ``sweep_tokens`` found: something is due for it, or it is kept.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct SweptToken {
    token: Token,
    reason: lifecycle::SweepReason,
    deleted: bool,
    kept: Option<&'static str>,
    rotation: Option<&'static str>,
    error: LazyException,
    members: Members,
}

impl<'py> IntoPyObject<'py> for Swept {
    type Target = SweptToken;
    type Output = Bound<'py, SweptToken>;
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = <SweptToken as pyo3::PyTypeInfo>::TYPE_HINT;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let members = self.members();
        let Self { token, reason, deleted, kept, rotation, error } = self;
        let rotation = rotation.map(RotationState::as_str);
        Bound::new(py, SweptToken { token, reason, deleted, kept, rotation, error: error.into(), members })
    }
}

#[pymethods]
impl SweptToken {
    /// Token: the token.
    #[getter]
    fn token(&self) -> Token {
        self.token.clone()
    }

    /// str: why it was found: ``"orphan"``, ``"expired"``, ``"rotation"``: the next step of its rotation was due, or
    /// ``"abandoned"``: it was to replace another token, and that rotation was given up.
    #[getter]
    fn reason(&self) -> SweepReason {
        SweepReason(self.reason.as_str())
    }

    /// bool: whether it is deleted; ``False`` in a dry run.
    #[getter]
    fn deleted(&self) -> bool {
        self.deleted
    }

    /// str | None: why the token is kept: it is not an orphan, or it is rotated and still used;
    /// ``None`` if it is due.
    #[getter]
    fn kept(&self) -> Option<&'static str> {
        self.kept
    }

    /// str | None: the state of its rotation after what was due was done, as ``Rotation.state``; ``None`` in a dry run.
    #[getter]
    fn rotation(&self) -> Option<literals::RotationState> {
        self.rotation.map(literals::RotationState)
    }

    /// LMTokensError | None: why what was due could not be done.
    #[getter]
    fn error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.error.get(py)
    }

    /// Return the token with what was found as a ``dict`` for ``json``.
    ///
    /// Returns:
    ///     dict[str, object]: ``id``, ``type``, ``access_id``, ``admin_id``, ``admin_name``, ``created_on``, ``note`` and
    ///         ``expires_on`` of the token, times in ISO 8601, UTC; and ``reason``, ``deleted``, ``kept`` and ``rotation``.
    #[pyo3(signature = () -> "dict[str, object]")]
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict(py, &self.members)
    }

    fn __repr__(&self) -> String {
        let what = match self.kept {
            Some(_) => "kept",
            None if self.deleted => "deleted",
            None => self.reason.as_str(),
        };
        format!("<lmtokens.SweptToken {}, {what}>", self.token.id)
    }
}
