//! `add_tokens`: bulk runs.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use pyo3::exceptions::{PyException, PyRuntimeError, PyRuntimeWarning, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::client::Client as CoreClient;
use crate::error::{Error, Result, caught};
use crate::ids::Concurrency;
use crate::lifecycle::{AddTokens, DestinationForRow, Run, RunSettings};
use crate::lock::locked;
use crate::operation::Operation;
use crate::python::args::environment::kernel;
use crate::python::args::plain::wrong_type;
use crate::python::args::stub_types::{self, JournalPath, Rows};
use crate::python::args::{domain, plain, rows};
use crate::python::operations::client::{AsyncCore, Client, PyClient};
use crate::python::operations::deliver::Deliver;
use crate::python::operations::functions::default_client;
use crate::python::runtime::awaitable::{Awaitable, RunningLoop};
use crate::python::runtime::callback_queue::{CallbackQueue, Wakes};
use crate::python::runtime::gate::attached;
use crate::python::runtime::wait::wait;
use crate::python::types::row_result::{RowResult, Summary};
use crate::token_output::quoted;

/// A run in progress, of the blocking or the async API.
struct RunHandle {
    run: Arc<tokio::sync::Mutex<Run>>,
    client: CoreClient,
    queue: Arc<CallbackQueue>,
    summary: Arc<Mutex<Summary>>,
    progress: Option<ProgressReport>,
    deliver: Option<Arc<Py<PyAny>>>,
    journal: PathBuf,
    process_id: u32,
    /// Whether the caller has iterated over the run or has closed it.
    is_used: AtomicBool,
}

impl Drop for RunHandle {
    /// A Python destination runs during iteration only.
    fn drop(&mut self) {
        self.queue.close();
        attached(|py| {
            // An object may be dropped while an exception propagates.
            let pending = PyErr::take(py);
            // A forked child has a copy: the parent may iterate over the run.
            if self.is_of_this_process()
                && let Err(error) = self.warn_if_unused(py).and(self.queue.events.close_bar(py))
            {
                error.write_unraisable(py, None);
            }
            if let Some(pending) = pending {
                pending.restore(py);
            }
        });
    }
}

enum ProgressReport {
    Shown,
    Callback(Py<PyAny>),
}

impl ProgressReport {
    fn new(py: Python<'_>, progress: Option<stub_types::Progress>) -> PyResult<Option<Self>> {
        let Some(stub_types::Progress(progress)) = progress.filter(|progress| !progress.0.is_none(py)) else {
            return Ok(None);
        };
        let object = progress.bind(py);
        if object.is_instance_of::<PyBool>() {
            return Ok(object.is_truthy()?.then_some(Self::Shown));
        }
        if object.is_callable() {
            return Ok(Some(Self::Callback(progress)));
        }
        Err(wrong_type("progress", "True or a callable that takes (done, total)", object))
    }
}

/// The arguments of `add_tokens`.
struct Arguments {
    tokens: Rows,
    journal: JournalPath,
    resume: bool,
    concurrency: i64,
    on_error: &'static str,
    progress: Option<stub_types::Progress>,
    lock: bool,
    trust_folder: bool,
    deliver: Option<Deliver>,
}

