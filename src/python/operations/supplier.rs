//! The argument `credentials=`: a callable that supplies credentials.

use std::sync::{Arc, Weak};

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{IntoPyDict as _, PyMapping, PyTuple};

use crate::clock::{Clock as _, SystemClock};
use crate::credentials::{Arguments, Supplied, Supplier};
use crate::destinations::BoxFuture;
use crate::error::{Error, Result};
use crate::python::args::domain::read_secret;
use crate::python::args::plain::{optional, text, wrong_type};
use crate::python::runtime::callback_queue::{CallbackQueue, Job, Raised};
use crate::times::Expiry;

/// A callable that supplies the credentials of a client.
pub(crate) struct Callable {
    callable: Py<PyAny>,
    is_coroutine_function: bool,
}

impl Callable {
    /// Checks the argument of a client, which may run its callables in event loops.
    pub(crate) fn new(object: &Bound<'_, PyAny>, has_loop: bool) -> PyResult<Self> {
        if !object.is_callable() {
            return Err(wrong_type("credentials", "a callable without parameters", object));
        }
        let is_coroutine_function = is_coroutine_function(object)?;
        if is_coroutine_function && !has_loop {
            return Err(PyTypeError::new_err(
                "credentials must be an ordinary function, not a coroutine function, which AsyncClient accepts",
            ));
        }
        Ok(Self { callable: object.clone().unbind(), is_coroutine_function })
    }

    /// Returns a supplier of the call whose callbacks run in `queue`. Fails in code that the callable runs: the call
    /// would wait for itself.
    pub(crate) fn supplier(
        self: &Arc<Self>,
        py: Python<'_>,
        queue: &Arc<CallbackQueue>,
    ) -> PyResult<Arc<dyn Supplier>> {
        if running(py)?.iter().any(|running| running.is(&self.callable)) {
            return Err(PyRuntimeError::new_err(
                "the callable for credentials used the client that waits for it; expected a client with other credentials",
            ));
        }
        Ok(Arc::new(CallableSupplier { callable: Arc::clone(self), queue: Arc::downgrade(queue) }))
    }

    /// Calls the callable. In a loop, only coroutine functions run on its thread: others may block.
    fn call(&self, py: Python<'_>, has_loop: bool) -> PyResult<Py<PyAny>> {
        if !has_loop || self.is_coroutine_function {
            return self.callable.call0(py);
        }
        let context = py.import(intern!(py, "contextvars"))?.call_method0(intern!(py, "copy_context"))?;
        let running_loop =
            py.import(intern!(py, "asyncio"))?.call_method0(intern!(py, "get_running_loop"))?;
        let run = context.getattr(intern!(py, "run"))?;
        let arguments = (py.None(), run, &self.callable);
        running_loop.call_method1(intern!(py, "run_in_executor"), arguments).map(Bound::unbind)
    }
}

fn is_coroutine_function(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let inspect = object.py().import("inspect")?;
    let is =
        |object: &Bound<'_, PyAny>| inspect.call_method1("iscoroutinefunction", (object,))?.extract::<bool>();
    // The method counts for an object that has one.
    Ok(is(object)? || is(&object.getattr("__call__")?)?)
}

/// Supplies the credentials of one call. The callable runs on the caller's thread, or for its loop.
struct CallableSupplier {
    callable: Arc<Callable>,
    queue: Weak<CallbackQueue>,
}

impl Supplier for CallableSupplier {
    fn supply(&self) -> BoxFuture<'_, Result<Supplied>> {
        Box::pin(async {
            let outcome = match self.queue.upgrade() {
                Some(queue) => {
                    let (callable, has_loop) = (Arc::clone(&self.callable), queue.has_loop());
                    let code = move |py: Python<'_>| callable.call(py, has_loop);
                    let callable = Arc::clone(&self.callable);
                    let marked = |job| mark(callable, job);
                    queue.call_as(marked, code, read).await
                }
                None => Err(Raised::NoCaller),
            };
            outcome.map_err(|raised| match raised {
                Raised::NoCaller => Error::credentials("the call ended before the credentials were supplied"),
                Raised::Exception { class, exception } => {
                    let mut error =
                        Error::credentials(format!("the callable for credentials raised {class}"));
                    error.details_mut().origin = Some(Box::new(exception));
                    error
                }
            })
        })
    }
}

/// Reads the result of the callable.
fn read(result: &Bound<'_, PyAny>) -> PyResult<Supplied> {
    const EXPECTED: &str = "a bearer token, a tuple (access_id, access_key), or a mapping with access_id and access_key or \
                            with bearer_token, and possibly expires";
    let what = "the result of credentials";
    let mut expires = None;
    let arguments = if let Ok(pair) = result.cast::<PyTuple>() {
        let [access_id, access_key] = &*pair.iter().collect::<Vec<_>>() else {
            return Err(PyTypeError::new_err(format!("{what} must be {EXPECTED}")));
        };
        Arguments {
            access_id: Some(read_secret("access_id", access_id)?),
            access_key: Some(read_secret("access_key", access_key)?),
            ..Arguments::default()
        }
    } else if let Ok(mapping) = result.cast::<PyMapping>() {
        let mut arguments = Arguments::default();
        for item in mapping.items()? {
            let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            match text("each key of the result of credentials", &name)?.as_str() {
                name @ "access_id" => arguments.access_id = optional(read_secret)(name, &value)?,
                name @ "access_key" => arguments.access_key = optional(read_secret)(name, &value)?,
                name @ "bearer_token" => arguments.bearer_token = optional(read_secret)(name, &value)?,
                "expires" => expires = value.extract::<Option<Expiry>>()?,
                // It is not repeated: it may be a misplaced secret.
                _ => {
                    return Err(PyTypeError::new_err(format!(
                        "{what} has an unknown key; expected {EXPECTED}"
                    )));
                }
            }
        }
        arguments
    } else if let Ok(token) = read_secret(what, result) {
        Arguments { bearer_token: Some(token), ..Arguments::default() }
    } else {
        if result.hasattr("__await__")? && result.hasattr("close")? {
            result.call_method0("close")?;
        }
        return Err(wrong_type(what, EXPECTED, result));
    };
    Ok(Supplied::of_callable(&arguments, expires, SystemClock.now_ms())?)
}

/// The context variable with the callables that run in a context.
fn variable(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static VARIABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let new = || -> PyResult<_> {
        let default = [("default", PyTuple::empty(py))].into_py_dict(py)?;
        let class = py.import("contextvars")?.getattr("ContextVar")?;
        class.call(("lmtokens_supplying",), Some(&default)).map(Bound::unbind)
    };
    VARIABLE.get_or_try_init(py, new).map(|variable| variable.bind(py))
}

fn running(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
    Ok(variable(py)?.call_method0(intern!(py, "get"))?.cast_into()?)
}

/// Returns a job that takes note of its callable in its context, and in the contexts of what it starts.
fn mark(callable: Arc<Callable>, job: Job) -> Job {
    Box::new(move |py, queue| {
        let marked = || -> PyResult<()> {
            let before = running(py)?;
            let now = before.iter().chain([callable.callable.bind(py).clone()]);
            let now = PyTuple::new(py, now.collect::<Vec<_>>())?;
            let token = variable(py)?.call_method1(intern!(py, "set"), (now,))?;
            job(py, queue);
            variable(py)?.call_method1(intern!(py, "reset"), (token,)).map(drop)
        };
        if let Err(error) = marked() {
            error.write_unraisable(py, None);
        }
    })
}
