//! The gate between native threads and a finalizing interpreter.
//!
//! Before CPython 3.14, a daemon thread that attaches to a finalizing interpreter is unwound where it stands; unwinding
//! through Rust frames aborts the process. So the main thread closes the gate at exit and waits until no other thread
//! is inside. A detached thread that finds the gate closed parks forever.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread::ThreadId;
use std::time::Duration;

use pyo3::prelude::*;

use crate::lock::locked;
use crate::process::{OfProcess, PerProcess};

/// How long finalization waits for threads inside: a user's callback may take any time.
const MAX_WAIT: Duration = Duration::from_secs(2);

static GATE: PerProcess<Gate> = PerProcess::new();

#[derive(Debug, Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The number of calls that are attached, or about to be.
    inside: usize,
    closed_by: Option<ThreadId>,
    /// Whether results may pass the closed gate.
    admits_results: bool,
}

impl Gate {
    fn of_process() -> Option<OfProcess<Self>> {
        GATE.get_or_try_init(|| Ok(Self::default())).ok()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// Returns `false` if the gate is closed to this thread, which may bring a result.
    fn enter(&self, is_result: bool) -> bool {
        let mut state = self.locked();
        let is_closed = state.closed_by.is_some_and(|main| main != std::thread::current().id());
        if is_closed && !(is_result && state.admits_results) {
            return false;
        }
        state.inside += 1;
        true
    }

    fn leave(&self) {
        let mut state = self.locked();
        state.inside = state.inside.saturating_sub(1);
        self.changed.notify_all();
    }
}

fn enter(is_result: bool) -> bool {
    Gate::of_process().is_none_or(|gate| gate.enter(is_result))
}

fn leave() {
    if let Some(gate) = Gate::of_process() {
        gate.leave();
    }
}

fn park() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// The presence of a call inside the gate.
pub(crate) struct GateGuard(());

impl GateGuard {
    pub(crate) fn enter(py: Python<'_>) -> Self {
        if !enter(false) {
            py.detach(|| park());
        }
        Self(())
    }

    /// As [`GateGuard::enter`]. An awaited call of an exit handler that was registered before this package's opens the
    /// gate for results.
    pub(crate) fn enter_for_results(py: Python<'_>) -> Self {
        let inside = Self::enter(py);
        if let Some(gate) = Gate::of_process() {
            let mut state = gate.locked();
            state.admits_results = state.closed_by.is_some();
        }
        inside
    }
}

impl Drop for GateGuard {
    fn drop(&mut self) {
        leave();
    }
}

/// Runs `work` detached from the interpreter. If the gate closes meanwhile, the thread parks forever.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    py.detach(|| {
        leave();
        let result = work();
        if !enter(false) {
            park();
        }
        result
    })
}

/// Runs `work` attached, from a thread of the runtime; `None` if the interpreter is finalizing.
pub(crate) fn attached<T>(work: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    if !enter(true) {
        return None;
    }
    let _inside = GateGuard(());
    Python::try_attach(work)
}

/// Registers the exit handler that closes the gate. It is registered at import: exit handlers run in reverse order, so
/// that those of the program may still use this package.
pub(crate) fn close_at_exit(py: Python<'_>) -> PyResult<()> {
    let hook = Bound::new(py, Close)?;
    py.import("atexit")?.call_method1("register", (hook,)).map(drop)
}

/// The exit handler.
#[pyclass(frozen)]
struct Close;

#[pymethods]
impl Close {
    #[allow(clippy::unused_self)]
    fn __call__(&self, py: Python<'_>) {
        py.detach(|| {
            let Some(gate) = Gate::of_process() else { return };
            let mut state = gate.locked();
            state.closed_by = Some(std::thread::current().id());
            drop(gate.changed.wait_timeout_while(state, MAX_WAIT, |state| state.inside > 0));
        });
    }
}
