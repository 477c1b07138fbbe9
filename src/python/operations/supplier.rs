//! The argument `credentials=`: a callable that supplies credentials.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use pyo3::exceptions::{PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{IntoPyDict as _, PyMapping, PyTuple};

use crate::clock::{Clock as _, SystemClock};
use crate::credentials::{Arguments, Credentials, Supplied, Supplier};
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
        if running(py)?.iter().any(|running| running.get().is_of(self)) {
            return Err(PyRuntimeError::new_err(
                "the callable for credentials used the client that waits for it; expected a client with other credentials",
            ));
        }
        Ok(Arc::new(CallableSupplier { callable: Arc::clone(self), queue: Arc::downgrade(queue) }))
    }

    /// Shows the callable to the garbage collector.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.callable)
    }

    /// Calls the callable. In a loop, only coroutine functions run on its thread: others may block.
    fn call(self: &Arc<Self>, py: Python<'_>, has_loop: bool) -> PyResult<Py<PyAny>> {
        if !has_loop || self.is_coroutine_function {
            return self.callable.call0(py);
        }
        let context = py.import(intern!(py, "contextvars"))?.call_method0(intern!(py, "copy_context"))?;
        let running_loop =
            py.import(intern!(py, "asyncio"))?.call_method0(intern!(py, "get_running_loop"))?;
        let run = context.getattr(intern!(py, "run"))?;
        let arguments = (py.None(), run, InThread(Arc::clone(self)));
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

/// Calls a callable in a thread.
#[pyclass(frozen)]
struct InThread(Arc<Callable>);

#[pymethods]
impl InThread {
    /// A future cannot hold `StopIteration`: it would never end.
    fn __call__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.0.callable.call0(py).map_err(|error| {
            if !error.is_instance_of::<PyStopIteration>(py) {
                return error;
            }
            let stopped = PyRuntimeError::new_err("the callable for credentials raised StopIteration");
            stopped.set_cause(py, Some(error));
            stopped
        })
    }
}

/// Supplies the credentials of one call. The callable runs on the caller's thread, or for its loop.
struct CallableSupplier {
    callable: Arc<Callable>,
    queue: Weak<CallbackQueue>,
}

impl Supplier for CallableSupplier {
    fn runner(&self) -> usize {
        self.queue.upgrade().map_or(0, |queue| queue.runner())
    }

    fn supply<'a>(&'a self, _: Option<&'a Credentials>) -> BoxFuture<'a, Result<Supplied>> {
        Box::pin(async {
            let run = Run(Arc::new(AtomicBool::new(true)));
            let outcome = match self.queue.upgrade() {
                Some(queue) => {
                    let (callable, has_loop) = (Arc::clone(&self.callable), queue.has_loop());
                    let code = move |py: Python<'_>| callable.call(py, has_loop);
                    let running = Running::new(&self.callable, &run);
                    queue.call_as(|job| mark(running, job), code, read).await
                }
                None => Err(Raised::NoCaller),
            };
            outcome.map_err(|raised| match raised {
                Raised::NoCaller => Error::credentials("the call ended before the credentials were supplied"),
                Raised::Exception { class, exception } => {
                    let mut error =
                        Error::credentials(format!("the callable for credentials raised {class}"));
                    error.details_mut().origin = Some(Arc::new(exception));
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

/// A call of a callable. It is over when it is dropped.
struct Run(Arc<AtomicBool>);

impl Drop for Run {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A callable that runs in a context. What it started inherits the context, and may run longer.
#[pyclass(frozen)]
struct Running {
    callable: Arc<Callable>,
    is_running: Arc<AtomicBool>,
}

impl Running {
    fn new(callable: &Arc<Callable>, run: &Run) -> Self {
        Self { callable: Arc::clone(callable), is_running: Arc::clone(&run.0) }
    }

    fn is_of(&self, callable: &Callable) -> bool {
        self.is_running.load(Ordering::Relaxed) && self.callable.callable.is(&callable.callable)
    }
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

fn running(py: Python<'_>) -> PyResult<Vec<Bound<'_, Running>>> {
    variable(py)?.call_method0(intern!(py, "get"))?.extract()
}

/// Returns a job that takes note of its callable in its context, and in the contexts of what it starts.
fn mark(new: Running, job: Job) -> Job {
    Box::new(move |py, queue| {
        let marked = || -> PyResult<()> {
            let mut now = running(py)?;
            now.retain(|running| running.get().is_running.load(Ordering::Relaxed));
            now.push(Bound::new(py, new)?);
            let token = variable(py)?.call_method1(intern!(py, "set"), (PyTuple::new(py, now)?,))?;
            job(py, queue);
            variable(py)?.call_method1(intern!(py, "reset"), (token,)).map(drop)
        };
        if let Err(error) = marked() {
            error.write_unraisable(py, None);
        }
    })
}
