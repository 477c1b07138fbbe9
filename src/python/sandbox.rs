//! The native half of `lmtokens.sandbox.Portal`; what crosses is JSON.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::python::types::secret::Secret;
use crate::sandbox::Portal;

/// The embedded portal, as ``lmtokens.sandbox`` wraps it.
#[pyclass(frozen, module = "lmtokens._lmtokens")]
pub(crate) struct SandboxPortal(Portal);

fn read<T: DeserializeOwned>(json: &str) -> PyResult<T> {
    serde_json::from_str(json).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn written<T: Serialize>(value: &T) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn raised<T>(_py: Python<'_>, result: Result<T, Error>) -> PyResult<T> {
    Ok(result?)
}

#[pymethods]
impl SandboxPortal {
    #[new]
    fn new(py: Python<'_>, settings: &str) -> PyResult<Self> {
        let settings = read(settings)?;
        raised(py, py.detach(|| Portal::start(settings))).map(Self)
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

    fn record(&self) -> PyResult<String> {
        written(&self.0.record())
    }

    fn clear_record(&self) {
        self.0.clear_record();
    }

    fn add_fault(&self, py: Python<'_>, fault: &str) -> PyResult<()> {
        raised(py, self.0.add_fault(read(fault)?))
    }

    fn set_random_faults(&self, py: Python<'_>, faults: Option<&str>) -> PyResult<()> {
        raised(py, self.0.set_random_faults(faults.map(read).transpose()?))
    }

    fn clear_faults(&self) {
        self.0.clear_faults();
    }

    fn set_rate_limit(
        &self,
        py: Python<'_>,
        method: Option<&str>,
        limit: u32,
        window_seconds: f64,
    ) -> PyResult<()> {
        raised(py, self.0.set_rate_limit(method, limit, window_seconds))
    }

    fn set_clock_offset(&self, seconds: i64) {
        self.0.set_clock_offset(seconds);
    }

    fn add_user(&self, user: &str) -> PyResult<u32> {
        Ok(self.0.add_user(read(user)?))
    }

    /// The token's members and its secret.
    fn create_token(&self, py: Python<'_>, token: &str) -> PyResult<(String, Secret)> {
        let token = raised(py, self.0.create_token(read(token)?))?;
        Ok((written(&token)?, Secret(token.access_key)))
    }

    /// Every token's members and its secret.
    fn tokens(&self) -> PyResult<Vec<(String, Secret)>> {
        self.0.tokens().into_iter().map(|token| Ok((written(&token)?, Secret(token.access_key)))).collect()
    }

    fn reset(&self) {
        self.0.reset();
    }
}
