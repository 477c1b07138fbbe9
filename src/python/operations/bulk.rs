//! Runs of many creates.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::error::Error;
use crate::lifecycle::{AddTokens, OnError, Run};
use crate::lock::locked;
use crate::python::args::domain::type_name;
use crate::python::args::plain as arguments;
use crate::python::args::stub_types::{self as hints, JournalPath, Rows};
use crate::python::operations::client::{AsyncCore, Client, PyClient};
use crate::python::operations::deliver::Deliver;
use crate::python::operations::functions::default_client;
use crate::python::runtime::awaitable::{Awaitable, awaitable_as, running_loop};
use crate::python::runtime::callback_queue::CallbackQueue;
use crate::python::runtime::wait::wait_as;
use crate::python::types::errors::exception;
use crate::python::types::new_token;
use crate::python::types::row_result::{RowResult, Summary};
use crate::token_output::quoted;

/// The second of two that ask at once is told so.
const BUSY: &str = "this run is being iterated over already";

/// What both faces of a run have.
struct Core {
    run: Arc<tokio::sync::Mutex<Run>>,
    caller: Arc<CallbackQueue>,
    summary: Arc<Mutex<Summary>>,
    progress: Option<Progress>,
    journal: PathBuf,
}

impl Drop for Core {
    /// A destination of Python's is called by whoever goes through the run.
    fn drop(&mut self) {
        self.caller.close();
    }
}

enum Progress {
    Shown,
    Told(Py<PyAny>),
}

/// What `add_tokens` is given beside its rows.
struct Options {
    journal: JournalPath,
    resume: bool,
    concurrency: i64,
    on_error: &'static str,
    progress: Option<hints::Progress>,
    lock: bool,
    deliver: Option<Deliver>,
}

impl Core {
    fn start(
        py: Python<'_>,
        py_client: &PyClient,
        caller: Arc<CallbackQueue>,
        rows: &Rows,
        options: Options,
    ) -> PyResult<Self> {
        let raised = |error| exception(py, error);
        let progress =
            match options.progress.map(|progress| progress.0).filter(|progress| !progress.is_none(py)) {
                None => None,
                Some(progress) if progress.bind(py).is_instance_of::<PyBool>() => {
                    progress.bind(py).is_truthy()?.then_some(Progress::Shown)
                }
                Some(progress) if progress.bind(py).is_callable() => Some(Progress::Told(progress)),
                Some(progress) => {
                    return Err(PyTypeError::new_err(format!(
                        "progress cannot be a {}: accepted are True and a callable that takes (done, total)",
                        type_name(progress.bind(py))?
                    )));
                }
            };
        let verb = AddTokens {
            rows: new_token::rows(rows.0.bind(py))?,
            journal: std::path::absolute(&options.journal.0).unwrap_or(options.journal.0),
            resume: options.resume,
            concurrency: usize::try_from(options.concurrency).unwrap_or_default(),
            on_error: OnError::parse(options.on_error).map_err(raised)?,
            lock: options.lock,
            destination: options.deliver.map(|deliver| deliver.destination(&caller)),
        };
        let journal = verb.journal.clone();
        let client = py_client.core().observed_by(caller.clone());
        let run = py.detach(|| verb.start(&client)).map_err(raised)?;
        let summary = Summary { total: run.total(), ..Summary::default() };
        Ok(Self {
            run: Arc::new(tokio::sync::Mutex::new(run)),
            caller,
            summary: Arc::new(Mutex::new(summary)),
            progress,
            journal,
        })
    }

