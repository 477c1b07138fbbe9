//! `Signer`: the native part of `LMv1Auth`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::clock::SystemClock;
use crate::python::args::domain::Body;
use crate::python::args::settings::{constructor, with_settings};
use crate::python::operations::client::warn_of_override;
use crate::signer;

/// Signs requests to one portal; the base of `LMv1Auth`.
#[pyclass(name = "_Signer", frozen, subclass, module = "lmtokens._lmtokens")]
pub(crate) struct Signer(signer::Signer);

with_settings! {
    constructor, Signer, |py, settings| {
        let identity = settings.identity_for_signing(py)?;
        warn_of_override(py, &identity)?;
        Ok(Self(signer::Signer::new(identity, Box::new(SystemClock))))
    }
}

#[pymethods]
impl Signer {
    /// str: the portal's address, ending with ``/santaba/rest``. Only requests to it are signed.
    #[getter]
    fn base_url(&self) -> &str {
        self.0.identity().portal.base_url()
    }

    /// Return whether a URL belongs to the portal.
    fn _is_bound_to(&self, url: &str) -> bool {
        self.0.is_bound_to(url)
    }

    /// Return the value of the ``Authorization`` header for a request with exactly this body.
    #[pyo3(signature = (method: "str", url: "str", body: "bytes") -> "str")]
    fn _authorization(&self, method: &str, url: &str, body: Body<'_>) -> PyResult<String> {
        Ok(self.0.authorization(method, url, &body.0)?)
    }

    fn __repr__(&self) -> String {
        let identity = self.0.identity();
        format!(
            "<lmtokens.LMv1Auth {}, {} from {}>",
            identity.shown_portal(),
            identity.kind(),
            identity.credentials_from
        )
    }

    #[allow(clippy::unused_self)]
    #[pyo3(signature = (protocol: "object", /) -> "str")]
    fn __reduce_ex__(&self, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let _ = protocol;
        Err(PyTypeError::new_err(
            "cannot pickle an LMv1Auth: its credentials would be stored in plain text; create it where it is used",
        ))
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (memo: "object", /) -> "_Signer")]
    fn __deepcopy__(slf: Py<Self>, memo: &Bound<'_, PyAny>) -> Py<Self> {
        let _ = memo;
        slf
    }
}
