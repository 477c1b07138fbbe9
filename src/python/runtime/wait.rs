//! The blocking API: runs an operation to its end while the interpreter stays responsive.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::call::Call;
use super::callback_queue::{CallbackQueue, Wakes};
use super::gate::{GateGuard, detached};
use crate::client::Client;
use crate::operation::{Operation, lost_result};
use crate::process;

/// The longest time between two checks for signals.
const TICK: Duration = Duration::from_millis(50);

/// Runs `operation` with the interpreter detached. Meanwhile this thread handles signals, writes the log and runs Python
/// callbacks: outside the runtime and with no lock held, so that all of these may use this package.
pub(crate) fn wait<O: Operation>(
    py: Python<'_>,
    client: &Client,
    queue: &Arc<CallbackQueue>,
    mut wakes: Wakes,
    operation: O,
) -> PyResult<O::Output> {
    let _inside = GateGuard::enter(py);
    let process_id = std::process::id();
    let events = &queue.events;
    let runtime = process::runtime()?;
    let call = Call::new(client, queue, operation);
    let mut running = Some(Arc::clone(&call));
    let mut deferred = None;
    let outcome = loop {
        let turn = async {
            // A task of the runtime, so that any thread that drives it can make progress.
            if let Some(call) = running.take() {
                tokio::spawn(async move {
                    call.run().await;
                    call.queue.wake();
                });
            }
            let _ = tokio::time::timeout(TICK, wakes.changed()).await;
        };
        detached(py, || runtime.block_on(turn));
        if let Some(result) = call.result() {
            break Ok(result);
        }
        let ran = py.check_signals().and_then(|()| queue.run_pending(py));
        if std::process::id() != process_id {
            // The runtime that runs the call is the parent's.
            std::mem::forget((call, wakes));
            return Err(PyRuntimeError::new_err(
                "the process was forked during this call, which the parent continues; expected a new call in the child",
            ));
        }
        if let Err(interrupt) = ran {
            if O::OUTLASTS_INTERRUPT && deferred.is_none() {
                deferred = Some(interrupt);
                continue;
            }
            detached(py, || call.abandon());
            break Err(interrupt);
        }
    };
    // Signals first: Python code that builds an exception while a signal is pending raises the signal's exception
    // instead.
    let outcome = outcome.and_then(|result| {
        py.check_signals().inspect_err(|_interrupt| events.add(lost_result::<O>(&result)))?;
        Ok(result)
    });
    let outcome = match events.write(py) {
        Ok(()) => outcome,
        Err(interrupt) => outcome.and_then(|result| {
            events.add(lost_result::<O>(&result));
            events.write(py)?;
            Err(interrupt)
        }),
    };
    match deferred {
        Some(interrupt) => Err(interrupt),
        None => Ok(outcome??),
    }
}
