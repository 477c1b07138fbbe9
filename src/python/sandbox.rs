//! The native half of `lmtokens.sandbox.Portal`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::Error;
use crate::python::types::errors::exception;
use crate::python::types::secret::Secret;
use crate::sandbox::Portal;
use crate::sandbox::arguments::read;
use crate::sandbox::command::Answer;

/// The native half of ``lmtokens.sandbox.Portal``.
#[pyclass(frozen, module = "lmtokens._lmtokens")]
pub(crate) struct SandboxPortal(Portal);

fn raised<T>(py: Python<'_>, result: Result<T, Error>) -> PyResult<T> {
    result.map_err(|error| exception(py, error))
}

#[pymethods]
impl SandboxPortal {
    #[new]
    fn new(py: Python<'_>, settings: &str) -> PyResult<Self> {
        raised(py, py.detach(|| Portal::start(read("settings", settings.as_bytes())?))).map(Self)
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

    /// Carry out a command in JSON. The result is the answer in JSON and the secrets of its tokens, in their order.
    fn control(&self, py: Python<'_>, command: &str) -> PyResult<(String, Vec<Secret>)> {
        let answer = read("command", command.as_bytes()).and_then(|command| self.0.apply(command));
        let answer = raised(py, answer)?;
        let json =
            serde_json::to_string(&answer).map_err(|cause| PyValueError::new_err(cause.to_string()))?;
        let tokens = match answer {
            Answer::Token(token) => vec![token],
            Answer::Tokens(tokens) => tokens,
            Answer::Done {} | Answer::Record(_) | Answer::User { .. } => Vec::new(),
        };
        Ok((json, tokens.into_iter().map(|token| Secret(token.access_key)).collect()))
    }
}
