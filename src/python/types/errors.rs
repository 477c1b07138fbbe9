//! The one place where an error of the core becomes an exception.

use std::sync::{Mutex, OnceLock};

use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use crate::error::{Details, Error, ErrorKind};
use crate::lock::locked;
use crate::python::types::token::Token;

macro_rules! exceptions {
    ($($name:ident = $kind:ident),* $(,)?) => {
        $(pyo3::import_exception!(lmtokens.errors, $name);)*

        /// Loads every class, so that a missing one is an error at import, and none is imported while a signal is
        /// pending: that import would raise `KeyboardInterrupt`, and PyO3 would panic.
        pub(crate) fn load(py: Python<'_>) -> PyResult<()> {
            let module = py.import("lmtokens.errors")?;
            $(
                module.getattr(stringify!($name))?;
                py.get_type::<$name>();
            )*
            Ok(())
        }

        fn class(py: Python<'_>, kind: ErrorKind) -> Bound<'_, PyType> {
            match kind {
                ErrorKind::Argument => py.get_type::<PyValueError>(),
                $(ErrorKind::$kind => py.get_type::<$name>(),)*
            }
        }
    };
}

exceptions! {
    ConfigurationError = Configuration,
    CredentialsError = Credentials,
    APIError = Api,
    BadRequestError = BadRequest,
    AuthenticationError = Authentication,
    PermissionDeniedError = PermissionDenied,
    NotFoundError = NotFound,
    ConflictError = Conflict,
    TwoFactorRequiredError = TwoFactorRequired,
    RateLimitError = RateLimit,
    ServerError = Server,
    TransportError = Transport,
    ConnectError = Connect,
    TLSError = Tls,
    RequestTimeoutError = RequestTimeout,
    ResponseError = Response,
    OutcomeUnknownError = OutcomeUnknown,
    SelfLockoutError = SelfLockout,
    DeliveryError = Delivery,
}

/// The exception of an error, its cause chained. What Python's own code raised on the way is a cause, or where it is more
/// than an error (Ctrl-C, `SystemExit`), the exception itself.
pub(crate) fn exception(py: Python<'_>, mut error: Error) -> PyErr {
    if let Some(raised) = more_than_an_error(py, &mut error) {
        return raised;
    }
    build(py, error.into_details()).unwrap_or_else(|problem| problem)
}

/// Takes what Python's code raised that is no `Exception`, out of an error or of what is behind it.
pub(crate) fn more_than_an_error(py: Python<'_>, error: &mut Error) -> Option<PyErr> {
    let details = error.details_mut();
    let raised = details.origin.as_ref().and_then(|origin| origin.downcast_ref::<PyErr>());
    if raised.is_some_and(|raised| !raised.is_instance_of::<PyException>(py)) {
        return details.origin.take()?.downcast().ok().map(|raised| *raised);
    }
    more_than_an_error(py, details.cause.as_mut()?)
}

/// An error that is made into its exception when somebody asks for it.
pub(crate) struct Late {
    error: Mutex<Option<Error>>,
    exception: OnceLock<Py<PyAny>>,
}

impl From<Option<Error>> for Late {
    fn from(error: Option<Error>) -> Self {
        Self { error: Mutex::new(error), exception: OnceLock::new() }
    }
}

impl Late {
    /// What Python's code raised that is more than an error.
    pub(crate) fn more_than_an_error(&self, py: Python<'_>) -> Option<PyErr> {
        let mut error = locked(&self.error);
        more_than_an_error(py, error.as_mut()?)
    }

    pub(crate) fn get(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let error = locked(&self.error).take();
        if let Some(error) = error {
            let _ = self.exception.set(exception(py, error).into_value(py).into_any());
        }
        self.exception.get().map(|exception| exception.clone_ref(py))
    }
}

fn build(py: Python<'_>, details: Details) -> PyResult<PyErr> {
    let class = class(py, details.kind);
    if details.kind == ErrorKind::Argument {
        return Ok(PyErr::from_type(class, details.message));
    }
    let attributes = PyDict::new(py);
    attributes.set_item("status", details.status)?;
    attributes.set_item("code", details.code)?;
    attributes.set_item("suggestion", details.suggestion)?;
    attributes.set_item("maybe_applied", details.maybe_applied)?;
    attributes.set_item("attempts", details.attempts)?;
    attributes.set_item("elapsed", details.elapsed.as_secs_f64())?;
    if let Some(rate) = details.rate {
        attributes.set_item("limit", rate.limit)?;
        attributes.set_item("remaining", rate.remaining)?;
        attributes.set_item("window", rate.window.as_secs_f64())?;
    }
    if details.kind == ErrorKind::OutcomeUnknown {
        let candidates =
            details.candidates.map(|tokens| tokens.into_iter().map(Token::from).collect::<Vec<_>>());
        attributes.set_item("candidates", candidates)?;
    }
    let error = PyErr::from_value(class.call((details.message,), Some(&attributes))?);
    let raised = details.origin.and_then(|origin| origin.downcast::<PyErr>().ok()).map(|raised| *raised);
    if let Some(cause) = raised.or_else(|| details.cause.map(|cause| exception(py, cause))) {
        error.set_cause(py, Some(cause));
    }
    Ok(error)
}