impl RunHandle {
    fn start(
        py: Python<'_>,
        client: &PyClient,
        queue: Arc<CallbackQueue>,
        arguments: Arguments,
    ) -> PyResult<Self> {
        let progress = ProgressReport::new(py, arguments.progress)?;
        let deliver = arguments.deliver.as_ref().and_then(Deliver::object).cloned();
        let settings = RunSettings {
            resume: arguments.resume,
            no_lock: !arguments.lock,
            trust_folder: arguments.trust_folder,
            concurrency: Concurrency::new(arguments.concurrency)?,
            on_error: arguments.on_error.parse()?,
            destination: arguments.deliver.map(|deliver| {
                let destination = deliver.destination(&queue);
                Arc::new(move |_: &_, _| Ok(Arc::clone(&destination))) as DestinationForRow
            }),
            destination_name: None,
        };
        let journal = std::path::absolute(&arguments.journal.0).unwrap_or(arguments.journal.0);
        let rows = rows::rows(arguments.tokens.0.bind(py))?;
        let add = AddTokens { rows, journal: journal.clone(), settings };
        let client = client.core_for(py, &queue)?;
        let run = py.detach(|| caught(|| add.start(&client)))?;
        let summary = Summary { total: run.total(), ..Summary::default() };
        Ok(Self {
            run: Arc::new(tokio::sync::Mutex::new(run)),
            client,
            queue,
            summary: Arc::new(Mutex::new(summary)),
            progress,
            deliver,
            journal,
            process_id: std::process::id(),
            is_used: AtomicBool::new(false),
        })
    }

    /// Shows the callbacks to the garbage collector: they may refer to the run. Those that a step uses are kept.
    fn traverse(&self, visit: &PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        self.queue.events.traverse(visit)?;
        if let Some(ProgressReport::Callback(callback)) = &self.progress {
            visit.call(callback)?;
        }
        match &self.deliver {
            // The other one is the destination's.
            Some(object) if Arc::strong_count(object) <= 2 => visit.call(&**object),
            _ => Ok(()),
        }
    }

    /// Returns whether this process started the run, and not one that it was forked from.
    fn is_of_this_process(&self) -> bool {
        self.process_id == std::process::id()
    }

    /// Begins a step of the iteration. The first one shows the progress bar.
    fn begin_step(&self, py: Python<'_>) -> PyResult<()> {
        if !self.is_of_this_process() {
            return Err(PyRuntimeError::new_err(
                "the process was forked after add_tokens(...), and the run is the parent's; expected a new call in the child",
            ));
        }
        let is_first = !self.is_used.swap(true, Ordering::Relaxed);
        match self.progress {
            Some(ProgressReport::Shown) if is_first => {
                let is_notebook = kernel(py).is_ok_and(|kernel| kernel.is_some());
                let arguments = (self.summary().total, self.queue.has_loop(), is_notebook);
                let bar = py.import("lmtokens._progress")?.call_method1("start", arguments)?;
                self.queue.events.show_in(bar);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Starts no new row. Returns whether rows may be in progress that this caller can wait for: not in a forked child,
    /// nor if another thread or task iterates over the run.
    fn stop(&self) -> bool {
        self.is_used.store(true, Ordering::Relaxed);
        self.is_of_this_process()
            && self.run.try_lock().is_ok_and(|run| {
                run.stop();
                run.has_started()
            })
    }

    /// Warns of a run that has sent nothing, as the interpreter does of a coroutine that was never awaited.
    fn warn_if_unused(&self, py: Python<'_>) -> PyResult<()> {
        if self.is_used.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let text = if self.queue.has_loop() {
            c"add_tokens(...) was never iterated, and created no token: await it, iterate over it, or close it"
        } else {
            c"add_tokens(...) was never iterated, and created no token: iterate over it, call finish(), or close it"
        };
        PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), text, 1)
    }

    fn next(&self) -> NextRow {
        NextRow { run: Arc::clone(&self.run), summary: Arc::clone(&self.summary) }
    }

    fn summary(&self) -> Summary {
        *locked(&self.summary)
    }

    /// Aborts the run after an interrupt, and logs how to resume it.
    fn interrupted(&self, py: Python<'_>) -> PyResult<()> {
        // The record is written below the bar.
        self.queue.events.close_bar(py)?;
        if let Ok(run) = self.run.try_lock() {
            run.abort();
        }
        let journal = self.journal.display().to_string();
        let message = format!(
            "add_tokens interrupted ({}); resume with add_tokens(the same rows, journal={journal:?}, resume=True) or \
             lmtokens bulk FILE --journal {} --resume",
            self.summary().__repr__(),
            quoted(&journal)
        );
        crate::python::runtime::log::warn(py, message)
    }

    /// Reports a row that has ended. One that was not attempted is no progress.
    fn report_progress(&self, py: Python<'_>, result: &RowResult) -> PyResult<()> {
        if result.is_unattempted() {
            return Ok(());
        }
        let Some(progress) = &self.progress else { return Ok(()) };
        let summary = self.summary();
        match progress {
            ProgressReport::Callback(callback) => {
                callback.call1(py, (summary.ended(), summary.total)).map(drop)
            }
            ProgressReport::Shown => self.queue.events.update_bar(py, summary),
        }
    }
}

/// Waits for the next row that ends. Results need no report if they are lost: the journal has them.
struct NextRow {
    run: Arc<tokio::sync::Mutex<Run>>,
    summary: Arc<Mutex<Summary>>,
}

impl Operation for NextRow {
    type Output = Option<RowResult>;

