//! The native part of `lmtokens.sandbox.Portal`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::error::{Result, caught};
use crate::python::args::plain::items;
use crate::python::types::secret::Secret;
use crate::sandbox::Portal;
use crate::sandbox::arguments::read;
use crate::sandbox::command::Answer;

/// The native part of ``lmtokens.sandbox.Portal``.
#[pyclass(name = "_SandboxPortal", frozen, module = "lmtokens._lmtokens")]
pub(crate) struct SandboxPortal(Portal);

#[pymethods]
impl SandboxPortal {
    #[new]
    fn new(py: Python<'_>, settings: &str) -> PyResult<Self> {
        let portal: Result<Portal> =
            py.detach(|| caught(|| Portal::start(read("settings", settings.as_bytes())?)));
        Ok(Self(portal?))
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }

    #[getter]
    fn base_url(&self) -> String {
        self.0.base_url()
    }

    #[getter]
    fn company(&self) -> &str {
        self.0.company()
    }

    #[getter]
    fn access_id(&self) -> &str {
        self.0.access_id()
    }

    #[getter]
    fn access_key(&self) -> Secret {
        Secret(self.0.access_key())
    }

    #[getter]
    fn bearer_token(&self) -> Secret {
        Secret(self.0.bearer_token())
    }

    /// Return the items of an argument that is an iterable of texts.
    #[staticmethod]
    #[pyo3(signature = (name: "str", values: "object") -> "list[str]")]
    fn items<'py>(name: &str, values: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let items = items(name, "an iterable of str, such as a list", values)?;
        PyList::new(values.py(), items.collect::<PyResult<Vec<_>>>()?)
    }

    /// Apply a command in JSON. Return its result in JSON, and the secrets of the tokens in it, in their order.
    fn control(&self, command: &str) -> PyResult<(String, Vec<Secret>)> {
        let answer = caught(|| self.0.apply(read("command", command.as_bytes())?))?;
        let json =
            serde_json::to_string(&answer).map_err(|cause| PyValueError::new_err(cause.to_string()))?;
        let tokens = match answer {
            Answer::Token(token) => vec![token],
            Answer::Tokens(tokens) => tokens,
            _ => Vec::new(),
        };
        Ok((json, tokens.into_iter().map(|token| Secret(token.access_key)).collect()))
    }
}
