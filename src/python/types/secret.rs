//! `Secret`: a text that only `reveal()` gives.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::python::args::plain as arguments;
use crate::secret::{self, MASK};

/// A text that leaves by one door: `reveal()`.
///
/// `str`, `repr`, `format`, `%`, f-strings and rich display show a constant mask without prefix, suffix or length.
/// Pickling and JSON are refused with a `TypeError`; a copy is the same object. `==` compares with another `Secret`, in
/// constant time; a `Secret` never equals a `str`. The buffer is wiped when the last reference is gone; a `str` that
/// `reveal()` gave is Python's, and is not.
///
/// Args:
///     text (str): the text to keep.
///
/// Example:
///     >>> import lmtokens
///     >>> print(lmtokens.Secret("invented"))
///     ********
///     >>> lmtokens.Secret("invented").reveal()
///     'invented'
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct Secret(pub(crate) secret::Secret);

#[pymethods]
impl Secret {
    #[new]
    #[pyo3(signature = (text: "str"))]
    fn new(#[pyo3(from_py_with = arguments::text)] text: String) -> Self {
        Self(secret::Secret::new(text))
    }

    /// The text itself.
    ///
    /// Returns:
    ///     str: the secret, in the clear.
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
            "a Secret cannot be pickled: it would be written in the clear; hand over secret.reveal() where that is meant",
        ))
    }
}
