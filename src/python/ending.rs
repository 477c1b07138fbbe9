//! The end of the interpreter. A thread that waits for the interpreter then is ended by CPython where it stands, which
//! Rust cannot survive: so ours are kept out, and those that are on their way in are waited for.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::process::{OfProcess, PerProcess};

/// Threads on their way into the interpreter, or at work in it for the runtime. A forked child has none of them.
static INSIDE: PerProcess<AtomicUsize> = PerProcess::new();
static CLOSED: AtomicBool = AtomicBool::new(false);
/// The thread that ends the interpreter, and may go on calling from other exit handlers.
static ENDING_THREAD: AtomicU64 = AtomicU64::new(0);

fn inside() -> Option<OfProcess<AtomicUsize>> {
    INSIDE.get_or_try_init(|| Ok(AtomicUsize::new(0))).ok()
}

/// Counts a thread in for as long as it lives.
struct Entrance(Option<OfProcess<AtomicUsize>>);

impl Entrance {
    fn new() -> Self {
        let inside = inside();
        if let Some(inside) = &inside {
            inside.fetch_add(1, Ordering::SeqCst);
        }
        Self(inside)
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        if let Some(inside) = &self.0 {
            inside.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Runs `work` with the interpreter, on a thread that has none; `None` where it is ending.
pub(super) fn attached<T>(work: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    let _entrance = Entrance::new();
    if CLOSED.load(Ordering::SeqCst) { None } else { Python::try_attach(work) }
}

/// Runs `work` without the interpreter. Where it has ended meanwhile, the thread (a daemon, then) stops for ever.
pub(super) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    let (value, _entrance) = py.detach(|| {
        let value = work();
        let entrance = Entrance::new();
        if CLOSED.load(Ordering::SeqCst) && ENDING_THREAD.load(Ordering::SeqCst) != this_thread() {
            drop(entrance);
            loop {
                std::thread::park();
            }
        }
        (value, entrance)
    });
    value
}

fn this_thread() -> u64 {
    thread_local!(static NUMBER: u64 = {
        static LAST: AtomicU64 = AtomicU64::new(0);
        LAST.fetch_add(1, Ordering::Relaxed) + 1
    });
    NUMBER.with(|number| *number)
}

/// Has the end announced, when the package is imported: of the exit handlers the one registered first runs last, and
/// those that the program registers from then on may still call.
pub(super) fn announce(py: Python<'_>) -> PyResult<()> {
    let end = pyo3::wrap_pyfunction!(_end, py)?;
    py.import("atexit")?.call_method1("register", (end,)).map(drop)
}

/// Before a call that awaits: lets results in again for an exit handler that was registered earlier still.
pub(super) fn begin() {
    if ENDING_THREAD.load(Ordering::SeqCst) == this_thread() {
        CLOSED.store(false, Ordering::SeqCst);
    }
}

/// Keep the package's threads out of an interpreter that is ending.
#[pyfunction]
fn _end(py: Python<'_>) {
    // Longer than any thread takes that is not stuck in somebody's handler of log records.
    const PATIENCE: Duration = Duration::from_secs(2);
    ENDING_THREAD.store(this_thread(), Ordering::SeqCst);
    CLOSED.store(true, Ordering::SeqCst);
    py.detach(|| {
        let started = Instant::now();
        while inside().is_some_and(|inside| inside.load(Ordering::SeqCst) > 0) && started.elapsed() < PATIENCE
        {
            std::thread::sleep(Duration::from_micros(100));
        }
    });
}