    fn next(&self) -> impl Future<Output = Result<Option<RowResult>, Error>> + Send + 'static {
        let (run, shown) = (Arc::clone(&self.run), Arc::clone(&self.summary));
        async move {
            let mut run = run.try_lock().map_err(|_| Error::argument(BUSY))?;
            let result = run.next().await;
            *locked(&shown) = Summary::of(run.total(), run.summary());
            Ok(result?.map(RowResult::from))
        }
    }

    fn summary(&self) -> Summary {
        *locked(&self.summary)
    }

    /// What Ctrl-C leaves can be finished.
    fn interrupted(&self, py: Python<'_>) -> PyResult<()> {
        if let Ok(run) = self.run.try_lock() {
            run.abort();
        }
        let message = format!(
            "a run of add_tokens was interrupted ({}); go on with it: add_tokens(the same rows, journal={:?}, resume=True), \
             or lmtokens bulk FILE --journal {} --resume",
            self.summary().__repr__(),
            self.journal.display().to_string(),
            quoted(&self.journal.display().to_string())
        );
        crate::python::runtime::log::warn(py, message)
    }

    fn tell_progress(&self, py: Python<'_>) -> PyResult<()> {
        let Some(progress) = &self.progress else { return Ok(()) };
        let Summary { total, created, already_done, failed, unknown, skipped } = self.summary();
        let done = created + already_done + failed + unknown + skipped;
        match progress {
            Progress::Told(callback) => callback.call1(py, (done, total)).map(drop),
            Progress::Shown => {
                let stderr = py.import(intern!(py, "sys"))?.getattr(intern!(py, "stderr"))?;
                if stderr.is_none() {
                    return Ok(());
                }
                let bad = failed + unknown;
                let bad = if bad > 0 { format!(", {bad} not made") } else { String::new() };
                let end = if done >= total as u64 { "\n" } else { "" };
                stderr.call_method1(intern!(py, "write"), (format!("\r{done}/{total}{bad}{end}"),))?;
                stderr.call_method0(intern!(py, "flush")).map(drop)
            }
        }
    }
}

/// A run of ``add_tokens``: an iterator of how the rows ended, as they end.
///
/// The first step of the iteration sends the first request. Leaving it (``break``, ``close()``, the end of a ``with``
/// block) starts no new row; Ctrl-C cuts off what is under way, which ``resume=True`` finishes later. An error of the run as
/// a whole (the credentials are refused, the journal cannot be written) is raised at the end, after every row has ended.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct BulkRun(Mutex<Option<Arc<Core>>>, Arc<Mutex<Summary>>);

impl BulkRun {
    fn core(&self) -> Option<Arc<Core>> {
        locked(&self.0).clone()
    }
}

#[pymethods]
impl BulkRun {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<RowResult>> {
        let Some(core) = self.core() else { return Ok(None) };
        let next = wait_as(py, &core.caller, core.next());
        match next {
            Ok(Some(result)) => {
                if let Some(raised) = result.error.more_than_an_error(py) {
                    core.interrupted(py)?;
                    self.close();
                    return Err(raised);
                }
                core.tell_progress(py)?;
                Ok(Some(result))
            }
            Ok(None) => {
                self.close();
                Ok(None)
            }
            // Somebody else goes through it.
            Err(error) if error.is_instance_of::<PyValueError>(py) => Err(error),
            Err(error) => {
                if !error.is_instance_of::<pyo3::exceptions::PyException>(py) {
                    core.interrupted(py)?;
                }
                self.close();
                Err(error)
            }
        }
    }

    /// Go through all that is left, and say how the rows ended.
    ///
    /// Returns:
    ///     Summary: how many rows ended how.
    fn finish(&self, py: Python<'_>) -> PyResult<Summary> {
        while self.__next__(py)?.is_some() {}
        Ok(self.summary())
    }

    /// Summary: how many rows ended how, so far.
    #[getter]
    fn summary(&self) -> Summary {
        *locked(&self.1)
    }

    /// Start no new row. Those under way go on to their end.
    fn close(&self) {
        locked(&self.0).take();
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*exception: "object") -> "None")]
    fn __exit__(&self, exception: &Bound<'_, PyAny>) {
        let _ = exception;
        self.close();
    }

    fn __repr__(&self) -> String {
        format!("<lmtokens.BulkRun {}>", self.summary().__repr__())
    }
}

/// The native half of the async face's run.
#[pyclass(frozen, module = "lmtokens._lmtokens")]
pub(crate) struct AsyncBulkRun(Mutex<Option<Arc<Core>>>, Arc<Mutex<Summary>>);

