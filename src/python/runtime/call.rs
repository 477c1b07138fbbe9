//! One call of the Python API. The runtime's thread polls it, the caller's thread takes its result or cancels it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

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
    pub(super) queue: Arc<CallbackQueue>,
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

    /// Cancels the call, and reports a result that is no longer awaited.
    pub(super) fn abandon(&self) {
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

    /// Polls the operation to its end. Returns whether there is a result: `false` if it was cancelled.
    pub(super) async fn run(&self) -> bool {
        std::future::poll_fn(|context| {
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

/// A call that can be cancelled.
pub(super) trait Cancel: Send + Sync {
    /// Cancels the call, and reports a result that it already has.
    fn cancel(&self, py: Python<'_>) -> PyResult<()>;
}

impl<O: Operation> Cancel for Call<O> {
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        // The runtime may be polling, and must not wait for the interpreter.
        detached(py, || self.abandon());
        self.queue.events.write(py)
    }
}