    async fn run(self, _client: &CoreClient) -> Result<Option<RowResult>> {
        let busy = |_| Error::argument("another thread or task is iterating over this run");
        let mut run = self.run.try_lock().map_err(busy)?;
        let result = run.next().await;
        *locked(&self.summary) = Summary::of(run.total(), run.summary());
        Ok(result?.map(RowResult::from))
    }
}

/// A run of ``add_tokens``: an iterator of row results, in the order in which the rows end.
///
/// The first step sends the first request. Leaving the iteration (``break``, ``close()``, the end of a ``with`` block)
/// starts no new row; ``close()`` and the end of the block wait for the rows in progress, so that the journal can be
/// resumed at once. Ctrl-C cancels the rows in progress, which ``resume=True`` finishes later. An error of the run as a
/// whole (the credentials are rejected, the journal cannot be written) is raised at the end, after every row has ended.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct BulkRun(Open, Arc<Mutex<Summary>>, Wakes);

impl BulkRun {
    fn start(py: Python<'_>, client: &PyClient, arguments: Arguments) -> PyResult<Self> {
        let (queue, wakes) = client.queue_on_thread(py);
        let handle = RunHandle::start(py, client, queue, arguments)?;
        let summary = Arc::clone(&handle.summary);
        Ok(Self(Mutex::new(Some(Arc::new(handle))), summary, wakes))
    }

    fn handle(&self) -> Option<Arc<RunHandle>> {
        locked(&self.0).clone()
    }
}

#[pymethods]
impl BulkRun {
    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        traverse(&self.0, &visit)
    }

    fn __clear__(&self) {
        clear(&self.0);
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<RowResult>> {
        let Some(handle) = self.handle() else { return Ok(None) };
        handle.begin_step(py)?;
        // A clone sees earlier wake-ups too: work that was queued when the last row ended runs at once.
        match wait(py, &handle.client, &handle.queue, self.2.clone(), handle.next()) {
            Ok(Some(result)) => {
                if let Some(interrupt) = result.error.take_interrupt(py) {
                    handle.interrupted(py)?;
                    close(&self.0);
                    return Err(interrupt);
                }
                handle.report_progress(py, &result)?;
                Ok(Some(result))
            }
            Ok(None) => {
                close(&self.0);
                Ok(None)
            }
            // Another thread iterates over the run.
            Err(error) if error.is_instance_of::<PyValueError>(py) => Err(error),
            Err(error) => {
                if !error.is_instance_of::<PyException>(py) {
                    handle.interrupted(py)?;
                }
                close(&self.0);
                Err(error)
            }
        }
    }

    /// Iterate to the end and return the summary.
    ///
    /// Returns:
    ///     Summary: the number of rows by result.
    fn finish(&self, py: Python<'_>) -> PyResult<Summary> {
        while self.__next__(py)?.is_some() {}
        Ok(self.summary())
    }

    /// Summary: the number of rows by result, so far.
    #[getter]
    fn summary(&self) -> Summary {
        *locked(&self.1)
    }

    /// Start no new row, and wait for those in progress. The summary then counts them, and the others as skipped. If
    /// another thread iterates over the run, it gets the rows in progress, and this does not wait.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let ended = match self.handle() {
            Some(handle) if handle.stop() => self.finish(py).map(drop),
            _ => Ok(()),
        };
        close(&self.0);
        ended
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*exception: "object") -> "None")]
    fn __exit__(&self, py: Python<'_>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        match exception.get_item(1).ok().filter(|error| !error.is_none()) {
            None => {
                let warned = self.handle().map_or(Ok(()), |handle| handle.warn_if_unused(py));
                self.close(py).and(warned)
            }
            Some(error) if error.is_instance_of::<PyException>() => match self.close(py) {
                // Its error must not replace that of the block.
                Err(second) if second.is_instance_of::<PyException>(py) => Ok(()),
                closed => closed,
            },
            // An interrupt does not wait.
            Some(_) => {
                close(&self.0);
                Ok(())
            }
        }
    }

    fn __repr__(&self) -> String {
        format!("<lmtokens.BulkRun {}>", self.summary().__repr__())
    }
}

