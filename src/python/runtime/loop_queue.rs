//! Work for an event loop. The runtime's threads queue it and wake the loop, once per batch; only the loop's own thread
//! touches the interpreter.

use std::cell::RefCell;
use std::collections::VecDeque;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};

#[cfg(unix)]
use pyo3::exceptions::PyNotImplementedError;
use pyo3::intern;
use pyo3::prelude::*;

use super::gate::{GateGuard, attached, detached};
use crate::lock::locked;
use crate::process;

/// Work that runs in a loop.
pub(crate) trait Work: Send {
    /// Runs on the loop's thread. An error is an interrupt (Ctrl-C, `SystemExit`).
    fn run(self: Box<Self>, py: Python<'_>) -> PyResult<()>;
}

/// The queue of one event loop in one process. The loop itself keeps it, until it is closed.
pub(crate) struct LoopQueue {
    process_id: u32,
    /// `None` once the loop is closed.
    work: Mutex<Option<VecDeque<Box<dyn Work>>>>,
    waker: Waker,
}

/// How a loop is woken.
enum Waker {
    /// The loop watches the first socket; a byte written to the second wakes it.
    #[cfg(unix)]
    Sockets(UnixStream, UnixStream),
    /// The loop watches no sockets, as that of Windows: it is called, which attaches to the interpreter.
    Call(Py<PyAny>, ActiveThreads),
}

thread_local! {
    /// The queues of the loops of this thread, by the address of the loop.
    static QUEUES: RefCell<Vec<(usize, Weak<LoopQueue>)>> = const { RefCell::new(Vec::new()) };
}

impl LoopQueue {
    /// Returns the queue of the loop that runs on this thread.
    pub(crate) fn of(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        let address = event_loop.as_ptr() as usize;
        let known = QUEUES.with_borrow(|queues| {
            let mut known = queues.iter().filter(|(of, _)| *of == address);
            known.find_map(|(_, queue)| queue.upgrade().filter(|queue| queue.is_open()))
        });
        if let Some(queue) = known {
            return Ok(queue);
        }
        let queue = Self::watched_by(event_loop)?;
        QUEUES.with_borrow_mut(|queues| {
            queues.retain(|(_, queue)| queue.upgrade().is_some_and(|queue| queue.is_open()));
            queues.push((address, Arc::downgrade(&queue)));
        });
        Ok(queue)
    }

    #[cfg(unix)]
    fn watched_by(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        use std::os::fd::AsRawFd as _;

        let py = event_loop.py();
        let (watched, writer) = sockets().map_err(|error| process::exhausted("open a socket", &error))?;
        let descriptor = watched.as_raw_fd();
        let queue = Self::new(Waker::Sockets(watched, writer));
        let runner = Bound::new(py, Runner::of(&queue))?;
        match event_loop.call_method1(intern!(py, "add_reader"), (descriptor, runner)) {
            Ok(_) => Ok(queue),
            Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => Ok(Self::called(event_loop)),
            Err(error) => Err(error),
        }
    }

    #[cfg(windows)]
    fn watched_by(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        Ok(Self::called(event_loop))
    }

    fn called(event_loop: &Bound<'_, PyAny>) -> Arc<Self> {
        Self::new(Waker::Call(event_loop.clone().unbind(), ActiveThreads::default()))
    }

    fn new(waker: Waker) -> Arc<Self> {
        Arc::new(Self { process_id: std::process::id(), work: Mutex::new(Some(VecDeque::new())), waker })
    }

    /// Returns whether the loop can run work in this process.
    fn is_open(&self) -> bool {
        self.process_id == std::process::id() && locked(&self.work).is_some()
    }

    /// Queues work, and wakes the loop if it does not know of any. A closed loop returns the work.
    pub(crate) fn push(self: &Arc<Self>, work: Box<dyn Work>) -> Result<(), Box<dyn Work>> {
        let is_first = {
            let mut queued = locked(&self.work);
            let Some(queued) = queued.as_mut() else { return Err(work) };
            queued.push_back(work);
            queued.len() == 1
        };
        if is_first {
            self.wake();
        }
        Ok(())
    }

