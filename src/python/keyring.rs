//! The keyring of the operating system, through the package `keyring`, which is imported only if it is needed. It is
//! called from native code, so that no Python frame of this package holds a secret.

use pyo3::exceptions::{PyException, PyImportError};
use pyo3::prelude::*;

use crate::error::Error;
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
#[cfg(feature = "cli")]
pub(crate) fn is_available(py: Python<'_>) -> PyResult<bool> {
    // The backends that stand for none have a priority of 0 or less.
    py.import("keyring")?.call_method0("get_keyring")?.getattr("priority")?.gt(0)
}

/// Stores the secret of a profile.
#[cfg(feature = "cli")]
pub(crate) fn set(py: Python<'_>, profile: &str, secret: &Secret) -> PyResult<()> {
    py.import("keyring")?.call_method1("set_password", (SERVICE, profile, secret.reveal())).map(drop)
}

/// Removes the secret of a profile, if the keyring has one.
#[cfg(feature = "cli")]
pub(crate) fn delete(py: Python<'_>, profile: &str) -> PyResult<()> {
    if get(py, profile)?.is_some() {
        py.import("keyring")?.call_method1("delete_password", (SERVICE, profile))?;
    }
    Ok(())
}

/// Returns the error of a failed call. `keep` gets the exception if it is an interrupt.
pub(crate) fn failure(py: Python<'_>, error: PyErr, keep: impl FnOnce(PyErr)) -> Error {
    let message = if error.is_instance_of::<PyImportError>(py) {
        return Error::configuration("the package keyring is not installed")
            .suggest("install it with pip install 'lmtokens[keyring]'");
    } else {
        // Its message may come from anywhere.
        let class = error.get_type(py).name().map_or_else(|_| "an error".to_owned(), |name| name.to_string());
        format!("the keyring failed with {class}")
    };
    if !error.is_instance_of::<PyException>(py) {
        keep(error);
    }
    Error::credentials(message)
}
