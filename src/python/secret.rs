//! `Secret`: a text that only `reveal()` gives.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

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
pub(super) struct Secret(pub(super) secret::Secret);

#[pymethods]
impl Secret {
    #[new]
    fn new(text: String) -> Self {
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

/// A secret that a caller gives, as a `str` or a `Secret`.
pub(super) struct SecretText(pub(super) secret::Secret);

impl<'py> FromPyObject<'_, 'py> for SecretText {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(secret) = object.cast::<Secret>() {
            return Ok(Self(secret.get().0.clone()));
        }
        // The value itself must not stand in the error, whatever it is.
        match object.extract::<String>() {
            Ok(text) => Ok(Self(secret::Secret::new(text))),
            Err(_) => Err(PyTypeError::new_err(format!(
                "a credential must be a str or a Secret, not {}",
                object.get_type().name()?
            ))),
        }
    }
}
