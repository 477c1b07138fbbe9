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

use super::callback_queue::CallbackQueue;
use super::gate::{self, GateGuard, attached, detached};
use super::loop_queue::Work;
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

    /// Polls the operation to its end. Returns whether there is a result: `false` if it was cancelled.
    async fn run(&self) -> bool {
        std::future::poll_fn(|context| {
            let mut state = locked(&self.state);
            let State::Running(future) = &mut *state else { return Poll::Ready(false) };
            // A panic must reach the awaiting caller as an exception.
            let polled = std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
            match polled.unwrap_or_else(|_| Poll::Ready(Err(Error::internal()))) {
                Poll::Ready(result) => {
                    *state = State::Done(result);
                    Poll::Ready(true)
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

    let on_done = Bound::new(py, OnDone(Arc::clone(&call) as Arc<dyn Cancel>))?;
    future.call_method1(intern!(py, "add_done_callback"), (on_done,))?;
    let pending = future.clone().unbind();
    runtime.spawn(async move {
        if !call.run().await {
            return;
        }
        let queue = Arc::clone(&call.queue);
        if let Err(result) = queue.run_in_loop(Box::new(Ended { call, future: pending })) {
            // The loop is closed: the result is not awaited. Off the runtime, so that a log handler may use this package.
            process::offload(move || {
                attached(|_py| drop(result));
            });
        }
    });
    Ok(Awaitable(future, PhantomData))
}

/// A call that has ended, and its future.
struct Ended<O: Operation> {
    call: Arc<Call<O>>,
    future: Py<PyAny>,
}

impl<O> Work for Ended<O>
where
    O: Operation,
    O::Output: for<'a> IntoPyObject<'a>,
{
    fn run(self: Box<Self>, py: Python<'_>) -> PyResult<()> {
        let written = self.call.queue.events.write(py);
        let future = self.future.bind(py);
        if future.call_method0(intern!(py, "done"))?.is_truthy()? {
            return written;
        }
        let State::Done(result) = self.call.take() else { return written };
        let result = match result {
            Ok(value) => value.into_pyobject(py).map(|value| value.into_any().unbind()).map_err(Into::into),
            Err(error) => Err(PyErr::from(error)),
        };
        match result {
            Ok(value) => future.call_method1(intern!(py, "set_result"), (value,))?,
            Err(error) => future.call_method1(intern!(py, "set_exception"), (error,))?,
        };
        written
    }
}

trait Cancel: Send + Sync {
    /// Cancels the call of a cancelled future, and reports a result that it already has.
    fn cancel(&self, py: Python<'_>) -> PyResult<()>;
}

impl<O: Operation> Cancel for Call<O> {
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        // The runtime may be polling: detach, since it must not wait for the interpreter.
        detached(py, || self.abandon());
        self.queue.events.write(py)
    }
}

/// The callback of a future that is done: by its result, or because it was cancelled.
#[pyclass(frozen)]
struct OnDone(Arc<dyn Cancel>);

#[pymethods]
impl OnDone {
    #[pyo3(signature = (future, /))]
    fn __call__(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let _inside = GateGuard::enter(py);
        if future.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
            return self.0.cancel(py);
        }
        Ok(())
    }
}
