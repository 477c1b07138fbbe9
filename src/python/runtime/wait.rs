//! The blocking face: runs a verb to its end while the interpreter stays responsive.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;

use crate::client::Client;
use crate::error::Result;
use crate::ports::Loss;
use crate::process;
use crate::python::operations::client::PyClient;
use crate::python::runtime::callback_queue::CallbackQueue;
use crate::python::runtime::gate::{GateGuard, detached};
use crate::python::types::errors::exception;

/// How long Ctrl-C can go unnoticed.
const TICK: Duration = Duration::from_millis(50);

/// Runs a verb to its end.
pub(crate) fn wait<T, F>(
    py: Python<'_>,
    py_client: &PyClient,
    verb: impl FnOnce(Client, &Arc<CallbackQueue>) -> F,
) -> PyResult<T>
where
    T: Loss + Send,
    F: Future<Output = Result<T>> + Send,
{
    let caller = CallbackQueue::on_thread(py, py_client);
    let future = verb(py_client.core().observed_by(caller.clone()), &caller);
    wait_as(py, &caller, future)
}

/// Runs `future` with the interpreter detached. Between two turns of it, this thread handles signals, writes the log and
/// calls Python's own code: outside the runtime and with no lock held, so that all of these may call this package.
pub(crate) fn wait_as<T, F>(py: Python<'_>, caller: &Arc<CallbackQueue>, future: F) -> PyResult<T>
where
    T: Loss + Send,
    F: Future<Output = Result<T>> + Send,
{
    let _inside = GateGuard::enter(py);
    let events = &caller.events;
    let runtime = process::runtime().map_err(|error| exception(py, error))?;
    let outcome = {
        // What is dropped when a call is interrupted hands its connection back, and that may start a task.
        let _context = runtime.enter();
        let mut future = pin!(future);
        loop {
            let turn = {
                let (future, runtime) = (&mut future, &runtime);
                detached(py, move || {
                    runtime.block_on(async {
                        tokio::select! {
                            biased;
                            result = future => Some(result),
                            () = caller.notified() => None,
                            () = tokio::time::sleep(TICK) => None,
                        }
                    })
                })
            };
            if let Some(result) = turn {
                break Ok(result);
            }
            if let Err(interrupt) = py.check_signals() {
                break Err(interrupt);
            }
            if let Err(interrupt) = caller.run_pending(py) {
                break Err(interrupt);
            }
        }
    };
    // Before an error is built: code that runs while a signal is pending raises that signal's exception instead.
    let outcome = outcome.and_then(|result| {
        py.check_signals().inspect_err(|_interrupt| events.lost(&result))?;
        Ok(result)
    });
    let outcome = match events.write(py) {
        Ok(()) => outcome,
        Err(interrupt) => outcome.and_then(|result| {
            events.lost(&result);
            events.write(py)?;
            Err(interrupt)
        }),
    };
    outcome?.map_err(|error| exception(py, error))
}
