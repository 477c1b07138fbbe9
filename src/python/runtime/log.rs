//! Events of the core as records of Python's `logging`, under the logger `lmtokens`.
//!
//! No `intern!` here: to intern a name may drop objects that were let go of without the interpreter, a call may be among
//! them, and it would write to the log while the name is being interned.

use std::sync::Mutex;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use crate::lock::locked;
use crate::model::iso_8601;
use crate::ports::{Event, Loss, Observer};
use crate::python::types::errors::OutcomeUnknownError;
use crate::python::types::token::Token;

/// Keeps events until the caller's thread writes them.
#[derive(Default)]
pub(crate) struct EventLog {
    events: Mutex<Vec<Event>>,
    on_wait: Option<Py<PyAny>>,
}

impl Observer for EventLog {
    fn observe(&self, event: Event) {
        locked(&self.events).push(event);
    }
}

impl EventLog {
    pub(crate) fn new(py: Python<'_>, on_wait: Option<&Py<PyAny>>) -> Self {
        Self { events: Mutex::default(), on_wait: on_wait.map(|callback| callback.clone_ref(py)) }
    }

    /// Takes note of what the caller should have had and will not get.
    pub(crate) fn lost(&self, result: &impl Loss) {
        if let Some(event) = result.loss() {
            self.observe(event);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        locked(&self.events).is_empty()
    }

    /// Writes what has come. Logging must never change a call's outcome: an error that a handler raises is reported as
    /// unraisable. What is more than an error (Ctrl-C, `SystemExit`) is handed back, when all is written.
    pub(crate) fn write(&self, py: Python<'_>) -> PyResult<()> {
        let mut ended = Ok(());
        let events = std::mem::take(&mut *locked(&self.events));
        for event in events {
            match write(py, &event).and_then(|()| self.call_back(py, &event)) {
                Err(error) if error.is_instance_of::<PyException>(py) => error.write_unraisable(py, None),
                Err(error) if ended.is_ok() => ended = Err(error),
                _ => {}
            }
        }
        ended
    }

    fn call_back(&self, py: Python<'_>, event: &Event) -> PyResult<()> {
        match (event, &self.on_wait) {
            (Event::LongWait { wait, .. }, Some(on_wait)) => {
                on_wait.call1(py, (wait.as_secs_f64(),)).map(drop)
            }
            _ => Ok(()),
        }
    }
}

/// Writes what an awaited create ended with: a token, or the error of an unknown outcome.
pub(crate) fn write_lost(outcome: &Bound<'_, PyAny>) -> PyResult<()> {
    let events = EventLog::default();
    if let Ok(token) = outcome.cast::<Token>() {
        events.lost(token.get());
    } else if outcome.is_instance_of::<OutcomeUnknownError>() {
        events.observe(Event::OutcomeLost {
            message: outcome.getattr("args")?.get_item(0)?.extract()?,
            suggestion: outcome.getattr("suggestion")?.extract()?,
        });
    }
    events.write(outcome.py())
}

const DEBUG: u8 = 10;
const INFO: u8 = 20;
const WARNING: u8 = 30;

fn write(py: Python<'_>, event: &Event) -> PyResult<()> {
    match event {
        Event::Attempt { method, endpoint, status, attempt, elapsed, pause } => {
            let Some(logger) = logger(py, Need::IfImported)?.filter(|logger| is_enabled(logger, DEBUG))
            else {
                return Ok(());
            };
            let answer = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            let again =
                pause.map(|pause| format!("; again in {:.3} s", pause.as_secs_f64())).unwrap_or_default();
            let message = format!(
                "{method} {endpoint}: {answer} after {:.3} s (attempt {attempt}{again})",
                elapsed.as_secs_f64()
            );
            logger.call_method1("log", (DEBUG, "%s", message))?;
        }
        Event::LongWait { method, endpoint, wait } => {
            let Some(logger) = logger(py, Need::IfImported)? else { return Ok(()) };
            let seconds = wait.as_secs_f64();
            let message =
                format!("{method} {endpoint}: the portal's budget is spent; waiting, {seconds:.1} s in all");
            logger.call_method1("log", (INFO, "%s", message))?;
        }
        Event::LeftOvers { count, run } => {
            let count = count.map_or_else(|| "some".to_owned(), |count| count.to_string());
            warn(
                py,
                format!(
                    "{count} unfinished tokens of run {run} may be left behind, disabled: resume=True removes them, or \
                     sweep_tokens when they are an hour old"
                ),
            )?;
        }
        Event::LeftUnfinished { admin_id, id, tag, delivered } => {
            let token = id.map_or_else(|| "a token".to_owned(), |id| format!("token {id}"));
            let key =
                if *delivered { "its key was delivered, and it may be enabled" } else { "it is disabled" };
            warn(
                py,
                format!(
                    "a create was interrupted: {token} of user {admin_id} may be left behind; {key}, and its note begins \
                     with {tag}; sweep_tokens deletes it when it is an hour old and still disabled"
                ),
            )?;
        }
        Event::CreateInterrupted { admin_id, note, sent_ms } => {
            let time = iso_8601(i64::try_from(*sent_ms / 1000).unwrap_or_default());
            let note = shown(note.as_deref());
            warn(
                py,
                format!(
                    "a create was interrupted after it was sent at {time}: a token of user {admin_id} with {note} may \
                     exist, and nobody holds its key"
                ),
            )?;
        }
        Event::ResultLost { token_id, admin_id, note } => {
            let owner = admin_id.map(|id| format!(" of user {id}")).unwrap_or_default();
            let note = shown(note.as_deref());
            warn(
                py,
                format!(
                    "a create was interrupted just when it was done: token {token_id}{owner} with {note} exists, and \
                     nobody holds its key; delete it, as with delete_token({token_id})"
                ),
            )?;
        }
        Event::OutcomeLost { message, suggestion } => {
            let advice = suggestion.as_deref().unwrap_or("list the user's tokens before calling again");
            warn(py, format!("a create was interrupted while its outcome was unknown: {message}; {advice}"))?;
        }
    }
    Ok(())
}

fn shown(note: Option<&str>) -> String {
    note.map_or_else(|| "no note".to_owned(), |note| format!("note {note:?}"))
}

pub(crate) fn warn(py: Python<'_>, message: String) -> PyResult<()> {
    let Some(logger) = logger(py, Need::Always)? else { return Ok(()) };
    logger.call_method1("log", (WARNING, "%s", message)).map(drop)
}

#[derive(PartialEq)]
enum Need {
    /// Importing `logging` costs 14 ms; where nobody has, nobody listens.
    IfImported,
    /// Worth the import: without a handler, `logging` writes it to standard error.
    Always,
}

fn logger(py: Python<'_>, need: Need) -> PyResult<Option<Bound<'_, PyAny>>> {
    // At the very end of the interpreter nothing can be imported any more, and nobody listens.
    let Ok(sys) = py.import("sys") else { return Ok(None) };
    let modules = sys.getattr("modules")?;
    let logging = modules.call_method1("get", ("logging",))?;
    let logging = match (logging.is_none(), need) {
        (false, _) => logging,
        (true, Need::Always) => py.import("logging")?.into_any(),
        (true, Need::IfImported) => return Ok(None),
    };
    logging.call_method1("getLogger", ("lmtokens",)).map(Some)
}

fn is_enabled(logger: &Bound<'_, PyAny>, level: u8) -> bool {
    logger.call_method1("isEnabledFor", (level,)).and_then(|on| on.extract()).unwrap_or(false)
}
