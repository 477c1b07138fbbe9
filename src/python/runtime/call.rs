//! One call of the Python API. The runtime's thread polls it, the caller's thread takes its result or cancels it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use pyo3::BoundObject as _;
use pyo3::prelude::*;

use super::callback_queue::CallbackQueue;
use super::gate::{attached, detached};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::lock::locked;
use crate::operation::{Operation, call, lost_result};
use crate::process;

type BoxedFuture<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// One call, shared by the caller's thread and the runtime.
pub(super) struct Call<O: Operation> {
    state: Mutex<State<O::Output>>,
    queue: Arc<CallbackQueue>,
}

/// The state of a call. Taking it decides whether there is a request to cancel or a result to deliver.
enum State<T> {
    /// In progress; dropping the future cancels it. The waker is that of the task that polls it.
    Running(BoxedFuture<T>, Option<Waker>),
    Done(Result<T>),
    Taken,
}

impl<O: Operation> Call<O> {
    /// Creates a call, which does not yet run.
    pub(super) fn new(client: &Client, queue: &Arc<CallbackQueue>, operation: O) -> Arc<Self> {
        let client = client.clone();
        let running: BoxedFuture<O::Output> = Box::pin(async move { call(operation, &client).await });
        Arc::new(Self { state: Mutex::new(State::Running(running, None)), queue: Arc::clone(queue) })
    }

    fn take(&self) -> State<O::Output> {
        std::mem::replace(&mut *locked(&self.state), State::Taken)
    }

    /// Returns the result, once.
    pub(super) fn result(&self) -> Option<Result<O::Output>> {
        let mut state = locked(&self.state);
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(result) => Some(result),
            other => {
                *state = other;
                None
            }
        }
    }
}

/// A call of any operation, so that the code that runs calls is in the binary once.
pub(super) trait AnyCall: Send + Sync {
    /// Polls the operation. Returns whether there is a result: `false` if it was cancelled.
    fn poll(&self, context: &mut Context<'_>) -> Poll<bool>;

    /// Returns whether there is a result to take.
    fn is_done(&self) -> bool;

    /// Cancels the call, and reports a result that is no longer awaited.
    fn abandon(&self);

    /// Returns the queue of the call.
    fn queue(&self) -> &CallbackQueue;
}

/// A call whose result is a Python object.
pub(super) trait ObjectCall: AnyCall {
    /// Returns the result, once.
    fn object(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>>;
}

impl dyn AnyCall {
    /// Polls the operation to its end. Returns whether there is a result: `false` if it was cancelled.
    pub(super) async fn run(&self) -> bool {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// Cancels the call, and reports a result that it already has.
    pub(super) fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        // The runtime may be polling, and must not wait for the interpreter.
        detached(py, || self.abandon());
        self.queue().events.write(py)
    }
}

impl<O: Operation> AnyCall for Call<O> {
    fn poll(&self, context: &mut Context<'_>) -> Poll<bool> {
        let mut state = locked(&self.state);
        let State::Running(future, waker) = &mut *state else { return Poll::Ready(false) };
        // A panic must reach the caller as an exception.
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled.unwrap_or_else(|_| Poll::Ready(Err(Error::internal()))) {
            Poll::Ready(result) => {
                *state = State::Done(result);
                Poll::Ready(true)
            }
            Poll::Pending => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_done(&self) -> bool {
        matches!(&*locked(&self.state), State::Done(_))
    }

    fn abandon(&self) {
        match self.take() {
            State::Running(future, waker) => {
                // Dropping a future returns its connection to the pool, which may start a task.
                let runtime = process::runtime();
                let _context = runtime.as_ref().ok().map(|runtime| runtime.enter());
                drop(future);
                // Nothing else wakes the task, which would wait forever.
                waker.into_iter().for_each(Waker::wake);
            }
            State::Done(result) => self.queue.events.add(lost_result::<O>(&result)),
            State::Taken => {}
        }
    }

    fn queue(&self) -> &CallbackQueue {
        &self.queue
    }
}

impl<O: Operation> ObjectCall for Call<O>
where
    O::Output: for<'a> IntoPyObject<'a>,
{
    fn object(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        Some(match self.result()? {
            Ok(value) => value.into_pyobject(py).map(|value| value.into_any().unbind()).map_err(Into::into),
            Err(error) => Err(PyErr::from(error)),
        })
    }
}

impl<O: Operation> Drop for Call<O> {
    /// The loop may have been closed or dropped before it took the result.
    fn drop(&mut self) {
        self.abandon();
        if !self.queue.events.is_empty() {
            write_events(&self.queue);
        }
    }
}

fn write_events(queue: &CallbackQueue) {
    attached(|py| {
        // An object may be dropped while an exception propagates.
        let pending = PyErr::take(py);
        if let Err(interrupt) = queue.events.write(py) {
            interrupt.write_unraisable(py, None);
        }
        if let Some(pending) = pending {
            pending.restore(py);
        }
    });
}
