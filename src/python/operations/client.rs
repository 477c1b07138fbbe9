//! `Client`, and the native part of `AsyncClient`.

use std::convert::Infallible;
use std::sync::Arc;

use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::client;
use crate::credentials::Identity;
use crate::error::Result;
use crate::event::Observer;
use crate::operation::Operation;
use crate::python::args::settings::{Asking, Settings, constructor, with_client_settings};
use crate::python::runtime::awaitable::{Awaitable, RunningLoop};
use crate::python::runtime::callback_queue::{CallbackQueue, Wakes};
use crate::python::runtime::gate::GateGuard;
use crate::python::runtime::log::warn;
use crate::python::runtime::wait::wait;

use super::supplier::Callable;

/// A client of one portal with one set of credentials. Threads may share it. Idle connections are kept for at most 20 s,
/// and no longer than the portal's ``Keep-Alive`` header allows.
///
/// Missing settings are read from the environment, then from a profile of the configuration file; a missing company or
/// credentials are then asked for if there is an interactive prompt (and ``CI`` is not set). Credentials are taken as a
/// whole from the first source that has any.
///
/// The configuration file is ``LM_CONFIG_FILE``, else ``lmtokens/config.toml`` in ``XDG_CONFIG_HOME`` or ``~/.config``
/// (Windows: in ``APPDATA``). It is read only if a call needs it. ``lmtokens profile`` manages it::
///
///     default = "acme"
///
///     [profiles.acme]
///     company = "acme"  # or base_url; also domain
///     access_id = "..."
///     access_key = "..."  # or bearer_token instead of both
///
/// In place of the secret, a profile may have ``keyring = true``: the secret is in the keyring of the operating system
/// (``pip install 'lmtokens[keyring]'``). Or it has ``credential_process = ["PROGRAM", "ARGUMENT"]``: a command that
/// prints the secret, or a JSON object with ``access_id`` and ``access_key``, or with ``bearer_token``. No shell is
/// involved, and the output is not shown. It is used as long as this process runs; if the object has ``expires`` or
/// ``Expiration`` (a time as in RFC 3339), the command is run again before then, and after a 401; the clients of the
/// process share its output. The command, but not what it started, is killed after 30 s.
///
/// Only the owner of the file may have access to it if it holds a secret. Credentials of a profile with an address are
/// not sent to another portal.
///
/// Args:
///     company (str | None): the name (``"acme"``), the portal's host or the URL of one of its pages. Environment:
///         ``LM_COMPANY``, also ``LM_ACCOUNT`` and ``LM_PORTAL``.
///     access_id (str | Secret | None): the access id of an LMv1 token. Environment: ``LM_ACCESS_ID``, also
///         ``LM_API_ID``.
///     access_key (str | Secret | None): its access key; one that begins with ``lmb_`` is a bearer token. Environment:
///         ``LM_ACCESS_KEY``, also ``LM_API_KEY``, or ``LM_ACCESS_KEY_FILE`` with the path of a file that holds it.
///     bearer_token (str | Secret | None): a bearer token, instead of a pair. Environment: ``LM_BEARER_TOKEN``, or
///         ``LM_BEARER_TOKEN_FILE`` with the path of a file that holds it; used if no pair is set.
///     profile (str | None): the profile that has the settings which no argument sets. The portal and the credentials of
///         the environment are then ignored. Environment: ``LM_PROFILE``, which is refused beside variables with
///         credentials. Default: if neither the arguments nor the environment have credentials, the file's default
///         profile.
///     domain (str | None): the part of the portal's host after the company; default ``"logicmonitor.com"``.
///         Environment: ``LM_DOMAIN_NAME``.
///     base_url (str | None): the portal's address, if it does not follow from company and domain; https, or http to
///         loopback, ending with ``/santaba/rest``. Environment: ``LM_BASE_URL``, which overrides ``company`` and
///         ``domain`` as well: ``repr`` and ``whoami`` say so, and unless it is on loopback, a warning is logged.
///     timeout (float | tuple[float, float] | None): seconds for one attempt, or (seconds to connect, seconds in
///         total); default 30, of which 10 to connect. The look at the portal after a lost create takes at most this
///         long too, and at most 10 s. Environment: ``LM_TIMEOUT``.
///     ca_bundle (str | os.PathLike | None): a PEM file of certificates, or a folder of such files, to trust instead of
///         the system's. Environment: ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, else ``REQUESTS_CA_BUNDLE``, else
///         ``CURL_CA_BUNDLE``. Certificate checks cannot be disabled.
///     client_cert (str | os.PathLike | tuple | None): a PEM file with a client certificate and its private key, or
///         (certificate, private key) in two files; default none.
///     credentials (Callable[[], object] | None): a callable that supplies the credentials, instead of the arguments, the
///         environment and a profile. It takes no argument and returns a bearer token, a tuple (access_id, access_key), or
///         a mapping with ``access_id`` and ``access_key`` or with ``bearer_token``, and possibly ``expires`` (an aware
///         datetime, or a timedelta or seconds from now). It is called by the first request, not by the constructor; again
///         a minute before the credentials expire (if they are valid for less than ten minutes: a tenth of that time earlier);
///         and after the portal's 401, when the request is sent once more if the credentials are others. A create without
///         ``deliver`` and ``expires`` is not: its 401 is raised, and the next call uses the new credentials. Nor is a
///         deletion or a disabling without ``force``: it uses the credentials that were compared with the token. Calls at
///         the same time wait for one call of it (in ``AsyncClient``, those of one event loop). Its exceptions are raised
///         as they are, or as the cause of a ``CredentialsError`` if the portal may have acted on an earlier request. It
///         runs on the thread of the call that needs it; ``AsyncClient`` runs it in a thread, or awaits a coroutine function
///         in its loop. It must not use this client.
///     max_attempts (int): the maximum number of attempts of one request, 1 to 100; default 3. Only harmless retries
///         happen: GET, PATCH and DELETE after a failed connection, a timeout, 502, 503 or 504; any request that cannot
///         have reached the portal. A create that may have happened is never retried.
///     deadline (float | None): seconds for one call with all its requests, attempts, pauses and waits; default none. For
///         a list, the time that its pages take in total; for a bulk run, the time of each row.
///     on_limit (str): when a rate limit is reached: ``"wait"`` (the default) or ``"raise"`` a ``RateLimitError``. Rate
///         limits are learned from the portal's responses and shared by all clients of the process.
///     max_wait (float): the maximum of seconds that one request waits for its rate limit; default 120.
///     on_wait (Callable[[float], object] | None): called with the seconds of a wait that takes more than 2. It runs on
///         the caller's thread (async: in its loop).
///     proxy (str | Secret | None): the URL of a proxy, ``http://USER:PASSWORD@HOST:PORT``, for all requests except
///         to loopback. Environment: ``HTTPS_PROXY``, else ``ALL_PROXY``, with the exceptions of ``NO_PROXY``.
///
/// Raises:
///     ConfigurationError: settings that are invalid or contradict each other.
///     CredentialsError: no credentials, half a pair, or malformed credentials.
///
/// Example:
///     >>> client = Client(company="acme", access_id="exampleAccessId00001", access_key="invented-key")
///     >>> client
///     <lmtokens.Client https://acme.logicmonitor.com/santaba/rest, LMv1 from arguments>
#[pyclass(frozen, module = "lmtokens", subclass)]
pub(crate) struct Client(Arc<PyClient>);

