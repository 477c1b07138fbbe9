//! The blocking API: runs an operation to its end while the interpreter stays responsive.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;

use super::callback_queue::CallbackQueue;
use super::gate::{GateGuard, detached};
use crate::client::Client;
use crate::error::{Result, caught};
use crate::operation::{Operation, call, lost_result};
use crate::process;

/// The longest time between two checks for signals.
const TICK: Duration = Duration::from_millis(50);

/// Runs `operation` with the interpreter detached. Between two polls this thread handles signals, writes the log and
/// runs Python callbacks: outside the runtime and with no lock held, so that all of these may use this package.
pub(crate) fn wait<O: Operation>(
    py: Python<'_>,
    client: &Client,
    queue: &Arc<CallbackQueue>,
    operation: O,
) -> PyResult<O::Output> {
    let _inside = GateGuard::enter(py);
    let events = &queue.events;
    let runtime = process::runtime()?;
    let outcome = {
        // Dropping an interrupted call returns its connection to the pool, which may start a task.
        let _context = runtime.enter();
        let mut future = pin!(call(operation, client));
        loop {
            let polled: Option<Result<O::Output>> = {
                let (future, runtime) = (&mut future, &runtime);
                let turn = async {
                    tokio::select! {
                        biased;
                        result = future => Some(result),
                        () = queue.notified() => None,
                        () = tokio::time::sleep(TICK) => None,
                    }
                };
                detached(py, || caught(|| Ok(runtime.block_on(turn))))
                    .unwrap_or_else(|panic| Some(Err(panic)))
            };
            if let Some(result) = polled {
                break Ok(result);
            }
            if let Err(interrupt) = py.check_signals() {
                break Err(interrupt);
            }
            if let Err(interrupt) = queue.run_pending(py) {
                break Err(interrupt);
            }
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
    Ok(outcome??)
}
