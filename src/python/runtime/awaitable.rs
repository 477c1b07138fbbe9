//! The async API: an operation as an `asyncio.Future`.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;

use pyo3::BoundObject as _;
use pyo3::intern;
use pyo3::prelude::*;

use super::call::{Call, Cancel};
use super::callback_queue::CallbackQueue;
use super::gate::{self, GateGuard, attached};
use super::loop_queue::Work;
use crate::client::Client;
use crate::operation::Operation;
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

/// Returns the loop that runs on this thread.
pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import(intern!(py, "asyncio"))?.call_method0(intern!(py, "get_running_loop"))
}

/// Starts an operation and returns the future of its result. Log records are written and the result is converted on the
/// loop's thread.
pub(crate) fn awaitable<'py, O>(
    py: Python<'py>,
    client: &Client,
    queue: &Arc<CallbackQueue>,
    operation: O,
) -> PyResult<Awaitable<'py, O::Output>>
where
    O: Operation,
    O::Output: for<'a> IntoPyObject<'a>,
{
    let _inside = GateGuard::enter(py);
    gate::reopen_for_results();
    let future = running_loop(py)?.call_method0(intern!(py, "create_future"))?;
    let awaited = future.clone().unbind();
    let call = Call::new(client, queue, operation);
    let on_done = Bound::new(py, OnDone(Arc::clone(&call) as Arc<dyn Cancel>))?;
    future.call_method1(intern!(py, "add_done_callback"), (on_done,))?;
    process::runtime()?.spawn(async move {
        if !call.run().await {
            return;
        }
        let queue = Arc::clone(&call.queue);
        if let Err(result) = queue.run_in_loop(Box::new(Ended { call, future: awaited })) {
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
        let Some(result) = self.call.result() else { return written };
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