impl Client {
    pub(crate) fn from_settings(py: Python<'_>, settings: Settings) -> PyResult<Self> {
        PyClient::new(py, settings, Asking::Allowed).map(Self)
    }

    pub(crate) fn py_client(&self) -> &Arc<PyClient> {
        &self.0
    }
}

with_client_settings! { constructor, Client, |py, settings| Self::from_settings(py, settings) }

/// The native base of `AsyncClient`: its methods return futures with their calls, of which `AsyncClient` makes
/// coroutines.
#[pyclass(name = "_AsyncCore", frozen, module = "lmtokens._lmtokens", subclass)]
pub(crate) struct AsyncCore(Arc<PyClient>);

impl AsyncCore {
    pub(crate) fn py_client(&self) -> &Arc<PyClient> {
        &self.0
    }
}

with_client_settings! {
    // A prompt would block the event loop.
    constructor, AsyncCore, |py, settings| PyClient::new(py, settings, Asking::Never).map(Self)
}

/// A client of the core with its Python callbacks.
pub(crate) struct PyClient {
    core: client::Client,
    on_wait: Option<Py<PyAny>>,
    credentials: Option<Arc<Callable>>,
}

impl PyClient {
    /// Shows the callbacks to the garbage collector: they may refer to the client. Those that a call uses are kept.
    fn traverse(self: &Arc<Self>, visit: &PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        if Arc::strong_count(self) > 1 {
            return Ok(());
        }
        visit.call(&self.on_wait)?;
        match &self.credentials {
            Some(callable) if Arc::strong_count(callable) == 1 => callable.traverse(visit),
            _ => Ok(()),
        }
    }

    fn new(py: Python<'_>, settings: Settings, asking: Asking) -> PyResult<Arc<Self>> {
        let _inside = GateGuard::enter(py);
        let policy = settings.policy(py)?;
        let on_wait = settings.on_wait.as_ref().map(|on_wait| on_wait.0.clone_ref(py));
        // An async client never asks.
        let has_loop = asking == Asking::Never;
        let credentials = settings.credentials.as_ref();
        let credentials = credentials.map(|given| Callable::new(given.0.bind(py), has_loop)).transpose()?;
        let identity = settings.identity(py, asking)?;
        warn_of_override(py, &identity)?;
        let core = client::Client::new(identity, Some(&user_agent_suffix(py))).with_policy(policy);
        Ok(Arc::new(Self { core, on_wait, credentials: credentials.map(Arc::new) }))
    }