/// The native part of the run of the async API.
#[pyclass(name = "_AsyncBulkRun", frozen, module = "lmtokens._lmtokens")]
pub(crate) struct AsyncBulkRun(Open, Arc<Mutex<Summary>>);

impl AsyncBulkRun {
    fn start(py: Python<'_>, client: &PyClient, arguments: Arguments) -> PyResult<Self> {
        let queue = client.queue_in_loop(&RunningLoop::enter(py)?);
        let handle = RunHandle::start(py, client, queue, arguments)?;
        let summary = Arc::clone(&handle.summary);
        Ok(Self(Mutex::new(Some(Arc::new(handle))), summary))
    }

    fn handle(&self) -> Option<Arc<RunHandle>> {
        locked(&self.0).clone()
    }
}

#[pymethods]
impl AsyncBulkRun {
    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        traverse(&self.0, &visit)
    }

    fn __clear__(&self) {
        clear(&self.0);
    }

    /// Return the future of the next row that ends, or of None at the end, with its call.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Awaitable<'py, Option<RowResult>>> {
        let Some(handle) = self.handle() else {
            return Err(PyValueError::new_err("this run is closed"));
        };
        handle.begin_step(py)?;
        RunningLoop::enter(py)?.start(&handle.client, &handle.queue, handle.next())
    }

    /// Report the progress, or raise the interrupt of this row's destination.
    fn returned(&self, py: Python<'_>, result: &RowResult) -> PyResult<()> {
        let Some(handle) = self.handle() else { return Ok(()) };
        match result.error.take_interrupt(py) {
            None => handle.report_progress(py, result),
            Some(interrupt) => {
                handle.interrupted(py)?;
                close(&self.0);
                Err(interrupt)
            }
        }
    }

    fn interrupted(&self, py: Python<'_>) -> PyResult<()> {
        self.handle().map_or(Ok(()), |handle| handle.interrupted(py))
    }

    #[getter]
    fn closed(&self) -> bool {
        locked(&self.0).is_none()
    }

    #[getter]
    fn summary(&self) -> Summary {
        *locked(&self.1)
    }

    /// Start no new row. Return whether rows may be in progress that the caller can wait for.
    fn stop(&self) -> bool {
        self.handle().is_some_and(|handle| handle.stop())
    }

    fn close(&self) {
        close(&self.0);
    }

    fn warn_if_unused(&self, py: Python<'_>) -> PyResult<()> {
        self.handle().map_or(Ok(()), |handle| handle.warn_if_unused(py))
    }
}

/// A run until it is closed.
type Open = Mutex<Option<Arc<RunHandle>>>;

fn traverse(run: &Open, visit: &PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
    // The garbage collector must not wait for another thread.
    let Ok(run) = run.try_lock() else { return Ok(()) };
    match &*run {
        Some(handle) if Arc::strong_count(handle) == 1 => handle.traverse(visit),
        _ => Ok(()),
    }
}

