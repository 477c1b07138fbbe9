//! `Client`: the blocking face.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::convert::{AdminId, Timeout, status, token_type};
use super::environment::{OsEnviron, PythonPrompt};
use super::errors::exception;
use super::secret::SecretText;
use super::token::Token;
use super::wait::wait;
use crate::client;
use crate::credentials::{Arguments, Identity};
use crate::model::{TokenStatus, TokenType};
use crate::tokens::AddToken;

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
pub(super) struct Client(client::Client);

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (
        company: "str | None" = None,
        *,
        access_id: "str | Secret | None" = None,
        access_key: "str | Secret | None" = None,
        bearer_token: "str | Secret | None" = None,
        domain: "str | None" = None,
        base_url: "str | None" = None,
        timeout: "float | tuple[float, float] | None" = None,
    ))]
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        py: Python<'_>,
        company: Option<Bound<'_, PyString>>,
        access_id: Option<SecretText>,
        access_key: Option<SecretText>,
        bearer_token: Option<SecretText>,
        domain: Option<Bound<'_, PyString>>,
        base_url: Option<Bound<'_, PyString>>,
        timeout: Option<Timeout>,
    ) -> PyResult<Self> {
        let text = |text: Option<Bound<'_, PyString>>| text.map(|text| text.extract::<String>()).transpose();
        let arguments = Arguments {
            company: text(company)?,
            domain: text(domain)?,
            base_url: text(base_url)?,
            access_id: access_id.map(|secret| secret.0),
            access_key: access_key.map(|secret| secret.0),
            bearer_token: bearer_token.map(|secret| secret.0),
            timeouts: timeout.map(|timeout| timeout.0),
        };
        let prompt = PythonPrompt::new(py);
        match Identity::resolve(&arguments, &OsEnviron::new(py)?, &prompt) {
            Ok(identity) => Ok(Self(client::Client::new(identity, Some(&embedder(py))))),
            Err(error) => Err(prompt.interrupt().unwrap_or_else(|| exception(py, error))),
        }
    }

    #[doc = include_str!("doc/add_token.md")]
    #[pyo3(signature = (
        admin_id: "int",
        note: "str | None" = None,
        status: "int | str | TokenStatus" = 2,
        *,
        r#type: "str | TokenType" = "lmv1",
    ) -> "Token")]
    pub(super) fn add_token(
        &self,
        py: Python<'_>,
        admin_id: AdminId,
        note: Option<String>,
        #[pyo3(from_py_with = status)] status: i64,
        #[pyo3(from_py_with = token_type)] r#type: &str,
    ) -> PyResult<Token> {
        let r#type = TokenType::parse(r#type).map_err(|error| exception(py, error))?;
        let verb = AddToken { admin_id: admin_id.0, note, status: TokenStatus::from_number(status), r#type };
        wait(py, &self.0, |client| async move { verb.run(&client).await }).map(Token::from)
    }

    /// Let go of the idle connections. The client stays usable: its next call makes new ones.
    fn close(&self) {
        self.0.close_connections();
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*exception: "object") -> "None")]
    fn __exit__(&self, exception: &Bound<'_, PyAny>) {
        let _ = exception;
        self.close();
    }

    /// Names the portal and where the credentials come from, never the credentials.
    fn __repr__(&self) -> String {
        let identity = self.0.identity();
        format!(
            "<lmtokens.Client {}, {} from {}>",
            identity.portal,
            identity.credentials.kind(),
            identity.credentials_from
        )
    }

    #[allow(clippy::unused_self)]
    #[pyo3(signature = (protocol: "object", /) -> "str")]
    fn __reduce_ex__(&self, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let _ = protocol;
        Err(PyTypeError::new_err(
            "a Client cannot be pickled or copied: its credentials would be written in the clear; make one where it is \
             used, from the environment (a forked child may use its parent's)",
        ))
    }
}

/// The interpreter, as it stands in the `User-Agent`.
pub(super) fn embedder(py: Python<'_>) -> String {
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