    pub(crate) fn core(&self) -> &client::Client {
        &self.core
    }

    /// Returns the client for a call whose callbacks run in `queue`.
    pub(crate) fn core_for(&self, py: Python<'_>, queue: &Arc<CallbackQueue>) -> PyResult<client::Client> {
        let core = self.core.observed_by(Arc::clone(queue) as Arc<dyn Observer>);
        match &self.credentials {
            Some(callable) => Ok(core.supplied_by(callable.supplier(py, queue)?)),
            None => Ok(core),
        }
    }

    /// Returns the queue of a call on this thread.
    pub(crate) fn queue_on_thread(&self, py: Python<'_>) -> (Arc<CallbackQueue>, Wakes) {
        CallbackQueue::on_thread(py, self.on_wait.as_ref())
    }

    /// Returns the queue of a call in an event loop.
    pub(crate) fn queue_in_loop(&self, running: &RunningLoop<'_>) -> Arc<CallbackQueue> {
        running.callback_queue(self.on_wait.as_ref())
    }

    /// Runs an operation and returns its result.
    pub(crate) fn wait<O: Operation>(
        &self,
        py: Python<'_>,
        operation: impl FnOnce(&Arc<CallbackQueue>) -> Result<O>,
    ) -> PyResult<O::Output> {
        let (queue, wakes) = self.queue_on_thread(py);
        let operation = operation(&queue)?;
        wait(py, &self.core_for(py, &queue)?, &queue, wakes, operation)
    }

    /// Starts an operation and returns the future of its result, with its call.
    pub(crate) fn awaitable<'py, O>(
        &self,
        py: Python<'py>,
        operation: impl FnOnce(&Arc<CallbackQueue>) -> Result<O>,
    ) -> PyResult<Awaitable<'py, O::Output>>
    where
        O: Operation,
        O::Output: for<'a> IntoPyObject<'a>,
    {
        let running = RunningLoop::enter(py)?;
        let queue = self.queue_in_loop(&running);
        let operation = operation(&queue)?;
        running.start(&self.core_for(py, &queue)?, &queue, operation)
    }
}

#[pymethods]
impl Client {
    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        self.0.traverse(&visit)
    }

    /// str: the portal's address, ending with ``/santaba/rest``.
    #[getter]
    fn base_url(&self) -> String {
        self.0.core().identity().portal.base_url().to_owned()
    }

    /// Close the idle connections. The client stays usable: the next call opens new ones.
    fn close(&self) {
        self.0.core().close_connections();
    }

    fn __enter__(slf: Py<Self>) -> SelfObject {
        SelfObject(slf.into_any())
    }

    #[pyo3(signature = (*exception: "object") -> "None")]
    fn __exit__(&self, exception: &Bound<'_, PyAny>) {
        let _ = exception;
        self.close();
    }

    /// Return the portal and the source of the credentials, never the credentials.
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
    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        self.0.traverse(&visit)
    }

    /// str: the portal's address, ending with ``/santaba/rest``.
    #[getter]
    fn base_url(&self) -> String {
        self.0.core().identity().portal.base_url().to_owned()
    }

    fn _close(&self) {
        self.0.core().close_connections();
    }

    /// Return the portal and the source of the credentials, never the credentials.
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
    let (kind, from) = (identity.kind(), &identity.credentials_from);
    format!("<lmtokens.{class} {}, {kind} from {from}>", identity.shown_portal())
}

/// Logs a warning if the environment overrides an explicit portal. Logging must not change the result.
pub(crate) fn warn_of_override(py: Python<'_>, identity: &Identity) -> PyResult<()> {
    let Some(warning) = identity.override_warning(str::to_owned) else { return Ok(()) };
    match warn(py, warning) {
        Err(error) if error.is_instance_of::<PyException>(py) => {
            error.write_unraisable(py, None);
            Ok(())
        }
        outcome => outcome,
    }
}

fn not_picklable() -> PyErr {
    PyTypeError::new_err(
        "cannot pickle or copy a client: its credentials would be stored in plain text; create it where it is used, from the \
         environment (a forked child may use its parent's)",
    )
}

/// Returns the part of the `User-Agent` that describes the interpreter.
pub(crate) fn user_agent_suffix(py: Python<'_>) -> String {
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

/// The object whose method was called, of whatever subclass.
pub(crate) struct SelfObject(pub(crate) Py<PyAny>);

impl<'py> IntoPyObject<'py> for SelfObject {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = Infallible;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = pyo3::type_hint_identifier!("typing_extensions", "Self");

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
        Ok(self.0.into_bound(py))
    }
}
