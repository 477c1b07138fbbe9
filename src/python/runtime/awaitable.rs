//! The async face: a verb as something that Python can await.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use pyo3::BoundObject as _;
use pyo3::intern;
use pyo3::prelude::*;

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::locked;
use crate::ports::Loss;
use crate::process;
use crate::python::operations::client::PyClient;
use crate::python::runtime::callback_queue::CallbackQueue;
use crate::python::runtime::gate::{self, GateGuard, attached, detached};
use crate::python::types::errors::exception;

/// An `asyncio.Future`, which the stub calls what it is.
pub(crate) struct Awaitable<'py>(Bound<'py, PyAny>);

impl<'py> IntoPyObject<'py> for Awaitable<'py> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = Infallible;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = pyo3::type_hint_subscript!(
        pyo3::type_hint_identifier!("collections.abc", "Awaitable"),
        pyo3::type_hint_identifier!("typing", "Any")
    );

    fn into_pyobject(self, _py: Python<'py>) -> Result<Self::Output, Self::Error> {
        Ok(self.0)
    }
}

type BoxedFuture<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// What the event loop's thread and the runtime share of one call.
struct Call<T: Loss> {
    state: Mutex<State<T>>,
    caller: Arc<CallbackQueue>,
}

/// One state at a time: whoever takes it knows whether there is a request to end, or a result to hand over.
enum State<T> {
    /// Dropping it ends the request.
    Running(BoxedFuture<T>),
    Done(Result<T>),
    Over,
}

impl<T: Loss> Call<T> {
    fn locked(&self) -> MutexGuard<'_, State<T>> {
        locked(&self.state)
    }

    fn take(&self) -> State<T> {
        std::mem::replace(&mut *self.locked(), State::Over)
    }

    /// Ends it where nobody waits any more.
    fn give_up(&self) {
        // What is dropped hands its connection back, and that may start a task.
        let runtime = process::runtime();
        let _context = runtime.as_ref().ok().map(|runtime| runtime.enter());
        if let State::Done(result) = self.take() {
            self.caller.events.lost(&result);
        }
    }
}

impl<T: Loss> Drop for Call<T> {
    /// The loop may have been closed, or forgotten, before it handed the result over.
    fn drop(&mut self) {
        self.give_up();
        if !self.caller.events.is_empty() {
            attached(|py| {
                // An object may be dropped while an exception is on its way.
                let pending = PyErr::take(py);
                if let Err(interrupt) = self.caller.events.write(py) {
                    interrupt.write_unraisable(py, None);
                }
                if let Some(pending) = pending {
                    pending.restore(py);
                }
            });
        }
    }
}

/// Starts a verb and returns the `asyncio.Future` of its result. Log records are written, and the result is made into
/// Python's, on the loop's own thread.
pub(crate) fn awaitable<'py, T, F>(
    py: Python<'py>,
    py_client: &PyClient,
    verb: impl FnOnce(Client, &Arc<CallbackQueue>) -> F,
) -> PyResult<Awaitable<'py>>
where
    T: for<'a> IntoPyObject<'a> + Loss + Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let event_loop = running_loop(py)?;
    let caller = CallbackQueue::in_loop(py, py_client, event_loop.unbind());
    let future = verb(py_client.core().observed_by(caller.clone()), &caller);
    awaitable_as(py, caller, future)
}

/// The loop that this thread runs.
pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import(intern!(py, "asyncio"))?.call_method0(intern!(py, "get_running_loop"))
}

/// Starts a future whose caller is known already.
pub(crate) fn awaitable_as<'py, T, F>(
    py: Python<'py>,
    caller: Arc<CallbackQueue>,
    future: F,
) -> PyResult<Awaitable<'py>>
where
    T: for<'a> IntoPyObject<'a> + Loss + Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let _inside = GateGuard::enter(py);
    gate::let_results_in();
    let verb: BoxedFuture<T> = Box::pin(future);
    let event_loop = running_loop(py)?;
    let future = event_loop.call_method0(intern!(py, "create_future"))?;
    let runtime = process::runtime().map_err(|error| exception(py, error))?;
    let call = Arc::new(Call { state: Mutex::new(State::Running(verb)), caller });

    let finish = Bound::new(py, Finish::of(&call))?;
    future.call_method1(intern!(py, "add_done_callback"), (&finish,))?;
    let (event_loop, settled, finish) = (event_loop.unbind(), future.clone().unbind(), finish.unbind());
    runtime.spawn(async move {
        if !run(&call).await {
            return;
        }
        // The interpreter may be ending, and the loop may be closed: then nobody waits for the result any more.
        let scheduled = attached(|py| {
            event_loop.bind(py).call_method1(intern!(py, "call_soon_threadsafe"), (finish, settled)).is_ok()
        });
        call.caller.active_threads.end();
        if scheduled == Some(false) {
            // Off the runtime, so that a handler of log records may call this package.
            tokio::task::spawn_blocking(move || drop(call));
        }
    });
    Ok(Awaitable(future))
}

/// Runs the verb to its end; `false` where it was cancelled.
async fn run<T: Loss>(call: &Call<T>) -> bool {
    std::future::poll_fn(|context| {
        let mut state = call.locked();
        let State::Running(verb) = &mut *state else { return Poll::Ready(false) };
        // A panic is a bug of ours; whoever awaits must hear of it all the same.
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| verb.as_mut().poll(context)));
        let broken = |_| Poll::Ready(Err(Error::new(ErrorKind::Transport, "lmtokens failed: a bug in it")));
        match polled.unwrap_or_else(broken) {
            Poll::Ready(result) => {
                call.caller.active_threads.begin();
                *state = State::Done(result);
                Poll::Ready(true)
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

type Settle = Box<dyn Fn(Python<'_>, &Bound<'_, PyAny>) -> PyResult<()> + Send + Sync>;

/// Called on the loop's thread: with the future when the verb is done, and by the future when it is cancelled.
#[pyclass(frozen)]
struct Finish(Settle);

impl Finish {
    fn of<T>(call: &Arc<Call<T>>) -> Self
    where
        T: for<'a> IntoPyObject<'a> + Loss + Send + 'static,
    {
        let call = Arc::clone(call);
        Self(Box::new(move |py, future| {
            if future.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
                // The runtime may be polling just now; it needs no interpreter to end that.
                detached(py, || {
                    call.give_up();
                    call.caller.active_threads.wait_for_the_end();
                });
            }
            let told = call.caller.events.write(py);
            if future.call_method0(intern!(py, "done"))?.is_truthy()? {
                return told;
            }
            let State::Done(result) = call.take() else { return told };
            detached(py, || call.caller.active_threads.wait_for_the_end());
            let result = match result {
                Ok(value) => {
                    value.into_pyobject(py).map(|value| value.into_any().unbind()).map_err(Into::into)
                }
                Err(error) => Err(exception(py, error)),
            };
            match result {
                Ok(value) => future.call_method1(intern!(py, "set_result"), (value,))?,
                Err(error) => future.call_method1(intern!(py, "set_exception"), (error,))?,
            };
            told
        }))
    }
}

#[pymethods]
impl Finish {
    #[pyo3(signature = (future, /))]
    fn __call__(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let _inside = GateGuard::enter(py);
        (self.0)(py, future)
    }
}
