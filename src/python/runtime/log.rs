//! Events as records of Python's `logging`, under the logger `lmtokens`.
//!
//! This file does not use `intern!`: interning may drop objects that were released without the interpreter, a call may
//! be among them, and its drop writes to the log while the name is being interned.

use std::sync::{Mutex, OnceLock};

use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::advice::{Advice, joined};
use crate::event::{Event, Observer, Severity};
use crate::lock::locked;
use crate::printable;
use crate::python::advice::words;
use crate::python::types::errors::OutcomeUnknownError;
use crate::python::types::row_result::Summary;
use crate::python::types::token::Token;

/// Events that wait to be written by the caller's thread.
#[derive(Default)]
pub(crate) struct EventLog {
    events: Mutex<Vec<Event>>,
    on_wait: Option<Py<PyAny>>,
    /// The progress bar of a bulk run, a `ProgressBar` of `lmtokens._progress`.
    bar: OnceLock<Py<PyAny>>,
}

impl Observer for EventLog {
    fn observe(&self, event: Event) {
        locked(&self.events).push(event);
    }
}

impl EventLog {
    pub(crate) fn new(py: Python<'_>, on_wait: Option<&Py<PyAny>>) -> Self {
        let on_wait = on_wait.map(|callback| callback.clone_ref(py));
        Self { events: Mutex::default(), on_wait, bar: OnceLock::new() }
    }

    /// Shows the callback to the garbage collector.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.on_wait)
    }

    /// Adds the report of a result that could not be delivered, if there is one.
    pub(crate) fn add(&self, event: Option<Event>) {
        locked(&self.events).extend(event);
    }

    pub(crate) fn is_empty(&self) -> bool {
        locked(&self.events).is_empty()
    }

    /// Writes all events. Logging must not change the result of a call: an exception of a log handler is reported as
    /// unraisable. An interrupt (Ctrl-C, `SystemExit`) is returned once all is written.
    pub(crate) fn write(&self, py: Python<'_>) -> PyResult<()> {
        let mut outcome = Ok(());
        let events = std::mem::take(&mut *locked(&self.events));
        for event in events {
            match self.write_one(py, &event).and_then(|()| self.notify(py, &event)) {
                Err(error) if error.is_instance_of::<PyException>(py) => error.write_unraisable(py, None),
                Err(error) if outcome.is_ok() => outcome = Err(error),
                _ => {}
            }
        }
        outcome
    }

    fn notify(&self, py: Python<'_>, event: &Event) -> PyResult<()> {
        let Event::LongWait { wait, remaining, .. } = event else { return Ok(()) };
        if let Some(bar) = self.bar.get() {
            bar.call_method1(py, "wait", (remaining.as_secs_f64(),))?;
        }
        match &self.on_wait {
            Some(on_wait) => on_wait.call1(py, (wait.as_secs_f64(),)).map(drop),
            None => Ok(()),
        }
    }

    fn write_one(&self, py: Python<'_>, event: &Event) -> PyResult<()> {
        let severity = event.severity();
        if let Some(bar) = self.bar.get()
            && is_read(py, severity)?
        {
            let bar = bar.bind(py);
            let is_visible =
                matches!(event, Event::LongWait { .. }) && bar.getattr("is_wait_visible")?.is_truthy()?;
            // Without a handler, the record would be written to standard error, beside the bar.
            if is_visible && !has_handlers(py)? {
                return Ok(());
            }
            bar.call_method0("clear")?;
        }
        write(py, event)
    }

    /// Shows the progress of the run in a bar, until it is closed.
    pub(crate) fn show_in(&self, bar: Bound<'_, PyAny>) {
        let _ = self.bar.set(bar.unbind());
    }

    pub(crate) fn update_bar(&self, py: Python<'_>, summary: Summary) -> PyResult<()> {
        self.bar
            .get()
            .map_or(Ok(()), |bar| bar.call_method1(py, "update", (summary, summary.ended())).map(drop))
    }

    /// Lets the bar count a wait down.
    pub(crate) fn tick(&self, py: Python<'_>) -> PyResult<()> {
        self.bar.get().map_or(Ok(()), |bar| bar.call_method0(py, "tick").map(drop))
    }

    pub(crate) fn close_bar(&self, py: Python<'_>) -> PyResult<()> {
        self.bar.get().map_or(Ok(()), |bar| bar.call_method0(py, "close").map(drop))
    }
}

