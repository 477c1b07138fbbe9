//! Many creates at once.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyTuple};

use super::arguments;
use super::awaitable::{Awaitable, awaitable_as, running_loop};
use super::caller::Caller;
use super::client::{AsyncCore, Client, Face};
use super::convert::{Admin, status, token_type, type_name};
use super::deliver::Deliver;
use super::errors::{Late, exception};
use super::functions::default_client;
use super::hints::{self, FilePath, JournalPath, Rows};
use super::token::Token;
use super::wait::wait_as;
use crate::error::Error;
use crate::lifecycle::{self, AddTokens, OnError, Outcome, Run, all_problems};
use crate::model::{TokenStatus, TokenType};
use crate::ports::Loss;
use crate::tag::Tag;
use crate::tokens::{self, AddToken};

/// A token to be made, as ``add_tokens`` takes it.
///
/// Args:
///     admin_id (int | str): the id of the token's user, or the user's name.
///     note (str | None): a label; default none.
///     status (int | str | TokenStatus): as for ``add_token``; default 2, enabled.
///     type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.
///
/// Raises:
///     TypeError, ValueError: what can never be right.
///
/// Example:
///     >>> import lmtokens
///     >>> lmtokens.NewToken(32, "ci")
///     NewToken(32, note='ci', status=2, type='lmv1')
#[pyclass(frozen, module = "lmtokens")]
#[derive(Clone)]
pub(super) struct NewToken(AddToken);

