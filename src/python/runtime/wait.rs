//! The blocking API: runs an operation to its end while the interpreter stays responsive.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::call::{AnyCall, Call};
use super::callback_queue::{CallbackQueue, Wakes};
use super::gate::{GateGuard, detached};
use crate::client::Client;
use crate::error::Error;
use crate::operation::Operation;
use crate::process;

/// The longest time between two checks for signals.
const TICK: Duration = Duration::from_millis(50);

/// Runs `operation` with the interpreter detached. Meanwhile this thread handles signals, writes the log and runs Python
/// callbacks: outside the runtime and with no lock held, so that all of these may use this package.
pub(crate) fn wait<O: Operation>(
    py: Python<'_>,
    client: &Client,
    queue: &Arc<CallbackQueue>,
    wakes: Wakes,
    operation: O,
) -> PyResult<O::Output> {
    let _inside = GateGuard::enter(py);
    let call = Call::new(client, queue, operation);
    let deferred = run(py, Arc::clone(&call) as _, wakes, O::OUTLASTS_INTERRUPT)?;
    let result = call.result();
    match deferred {
        Some(interrupt) => Err(interrupt),
        None => Ok(result.unwrap_or_else(|| Err(Error::internal()))?),
    }
}

/// Runs a call until it has a result. Returns the interrupt that the call outlasted.
fn run(
    py: Python<'_>,
    call: Arc<dyn AnyCall>,
    mut wakes: Wakes,
    outlasts_interrupt: bool,
) -> PyResult<Option<PyErr>> {
    let process_id = std::process::id();
    let queue = call.queue();
    let events = &queue.events;
    let runtime = process::runtime()?;
    let mut running = Some(Arc::clone(&call));
    let mut deferred = None;
    let outcome = loop {
        let turn = async {
            // A task of the runtime, so that any thread that drives it can make progress.
            if let Some(call) = running.take() {
                tokio::spawn(async move {
                    call.run().await;
                    call.queue().wake();
                });
            }
            let _ = tokio::time::timeout(TICK, wakes.changed()).await;
        };
        detached(py, || runtime.block_on(turn));
        if call.is_done() {
            break Ok(());
        }
        let ran = py.check_signals().and_then(|()| queue.run_pending(py));
        if std::process::id() != process_id {
            // The runtime that runs the call is the parent's.
            std::mem::forget((Arc::clone(&call), wakes));
            return Err(PyRuntimeError::new_err(
                "the process was forked during this call, which the parent continues; expected a new call in the child",
            ));
        }
        if let Err(interrupt) = ran {
            if outlasts_interrupt && deferred.is_none() {
                deferred = Some(interrupt);
                continue;
            }
            detached(py, || call.abandon());
            break Err(interrupt);
        }
    };
    // Signals first: Python code that builds an exception while a signal is pending raises the signal's exception
    // instead.
    let outcome = outcome.and_then(|()| py.check_signals().inspect_err(|_interrupt| call.abandon()));
    let outcome = match events.write(py) {
        Ok(()) => outcome,
        Err(interrupt) => outcome.and_then(|()| {
            call.abandon();
            events.write(py)?;
            Err(interrupt)
        }),
    };
    match deferred {
        Some(interrupt) => Ok(Some(interrupt)),
        None => outcome.map(|()| None),
    }
}
