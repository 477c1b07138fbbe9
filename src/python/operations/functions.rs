//! The default client of the module functions, `sign` and `explain_signature`.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use pyo3::prelude::*;

use crate::clock::{Clock as _, SystemClock};
use crate::explain::{self, SentRequest};
use crate::lmv1::{self, SigningKey};
use crate::python::args::domain::{self, Body};
use crate::python::args::plain;
use crate::python::args::settings::{Asking, Settings, function_of_settings, setting, with_client_settings};
use crate::python::operations::client::Client;
use crate::python::types::explanation::SignatureExplanation;
use crate::secret::Secret;
use crate::{credentials, error, signer};

/// Not a lock: a forked child could inherit it locked.
static DEFAULT_CLIENT: ArcSwapOption<Py<Client>> = ArcSwapOption::const_empty();

/// Return the client of the module functions: the one from ``configure``, or one created from the environment or the
/// default profile now.
///
/// A failure is not remembered: the next call tries again.
///
/// Returns:
///     Client: the same object until ``configure`` is called.
///
/// Raises:
///     ConfigurationError, CredentialsError: the environment and the default profile do not name a portal, or have no
///         credentials.
#[pyfunction]
#[pyo3(signature = () -> "Client")]
pub(crate) fn default_client(py: Python<'_>) -> PyResult<Py<Client>> {
    if let Some(client) = DEFAULT_CLIENT.load_full() {
        return Ok(client.clone_ref(py));
    }
    let client = Py::new(py, Client::from_settings(py, Settings::none())?)?;
    let before = DEFAULT_CLIENT.compare_and_swap(
        &None::<std::sync::Arc<Py<Client>>>,
        Some(std::sync::Arc::new(client.clone_ref(py))),
    );
    Ok(before.as_ref().map_or(client, |first| first.clone_ref(py)))
}

/// Reset the default client: the next use creates one from the environment. For test fixtures.
#[pyfunction]
pub(crate) fn _forget_default_client() {
    DEFAULT_CLIENT.store(None);
}

with_client_settings! {
    function_of_settings,
    /// Set the default client of the module functions.
    ///
    /// Args:
    ///     company, access_id, access_key, bearer_token, profile, domain, base_url, timeout, ca_bundle, client_cert,
    ///         proxy, credentials, max_attempts, deadline, on_limit, max_wait, on_wait: as for ``Client``.
    ///
    /// Returns:
    ///     Client: the new default client.
    ///
    /// Raises:
    ///     ConfigurationError, CredentialsError: as for ``Client``; the default client is then unchanged.
    fn configure -> "Client", Py<Client>, |py, settings| {
        let client = Py::new(py, Client::from_settings(py, settings)?)?;
        DEFAULT_CLIENT.store(Some(Arc::new(client.clone_ref(py))));
        Ok(client)
    }
}

/// Sign one request with LMv1, for a request that you send yourself.
///
/// Args:
///     method (str): the HTTP method, in any case.
///     resource_path (str): the percent-decoded path after ``/santaba/rest``, beginning with a slash, without query.
///     body (bytes | bytearray | memoryview): the exact bytes of the body; default none. A ``str`` is refused:
///         encode it as it will be sent. ``GET`` and ``HEAD`` do not send a body: the signature does not cover it.
///     access_id (str | Secret): letters and digits.
///     access_key (str | Secret): any text without white space.
///     timestamp_ms (int | None): milliseconds since 1970-01-01 UTC, up to the end of the year 9999; default now. The
///         portal accepts times within 30 minutes of its own clock. A number from 1 to 10**12 (in 2001) is rejected: it
///         is a time in another unit.
///
/// Returns:
///     str: the value of the ``Authorization`` header, ``"LMv1 id:signature:milliseconds"``. Treat it as a credential:
///         it allows this one request to be repeated for 30 minutes.
///
/// Raises:
///     ValueError: an invalid method, path or time, or a bearer token (it begins with ``lmb_``), which does not sign.
///     CredentialsError: malformed credentials.
///
/// Source: the vendor's page "REST API Authentication". Its formula omits the hex step, which its sample code has.
///
/// Example:
///     >>> import lmtokens
///     >>> lmtokens.sign("get", "/setting/admins/apitokens", access_id="exampleAccessId00001",
///     ...               access_key="unit+test(key)]{%~^_=Z", timestamp_ms=1700000000000)
///     'LMv1 exampleAccessId00001:MDljOGVkMWVlYzdhOTg4ZTRkODhmMzRmZTIyMmY4MDM3ODk2Nzc5ZDIzNGQyNzQ1YWUxMmMxZGFiODhkYTJlYQ==:1700000000000'
#[pyfunction]
#[pyo3(signature = (
    method: "str",
    resource_path: "str",
    body: "bytes | bytearray | memoryview" = Body::EMPTY,
    *,
    access_id: "str | Secret",
    access_key: "str | Secret",
    timestamp_ms: "int | None" = None,
) -> "str", text_signature = "(method, resource_path, body=b'', *, access_id, access_key, timestamp_ms=None)")]
pub(crate) fn sign(
    #[pyo3(from_py_with = plain::method)] method: String,
    #[pyo3(from_py_with = plain::resource_path)] resource_path: String,
    body: Body<'_>,
    #[pyo3(from_py_with = domain::access_id)] access_id: Secret,
    #[pyo3(from_py_with = domain::access_key)] access_key: Secret,
    #[pyo3(from_py_with = plain::timestamp_ms)] timestamp_ms: Option<u64>,
) -> PyResult<String> {
    Ok(signed(&method, &resource_path, &body.0, &access_id, &access_key, timestamp_ms)?)
}