/// Ends a run that the garbage collector has found unreachable.
fn clear(run: &Open) {
    // Dropping it runs Python code.
    let handle = locked(run).take();
    drop(handle);
}

fn close(run: &Open) {
    // Dropping it runs Python code.
    let handle = locked(run).take();
    if let Some(handle) = handle {
        handle.is_used.store(true, Ordering::Relaxed);
    }
}

/// Defines `add_tokens` on both clients and as a module function.
macro_rules! bulk_operation {
    ($(#[$doc:meta])* [$($signature:tt)*] [$($parameters:tt)*] $arguments:expr) => {
        #[pymethods]
        impl Client {
            $(#[$doc])*
            #[pyo3(signature = ($($signature)*) -> "BulkRun")]
            #[allow(clippy::too_many_arguments)]
            fn add_tokens(&self, py: Python<'_>, $($parameters)*) -> PyResult<BulkRun> {
                BulkRun::start(py, self.py_client(), $arguments)
            }
        }

        #[pymethods]
        impl AsyncCore {
            $(#[$doc])*
            #[pyo3(signature = ($($signature)*) -> "_AsyncBulkRun")]
            #[allow(clippy::too_many_arguments)]
            fn _add_tokens(&self, py: Python<'_>, $($parameters)*) -> PyResult<AsyncBulkRun> {
                AsyncBulkRun::start(py, self.py_client(), $arguments)
            }
        }

        $(#[$doc])*
        #[pyfunction]
        #[pyo3(signature = ($($signature)*) -> "BulkRun")]
        #[allow(clippy::too_many_arguments)]
        pub(crate) fn add_tokens(py: Python<'_>, $($parameters)*) -> PyResult<BulkRun> {
            BulkRun::start(py, default_client(py)?.get().py_client(), $arguments)
        }
    };
}

bulk_operation! {
    /// Create many tokens, with a journal from which an interrupted run can be resumed.
    ///
    /// All rows are checked before the first request. Each token is created disabled, and is enabled only after its key
    /// has been written to the journal and flushed to disk. The portal may e-mail the user for each change of a token:
    /// expect about two e-mails per row. If a rate limit is reached, the run waits as long as necessary (``max_wait``
    /// applies to single calls only), unless the client's ``on_limit`` is ``"raise"``.
    ///
    /// Args:
    ///     tokens (Iterable[NewToken | Mapping | tuple] | DataFrame): the rows: ``NewToken`` objects; mappings, named
    ///         tuples or dataclass instances with ``admin_id`` and optionally ``note``, ``status`` and ``type``; plain
    ///         tuples and lists in this order; or a ``DataFrame`` of pandas or Polars with these columns, in which whole
    ///         numbers may be floats, as pandas makes them if a value is missing. Names are compared without case;
    ///         other names are refused, except ``Index`` in a named tuple, as of pandas' ``itertuples()``, which is
    ///         ignored. A user is given by id or by name; each
    ///         name is looked up once. The values of a row, but not of a ``NewToken``, may come from ``csv.DictReader``
    ///         or ``csv.reader`` (pass ``strict=True`` to it): a text of the digits 0-9 is the user's id, and any other
    ///         number is refused, so that a user whose name is a number is given by id. A status may be ``"1"`` or
    ///         ``"2"``. White space around a text does not matter, except in a note. ``None``, NaN, ``pandas.NA`` and
    ///         an empty text are values that are not given. A header among the rows is refused, and so is a first plain
    ///         tuple or list that resembles one: give a user called ``admin`` or ``note`` there by id or in a mapping.
    ///     journal (str | os.PathLike): path of the journal, a file of JSON lines that only its owner can read. It
    ///         contains the keys: protect it like the keys. If it exists, ``resume=True`` is required.
    ///     resume (bool): resume an existing journal: its tokens are compared with the portal, rows that are done are
    ///         kept, the others are tried again, and no row ends with two enabled tokens. A row is ``"unknown"`` if the
    ///         journal contradicts the portal, or if a token looks like one of the row and is not in the journal. If
    ///         the journal does not exist, a new run starts. Default ``False``.
    ///     concurrency (int): number of rows processed at once, 1 to 64; default 8. The first row is processed alone.
    ///     on_error (str): what to do with the other rows when one fails: ``"continue"`` (the default) or ``"stop"``.
    ///     progress (bool | Callable[[int, int], object] | None): ``True`` shows one bar, with failures and waits for the
    ///         rate limit: in the output of a notebook, else on standard error, by tqdm if it is installed; a line at
    ///         intervals if standard error is not a terminal. A callable is called after each row with (rows finished,
    ///         all rows). Default none.
    ///     lock (bool): lock the journal against other processes; default ``True``. Pass ``False`` only on a file
    ///         system that does not support locks.
    ///     trust_folder (bool): accept a journal that belongs to another user or is in a folder that other users can
    ///         write to: they can change its lines. Default ``False``.
    ///     deliver (ToFile | ToCommand | Callable | object | None): the destination of each key, as for ``add_token``;
    ///         the journal then contains no keys. Default: the journal. A file holds one key, so that ``to_file`` is
    ///         refused for several rows. A resumed run calls ``commit`` or ``discard``, with a token without its key, for
    ///         each delivery that an interrupted run did not complete: also for one that was completed just before the
    ///         interruption, so a second call must have no effect.
    ///
    /// Returns:
    ///     BulkRun: an iterator of ``RowResult`` objects, in the order in which the rows finish, with a ``summary``.
    ///     ``finish()`` processes all remaining rows. A run that is never iterated creates no token and leaves no new
    ///     journal; a ``RuntimeWarning`` says so.
    ///
    /// Raises:
    ///     TypeError, ValueError: an argument or a row is invalid; the message names the rows. Nothing was sent.
    ///     DeliveryError: the journal exists, belongs to another portal, another input or another user, is damaged, is in
    ///         use by another process, or cannot be written. An error that occurs during the run is raised at its end.
    ///     AuthenticationError: the portal rejected the credentials; raised at the end of the run. The run stops at the
    ///         first such response, because repeated failures lock a token.
    ///
    /// Example:
    ///     >>> import lmtokens.sandbox, os, tempfile
    ///     >>> journal = os.path.join(tempfile.mkdtemp(), "run.journal")
    ///     >>> with lmtokens.sandbox.Portal() as portal:
    ///     ...     run = portal.client().add_tokens([(32, "a"), {"admin_id": "viewer", "note": "b"}], journal=journal)
    ///     ...     for result in run:
    ///     ...         print(result.number, result.state)
    ///     1 created
    ///     2 created
    ///     >>> run.summary
    ///     Summary(total=2, created=2, already_done=0, failed=0, unknown=0, skipped=0)
    [
        tokens,
        *,
        journal,
        resume: "bool" = false,
        concurrency: "int" = 8,
        on_error: "Literal['continue', 'stop']" = "continue",
        progress = None,
        lock: "bool" = true,
        trust_folder: "bool" = false,
        deliver = None,
    ]
    [
        tokens: Rows,
        journal: JournalPath,
        #[pyo3(from_py_with = plain::resume)] resume: bool,
        #[pyo3(from_py_with = plain::concurrency)] concurrency: i64,
        #[pyo3(from_py_with = domain::on_error)] on_error: &'static str,
        progress: Option<stub_types::Progress>,
        #[pyo3(from_py_with = plain::lock)] lock: bool,
        #[pyo3(from_py_with = plain::trust_folder)] trust_folder: bool,
        deliver: Option<Deliver>,
    ]
    Arguments { tokens, journal, resume, concurrency, on_error, progress, lock, trust_folder, deliver }
}