#[pymethods]
impl AsyncBulkRun {
    /// An awaitable of the next row that has ended, or of None at the end.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Awaitable<'py>> {
        let core = locked(&self.0).clone();
        let Some(core) = core else {
            return Err(PyValueError::new_err("this run is closed"));
        };
        awaitable_as(py, Arc::clone(&core.caller), core.next())
    }

    /// Tells the progress, or raises what the destination of this row raised that is more than an error.
    fn told(&self, py: Python<'_>, result: &RowResult) -> PyResult<()> {
        let core = locked(&self.0).clone();
        let Some(core) = core else { return Ok(()) };
        match result.error.more_than_an_error(py) {
            None => core.tell_progress(py),
            Some(raised) => {
                core.interrupted(py)?;
                self.close();
                Err(raised)
            }
        }
    }

    fn interrupted(&self, py: Python<'_>) -> PyResult<()> {
        let core = locked(&self.0).clone();
        core.map_or(Ok(()), |core| core.interrupted(py))
    }

    #[getter]
    fn closed(&self) -> bool {
        locked(&self.0).is_none()
    }

    #[getter]
    fn summary(&self) -> Summary {
        *locked(&self.1)
    }

    fn close(&self) {
        locked(&self.0).take();
    }
}

/// Defines the bulk verb on every face.
macro_rules! bulk_verb {
    ([$($signature:tt)*] [$($parameters:tt)*] $rows:ident, $options:expr) => {
        #[pymethods]
        impl Client {
            #[doc = include_str!("../doc/add_tokens.md")]
            #[pyo3(signature = ($($signature)*) -> "BulkRun")]
            #[allow(clippy::too_many_arguments)]
            fn add_tokens(&self, py: Python<'_>, $($parameters)*) -> PyResult<BulkRun> {
                start(py, self.py_client(), &$rows, $options)
            }
        }

        #[pymethods]
        impl AsyncCore {
            #[pyo3(signature = ($($signature)*) -> "AsyncBulkRun")]
            #[allow(clippy::too_many_arguments)]
            fn _add_tokens(&self, py: Python<'_>, $($parameters)*) -> PyResult<AsyncBulkRun> {
                let caller = CallbackQueue::in_loop(py, self.py_client(), running_loop(py)?.unbind());
                let core = Core::start(py, self.py_client(), caller, &$rows, $options)?;
                let summary = Arc::clone(&core.summary);
                Ok(AsyncBulkRun(Mutex::new(Some(Arc::new(core))), summary))
            }
        }

        #[doc = include_str!("../doc/add_tokens.md")]
        #[pyfunction]
        #[pyo3(signature = ($($signature)*) -> "BulkRun")]
        #[allow(clippy::too_many_arguments)]
        pub(crate) fn add_tokens(py: Python<'_>, $($parameters)*) -> PyResult<BulkRun> {
            start(py, default_client(py)?.get().py_client(), &$rows, $options)
        }
    };
}

bulk_verb! {
    [
        tokens,
        *,
        journal,
        resume: "bool" = false,
        concurrency: "int" = 8,
        on_error: "str" = "continue",
        progress = None,
        lock: "bool" = true,
        deliver = None,
    ]
    [
        tokens: Rows,
        journal: JournalPath,
        #[pyo3(from_py_with = arguments::resume)] resume: bool,
        #[pyo3(from_py_with = arguments::concurrency)] concurrency: i64,
        #[pyo3(from_py_with = arguments::on_error)] on_error: &'static str,
        progress: Option<hints::Progress>,
        #[pyo3(from_py_with = arguments::lock)] lock: bool,
        deliver: Option<Deliver>,
    ]
    tokens, Options { journal, resume, concurrency, on_error, progress, lock, deliver }
}

fn start(py: Python<'_>, py_client: &PyClient, tokens: &Rows, options: Options) -> PyResult<BulkRun> {
    let caller = CallbackQueue::on_thread(py, py_client);
    let core = Core::start(py, py_client, caller, tokens, options)?;
    let summary = Arc::clone(&core.summary);
    Ok(BulkRun(Mutex::new(Some(Arc::new(core))), summary))
}