#[pymethods]
impl NewToken {
    #[new]
    #[pyo3(signature = (
        admin_id: "int | str",
        note: "str | None" = None,
        status: "int | str | TokenStatus" = 2,
        *,
        r#type: "str | TokenType" = "lmv1",
    ))]
    fn new(
        py: Python<'_>,
        admin_id: Admin,
        #[pyo3(from_py_with = arguments::note)] note: Option<String>,
        #[pyo3(from_py_with = status)] status: i64,
        #[pyo3(from_py_with = token_type)] r#type: &str,
    ) -> PyResult<Self> {
        let r#type = TokenType::parse(r#type).map_err(|error| exception(py, error))?;
        Tag::check_note(note.as_deref()).map_err(|error| exception(py, error))?;
        Ok(Self(AddToken { admin: admin_id.0, note, status: TokenStatus::from_number(status), r#type }))
    }

    /// int | str: the id of the token's user, or the user's name.
    #[getter]
    fn admin_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.0.admin {
            tokens::Admin::Id(id) => Ok(id.into_pyobject(py)?.into_any()),
            tokens::Admin::Name(name) => Ok(name.into_pyobject(py)?.into_any()),
        }
    }

    /// str | None: the label.
    #[getter]
    fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }

    /// int: 1 for disabled, 2 for enabled.
    #[getter]
    fn status(&self) -> i64 {
        self.0.status.number()
    }

    /// str: ``"lmv1"`` or ``"bearer"``.
    #[getter]
    fn r#type(&self) -> &str {
        self.0.r#type.as_str()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let admin = self.admin_id(py)?.repr()?;
        let note = self.0.note.as_deref().into_pyobject(py)?.repr()?;
        Ok(format!("NewToken({admin}, note={note}, status={}, type='{}')", self.status(), self.r#type()))
    }
}

impl NewToken {
    /// A row in any of the forms that callers write: `NewToken`, `dict`, tuple or list.
    fn of_row(row: &Bound<'_, PyAny>) -> PyResult<AddToken> {
        const ACCEPTED: &str = "accepted are a NewToken, a dict with admin_id, note, status and type, and a tuple in this \
                                order";
        const NAMES: [&str; 4] = ["admin_id", "note", "status", "type"];
        let py = row.py();
        if let Ok(token) = row.cast::<Self>() {
            return Ok(token.get().0.clone());
        }
        let members = if let Ok(members) = row.cast::<PyDict>() {
            for name in members.keys() {
                let known = name.extract::<String>().is_ok_and(|name| NAMES.contains(&name.as_str()));
                if !known {
                    return Err(PyValueError::new_err(format!("{} is not known: {ACCEPTED}", name.repr()?)));
                }
            }
            members.copy()?
        } else if row.is_instance_of::<PyTuple>() || row.is_instance_of::<PyList>() {
            let members = PyDict::new(py);
            let length = row.len()?;
            if length > NAMES.len() {
                return Err(PyValueError::new_err(format!(
                    "a row of {length} members is too long: {ACCEPTED}"
                )));
            }
            for (name, value) in NAMES.iter().zip(row.try_iter()?) {
                members.set_item(name, value?)?;
            }
            members
        } else {
            return Err(PyTypeError::new_err(format!("a row cannot be a {}: {ACCEPTED}", type_name(row)?)));
        };
        let Some(admin_id) = members.get_item(intern!(py, "admin_id"))? else {
            return Err(PyValueError::new_err(format!("admin_id is missing: {ACCEPTED}")));
        };
        members.del_item(intern!(py, "admin_id"))?;
        let token = py.get_type::<Self>().call((admin_id,), Some(&members))?;
        Ok(token.cast::<Self>()?.get().0.clone())
    }
}

/// How one row ended.
#[pyclass(frozen, module = "lmtokens")]
pub(super) struct RowResult {
    row: lifecycle::NewToken,
    state: &'static str,
    token: Option<crate::model::Token>,
    reason: Option<String>,
    error: Late,
}

impl From<lifecycle::RowResult> for RowResult {
    fn from(result: lifecycle::RowResult) -> Self {
        let (state, token, reason, error) = match result.outcome {
            Outcome::Created(token) => ("created", Some(token), None, None),
            Outcome::Failed(error) => ("failed", None, Some(error.to_string()), Some(error)),
            Outcome::Unknown(error) => ("unknown", None, Some(error.to_string()), Some(error)),
            Outcome::Skipped { reason, token } => ("skipped", token, Some(reason), None),
        };
        Self { row: result.row, state, token, reason, error: error.into() }
    }
}

/// What a run has made stands in its journal, whoever hears of it.
impl Loss for Option<RowResult> {}

#[pymethods]
impl RowResult {
    /// NewToken: what was asked for.
    #[getter]
    fn row(&self) -> NewToken {
        NewToken(self.row.token.clone())
    }

    /// int: which row it is, counted from 1.
    #[getter]
    fn number(&self) -> u64 {
        self.row.line
    }

    /// str: ``"created"``; ``"failed"``: nothing works that was not there before; ``"unknown"``: ``error`` says what is
    /// known; ``"skipped"``: done by an earlier run, whose token ``token`` is, or not tried.
    #[getter]
    fn state(&self) -> &'static str {
        self.state
    }

    /// Token | None: the token, its key included unless that went to a destination of the caller's.
    #[getter]
    fn token(&self) -> Option<Token> {
        self.token.clone().map(Token::from)
    }

    /// str | None: why it is not created.
    #[getter]
    fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// LMTokensError | None: the error of a failed or unknown row.
    #[getter]
    fn error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.error.get(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let reason = match &self.reason {
            Some(reason) => format!(": {}", reason.into_pyobject(py)?.repr()?),
            None => String::new(),
        };
        Ok(format!("<lmtokens.RowResult {} {}{reason}>", self.row.line, self.state))
    }
}

/// How many rows of a run ended how, so far.
#[pyclass(frozen, module = "lmtokens", get_all, eq)]
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Summary {
    /// int: all rows.
    total: usize,
    /// int: made by this run.
    created: u64,
    /// int: done by an earlier run.
    done_before: u64,
    /// int: failed.
    failed: u64,
    /// int: not known.
    unknown: u64,
    /// int: not tried, because the run ended before.
    skipped: u64,
}

impl Summary {
    fn of(total: usize, summary: lifecycle::Summary) -> Self {
        let lifecycle::Summary { created, failed, unknown, done_before, skipped } = summary;
        Self { total, created, done_before, failed, unknown, skipped }
    }
}

#[pymethods]
impl Summary {
    fn __repr__(&self) -> String {
        let Self { total, created, done_before, failed, unknown, skipped } = self;
        format!(
            "Summary(total={total}, created={created}, done_before={done_before}, failed={failed}, unknown={unknown}, \
             skipped={skipped})"
        )
    }
}

/// The second of two that ask at once is told so.
const BUSY: &str = "this run is being iterated over already";

