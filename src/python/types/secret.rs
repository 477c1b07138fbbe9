//! `Secret`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::python::args::plain;
use crate::secret::{self, MASK};

/// A secret text, which only `reveal()` returns.
///
/// `str`, `repr`, `format`, `%`, f-strings and rich display show a constant mask. Pickling and JSON raise a `TypeError`; a copy
/// is the same object. `==` compares with another `Secret` in constant time; a `Secret` never equals a `str`. The buffer is
/// wiped with the last reference; a `str` that `reveal()` returned is not.
///
/// Args:
///     text (str): the secret.
///
/// Example:
///     >>> import lmtokens
///     >>> print(lmtokens.Secret("invented"))
///     ********
///     >>> lmtokens.Secret("invented").reveal()
///     'invented'
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct Secret(pub(crate) secret::Secret);

fn read_text(object: &Bound<'_, PyAny>) -> PyResult<String> {
    plain::text("text", object)
}

#[pymethods]
impl Secret {
    #[new]
    #[pyo3(signature = (text: "str"))]
    fn new(#[pyo3(from_py_with = read_text)] text: String) -> Self {
        Self(secret::Secret::new(text))
    }

    /// Return the secret.
    ///
    /// Returns:
    ///     str: the secret in plain text.
    fn reveal(&self) -> &str {
        self.0.reveal()
    }

    #[allow(clippy::unused_self)]
    fn __str__(&self) -> &'static str {
        MASK
    }

    #[allow(clippy::unused_self)]
    fn __repr__(&self) -> String {
        format!("Secret('{MASK}')")
    }

    #[allow(clippy::unused_self)]
    #[pyo3(signature = (spec, /))]
    fn __format__(&self, spec: &str) -> &'static str {
        let _ = spec;
        MASK
    }

    fn __eq__(&self, other: &Bound<'_, Self>) -> bool {
        self.0 == other.get().0
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (memo: "object", /))]
    fn __deepcopy__(slf: Py<Self>, memo: &Bound<'_, PyAny>) -> Py<Self> {
        let _ = memo;
        slf
    }

    #[allow(clippy::unused_self)]
    #[pyo3(signature = (protocol: "object", /) -> "str")]
    fn __reduce_ex__(&self, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let _ = protocol;
        Err(PyTypeError::new_err(
            "cannot pickle a Secret: it would be stored in plain text; use secret.reveal() if you mean to store it",
        ))
    }
}
