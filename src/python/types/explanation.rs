//! `SignatureExplanation`.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::explain::{Cause, Explanation};
use crate::python::types::token::dict;

/// What is wrong with an LMv1 header, from ``explain_signature``.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct SignatureExplanation(pub(crate) Explanation);

#[pymethods]
impl SignatureExplanation {
    /// bool: whether the header is the one that the portal computes for the same time. An epoch outside the portal's
    /// window is a cause, but not an error of the signature: only you know when the header was made.
    #[getter]
    fn correct(&self) -> bool {
        self.0.correct
    }

    /// list[SignatureCause]: what is wrong; empty if nothing is.
    #[getter]
    fn causes(&self) -> Vec<SignatureCause> {
        self.0.causes.iter().copied().map(SignatureCause).collect()
    }

    /// str | None: the correct string to sign, for the epoch in the header in milliseconds; ``None`` without an epoch.
    /// Compare it with yours. The correct header is not part of the result: it would be a credential for 30 minutes.
    #[getter]
    fn string_to_sign(&self) -> Option<&str> {
        self.0.string_to_sign.as_deref()
    }

    /// Return the explanation as a ``dict`` for ``json``.
    ///
    /// Returns:
    ///     dict[str, object]: ``correct``; ``causes``, each with ``name`` and ``explanation``; and ``string_to_sign``.
    #[pyo3(signature = () -> "dict[str, object]")]
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict(py, &self.0.members())
    }

    fn __repr__(&self) -> String {
        let verdict = if self.0.correct { "correct" } else { "incorrect" };
        let names: Vec<&str> = self.0.causes.iter().map(|cause| cause.name()).collect();
        let names = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
        format!("<lmtokens.SignatureExplanation {verdict}{names}>")
    }
}

/// A mistake that makes an LMv1 header invalid.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct SignatureCause(Cause);

#[pymethods]
impl SignatureCause {
    /// str: its name, which does not change: ``"query"``, ``"raw-digest"``, ``"key-quotes"``, …
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name()
    }

    /// str: what to change.
    #[getter]
    fn explanation(&self) -> &'static str {
        self.0.explanation()
    }

    /// Return the cause as a ``dict`` for ``json``.
    ///
    /// Returns:
    ///     dict[str, str]: ``name`` and ``explanation``.
    #[pyo3(signature = () -> "dict[str, str]")]
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let members = PyDict::new(py);
        members.set_item("name", self.name())?;
        members.set_item("explanation", self.explanation())?;
        Ok(members)
    }

    fn __repr__(&self) -> String {
        format!("<lmtokens.SignatureCause {}: {}>", self.0.name(), self.0.explanation())
    }
}
