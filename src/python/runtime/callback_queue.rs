//! Work for the caller of an operation: log records and Python callbacks run on its thread or in its event loop,
//! outside the runtime and with no lock held, so that they may use this package.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use pyo3::intern;
use pyo3::prelude::*;
use tokio::sync::{oneshot, watch};

use crate::event::{Event, Observer};
use crate::lock::locked;
use crate::python::runtime::log::EventLog;
use crate::python::runtime::loop_queue::{LoopQueue, Work};

/// Work of a queue.
pub(crate) type Job = Box<dyn FnOnce(Python<'_>, &Arc<CallbackQueue>) + Send>;

/// What follows a callback with its result.
type Settle = Box<dyn FnOnce(Python<'_>, PyResult<Bound<'_, PyAny>>) + Send>;

/// The queue of one call, or of one bulk run.
pub(crate) struct CallbackQueue {
    pub(crate) events: EventLog,
    jobs: Mutex<VecDeque<Job>>,
    waits: Waits,
    /// Whether the queue will never run again.
    is_closed: AtomicBool,
    /// The tasks of awaitable callbacks. The loop itself holds tasks weakly.
    tasks: Mutex<Vec<(u64, Py<PyAny>)>>,
    next_number: AtomicU64,
    me: Weak<Self>,
}

/// Wakes the thread that waits for a call.
pub(crate) type Wakes = watch::Receiver<()>;

enum Waits {
    OnThread(watch::Sender<()>),
    InLoop(Arc<LoopQueue>),
}

impl CallbackQueue {
    /// Creates the queue of a call on this thread, and a receiver that changes when there is a result, or work for the
    /// thread.
    pub(crate) fn on_thread(py: Python<'_>, on_wait: Option<&Py<PyAny>>) -> (Arc<Self>, Wakes) {
        let (sender, wakes) = watch::channel(());
        (Self::new(py, on_wait, Waits::OnThread(sender)), wakes)
    }

    /// Creates the queue of a call in an event loop.
    pub(crate) fn in_loop(py: Python<'_>, queue: &Arc<LoopQueue>, on_wait: Option<&Py<PyAny>>) -> Arc<Self> {
        Self::new(py, on_wait, Waits::InLoop(Arc::clone(queue)))
    }

    fn new(py: Python<'_>, on_wait: Option<&Py<PyAny>>, waits: Waits) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            events: EventLog::new(py, on_wait),
            jobs: Mutex::default(),
            waits,
            is_closed: AtomicBool::new(false),
            tasks: Mutex::default(),
            next_number: AtomicU64::default(),
            me: me.clone(),
        })
    }

    /// Runs the queued work, on the caller's thread. An error is an interrupt (Ctrl-C, `SystemExit`) and ends the call.
    pub(crate) fn run_pending(&self, py: Python<'_>) -> PyResult<()> {
        self.events.write(py)?;
        self.events.tick(py)?;
        let Some(me) = self.me.upgrade() else { return Ok(()) };
        while let Some(job) = self.next_job() {
            job(py, &me);
        }
        Ok(())
    }

    fn next_job(&self) -> Option<Job> {
        locked(&self.jobs).pop_front()
    }

    /// Closes the queue and drops its work: no caller will run it.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        let jobs = std::mem::take(&mut *locked(&self.jobs));
        drop(jobs);
    }

    /// Runs a Python callback on the caller's thread; if it returns an awaitable and the caller has a loop, that is
    /// awaited there. Then its result is checked. An error names only the class of the exception: its text may hold a
    /// secret.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        code: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static,
        check: Check<T>,
    ) -> Result<T, Raised> {
        self.call_as(|job| job, code, check).await
    }

    /// As [`CallbackQueue::call`], in a job that `job` makes of the usual one.
    pub(crate) async fn call_as<T: Send + 'static>(
        &self,
        job: impl FnOnce(Job) -> Job,
        code: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static,
        check: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T> + Send + 'static,
    ) -> Result<T, Raised> {
        let (ended, outcome) = oneshot::channel();
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let _awaited = Awaited { caller: self, number };
        let settle: Settle = Box::new(move |py, result| {
            let outcome = result.and_then(|result| check(&result));
            let _ = ended.send(outcome.map_err(|error| Raised::of(py, error)));
        });
        let job = job(Box::new(move |py, caller| {
            let process_id = std::process::id();
            let result = code(py).map(|result| result.into_bound(py));
            if std::process::id() != process_id {
                // It forked, and the call belongs to the parent: to wake it could wait for threads that do not exist.
                std::mem::forget((settle, result));
                return;
            }
            caller.end(py, number, result, settle);
        }));
        locked(&self.jobs).push_back(job);
        if self.is_closed.load(Ordering::SeqCst) {
            self.close();
        }
        self.wake();
        outcome.await.unwrap_or(Err(Raised::NoCaller))
    }

    /// Returns whether callbacks run for an event loop.
    pub(crate) fn has_loop(&self) -> bool {
        matches!(self.waits, Waits::InLoop(_))
    }

    /// Returns the number of the event loop that runs callbacks; 0 if there is none. It is unique while this queue
    /// exists.
    pub(crate) fn runner(&self) -> usize {
        match &self.waits {
            Waits::OnThread(_) => 0,
            Waits::InLoop(queue) => Arc::as_ptr(queue) as usize,
        }
    }

    /// Ends a callback: now, or when its awaitable result is done.
    fn end(
        self: &Arc<Self>,
        py: Python<'_>,
        number: u64,
        result: PyResult<Bound<'_, PyAny>>,
        settle: Settle,
    ) {
        let task = match &result {
            Ok(result) => self.awaited(py, result),
            Err(_) => Ok(None),
        };
        match task {
            Ok(None) => settle(py, result),
            Err(error) => settle(py, Err(error)),
            Ok(Some(task)) => {
                locked(&self.tasks).push((number, task.clone().unbind()));
                let watch = Watch { caller: Arc::clone(self), number, settle: Mutex::new(Some(settle)) };
                let added = Bound::new(py, watch)
                    .and_then(|watch| task.call_method1(intern!(py, "add_done_callback"), (watch,)));
                if let Err(error) = added {
                    error.write_unraisable(py, None);
                }
            }
        }
    }

    fn take_task(&self, number: u64) -> Option<Py<PyAny>> {
        let mut tasks = locked(&self.tasks);
        let at = tasks.iter().position(|(other, _)| *other == number)?;
        Some(tasks.swap_remove(at).1)
    }

    /// Returns the task of an awaitable result; `None` if it is not awaitable or the caller has no loop.
    fn awaited<'py>(
        &self,
        py: Python<'py>,
        result: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if !self.has_loop() || !result.get_type().hasattr(intern!(py, "__await__"))? {
            return Ok(None);
        }
        let asyncio = py.import(intern!(py, "asyncio"))?;
        asyncio.call_method1(intern!(py, "ensure_future"), (result,)).map(Some)
    }

    /// Wakes the caller: there is a result, or work.
    pub(crate) fn wake(&self) {
        match &self.waits {
            Waits::OnThread(wakes) => {
                wakes.send_replace(());
            }
            // If the loop is closed, no caller remains.
            Waits::InLoop(queue) => drop(queue.push(Box::new(RunPending(self.me.clone())))),
        }
    }
}

