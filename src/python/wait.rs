//! The blocking face: runs a verb to its end while the interpreter stays responsive.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;

use super::caller::Caller;
use super::client::Face;
use super::errors::exception;
use super::gate::{Inside, detached};
use crate::client::Client;
use crate::error::Result;
use crate::ports::Loss;
use crate::process;

/// How long Ctrl-C can go unnoticed.
const TICK: Duration = Duration::from_millis(50);

/// Runs a verb to its end.
pub(super) fn wait<T, F>(
    py: Python<'_>,
    face: &Face,
    verb: impl FnOnce(Client, &Arc<Caller>) -> F,
) -> PyResult<T>
where
    T: Loss + Send,
    F: Future<Output = Result<T>> + Send,
{
    let caller = Caller::on_thread(py, face);
    let future = verb(face.core().observed_by(caller.clone()), &caller);
    wait_as(py, &caller, future)
}

/// Runs `future` with the interpreter detached. Between two turns of it, this thread handles signals, writes the log and
/// calls Python's own code: outside the runtime and with no lock held, so that all of these may call this package.
pub(super) fn wait_as<T, F>(py: Python<'_>, caller: &Arc<Caller>, future: F) -> PyResult<T>
where
    T: Loss + Send,
    F: Future<Output = Result<T>> + Send,
{
    let _inside = Inside::enter(py);
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
                            () = caller.wanted() => None,
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
            if let Err(interrupt) = caller.serve(py) {
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