fn signed(
    method: &str,
    resource_path: &str,
    body: &[u8],
    access_id: &Secret,
    access_key: &Secret,
    timestamp_ms: Option<u64>,
) -> error::Result<String> {
    let method = lmv1::check_method(method)?;
    lmv1::check_resource_path(resource_path)?;
    let access_id = access_id.reveal();
    credentials::check_access_id(access_id)?;
    credentials::check_signing_key(access_key)?;
    let timestamp_ms = timestamp_ms.unwrap_or_else(|| SystemClock.now_ms());
    let request = lmv1::Request { method: &method, timestamp_ms, body, resource_path };
    Ok(request.authorization(access_id, &SigningKey::new(access_key.reveal().as_bytes())))
}

/// Find the mistake in an LMv1 header that other code made, or confirm that the header is correct.
///
/// The portal is not contacted. Known mistakes are tried one by one and in pairs: in the encoding of the signature, the access key,
/// the parts of the string to sign and their order, and the form of the header. A mistake is reported only if it gives
/// exactly this signature.
///
/// Args:
///     authorization (str | Secret): the value of the ``Authorization`` header, with or without the header's name.
///     method (str): the HTTP method of the request, in any case.
///     path (str): the path of the request with its query, or its URL; with or without ``/santaba/rest``.
///     body (bytes | bytearray | memoryview): the exact bytes of the body; default none. ``GET`` and ``HEAD`` do not
///         send a body: a signature that covers it is then wrong.
///     access_id (str | Secret | None): the access id of the token; default from the environment, as for ``Client``.
///     access_key (str | Secret | None): its access key; default from the environment.
///
/// Returns:
///     SignatureExplanation: ``correct``, ``causes`` and the correct ``string_to_sign``. ``correct`` does not depend on
///         the current time: an epoch more than 30 minutes away from this machine's clock is reported in ``causes``,
///         as ``"time-window"``.
///
/// Raises:
///     ValueError: an invalid method or path, or a header with a bearer token, which is not signed.
///     CredentialsError: no credentials, half a pair, malformed credentials, or a bearer token.
///
/// Example:
///     >>> import lmtokens
///     >>> pair = {"access_id": "exampleAccessId00001", "access_key": "invented-key"}
///     >>> header = lmtokens.sign("GET", "/setting/admins", **pair)
///     >>> lmtokens.explain_signature(header, "GET", "/setting/admins?size=5", **pair).correct
///     True
///     >>> lmtokens.explain_signature(header, "POST", "/setting/admins", b"{}", **pair)
///     <lmtokens.SignatureExplanation incorrect: other-method, body-missing>
#[pyfunction]
#[pyo3(signature = (
    authorization: "str | Secret",
    method: "str",
    path: "str",
    body: "bytes | bytearray | memoryview" = Body::EMPTY,
    *,
    access_id: "str | Secret | None" = None,
    access_key: "str | Secret | None" = None,
) -> "SignatureExplanation",
text_signature = "(authorization, method, path, body=b'', *, access_id=None, access_key=None)")]
#[allow(clippy::too_many_arguments, reason = "they are the parameters of the Python API")]
pub(crate) fn explain_signature(
    py: Python<'_>,
    #[pyo3(from_py_with = domain::authorization)] authorization: Secret,
    #[pyo3(from_py_with = plain::method)] method: String,
    #[pyo3(from_py_with = domain::path)] path: String,
    body: Body<'_>,
    #[pyo3(from_py_with = setting::access_id)] access_id: Option<Secret>,
    #[pyo3(from_py_with = setting::access_key)] access_key: Option<Secret>,
) -> PyResult<SignatureExplanation> {
    let request = SentRequest::new(&method, &path, &body.0)?;
    let settings = Settings { access_id, access_key, ..Settings::none() };
    explain::header_value(authorization.reveal())?;
    let pair = settings.resolved(py, Asking::Allowed, signer::signing_pair)?;
    let explanation = pair.explain(authorization.reveal(), request, &SystemClock)?;
    Ok(SignatureExplanation(explanation))
}

/// Return the stages of a signature, for tests against vectors: (string to sign, hex digest, base64 signature).
#[pyfunction]
#[pyo3(signature = (
    method: "str", timestamp_ms: "int", body: "bytes", resource_path: "str", access_key: "str"
) -> "tuple[bytes, str, str]")]
pub(crate) fn _signing_stages(
    method: &str,
    timestamp_ms: u64,
    body: Body<'_>,
    resource_path: &str,
    access_key: &str,
) -> (std::borrow::Cow<'static, [u8]>, String, String) {
    let request = lmv1::Request { method, timestamp_ms, body: &body.0, resource_path };
    let key = SigningKey::new(access_key.as_bytes());
    (request.string_to_sign().into(), request.digest_hex(&key), request.signature(&key))
}