/// What both faces of a run have.
struct Core {
    run: Arc<tokio::sync::Mutex<Run>>,
    caller: Arc<Caller>,
    summary: Arc<Mutex<Summary>>,
    progress: Option<Progress>,
    journal: PathBuf,
}

impl Drop for Core {
    /// A destination of Python's is called by whoever goes through the run.
    fn drop(&mut self) {
        self.caller.end();
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
        face: &Face,
        caller: Arc<Caller>,
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
            rows: self::rows(rows.0.bind(py))?,
            journal: std::path::absolute(&options.journal.0).unwrap_or(options.journal.0),
            resume: options.resume,
            concurrency: usize::try_from(options.concurrency).unwrap_or_default(),
            on_error: OnError::parse(options.on_error).map_err(raised)?,
            lock: options.lock,
            destination: options.deliver.map(|deliver| deliver.destination(&caller)),
        };
        let journal = verb.journal.clone();
        let client = face.core().observed_by(caller.clone());
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
            *shown.lock().unwrap_or_else(PoisonError::into_inner) = Summary::of(run.total(), run.summary());
            Ok(result?.map(RowResult::from))
        }
    }

    fn summary(&self) -> Summary {
        *self.summary.lock().unwrap_or_else(PoisonError::into_inner)
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
            self.journal.display()
        );
        super::log::warn(py, message)
    }

    fn tell_progress(&self, py: Python<'_>) -> PyResult<()> {
        let Some(progress) = &self.progress else { return Ok(()) };
        let Summary { total, created, done_before, failed, unknown, skipped } = self.summary();
        let done = created + done_before + failed + unknown + skipped;
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

fn rows(rows: &Bound<'_, PyAny>) -> PyResult<Vec<lifecycle::NewToken>> {
    let py = rows.py();
    let (mut good, mut problems) = (Vec::new(), Vec::new());
    for (line, row) in (1..).zip(rows.try_iter()?) {
        match NewToken::of_row(&row?) {
            Ok(token) => good.push(lifecycle::NewToken { token, line }),
            Err(error)
                if error.is_instance_of::<PyTypeError>(py)
                    || error.is_instance_of::<PyValueError>(py)
                    || error.is_instance_of::<PyKeyError>(py) =>
            {
                problems.push(format!("row {line}: {}", error.value(py)));
            }
            Err(error) => return Err(error),
        }
    }
    match all_problems(&problems) {
        Some(message) => Err(PyValueError::new_err(message)),
        None => Ok(good),
    }
}

/// A run of ``add_tokens``: an iterator of how the rows ended, as they end.
///
/// The first step of the iteration sends the first request. Leaving it (``break``, ``close()``, the end of a ``with``
/// block) starts no new row; Ctrl-C cuts off what is under way, which ``resume=True`` finishes later. An error of the run as
/// a whole (the credentials are refused, the journal cannot be written) is raised at the end, after every row has ended.
#[pyclass(frozen, module = "lmtokens")]
pub(super) struct BulkRun(Mutex<Option<Arc<Core>>>, Arc<Mutex<Summary>>);

impl BulkRun {
    fn core(&self) -> Option<Arc<Core>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        *self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Start no new row. Those under way go on to their end.
    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
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
pub(super) struct AsyncBulkRun(Mutex<Option<Arc<Core>>>, Arc<Mutex<Summary>>);

#[pymethods]
impl AsyncBulkRun {
    /// An awaitable of the next row that has ended, or of None at the end.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Awaitable<'py>> {
        let core = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(core) = core else {
            return Err(PyValueError::new_err("this run is closed"));
        };
        awaitable_as(py, Arc::clone(&core.caller), core.next())
    }

    /// Tells the progress, or raises what the destination of this row raised that is more than an error.
    fn told(&self, py: Python<'_>, result: &RowResult) -> PyResult<()> {
        let core = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
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
        let core = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        core.map_or(Ok(()), |core| core.interrupted(py))
    }

    #[getter]
    fn closed(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    #[getter]
    fn summary(&self) -> Summary {
        *self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Defines the bulk verb on every face.
macro_rules! bulk_verb {
    ([$($signature:tt)*] [$($parameters:tt)*] $rows:ident, $options:expr) => {
        #[pymethods]
        impl Client {
            #[doc = include_str!("doc/add_tokens.md")]
            #[pyo3(signature = ($($signature)*) -> "BulkRun")]
            #[allow(clippy::too_many_arguments)]
            fn add_tokens(&self, py: Python<'_>, $($parameters)*) -> PyResult<BulkRun> {
                start(py, self.face(), &$rows, $options)
            }
        }

        #[pymethods]
        impl AsyncCore {
            #[pyo3(signature = ($($signature)*) -> "AsyncBulkRun")]
            #[allow(clippy::too_many_arguments)]
            fn _add_tokens(&self, py: Python<'_>, $($parameters)*) -> PyResult<AsyncBulkRun> {
                let caller = Caller::in_loop(py, self.face(), running_loop(py)?.unbind());
                let core = Core::start(py, self.face(), caller, &$rows, $options)?;
                let summary = Arc::clone(&core.summary);
                Ok(AsyncBulkRun(Mutex::new(Some(Arc::new(core))), summary))
            }
        }

        #[doc = include_str!("doc/add_tokens.md")]
        #[pyfunction]
        #[pyo3(signature = ($($signature)*) -> "BulkRun")]
        #[allow(clippy::too_many_arguments)]
        pub(super) fn add_tokens(py: Python<'_>, $($parameters)*) -> PyResult<BulkRun> {
            start(py, default_client(py)?.get().face(), &$rows, $options)
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

fn start(py: Python<'_>, face: &Face, tokens: &Rows, options: Options) -> PyResult<BulkRun> {
    let caller = Caller::on_thread(py, face);
    let core = Core::start(py, face, caller, tokens, options)?;
    let summary = Arc::clone(&core.summary);
    Ok(BulkRun(Mutex::new(Some(Arc::new(core))), summary))
}

/// One row of a journal.
#[pyclass(frozen, module = "lmtokens")]
pub(super) struct JournalEntry(lifecycle::JournalEntry);

#[pymethods]
impl JournalEntry {
    /// str: ``"created"``; ``"made"``: there is a token, disabled or not known to be enabled; ``"failed"``;
    /// ``"unknown"``.
    #[getter]
    fn state(&self) -> &'static str {
        self.0.state
    }

    /// str: the user as the input named one, an id or a name.
    #[getter]
    fn admin(&self) -> &str {
        &self.0.admin
    }

    /// str | None: the note that the row asks for.
    #[getter]
    fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }

    /// Token | None: the token, with its key where the journal holds keys.
    #[getter]
    fn token(&self) -> Option<Token> {
        self.0.token.clone().map(Token::from)
    }

    /// str | None: why there is none, or why it is not known.
    #[getter]
    fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    fn __repr__(&self) -> String {
        format!("<lmtokens.JournalEntry {} of user {}>", self.0.state, self.0.admin)
    }
}

/// Read the rows of a journal that ``add_tokens`` or ``lmtokens bulk`` wrote, and hand their keys out again.
///
/// Args:
///     path (str | os.PathLike): the journal. It may be in use; a line that a crash tore off is left out, since its token
///         never worked.
///
/// Returns:
///     list[JournalEntry]: one for each row that was begun, in that order.
///
/// Raises:
///     DeliveryError: the file cannot be read, or is no journal.
///
/// Example:
///     >>> import lmtokens.sandbox, os, tempfile
///     >>> journal = os.path.join(tempfile.mkdtemp(), "run.journal")
///     >>> with lmtokens.sandbox.Portal() as portal:
///     ...     summary = portal.client().add_tokens([(32, "a"), (32, "b")], journal=journal).finish()
///     >>> [(entry.state, entry.note, entry.token.access_key) for entry in lmtokens.read_journal(journal)]
///     [('created', 'a', Secret('********')), ('created', 'b', Secret('********'))]
#[pyfunction]
#[pyo3(signature = (path) -> "list[JournalEntry]")]
pub(super) fn read_journal(py: Python<'_>, path: FilePath) -> PyResult<Vec<JournalEntry>> {
    let entries = py.detach(|| lifecycle::read_journal(&path.0)).map_err(|error| exception(py, error))?;
    Ok(entries.into_iter().map(JournalEntry).collect())
}
