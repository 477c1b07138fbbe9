//! The blocking face: runs a verb to its end while the interpreter stays responsive.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;

use super::ending;
use super::errors::exception;
use super::log::EventLog;
use crate::client::Client;
use crate::error::Result;
use crate::ports::Loss;
use crate::process;

/// How long Ctrl-C can go unnoticed.
const TICK: Duration = Duration::from_millis(50);

/// Runs `verb` with the interpreter detached. Signals are handled and events logged on this thread, between two turns
/// of the future: outside the runtime and with no lock held, so that a handler may call this package itself.
pub(super) fn wait<T, F>(py: Python<'_>, client: &Client, verb: impl FnOnce(Client) -> F) -> PyResult<T>
where
    T: Loss + Send,
    F: Future<Output = Result<T>> + Send,
{
    let events = Arc::new(EventLog::default());
    let runtime = process::runtime().map_err(|error| exception(py, error))?;
    let outcome = {
        // A request that is dropped may hand its half-made connection over to a task of the runtime.
        let _context = runtime.enter();
        let mut future = pin!(verb(client.observed_by(events.clone())));
        loop {
            let turn = {
                let future = &mut future;
                let runtime = &runtime;
                ending::detached(py, move || {
                    runtime.block_on(async { tokio::time::timeout(TICK, future).await })
                })
            };
            match turn {
                Ok(result) => break Ok(result),
                Err(_still_running) => {
                    if let Err(interrupt) = py.check_signals() {
                        break Err(interrupt);
                    }
                    events.write(py);
                }
            }
        }
    };
    // Before an error is built: code that runs while a signal is pending raises that signal's exception instead.
    let outcome = outcome.and_then(|result| {
        py.check_signals().inspect_err(|_interrupt| events.lost(&result))?;
        Ok(result)
    });
    events.write(py);
    outcome?.map_err(|error| exception(py, error))
}
