//! The settings of a client, as every constructor takes them.

use pyo3::prelude::*;

use super::convert::{CaBundle, Certificate, Timeout};
use super::environment::{OsEnviron, PythonPrompt};
use super::errors::exception;
use crate::credentials::{Arguments, Identity};
use crate::network;
use crate::ports::{NoPrompt, Prompt};
use crate::secret::Secret;

/// What a caller gave.
pub(super) struct Settings {
    pub(super) company: Option<String>,
    pub(super) access_id: Option<Secret>,
    pub(super) access_key: Option<Secret>,
    pub(super) bearer_token: Option<Secret>,
    pub(super) domain: Option<String>,
    pub(super) base_url: Option<String>,
    pub(super) timeout: Option<Timeout>,
    pub(super) ca_bundle: Option<CaBundle>,
    pub(super) client_cert: Option<Certificate>,
    pub(super) proxy: Option<Secret>,
}

/// Whether a person may be asked for what is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    Allowed,
    Never,
}

impl Settings {
    pub(super) fn none() -> Self {
        Self {
            company: None,
            access_id: None,
            access_key: None,
            bearer_token: None,
            domain: None,
            base_url: None,
            timeout: None,
            ca_bundle: None,
            client_cert: None,
            proxy: None,
        }
    }

    /// Follows the chain of sources.
    pub(super) fn identity(self, py: Python<'_>, asking: Asking) -> PyResult<Identity> {
        let arguments = Arguments {
            company: self.company,
            domain: self.domain,
            base_url: self.base_url,
            access_id: self.access_id,
            access_key: self.access_key,
            bearer_token: self.bearer_token,
            timeouts: self.timeout.map(|timeout| timeout.0),
            network: network::Arguments {
                ca_bundle: self.ca_bundle.map(|bundle| bundle.0),
                client_cert: self.client_cert.map(Certificate::paths),
                proxy: self.proxy,
            },
        };
        let environment = OsEnviron::new(py)?;
        let prompt = PythonPrompt::new(py);
        let asked: &dyn Prompt = if asking == Asking::Allowed { &prompt } else { &NoPrompt };
        Identity::resolve(&arguments, &environment, asked).map_err(|error| {
            let interrupt = environment.interrupt().or_else(|| prompt.interrupt());
            interrupt.unwrap_or_else(|| exception(py, error))
        })
    }
}

/// Hands the list of settings to a macro that defines what takes them, so that it is written once: as a Python
/// signature, as Rust parameters, and as names.
macro_rules! with_settings {
    ($define:ident, $($rest:tt)*) => {
        $define! {
            [
                company: "str | None" = None,
                *,
                access_id: "str | Secret | None" = None,
                access_key: "str | Secret | None" = None,
                bearer_token: "str | Secret | None" = None,
                domain: "str | None" = None,
                base_url: "str | None" = None,
                timeout: "float | tuple[float, float] | None" = None,
                ca_bundle = None,
                client_cert = None,
                proxy: "str | Secret | None" = None,
            ]
            [
                #[pyo3(from_py_with = $crate::python::arguments::setting::company)] company: Option<String>,
                #[pyo3(from_py_with = $crate::python::arguments::setting::access_id)] access_id: Option<$crate::secret::Secret>,
                #[pyo3(from_py_with = $crate::python::arguments::setting::access_key)] access_key: Option<$crate::secret::Secret>,
                #[pyo3(from_py_with = $crate::python::arguments::setting::bearer_token)] bearer_token: Option<$crate::secret::Secret>,
                #[pyo3(from_py_with = $crate::python::arguments::setting::domain)] domain: Option<String>,
                #[pyo3(from_py_with = $crate::python::arguments::setting::base_url)] base_url: Option<String>,
                timeout: Option<$crate::python::convert::Timeout>,
                ca_bundle: Option<$crate::python::convert::CaBundle>,
                client_cert: Option<$crate::python::convert::Certificate>,
                #[pyo3(from_py_with = $crate::python::arguments::setting::proxy)] proxy: Option<$crate::secret::Secret>,
            ]
            [
                company, access_id, access_key, bearer_token, domain, base_url, timeout, ca_bundle, client_cert, proxy
            ]
            $($rest)*
        }
    };
}

/// Defines the constructor of a class.
macro_rules! constructor {
    (
        [$($signature:tt)*] [$($parameters:tt)*] [$($name:ident),*]
        $class:ident, |$py:ident, $settings:ident| $body:expr
    ) => {
        #[pymethods]
        impl $class {
            #[new]
            #[pyo3(signature = ($($signature)*))]
            #[allow(clippy::too_many_arguments)]
            fn new($py: Python<'_>, $($parameters)*) -> PyResult<Self> {
                let $settings = $crate::python::settings::Settings { $($name),* };
                $body
            }
        }
    };
}

/// Defines a function.
macro_rules! function_of_settings {
    (
        [$($signature:tt)*] [$($parameters:tt)*] [$($name:ident),*]
        $(#[$attribute:meta])*
        fn $function:ident -> $returns:literal, $result:ty, |$py:ident, $settings:ident| $body:expr
    ) => {
        $(#[$attribute])*
        #[pyfunction]
        #[pyo3(signature = ($($signature)*) -> $returns)]
        #[allow(clippy::too_many_arguments)]
        pub(super) fn $function($py: Python<'_>, $($parameters)*) -> PyResult<$result> {
            let $settings = $crate::python::settings::Settings { $($name),* };
            $body
        }
    };
}

pub(super) use {constructor, function_of_settings, with_settings};
