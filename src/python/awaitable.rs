//! The async face: a verb as something that Python can await.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use pyo3::BoundObject as _;
use pyo3::intern;
use pyo3::prelude::*;

use super::errors::exception;
use super::log::EventLog;
use crate::client::Client;
use crate::error::Result;
use crate::process;

/// An `asyncio.Future`, which the stub calls what it is.
pub(super) struct Awaitable<'py>(Bound<'py, PyAny>);

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
struct Call<T> {
    /// Taken out when it is done, or when the call is cancelled: dropping it ends the request.
    verb: Mutex<Option<BoxedFuture<T>>>,
    result: Mutex<Option<Result<T>>>,
    events: Arc<EventLog>,
}

fn locked<V>(mutex: &Mutex<V>) -> std::sync::MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a verb and returns the `asyncio.Future` of its result. Log records are written, and the result is made into
/// Python's, on the loop's own thread.
pub(super) fn awaitable<'py, T, F>(
    py: Python<'py>,
    client: &Client,
    verb: impl FnOnce(Client) -> F,
) -> PyResult<Awaitable<'py>>
where
    T: for<'a> IntoPyObject<'a> + Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let event_loop = py.import(intern!(py, "asyncio"))?.call_method0(intern!(py, "get_running_loop"))?;
    let future = event_loop.call_method0(intern!(py, "create_future"))?;
    let runtime = process::runtime().map_err(|error| exception(py, error))?;

    let events = Arc::new(EventLog::default());
    let verb: BoxedFuture<T> = Box::pin(verb(client.observed_by(events.clone())));
    let call = Arc::new(Call { verb: Mutex::new(Some(verb)), result: Mutex::new(None), events });

    let finish = Bound::new(py, Finish::of(&call))?;
    future.call_method1(intern!(py, "add_done_callback"), (&finish,))?;
    let (event_loop, settled, finish) = (event_loop.unbind(), future.clone().unbind(), finish.unbind());
    runtime.spawn(async move {
        let Some(result) = run(&call).await else { return };
        locked(&call.result).replace(result);
        // The interpreter may be ending, and the loop may be closed: then nobody waits for the result any more.
        let _ = Python::try_attach(|py| {
            event_loop.bind(py).call_method1(intern!(py, "call_soon_threadsafe"), (finish, settled)).map(drop)
        });
    });
    Ok(Awaitable(future))
}

/// Runs the verb to its end; `None` where it was cancelled.
async fn run<T>(call: &Call<T>) -> Option<Result<T>> {
    std::future::poll_fn(|context| {
        let mut verb = locked(&call.verb);
        let Some(running) = verb.as_mut() else { return Poll::Ready(None) };
        match running.as_mut().poll(context) {
            Poll::Ready(result) => {
                *verb = None;
                Poll::Ready(Some(result))
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
        T: for<'a> IntoPyObject<'a> + Send + 'static,
    {
        let call = Arc::clone(call);
        Self(Box::new(move |py, future| {
            if future.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
                // The runtime may be polling just now; it needs no interpreter to end that.
                let verb = py.detach(|| locked(&call.verb).take());
                drop(verb);
            }
            call.events.write(py);
            if future.call_method0(intern!(py, "done"))?.is_truthy()? {
                return Ok(());
            }
            let Some(result) = locked(&call.result).take() else { return Ok(()) };
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
            Ok(())
        }))
    }
}

#[pymethods]
impl Finish {
    #[pyo3(signature = (future, /))]
    fn __call__(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        (self.0)(py, future)
    }
}
