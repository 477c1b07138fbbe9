//! The gate that closes when the interpreter ends.
//!
//! Before CPython 3.14, a daemon thread that wants to go on in an ending interpreter is unwound where it stands; through
//! Rust frames, that aborts the process. So when the interpreter ends, its main thread closes the gate and waits until no
//! other thread is in this package's native code: who is outside of the interpreter stays there, for good.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread::ThreadId;
use std::time::Duration;

use pyo3::prelude::*;

use crate::lock::locked;
use crate::process::{OfProcess, PerProcess};

/// A callback of the user's may take any time; the end of the interpreter may not.
const PATIENCE: Duration = Duration::from_secs(2);

static GATE: PerProcess<Gate> = PerProcess::new();

#[derive(Debug, Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Calls that are in the interpreter, or about to be.
    inside: usize,
    closed_by: Option<ThreadId>,
}

impl Gate {
    fn of_process() -> Option<OfProcess<Self>> {
        GATE.get_or_try_init(|| Ok(Self::default())).ok()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// `false` where the gate is closed.
    fn enter(&self) -> bool {
        let mut state = self.locked();
        if state.closed_by.is_some_and(|main| main != std::thread::current().id()) {
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

fn enter() -> bool {
    Gate::of_process().is_none_or(|gate| gate.enter())
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

/// A call that is in this package's native code.
pub(crate) struct GateGuard(());

impl GateGuard {
    pub(crate) fn enter(py: Python<'_>) -> Self {
        if !enter() {
            py.detach(|| park());
        }
        Self(())
    }
}

impl Drop for GateGuard {
    fn drop(&mut self) {
        leave();
    }
}

/// Leaves the interpreter for the time of `work`; where it ends meanwhile, for good.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    py.detach(|| {
        leave();
        let result = work();
        if !enter() {
            park();
        }
        result
    })
}

/// Enters the interpreter from a thread of the runtime's; `None` where it is ending.
pub(crate) fn attached<T>(work: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    if !enter() {
        return None;
    }
    let result = Python::try_attach(work);
    leave();
    result
}

/// Has the gate closed when the interpreter ends. Done when the package is imported: of the exit handlers the one registered
/// first runs last, and those that the program registers from then on may still call.
pub(crate) fn close_at_the_end(py: Python<'_>) -> PyResult<()> {
    let hook = Bound::new(py, Close)?;
    py.import("atexit")?.call_method1("register", (hook,)).map(drop)
}

/// Before a call that awaits: an exit handler that was registered earlier still may await one.
pub(crate) fn let_results_in() {
    if let Some(gate) = Gate::of_process() {
        let mut state = gate.locked();
        if state.closed_by == Some(std::thread::current().id()) {
            state.closed_by = None;
        }
    }
}

/// Called when the interpreter ends.
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
            drop(gate.changed.wait_timeout_while(state, PATIENCE, |state| state.inside > 0));
        });
    }
}
