//! `Client`, and the native half of `AsyncClient`.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::client;
use crate::python::args::settings::{Asking, Settings, constructor, with_client_settings};
use crate::python::args::stub_types::Itself;
use crate::python::runtime::gate::GateGuard;
use crate::python::runtime::log::write_lost;

/// Calls one portal as one identity. Threads may share a client; connections are kept for 20 s of idleness.
///
/// What is not given is looked for in the environment, and what is not there either is asked for where a person sits
/// at a terminal or a notebook (and ``CI`` is not set). Credentials are taken whole from the first source that has any.
///
/// Args:
///     company (str | None): the bare name (``"acme"``), the portal's host or the URL of one of its pages. Environment:
///         ``LM_COMPANY``, also ``LM_ACCOUNT`` and ``LM_PORTAL``.
///     access_id (str | Secret | None): the access id of an LMv1 token. Environment: ``LM_ACCESS_ID``, also
///         ``LM_API_ID``.
///     access_key (str | Secret | None): its access key; one that begins with ``lmb_`` is a bearer token. Environment:
///         ``LM_ACCESS_KEY``, also ``LM_API_KEY``.
///     bearer_token (str | Secret | None): a bearer token, instead of a pair. Environment: ``LM_BEARER_TOKEN``, used
///         where no pair is set.
///     domain (str | None): what follows the company in the portal's host; default ``"logicmonitor.com"``. Environment:
///         ``LM_DOMAIN_NAME``.
///     base_url (str | None): the portal's address where it is not made of company and domain; https, or http to
///         loopback, ending with ``/santaba/rest``. Environment: ``LM_BASE_URL``.
///     timeout (float | tuple[float, float] | None): seconds that one request may take, or (seconds to connect, seconds
///         in all); default 30, of which 10 to connect. Environment: ``LM_TIMEOUT``.
///     ca_bundle (str | os.PathLike | None): a file of certificates in PEM, or a folder of such files, to trust instead
///         of the system's. Environment: ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, else ``REQUESTS_CA_BUNDLE``, else
///         ``CURL_CA_BUNDLE``. Certificate checks cannot be switched off.
///     client_cert (str | os.PathLike | tuple | None): a file with a certificate of our own and its private key in PEM,
///         or (certificate, private key) in two files; default none.
///     max_attempts (int): how often one request is sent at most, the first time included; default 3, 1 to 100. Only what
///         can do no harm is sent again: GET, PATCH and DELETE after a failed connection, a time-out, 502, 503 or 504; any
///         request that never reached the portal. A create that may have happened is never sent again.
///     deadline (float | None): seconds that one request may take with all its attempts, pauses and waits; default none.
///     on_limit (str): where the portal's budget is spent: ``"wait"`` (the default) or ``"raise"`` a ``RateLimitError``.
///         Budgets are learned from the portal's answers, and all clients of this process share them.
///     max_wait (float): seconds that one request may wait for its budget in all; default 120.
///     on_wait (Callable[[float], object] | None): called with the seconds that such a wait takes, as soon as they are more
///         than 2. It runs on the caller's thread (async: in its loop).
///     proxy (str | Secret | None): the URL of a proxy, ``http://USER:PASSWORD@HOST:PORT``, used for every request but
///         to loopback. Environment: ``HTTPS_PROXY``, else ``ALL_PROXY``, with the exceptions of ``NO_PROXY``.
///
/// Raises:
///     ConfigurationError: settings that contradict each other or cannot be used.
///     CredentialsError: no credentials, half a pair, or credentials that cannot be right.
///
/// Example:
///     >>> client = Client(company="acme", access_id="exampleAccessId00001", access_key="invented-key")
///     >>> client
///     <lmtokens.Client https://acme.logicmonitor.com/santaba/rest, LMv1 from arguments>
#[pyclass(frozen, module = "lmtokens", subclass)]
pub(crate) struct Client(Arc<PyClient>);

impl Client {
    pub(crate) fn of(py: Python<'_>, settings: Settings) -> PyResult<Self> {
        PyClient::new(py, settings, Asking::Allowed).map(Self)
    }

