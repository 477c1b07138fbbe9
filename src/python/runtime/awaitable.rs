//! The async API: an operation as an `asyncio.Future`.

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use pyo3::BoundObject as _;
use pyo3::intern;
use pyo3::prelude::*;

use super::callback_queue::{ActiveThread, CallbackQueue};
use super::gate::{self, GateGuard, attached, detached};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::lock::locked;
use crate::operation::{Operation, call, lost_result};
use crate::process;

/// An `asyncio.Future` of a `T`. The stub calls it a coroutine, which `AsyncClient` makes of it.
pub(crate) struct Awaitable<'py, T>(Bound<'py, PyAny>, PhantomData<T>);

impl<'py, T: IntoPyObject<'py>> IntoPyObject<'py> for Awaitable<'py, T> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = Infallible;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = pyo3::type_hint_subscript!(
        pyo3::type_hint_identifier!("collections.abc", "Coroutine"),
        pyo3::type_hint_identifier!("typing", "Any"),
        pyo3::type_hint_identifier!("typing", "Any"),
        T::OUTPUT_TYPE
    );

    fn into_pyobject(self, _py: Python<'py>) -> Result<Self::Output, Self::Error> {
        Ok(self.0)
    }
}

type BoxedFuture<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// One call, shared by the event loop's thread and the runtime.
struct Call<O: Operation> {
    state: Mutex<State<O::Output>>,
    queue: Arc<CallbackQueue>,
}

/// The state of a call. Taking it decides whether there is a request to cancel or a result to deliver.
enum State<T> {
    /// In progress; dropping the future cancels it.
    Running(BoxedFuture<T>),
    Done(Result<T>),
    Taken,
}

impl<O: Operation> Call<O> {
    fn take(&self) -> State<O::Output> {
        std::mem::replace(&mut *locked(&self.state), State::Taken)
    }

    /// Cancels the call, and reports a result that is no longer awaited.
    fn abandon(&self) {
        // Dropping a future returns its connection to the pool, which may start a task.
        let runtime = process::runtime();
        let _context = runtime.as_ref().ok().map(|runtime| runtime.enter());
        if let State::Done(result) = self.take() {
            self.queue.events.add(lost_result::<O>(&result));
        }
    }

    /// Polls the operation to its end; `None` if it was cancelled.
    async fn run(&self) -> Option<ActiveThread> {
        std::future::poll_fn(|context| {
            let mut state = locked(&self.state);
            let State::Running(future) = &mut *state else { return Poll::Ready(None) };
            // A panic must reach the awaiting caller as an exception.
            let polled = std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
            match polled.unwrap_or_else(|_| Poll::Ready(Err(Error::internal()))) {
                Poll::Ready(result) => {
                    let active = self.queue.active_threads.enter();
                    *state = State::Done(result);
                    Poll::Ready(Some(active))
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

impl<O: Operation> Drop for Call<O> {
    /// The loop may have been closed or dropped before it took the result.
    fn drop(&mut self) {
        self.abandon();
        if !self.queue.events.is_empty() {
            attached(|py| {
                // An object may be dropped while an exception propagates.
                let pending = PyErr::take(py);
                if let Err(interrupt) = self.queue.events.write(py) {
                    interrupt.write_unraisable(py, None);
                }
                if let Some(pending) = pending {
                    pending.restore(py);
                }
            });
        }
    }
}

/// Returns the loop that runs on this thread.
pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import(intern!(py, "asyncio"))?.call_method0(intern!(py, "get_running_loop"))
}

/// Starts an operation and returns the future of its result. Log records are written and the result is converted on the
/// loop's thread.
pub(crate) fn awaitable<'py, O>(
    py: Python<'py>,
    client: &Client,
    queue: Arc<CallbackQueue>,
    operation: O,
) -> PyResult<Awaitable<'py, O::Output>>
where
    O: Operation,
    O::Output: for<'a> IntoPyObject<'a>,
{
    let _inside = GateGuard::enter(py);
    gate::reopen_for_results();
    let client = client.clone();
    let running: BoxedFuture<O::Output> = Box::pin(async move { call(operation, &client).await });
    let event_loop = running_loop(py)?;
    let future = event_loop.call_method0(intern!(py, "create_future"))?;
    let runtime = process::runtime()?;
    let call = Arc::new(Call::<O> { state: Mutex::new(State::Running(running)), queue });

    let settle = Bound::new(py, Settle::of(&call))?;
    future.call_method1(intern!(py, "add_done_callback"), (&settle,))?;
    let (event_loop, pending, settle) = (event_loop.unbind(), future.clone().unbind(), settle.unbind());
    runtime.spawn(async move {
        let Some(active) = call.run().await else { return };
        // If the interpreter is finalizing or the loop is closed, the result is not awaited.
        let scheduled = attached(|py| {
            event_loop.bind(py).call_method1(intern!(py, "call_soon_threadsafe"), (settle, pending)).is_ok()
        });
        drop(active);
        if scheduled == Some(false) {
            // Off the runtime, so that a log handler may use this package.
            process::offload(move || drop(call));
        }
    });
    Ok(Awaitable(future, PhantomData))
}

type SettleFn = Box<dyn Fn(Python<'_>, &Bound<'_, PyAny>) -> PyResult<()> + Send + Sync>;

/// A callback on the loop's thread: called with the future when the operation has ended, and by the future when it is
/// cancelled.
#[pyclass(frozen)]
struct Settle(SettleFn);

impl Settle {
    fn of<O>(call: &Arc<Call<O>>) -> Self
    where
        O: Operation,
        O::Output: for<'a> IntoPyObject<'a>,
    {
        let call = Arc::clone(call);
        Self(Box::new(move |py, future| {
            if future.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
                // The runtime may be polling: detach, since it must not wait for the interpreter.
                detached(py, || {
                    call.abandon();
                    call.queue.active_threads.wait_until_none();
                });
            }
            let written = call.queue.events.write(py);
            if future.call_method0(intern!(py, "done"))?.is_truthy()? {
                return written;
            }
            let State::Done(result) = call.take() else { return written };
            detached(py, || call.queue.active_threads.wait_until_none());
            let result = match result {
                Ok(value) => {
                    value.into_pyobject(py).map(|value| value.into_any().unbind()).map_err(Into::into)
                }
                Err(error) => Err(PyErr::from(error)),
            };
            match result {
                Ok(value) => future.call_method1(intern!(py, "set_result"), (value,))?,
                Err(error) => future.call_method1(intern!(py, "set_exception"), (error,))?,
            };
            written
        }))
    }
}

#[pymethods]
impl Settle {
    #[pyo3(signature = (future, /))]
    fn __call__(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let _inside = GateGuard::enter(py);
        (self.0)(py, future)
    }
}