    fn wake(self: &Arc<Self>) {
        match &self.waker {
            #[cfg(unix)]
            Waker::Sockets(_, writer) => {
                use std::io::Write as _;
                // A full socket wakes the loop already.
                let _ = (&mut &*writer).write(&[0]);
            }
            Waker::Call(event_loop, active_threads) => {
                let active = active_threads.enter();
                // If the loop is closed or the interpreter is finalizing, the dropped runner closes the queue. The
                // error must be dropped here, since it refers to the runner.
                attached(|py| {
                    let runner = Bound::new(py, Runner::of(self));
                    let called = runner.and_then(|runner| {
                        event_loop.bind(py).call_method1(intern!(py, "call_soon_threadsafe"), (runner,))
                    });
                    drop(called);
                });
                drop(active);
            }
        }
    }

    /// Runs all queued work.
    fn run(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        match &self.waker {
            #[cfg(unix)]
            Waker::Sockets(watched, _) => {
                use std::io::Read as _;
                let _ = (&mut &*watched).read(&mut [0; 64]);
            }
            Waker::Call(_, active_threads) => detached(py, || active_threads.wait_until_none()),
        }
        let mut batch = self.take();
        while let Some(work) = batch.pop_front() {
            if let Err(interrupt) = work.run(py) {
                self.put_back(batch);
                return Err(interrupt);
            }
        }
        Ok(())
    }

    fn take(&self) -> VecDeque<Box<dyn Work>> {
        locked(&self.work).as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Puts work that did not run back, before the work that was queued meanwhile.
    fn put_back(self: &Arc<Self>, mut batch: VecDeque<Box<dyn Work>>) {
        let rest = {
            let mut queued = locked(&self.work);
            match queued.as_mut() {
                Some(queued) => {
                    batch.append(queued);
                    *queued = batch;
                    None
                }
                None => Some(batch),
            }
        };
        if rest.is_none() {
            self.wake();
        }
    }

    /// Drops the queued work, and refuses more.
    fn close(&self) {
        let rest = locked(&self.work).take();
        drop(rest);
    }
}

/// Two connected sockets that do not block.
#[cfg(unix)]
fn sockets() -> std::io::Result<(UnixStream, UnixStream)> {
    let (watched, writer) = UnixStream::pair()?;
    watched.set_nonblocking(true)?;
    writer.set_nonblocking(true)?;
    Ok((watched, writer))
}

/// A callback of the loop that runs the queued work.
#[pyclass(frozen)]
struct Runner {
    queue: Arc<LoopQueue>,
    is_called: AtomicBool,
}

impl Runner {
    fn of(queue: &Arc<LoopQueue>) -> Self {
        Self { queue: Arc::clone(queue), is_called: AtomicBool::new(false) }
    }
}

#[pymethods]
impl Runner {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let _inside = GateGuard::enter(py);
        self.is_called.store(true, Ordering::Relaxed);
        // A forked child shares the sockets of its parent.
        if self.queue.process_id == std::process::id() { self.queue.run(py) } else { Ok(()) }
    }
}

impl Drop for Runner {
    /// A closed loop drops the callbacks of its sockets, and those that it did not call.
    fn drop(&mut self) {
        if self.queue.process_id != std::process::id() {
            return;
        }
        match &self.queue.waker {
            #[cfg(unix)]
            Waker::Sockets(..) => {
                attached(|_py| self.queue.close());
            }
            Waker::Call(..) if self.is_called.load(Ordering::Relaxed) => {}
            Waker::Call(..) => {
                // Off the runtime, so that a log handler may use this package.
                let queue = Arc::clone(&self.queue);
                process::offload(move || {
                    attached(|_py| queue.close());
                });
            }
        }
    }
}

/// The runtime's threads that are attached to the interpreter, or about to be. If one were attached when the
/// interpreter ends, it would be unwound through Rust frames; so the caller's thread waits for them before it
/// continues.
#[derive(Default)]
struct ActiveThreads {
    count: Mutex<usize>,
    ended: Condvar,
}

impl ActiveThreads {
    /// Counts a thread until the guard is dropped.
    fn enter(&self) -> ActiveThread<'_> {
        *locked(&self.count) += 1;
        ActiveThread(self)
    }

    /// Waits until no thread is active. The current thread must be detached.
    fn wait_until_none(&self) {
        let count = locked(&self.count);
        drop(self.ended.wait_while(count, |count| *count > 0));
    }
}

/// One active thread.
#[must_use]
struct ActiveThread<'a>(&'a ActiveThreads);

impl Drop for ActiveThread<'_> {
    fn drop(&mut self) {
        let mut count = locked(&self.0.count);
        *count = count.saturating_sub(1);
        self.0.ended.notify_all();
    }
}