    pub(crate) fn py_client(&self) -> &Arc<PyClient> {
        &self.0
    }
}

with_client_settings! { constructor, Client, |py, settings| Self::of(py, settings) }

/// What `AsyncClient` is made of: each method returns an awaitable.
#[pyclass(frozen, module = "lmtokens._lmtokens", subclass)]
pub(crate) struct AsyncCore(Arc<PyClient>);

impl AsyncCore {
    pub(crate) fn py_client(&self) -> &Arc<PyClient> {
        &self.0
    }
}

with_client_settings! {
    // A question would stop the event loop.
    constructor, AsyncCore, |py, settings| PyClient::new(py, settings, Asking::Never).map(Self)
}

/// A client of the core, and what Python adds to it.
pub(crate) struct PyClient {
    core: client::Client,
    on_wait: Option<Py<PyAny>>,
}

impl PyClient {
    fn new(py: Python<'_>, settings: Settings, asking: Asking) -> PyResult<Arc<Self>> {
        let _inside = GateGuard::enter(py);
        let policy = settings.policy(py)?;
        let on_wait = settings.on_wait.as_ref().map(|on_wait| on_wait.0.clone_ref(py));
        let identity = settings.identity(py, asking)?;
        let core = client::Client::new(identity, Some(&embedder(py))).with_policy(policy);
        Ok(Arc::new(Self { core, on_wait }))
    }

    pub(crate) fn core(&self) -> &client::Client {
        &self.core
    }

    pub(crate) fn on_wait(&self) -> Option<&Py<PyAny>> {
        self.on_wait.as_ref()
    }
}

#[pymethods]
impl Client {
    /// Let go of the idle connections. The client stays usable: its next call makes new ones.
    fn close(&self) {
        self.0.core().close_connections();
    }

    fn __enter__(slf: Py<Self>) -> Itself {
        Itself(slf.into_any())
    }

    #[pyo3(signature = (*exception: "object") -> "None")]
    fn __exit__(&self, exception: &Bound<'_, PyAny>) {
        let _ = exception;
        self.close();
    }

    /// Names the portal and where the credentials come from, never the credentials.
    fn __repr__(&self) -> String {
        shown("Client", self.0.core())
    }

    #[allow(clippy::unused_self)]
    #[pyo3(signature = (protocol: "object", /) -> "str")]
    fn __reduce_ex__(&self, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let _ = protocol;
        Err(not_picklable())
    }
}

#[pymethods]
impl AsyncCore {
    fn _close(&self) {
        self.0.core().close_connections();
    }

    /// Tells what an awaited create ended with, which its caller will not get.
    #[pyo3(signature = (outcome: "object", /) -> "None")]
    #[allow(clippy::unused_self)]
    fn _lost(&self, outcome: &Bound<'_, PyAny>) -> PyResult<()> {
        write_lost(outcome)
    }

    /// Names the portal and where the credentials come from, never the credentials.
    fn __repr__(&self) -> String {
        shown("AsyncClient", self.0.core())
    }

    #[allow(clippy::unused_self)]
    #[pyo3(signature = (protocol: "object", /) -> "str")]
    fn __reduce_ex__(&self, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let _ = protocol;
        Err(not_picklable())
    }
}

fn shown(class: &str, client: &client::Client) -> String {
    let identity = client.identity();
    let (kind, from) = (identity.credentials.kind(), &identity.credentials_from);
    format!("<lmtokens.{class} {}, {kind} from {from}>", identity.portal)
}

fn not_picklable() -> PyErr {
    PyTypeError::new_err(
        "a client cannot be pickled or copied: its credentials would be written in the clear; make one where it is used, \
         from the environment (a forked child may use its parent's)",
    )
}

/// The interpreter, as it stands in the `User-Agent`.
pub(crate) fn embedder(py: Python<'_>) -> String {
    let version = py.version_info();
    let os = std::env::consts::OS;
    format!(
        "(CPython {}.{}.{}; {os} {})",
        version.major,
        version.minor,
        version.patch,
        std::env::consts::ARCH
    )
}
