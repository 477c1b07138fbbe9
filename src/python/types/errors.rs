//! Exceptions: the only place that makes them of the core's errors.

use std::sync::{Mutex, OnceLock};

use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use crate::advice::joined;
use crate::error::{Details, Error, ErrorKind};
use crate::lock::locked;
use crate::printable;
use crate::python::advice::words;

macro_rules! exceptions {
    ($($name:ident = $kind:ident),* $(,)?) => {
        $(pyo3::import_exception!(lmtokens.errors, $name);)*

        /// Loads every class at import: a missing one is an import error, and no import happens while a signal is
        /// pending, which would raise `KeyboardInterrupt` and make PyO3 panic.
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
    RotationError = Rotation,
    DeliveryError = Delivery,
}

impl From<Error> for PyErr {
    /// Returns the exception of an error, with its cause chained. An exception of a Python callback is a cause, or if
    /// it is an interrupt (Ctrl-C, `SystemExit`), the result itself.
    fn from(mut error: Error) -> Self {
        Python::attach(|py| match take_interrupt(py, &mut error) {
            Some(interrupt) => {
                // The user should still know what the call left behind.
                match joined(&error.details().advice, words) {
                    Some(advice) => noted(interrupt, py, &printable::lines(&advice)),
                    None => interrupt,
                }
            }
            None => build(py, error.into_details()).unwrap_or_else(|problem| problem),
        })
    }
}

/// Takes the interrupt that a Python callback raised, out of an error or its causes.
pub(crate) fn take_interrupt(py: Python<'_>, error: &mut Error) -> Option<PyErr> {
    let details = error.details_mut();
    let raised = details.origin.as_ref().and_then(|origin| origin.downcast_ref::<PyErr>());
    if let Some(raised) = raised.filter(|raised| !raised.is_instance_of::<PyException>(py)) {
        let interrupt = raised.clone_ref(py);
        details.origin = None;
        return Some(interrupt);
    }
    take_interrupt(py, details.cause.as_mut()?)
}

/// An error that becomes an exception when it is read.
pub(crate) struct LazyException {
    error: Mutex<Option<Error>>,
    exception: OnceLock<Py<PyAny>>,
}

impl From<Option<Error>> for LazyException {
    fn from(error: Option<Error>) -> Self {
        Self { error: Mutex::new(error), exception: OnceLock::new() }
    }
}

impl LazyException {
    /// Takes the interrupt that a Python callback raised.
    pub(crate) fn take_interrupt(&self, py: Python<'_>) -> Option<PyErr> {
        let mut error = locked(&self.error);
        take_interrupt(py, error.as_mut()?)
    }

    pub(crate) fn get(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let error = locked(&self.error).take();
        if let Some(error) = error {
            let _ = self.exception.set(PyErr::from(error).into_value(py).into_any());
        }
        self.exception.get().map(|exception| exception.clone_ref(py))
    }
}

fn build(py: Python<'_>, details: Details) -> PyResult<PyErr> {
    let class = class(py, details.kind);
    let raised = details.origin.as_ref().and_then(|origin| origin.downcast_ref::<PyErr>());
    let raised = raised.map(|raised| raised.clone_ref(py));
    // The caller knows the exceptions of its own callable. They cannot say what an earlier attempt did.
    let is_all = !details.maybe_applied && details.advice.is_empty();
    if let (ErrorKind::Credentials, Some(raised), true) = (details.kind, &raised, is_all) {
        return Ok(noted(raised.clone_ref(py), py, "credential source: callable"));
    }
    // A traceback is printed at a terminal, and a message may contain text from a file or from the caller. Text of the
    // portal is escaped already.
    let message = printable::lines(&details.message);
    if details.kind == ErrorKind::Argument {
        return Ok(PyErr::from_type(class, message));
    }
    let attributes = PyDict::new(py);
    attributes.set_item("status", details.status)?;
    attributes.set_item("code", details.code)?;
    attributes
        .set_item("suggestion", joined(&details.advice, words).map(|advice| printable::lines(&advice)))?;
    attributes.set_item("maybe_applied", details.maybe_applied)?;
    attributes.set_item("attempts", details.attempts)?;
    attributes.set_item("elapsed", details.elapsed.as_secs_f64())?;
    if let Some(rate) = details.rate {
        attributes.set_item("limit", rate.limit)?;
        attributes.set_item("remaining", rate.remaining)?;
        attributes.set_item("window", rate.window.as_secs_f64())?;
    }
    if details.kind == ErrorKind::OutcomeUnknown {
        attributes.set_item("candidates", details.candidates)?;
        attributes.set_item("token", details.token)?;
    }
    let error = PyErr::from_value(class.call((message,), Some(&attributes))?);
    if let Some(cause) = raised.or_else(|| details.cause.map(PyErr::from)) {
        error.set_cause(py, Some(cause));
    }
    Ok(error)
}

/// Returns an exception of a callable with a note. Notes exist since Python 3.11.
fn noted(raised: PyErr, py: Python<'_>, note: &str) -> PyErr {
    let _ = raised.value(py).call_method1("add_note", (note,));
    raised
}