/// Reports the result of an awaited create that its caller will not receive: a token, or the error of an unknown
/// outcome.
pub(crate) fn report_lost_result(result: &Bound<'_, PyAny>) -> PyResult<()> {
    let events = EventLog::default();
    if let Ok(token) = result.cast::<Token>() {
        events.add(Event::lost_token(token.get().core()));
    } else if result.is_instance_of::<OutcomeUnknownError>() {
        let suggestion: Option<String> = result.getattr("suggestion")?.extract()?;
        events.observe(Event::OutcomeLost {
            message: result.getattr("args")?.get_item(0)?.extract()?,
            advice: suggestion.map(Advice::from).into_iter().collect(),
        });
    }
    events.write(result.py())
}

fn write(py: Python<'_>, event: &Event) -> PyResult<()> {
    let severity = event.severity();
    if !is_read(py, severity)? {
        return Ok(());
    }
    let Some(logger) = logger(py, severity)? else { return Ok(()) };
    let message = event.message();
    let message = match joined(&event.advice(), words) {
        Some(advice) => format!("{message}; {advice}"),
        None => message,
    };
    log(&logger, severity, &message)
}

/// Logs a warning.
pub(crate) fn warn(py: Python<'_>, message: String) -> PyResult<()> {
    match logger(py, Severity::Warning)? {
        Some(logger) => log(&logger, Severity::Warning, &message),
        None => Ok(()),
    }
}

fn log(logger: &Bound<'_, PyAny>, severity: Severity, message: &str) -> PyResult<()> {
    logger.call_method1("log", (level(severity), "%s", printable::lines(message))).map(drop)
}

/// Returns the number of a level in `logging`.
fn level(severity: Severity) -> u8 {
    match severity {
        Severity::Debug => 10,
        Severity::Info => 20,
        Severity::Warning => 30,
    }
}

/// Returns the logger. Importing `logging` takes 14 ms, so that only a warning imports it: without a handler, `logging`
/// writes warnings to standard error. If the program has not imported it, lower levels are not read.
fn logger(py: Python<'_>, severity: Severity) -> PyResult<Option<Bound<'_, PyAny>>> {
    // `getLogger` takes a lock and always returns the same object.
    static LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    // At the end of finalization nothing can be imported.
    let Ok(sys) = py.import("sys") else { return Ok(None) };
    if let Some(logger) = LOGGER.get(py) {
        return Ok(Some(logger.bind(py).clone()));
    }
    let modules = sys.getattr("modules")?;
    let logging = modules.call_method1("get", ("logging",))?;
    let logging = match (logging.is_none(), severity) {
        (false, _) => logging,
        (true, Severity::Warning) => py.import("logging")?.into_any(),
        (true, _) => return Ok(None),
    };
    let logger = logging.call_method1("getLogger", ("lmtokens",))?;
    Ok(Some(LOGGER.get_or_init(py, || logger.unbind()).bind(py).clone()))
}

/// Returns whether the program has configured `logging`.
fn has_handlers(py: Python<'_>) -> PyResult<bool> {
    match logger(py, Severity::Info)? {
        Some(logger) => logger.call_method0("hasHandlers")?.is_truthy(),
        None => Ok(false),
    }
}

/// Returns whether records of this severity are read. Only debug records are many, so that the others are not checked.
fn is_read(py: Python<'_>, severity: Severity) -> PyResult<bool> {
    if severity != Severity::Debug {
        return Ok(true);
    }
    let Some(logger) = logger(py, severity)? else { return Ok(false) };
    let enabled = logger.call_method1("isEnabledFor", (level(severity),));
    Ok(enabled.and_then(|enabled| enabled.extract()).unwrap_or(false))
}
