//! The settings of a client, as every constructor takes them.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::client::{OnLimit, Policy};
use crate::credentials::{Arguments, Identity};
use crate::network;
use crate::ports::{NoPrompt, Prompt};
use crate::python::args::domain::{CaBundle, Certificate, Timeout, type_name};
use crate::python::args::environment::{OsEnviron, PythonPrompt};
use crate::python::args::stub_types::OnWait;
use crate::python::types::errors::exception;
use crate::secret::Secret;

/// What a caller gave.
pub(crate) struct Settings {
    pub(crate) company: Option<String>,
    pub(crate) access_id: Option<Secret>,
    pub(crate) access_key: Option<Secret>,
    pub(crate) bearer_token: Option<Secret>,
    pub(crate) domain: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) timeout: Option<Timeout>,
    pub(crate) ca_bundle: Option<CaBundle>,
    pub(crate) client_cert: Option<Certificate>,
    pub(crate) proxy: Option<Secret>,
    pub(crate) max_attempts: i64,
    pub(crate) deadline: Option<f64>,
    pub(crate) on_limit: &'static str,
    pub(crate) max_wait: f64,
    pub(crate) on_wait: Option<OnWait>,
}

/// Whether a person may be asked for what is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    Allowed,
    Never,
}

impl Settings {
    pub(crate) fn none() -> Self {
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
            max_attempts: 3,
            deadline: None,
            on_limit: "wait",
            max_wait: 120.0,
            on_wait: None,
        }
    }

    /// How often, how long, and what where the budget is spent.
    pub(crate) fn policy(&self, py: Python<'_>) -> PyResult<Policy> {
        if let Some(on_wait) = self.on_wait.as_ref().filter(|on_wait| !on_wait.0.bind(py).is_callable()) {
            let given = type_name(on_wait.0.bind(py))?;
            return Err(PyTypeError::new_err(format!(
                "on_wait cannot be a {given}: accepted is a callable that takes a number of seconds"
            )));
        }
        OnLimit::parse(self.on_limit)
            .and_then(|on_limit| {
                Policy::new(Some(self.max_attempts), self.deadline, on_limit, Some(self.max_wait))
            })
            .map_err(|error| exception(py, error))
    }

    /// Follows the chain of sources.
    pub(crate) fn identity(self, py: Python<'_>, asking: Asking) -> PyResult<Identity> {
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
        $crate::python::args::settings::with_settings! { @ [] [] [] $define, $($rest)* }
    };
    (@ [$($signature:tt)*] [$($parameters:tt)*] [$($name:ident)*] $define:ident, $($rest:tt)*) => {
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
                $($signature)*
            ]
            [
                #[pyo3(from_py_with = $crate::python::args::plain::setting::company)] company: Option<String>,
                #[pyo3(from_py_with = $crate::python::args::plain::setting::access_id)] access_id: Option<$crate::secret::Secret>,
                #[pyo3(from_py_with = $crate::python::args::plain::setting::access_key)] access_key: Option<$crate::secret::Secret>,
                #[pyo3(from_py_with = $crate::python::args::plain::setting::bearer_token)] bearer_token: Option<$crate::secret::Secret>,
                #[pyo3(from_py_with = $crate::python::args::plain::setting::domain)] domain: Option<String>,
                #[pyo3(from_py_with = $crate::python::args::plain::setting::base_url)] base_url: Option<String>,
                timeout: Option<$crate::python::args::domain::Timeout>,
                ca_bundle: Option<$crate::python::args::domain::CaBundle>,
                client_cert: Option<$crate::python::args::domain::Certificate>,
                #[pyo3(from_py_with = $crate::python::args::plain::setting::proxy)] proxy: Option<$crate::secret::Secret>,
                $($parameters)*
            ]
            [
                company access_id access_key bearer_token domain base_url timeout ca_bundle client_cert proxy
                $($name)*
            ]
            $($rest)*
        }
    };
}

/// As `with_settings`, with what only a client takes.
macro_rules! with_client_settings {
    ($define:ident, $($rest:tt)*) => {
        $crate::python::args::settings::with_settings! {
            @
            [
                max_attempts: "int" = 3,
                deadline: "float | None" = None,
                on_limit: "str" = "wait",
                max_wait: "float" = 120.0,
                on_wait = None,
            ]
            [
                #[pyo3(from_py_with = $crate::python::args::plain::setting::max_attempts)] max_attempts: i64,
                #[pyo3(from_py_with = $crate::python::args::plain::setting::deadline)] deadline: Option<f64>,
                #[pyo3(from_py_with = $crate::python::args::plain::setting::on_limit)] on_limit: &'static str,
                #[pyo3(from_py_with = $crate::python::args::plain::setting::max_wait)] max_wait: f64,
                on_wait: Option<$crate::python::args::stub_types::OnWait>,
            ]
            [max_attempts deadline on_limit max_wait on_wait]
            $define, $($rest)*
        }
    };
}

/// Defines the constructor of a class.
macro_rules! constructor {
    (
        [$($signature:tt)*] [$($parameters:tt)*] [$($name:ident)*]
        $class:ident, |$py:ident, $settings:ident| $body:expr
    ) => {
        #[pymethods]
        impl $class {
            #[new]
            #[pyo3(signature = ($($signature)*) -> "Self")]
            #[allow(clippy::too_many_arguments)]
            fn new($py: Python<'_>, $($parameters)*) -> PyResult<Self> {
                #[allow(clippy::needless_update)]
                let $settings = $crate::python::args::settings::Settings {
                    $($name,)*
                    ..$crate::python::args::settings::Settings::none()
                };
                $body
            }
        }
    };
}

/// Defines a function.
macro_rules! function_of_settings {
    (
        [$($signature:tt)*] [$($parameters:tt)*] [$($name:ident)*]
        $(#[$attribute:meta])*
        fn $function:ident -> $returns:literal, $result:ty, |$py:ident, $settings:ident| $body:expr
    ) => {
        $(#[$attribute])*
        #[pyfunction]
        #[pyo3(signature = ($($signature)*) -> $returns)]
        #[allow(clippy::too_many_arguments)]
        pub(crate) fn $function($py: Python<'_>, $($parameters)*) -> PyResult<$result> {
            #[allow(clippy::needless_update)]
            let $settings = $crate::python::args::settings::Settings {
                $($name,)*
                ..$crate::python::args::settings::Settings::none()
            };
            $body
        }
    };
}

pub(crate) use {constructor, function_of_settings, with_client_settings, with_settings};