/// Cancels the task of a callback when the call that waits for it is dropped.
struct Awaited<'a> {
    caller: &'a CallbackQueue,
    number: u64,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let Some(task) = self.caller.take_task(self.number) else { return };
        let job: Job = Box::new(move |py, _| {
            if let Err(error) = task.bind(py).call_method0(intern!(py, "cancel")) {
                error.write_unraisable(py, None);
            }
        });
        locked(&self.caller.jobs).push_back(job);
        self.caller.wake();
    }
}

impl Observer for CallbackQueue {
    fn observe(&self, event: Event) {
        let is_urgent = matches!(event, Event::LongWait { .. });
        self.events.observe(event);
        if is_urgent {
            self.wake();
        }
    }
}

/// Runs the queued work of a call in its loop.
struct RunPending(Weak<CallbackQueue>);

impl Work for RunPending {
    fn run(self: Box<Self>, py: Python<'_>) -> PyResult<()> {
        self.0.upgrade().map_or(Ok(()), |caller| caller.run_pending(py))
    }
}

/// A check of the result of a callback.
pub(crate) type Check<T> = fn(&Bound<'_, PyAny>) -> PyResult<T>;

/// Why a callback failed.
pub(crate) enum Raised {
    Exception {
        class: String,
        exception: PyErr,
    },
    /// The caller has gone.
    NoCaller,
}

impl Raised {
    fn of(py: Python<'_>, exception: PyErr) -> Self {
        let name = exception.get_type(py).name();
        Self::Exception {
            class: name.map_or_else(|_| "an error".to_owned(), |name| name.to_string()),
            exception,
        }
    }
}

/// The done callback of a task.
#[pyclass(frozen)]
struct Watch {
    caller: Arc<CallbackQueue>,
    number: u64,
    settle: Mutex<Option<Settle>>,
}

#[pymethods]
impl Watch {
    #[pyo3(signature = (task, /))]
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) {
        let Some(settle) = locked(&self.settle).take() else { return };
        self.caller.take_task(self.number);
        self.caller.end(py, self.number, task.call_method0(intern!(py, "result")), settle);
    }
}
