//! The keyring of the operating system, through the package `keyring`, which is imported only if it is needed. It is
//! called from native code, so that no Python frame of this package holds a secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyException, PyImportError};
use pyo3::prelude::*;

use crate::destinations::Keyring;
use crate::error::{Error, Result};
use crate::python::runtime::gate::attached;
use crate::secret::Secret;

/// The service of all entries. Their user names are the names of profiles.
const SERVICE: &str = "lmtokens";

/// Returns the secret of a profile; `None` if the keyring has none.
pub(crate) fn get(py: Python<'_>, profile: &str) -> PyResult<Option<Secret>> {
    let entry = py.import("keyring")?.call_method1("get_password", (SERVICE, profile))?;
    let text: Option<String> = entry.extract()?;
    Ok(text.filter(|text| !text.is_empty()).map(Secret::new))
}

/// Returns whether there is a keyring that can store secrets.
fn is_available(py: Python<'_>) -> PyResult<bool> {
    let keyring = match py.import("keyring") {
        Err(error) if is_not_installed(py, &error) => return Ok(false),
        keyring => keyring?,
    };
    // The backends that stand for none have a priority of 0 or less.
    keyring.call_method0("get_keyring")?.getattr("priority")?.gt(0)
}

/// Returns whether the package `keyring` is missing. An import of one of its backends may fail as well.
fn is_not_installed(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyImportError>(py)
        && error.value(py).getattr("name").is_ok_and(|name| name.eq("keyring").unwrap_or(false))
}

/// Stores the secret of a profile.
fn set(py: Python<'_>, profile: &str, secret: &Secret) -> PyResult<()> {
    py.import("keyring")?.call_method1("set_password", (SERVICE, profile, secret.reveal())).map(drop)
}

/// Removes the secret of a profile, if the keyring has one.
fn delete(py: Python<'_>, profile: &str) -> PyResult<()> {
    if get(py, profile)?.is_some() {
        py.import("keyring")?.call_method1("delete_password", (SERVICE, profile))?;
    }
    Ok(())
}

/// Returns the error of a failed call. `keep` gets the exception if it is an interrupt.
pub(crate) fn failure(py: Python<'_>, error: PyErr, keep: impl FnOnce(PyErr)) -> Error {
    if is_not_installed(py, &error) {
        return Error::configuration("the package keyring is not installed")
            .suggest("install it with pip install 'lmtokens[keyring]'");
    }
    // Its message may come from anywhere.
    let class = error.get_type(py).name().map_or_else(|_| "an error".to_owned(), |name| name.to_string());
    if !error.is_instance_of::<PyException>(py) {
        keep(error);
    }
    Error::credentials(format!("the keyring failed with {class}"))
}

/// The keyring for code that runs detached.
#[derive(Default)]
pub(crate) struct AttachedKeyring {
    /// Whether the user interrupted a call.
    pub(crate) interrupted: Arc<AtomicBool>,
}

impl AttachedKeyring {
    fn with<T>(&self, call: impl FnOnce(Python<'_>) -> PyResult<T>) -> Result<T> {
        let done = attached(|py| {
            call(py).map_err(|error| {
                failure(py, error, |_interrupt| self.interrupted.store(true, Ordering::Relaxed))
            })
        });
        done.unwrap_or_else(|| Err(Error::credentials("the interpreter exits")))
    }
}

impl Keyring for AttachedKeyring {
    fn is_available(&self) -> Result<bool> {
        self.with(is_available)
    }

    fn get(&self, name: &str) -> Result<Option<Secret>> {
        self.with(|py| get(py, name))
    }

    fn set(&self, name: &str, secret: &Secret) -> Result<()> {
        self.with(|py| set(py, name, secret))
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.with(|py| delete(py, name))
    }
}
