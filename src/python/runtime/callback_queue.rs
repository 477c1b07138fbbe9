//! Whoever waits for a call, on a thread or in an event loop: there the log is written and Python's own code is called,
//! outside the runtime and with no lock held, so that it may call this package itself.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};

use pyo3::intern;
use pyo3::prelude::*;
use tokio::sync::{Notify, oneshot};

use crate::lock::locked;
use crate::ports::{Event, Observer};
use crate::python::operations::client::PyClient;
use crate::python::runtime::gate::attached;
use crate::python::runtime::log::EventLog;

type Job = Box<dyn FnOnce(Python<'_>, &Arc<CallbackQueue>) + Send>;

/// The caller of one call, or of one run.
pub(crate) struct CallbackQueue {
    pub(crate) events: EventLog,
    jobs: Mutex<VecDeque<Job>>,
    waits: Waits,
    /// Whether nobody will ever serve again.
    is_over: AtomicBool,
    /// What is awaited in the loop, which itself holds tasks weakly.
    tasks: Mutex<Vec<(u64, Py<PyAny>)>>,
    next_number: AtomicU64,
    pub(crate) active_threads: ActiveThreads,
    me: Weak<Self>,
}

/// Threads of the runtime that are in the interpreter, or about to be. One that still is when the interpreter ends would be
/// unwound through Rust frames: so whoever lets the caller go on waits for them first.
#[derive(Default)]
pub(crate) struct ActiveThreads {
    count: Mutex<usize>,
    ended: Condvar,
}

impl ActiveThreads {
    pub(crate) fn begin(&self) {
        *locked(&self.count) += 1;
    }

    pub(crate) fn end(&self) {
        let mut count = locked(&self.count);
        *count = count.saturating_sub(1);
        self.ended.notify_all();
    }

    /// Not while this thread holds the interpreter.
    pub(crate) fn wait_for_the_end(&self) {
        let count = locked(&self.count);
        drop(self.ended.wait_while(count, |count| *count > 0));
    }
}

enum Waits {
    OnThread(Notify),
    /// The `asyncio` loop.
    InLoop(Py<PyAny>),
}

impl CallbackQueue {
    pub(crate) fn on_thread(py: Python<'_>, py_client: &PyClient) -> Arc<Self> {
        Self::new(py, py_client, Waits::OnThread(Notify::new()))
    }

    pub(crate) fn in_loop(py: Python<'_>, py_client: &PyClient, event_loop: Py<PyAny>) -> Arc<Self> {
        Self::new(py, py_client, Waits::InLoop(event_loop))
    }

    fn new(py: Python<'_>, py_client: &PyClient, waits: Waits) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            events: EventLog::new(py, py_client.on_wait()),
            jobs: Mutex::default(),
            waits,
            is_over: AtomicBool::new(false),
            tasks: Mutex::default(),
            next_number: AtomicU64::default(),
            active_threads: ActiveThreads::default(),
            me: me.clone(),
        })
    }

    /// Until there is something for the caller's thread to do.
    pub(crate) async fn notified(&self) {
        match &self.waits {
            Waits::OnThread(notify) => notify.notified().await,
            Waits::InLoop(_) => std::future::pending().await,
        }
    }

    /// Does what there is to do. On the caller's thread only. An error is more than one: it ends the call.
    pub(crate) fn run_pending(&self, py: Python<'_>) -> PyResult<()> {
        self.events.write(py)?;
        let Some(me) = self.me.upgrade() else { return Ok(()) };
        while let Some(job) = self.next_job() {
            job(py, &me);
        }
        Ok(())
    }

    fn next_job(&self) -> Option<Job> {
        locked(&self.jobs).pop_front()
    }

    /// Nobody will serve any more: what waits to be called is let go of.
    pub(crate) fn close(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        let jobs = std::mem::take(&mut *locked(&self.jobs));
        drop(jobs);
    }

    /// Calls Python's code on the caller's thread; where that gives an awaitable, its outcome is awaited in the caller's
    /// loop. An error names only the class of what it raised: what that says may hold a secret.
    pub(crate) async fn call(
        &self,
        code: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Result<(), Raised> {
        let (ended, outcome) = oneshot::channel();
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let _awaited = Awaited { caller: self, number };
        let job: Job = Box::new(move |py, caller| {
            let answer = code(py).and_then(|answer| caller.awaited(py, answer));
            match answer {
                Ok(Some(task)) => {
                    locked(&caller.tasks).push((number, task.clone_ref(py)));
                    let watch = Watch { caller: Arc::clone(caller), number, ended: Mutex::new(Some(ended)) };
                    let added = Bound::new(py, watch).and_then(|watch| {
                        task.bind(py).call_method1(intern!(py, "add_done_callback"), (watch,))
                    });
                    if let Err(error) = added {
                        error.write_unraisable(py, None);
                    }
                }
                Ok(None) => drop(ended.send(Ok(()))),
                Err(error) => drop(ended.send(Err(Raised::of(py, error)))),
            }
        });
        locked(&self.jobs).push_back(job);
        if self.is_over.load(Ordering::SeqCst) {
            self.close();
        }
        self.wake();
        outcome.await.unwrap_or(Err(Raised::NobodyToCall))
    }

    fn take_task(&self, number: u64) -> Option<Py<PyAny>> {
        let mut tasks = locked(&self.tasks);
        let at = tasks.iter().position(|(other, _)| *other == number)?;
        Some(tasks.swap_remove(at).1)
    }

    /// The task of an answer that is to be awaited.
    fn awaited(&self, py: Python<'_>, answer: Py<PyAny>) -> PyResult<Option<Py<PyAny>>> {
        let answer = answer.bind(py);
        if answer.is_none() || !answer.hasattr(intern!(py, "__await__"))? {
            return Ok(None);
        }
        let Waits::InLoop(event_loop) = &self.waits else {
            if answer.hasattr(intern!(py, "close"))? {
                answer.call_method0(intern!(py, "close"))?;
            }
            return Err(pyo3::exceptions::PyTypeError::new_err(
                "it gave an awaitable, which only AsyncClient can await",
            ));
        };
        let asyncio = py.import(intern!(py, "asyncio"))?;
        let options = pyo3::types::PyDict::new(py);
        options.set_item("loop", event_loop)?;
        let task = asyncio.call_method(intern!(py, "ensure_future"), (answer,), Some(&options))?;
        Ok(Some(task.unbind()))
    }

    fn wake(&self) {
        match &self.waits {
            Waits::OnThread(notify) => notify.notify_one(),
            Waits::InLoop(_) => {
                let Some(me) = self.me.upgrade() else { return };
                me.active_threads.begin();
                // Off the runtime, which has other calls to drive while the interpreter is busy.
                tokio::task::spawn_blocking(move || {
                    me.wake_loop();
                    me.active_threads.end();
                });
            }
        }
    }

    fn wake_loop(self: &Arc<Self>) {
        attached(|py| {
            let Waits::InLoop(event_loop) = &self.waits else { return };
            let event_loop = event_loop.clone_ref(py);
            let serve = Bound::new(py, RunPending(Arc::downgrade(self)));
            // A loop that is closed has nobody to call.
            let _ = serve.and_then(|serve| {
                event_loop.bind(py).call_method1(intern!(py, "call_soon_threadsafe"), (serve,)).map(drop)
            });
        });
    }
}

/// Cancels what is awaited in the loop when the call that waits for it is given up.
struct Awaited<'a> {
    caller: &'a CallbackQueue,
    number: u64,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        // One that has ended is no longer there.
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

/// Called by the loop.
#[pyclass(frozen)]
struct RunPending(Weak<CallbackQueue>);

#[pymethods]
impl RunPending {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        self.0.upgrade().map_or(Ok(()), |caller| caller.run_pending(py))
    }
}

type Ended = oneshot::Sender<Result<(), Raised>>;

/// Why Python's code did not do what it was called for.
pub(crate) enum Raised {
    Exception { class: String, exception: PyErr },
    NobodyToCall,
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

/// Called by a task that is done.
#[pyclass(frozen)]
struct Watch {
    caller: Arc<CallbackQueue>,
    number: u64,
    ended: Mutex<Option<Ended>>,
}

#[pymethods]
impl Watch {
    #[pyo3(signature = (task, /))]
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) {
        let Some(ended) = locked(&self.ended).take() else { return };
        self.caller.take_task(self.number);
        let outcome = match task.call_method0(intern!(py, "result")) {
            Ok(_) => Ok(()),
            Err(error) => Err(Raised::of(py, error)),
        };
        let _ = ended.send(outcome);
    }
}
