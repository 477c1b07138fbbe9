//! The settings of a client, as all constructors take them.

use pyo3::prelude::*;

use crate::client::Policy;
use crate::credentials::{Arguments, Environment, Identity, NoPrompt, Prompt, Timeouts};
use crate::network;
use crate::python::args::domain::Certificate;
use crate::python::args::environment::{OsEnviron, PythonPrompt};
use crate::python::args::plain::wrong_type;
use crate::python::args::stub_types::{CaBundle, CredentialsCallable, OnWait};
use crate::secret::Secret;

/// The settings as a caller gave them.
pub(crate) struct Settings {
    pub(crate) company: Option<String>,
    pub(crate) access_id: Option<Secret>,
    pub(crate) access_key: Option<Secret>,
    pub(crate) bearer_token: Option<Secret>,
    pub(crate) credentials: Option<CredentialsCallable>,
    pub(crate) profile: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) timeout: Option<Timeouts>,
    pub(crate) ca_bundle: Option<CaBundle>,
    pub(crate) client_cert: Option<Certificate>,
    pub(crate) proxy: Option<Secret>,
    pub(crate) max_attempts: i64,
    pub(crate) deadline: Option<f64>,
    pub(crate) on_limit: &'static str,
    pub(crate) max_wait: f64,
    pub(crate) on_wait: Option<OnWait>,
}

/// Whether missing settings may be asked for at a prompt.
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
            credentials: None,
            profile: None,
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

    /// Returns the policy for retries, timeouts and rate limits.
    pub(crate) fn policy(&self, py: Python<'_>) -> PyResult<Policy> {
        if let Some(on_wait) = self.on_wait.as_ref().filter(|on_wait| !on_wait.0.bind(py).is_callable()) {
            let expected = "a callable that takes a number of seconds";
            return Err(wrong_type("on_wait", expected, on_wait.0.bind(py)));
        }
        let on_limit = self.on_limit.parse()?;
        Ok(Policy::new(Some(self.max_attempts), self.deadline, on_limit, Some(self.max_wait))?)
    }

    /// Resolves the credential sources and the settings of requests.
    pub(crate) fn identity(self, py: Python<'_>, asking: Asking) -> PyResult<Identity> {
        self.resolved(py, asking, Identity::resolve)
    }

    /// Resolves the credential sources. Settings of requests are ignored, unless they are arguments.
    pub(crate) fn identity_for_signing(self, py: Python<'_>) -> PyResult<Identity> {
        self.resolved(py, Asking::Allowed, Identity::resolve_for_signing)
    }

    /// Resolves what depends on the credential sources.
    pub(crate) fn resolved<T>(
        self,
        py: Python<'_>,
        asking: Asking,
        resolve: impl FnOnce(&Arguments, &dyn Environment, &dyn Prompt) -> crate::error::Result<T>,
    ) -> PyResult<T> {
        let arguments = Arguments {
            company: self.company,
            domain: self.domain,
            base_url: self.base_url,
            access_id: self.access_id,
            access_key: self.access_key,
            bearer_token: self.bearer_token,
            callable: self.credentials.is_some(),
            profile: self.profile,
            timeouts: self.timeout,
            network: network::Arguments {
                ca_bundle: self.ca_bundle.map(|bundle| bundle.0),
                client_cert: self.client_cert.map(Certificate::paths),
                proxy: self.proxy,
            },
        };
        let environment = OsEnviron::new(py)?;
        let prompt = PythonPrompt::new(py);
        let asked: &dyn Prompt = if asking == Asking::Allowed { &prompt } else { &NoPrompt };
        resolve(&arguments, &environment, asked).map_err(|error| {
            let interrupt = environment.interrupt().or_else(|| prompt.interrupt());
            interrupt.unwrap_or_else(|| error.into())
        })
    }
}

/// Readers of the settings.
pub(crate) mod setting {
    use pyo3::prelude::*;

    use crate::client::OnLimit;
    use crate::python::args::domain::{one_of, read_secret};
    use crate::python::args::plain::{arguments, number, optional, seconds, text};
    use crate::secret::Secret;

    arguments! {
        company: Option<String> = optional(text);
        access_id: Option<Secret> = optional(read_secret);
        access_key: Option<Secret> = optional(read_secret);
        bearer_token: Option<Secret> = optional(read_secret);
        profile: Option<String> = optional(text);
        domain: Option<String> = optional(text);
        base_url: Option<String> = optional(text);
        proxy: Option<Secret> = optional(read_secret);
        max_attempts: i64 = number("1 to 100");
        deadline: Option<f64> = optional(seconds);
        on_limit: &'static str = one_of::<OnLimit>(&["wait", "raise"]);
        max_wait: f64 = seconds;
    }
}

/// Passes the list of settings to a macro that defines a function, so that the list is written once: as a Python
/// signature, as Rust parameters and as names.
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
                profile: "str | None" = None,
                domain: "str | None" = None,
                base_url: "str | None" = None,
                timeout: "float | tuple[float, float] | None" = None,
                ca_bundle = None,
                client_cert = None,
                proxy: "str | Secret | None" = None,
                $($signature)*
            ]
            [
                #[pyo3(from_py_with = $crate::python::args::settings::setting::company)] company: Option<String>,
                #[pyo3(from_py_with = $crate::python::args::settings::setting::access_id)] access_id: Option<$crate::secret::Secret>,
                #[pyo3(from_py_with = $crate::python::args::settings::setting::access_key)] access_key: Option<$crate::secret::Secret>,
                #[pyo3(from_py_with = $crate::python::args::settings::setting::bearer_token)] bearer_token: Option<$crate::secret::Secret>,
                #[pyo3(from_py_with = $crate::python::args::settings::setting::profile)] profile: Option<String>,
                #[pyo3(from_py_with = $crate::python::args::settings::setting::domain)] domain: Option<String>,
                #[pyo3(from_py_with = $crate::python::args::settings::setting::base_url)] base_url: Option<String>,
                timeout: Option<$crate::credentials::Timeouts>,
                ca_bundle: Option<$crate::python::args::stub_types::CaBundle>,
                client_cert: Option<$crate::python::args::domain::Certificate>,
                #[pyo3(from_py_with = $crate::python::args::settings::setting::proxy)] proxy: Option<$crate::secret::Secret>,
                $($parameters)*
            ]
            [
                company access_id access_key bearer_token profile domain base_url timeout ca_bundle client_cert
                proxy
                $($name)*
            ]
            $($rest)*
        }
    };
}

/// As `with_settings`, with the settings of clients only.
macro_rules! with_client_settings {
    ($define:ident, $($rest:tt)*) => {
        $crate::python::args::settings::with_settings! {
            @
            [
                credentials = None,
                max_attempts: "int" = 3,
                deadline: "float | None" = None,
                on_limit: "Literal['wait', 'raise']" = "wait",
                max_wait: "float" = 120.0,
                on_wait = None,
            ]
            [
                credentials: Option<$crate::python::args::stub_types::CredentialsCallable>,
                #[pyo3(from_py_with = $crate::python::args::settings::setting::max_attempts)] max_attempts: i64,
                #[pyo3(from_py_with = $crate::python::args::settings::setting::deadline)] deadline: Option<f64>,
                #[pyo3(from_py_with = $crate::python::args::settings::setting::on_limit)] on_limit: &'static str,
                #[pyo3(from_py_with = $crate::python::args::settings::setting::max_wait)] max_wait: f64,
                on_wait: Option<$crate::python::args::stub_types::OnWait>,
            ]
            [credentials max_attempts deadline on_limit max_wait on_wait]
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
