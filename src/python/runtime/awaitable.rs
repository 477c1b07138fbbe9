//! The async API: an operation as an `asyncio.Future`.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use super::call::{AnyCall, Call, ObjectCall};
use super::callback_queue::CallbackQueue;
use super::gate::{GateGuard, attached};
use super::log::report_lost_result;
use super::loop_queue::{LoopQueue, Work};
use crate::client::Client;
use crate::operation::Operation;
use crate::process;

/// An `asyncio.Future` of a `T` and its `LoopCall`. The stub calls them a coroutine, which `AsyncClient` makes of them.
pub(crate) struct Awaitable<'py, T>(Bound<'py, PyTuple>, PhantomData<T>);

impl<'py, T: IntoPyObject<'py>> IntoPyObject<'py> for Awaitable<'py, T> {
    type Target = PyTuple;
    type Output = Bound<'py, PyTuple>;
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

/// The loop that runs on this thread, inside the gate: its own code runs.
pub(crate) struct RunningLoop<'py> {
    event_loop: Bound<'py, PyAny>,
    queue: Arc<LoopQueue>,
    _inside: GateGuard,
}

impl<'py> RunningLoop<'py> {
    pub(crate) fn enter(py: Python<'py>) -> PyResult<Self> {
        static GET_RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let inside = GateGuard::enter_for_results(py);
        let event_loop = GET_RUNNING_LOOP.import(py, "asyncio", "get_running_loop")?.call0()?;
        let queue = LoopQueue::of(&event_loop)?;
        Ok(Self { event_loop, queue, _inside: inside })
    }

    /// Returns a queue for a call in this loop.
    pub(crate) fn callback_queue(&self, on_wait: Option<&Py<PyAny>>) -> Arc<CallbackQueue> {
        CallbackQueue::in_loop(self.event_loop.py(), &self.queue, on_wait)
    }

    /// Starts an operation and returns the future of its result, with its call. Log records are written and the result is
    /// converted on the loop's thread.
    pub(crate) fn start<O>(
        &self,
        client: &Client,
        queue: &Arc<CallbackQueue>,
        operation: O,
    ) -> PyResult<Awaitable<'py, O::Output>>
    where
        O: Operation,
        O::Output: for<'a> IntoPyObject<'a>,
    {
        let future = self.start_call(Call::new(client, queue, operation))?;
        Ok(Awaitable(future, PhantomData))
    }

    fn start_call(&self, call: Arc<dyn ObjectCall>) -> PyResult<Bound<'py, PyTuple>> {
        let py = self.event_loop.py();
        let future = self.event_loop.call_method0(intern!(py, "create_future"))?;
        let loop_call = Bound::new(py, LoopCall(Arc::clone(&call) as _))?;
        let awaitable = (&future, loop_call).into_pyobject(py)?;
        let (queue, future) = (Arc::clone(&self.queue), future.unbind());
        process::runtime()?.spawn(async move {
            let running: &dyn AnyCall = &*call;
            if !running.run().await {
                return;
            }
            if let Err(result) = queue.push(Box::new(Ended { call, future })) {
                // The loop is closed: the result is not awaited. Off the runtime, so that a log handler may use this
                // package.
                process::offload(move || {
                    attached(|_py| drop(result));
                });
            }
        });
        Ok(awaitable)
    }
}

/// A call that has ended, and its future.
struct Ended {
    call: Arc<dyn ObjectCall>,
    future: Py<PyAny>,
}

impl Work for Ended {
    fn run(self: Box<Self>, py: Python<'_>) -> PyResult<()> {
        let written = self.call.queue().events.write(py);
        let future = self.future.bind(py);
        if future.call_method0(intern!(py, "done"))?.is_truthy()? {
            return written;
        }
        match self.call.object(py) {
            Some(Ok(value)) => future.call_method1(intern!(py, "set_result"), (value,))?,
            Some(Err(error)) => future.call_method1(intern!(py, "set_exception"), (error,))?,
            None => return written,
        };
        written
    }
}

/// The call of a future.
#[pyclass(frozen)]
struct LoopCall(Arc<dyn AnyCall>);

#[pymethods]
impl LoopCall {
    /// Cancel the call because `error` was raised where its future was awaited, or report a result that it already has.
    #[pyo3(signature = (future: "object", error: "object", /) -> "None")]
    fn abandon(&self, py: Python<'_>, future: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let _inside = GateGuard::enter(py);
        let is = |state| future.call_method0(state)?.is_truthy();
        if !is(intern!(py, "done"))? || is(intern!(py, "cancelled"))? {
            return self.0.cancel(py);
        }
        let exception = future.call_method0(intern!(py, "exception"))?;
        if exception.is(error) {
            Ok(())
        } else if exception.is_none() {
            report_lost_result(&future.call_method0(intern!(py, "result"))?)
        } else {
            report_lost_result(&exception)
        }
    }
}
