//! Messages on standard error: failures, warnings and what takes long.

use std::io::{self, Write as _};
use std::iter;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::advice::{in_shell_terms, words};
use super::exit;
use super::progress;
use super::signals::{Signal, Unfinished};
use crate::advice::joined;
use crate::error::{Error, ErrorKind};
use crate::event::{Event, Observer, Severity};
use crate::lock::locked;
use crate::model::Token;
use crate::printable;
use crate::token_output::Members;

/// Why a command failed.
pub(super) enum Failure {
    Error(Error),
    /// Standard output cannot be written.
    Output(io::Error),
    Signal(Signal),
}

impl Failure {
    /// Writes the reason to standard error and returns the exit status.
    pub(super) fn report(&self) -> u8 {
        match self {
            Self::Error(error) => {
                report(error);
                exit::of(error)
            }
            Self::Output(error) => {
                let message = format!("cannot write to standard output: {error}");
                report(&Error::new(ErrorKind::Delivery, message));
                exit::FAILED
            }
            Self::Signal(signal) => {
                let ended = if signal.is_interrupt() { "interrupted" } else { "terminated" };
                say_failure(&format!("{ended} by {}", signal.name()));
                signal.exit_status()
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Unfinished> for Failure {
    fn from(unfinished: Unfinished) -> Self {
        match unfinished {
            Unfinished::Failed(error) => Self::Error(error),
            Unfinished::Stopped(signal) => Self::Signal(signal),
        }
    }
}

/// The importance of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

/// Which messages are written, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// The least important level that is written.
    pub(super) least: Level,
    /// Whether each message is one JSON object on a line.
    pub(super) is_json: bool,
}

/// Set once, before the command runs.
static SETTINGS: Mutex<Settings> = Mutex::new(Settings { least: Level::Info, is_json: false });

/// Selects the messages of this process.
pub(super) fn configure(settings: Settings) {
    *locked(&SETTINGS) = settings;
}

/// Returns whether a progress bar does not disturb the messages.
pub(super) fn shows_progress() -> bool {
    let settings = *locked(&SETTINGS);
    settings.least <= Level::Info && !settings.is_json
}

/// Writes a message to standard error, its control characters escaped: it may contain text from a portal, from a file
/// or from an argument. A closed standard error must not stop a command.
fn write(level: Level, text: impl FnOnce() -> String, members: impl FnOnce() -> Vec<(&'static str, Value)>) {
    let settings = *locked(&SETTINGS);
    if level < settings.least {
        return;
    }
    let text = if settings.is_json {
        let word = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        let mut all = Members(vec![("level", json!(word))]);
        all.0.extend(members());
        printable::json(&serde_json::to_string(&all).unwrap_or_default())
    } else {
        printable::lines(&text())
    };
    let _ = progress::aside(|| io::stderr().write_all((text + "\n").as_bytes()));
}

/// Writes information, which `--quiet` omits.
pub(super) fn say(text: &str) {
    write(Level::Info, || text.to_owned(), || vec![("message", json!(text))]);
}

/// Writes a warning.
pub(super) fn warn(text: &str) {
    write(Level::Warning, || format!("warning: {text}"), || vec![("message", json!(text))]);
}

/// Writes what failed in a part of the command, or why it ended early.
pub(super) fn say_failure(text: &str) {
    write(Level::Error, || text.to_owned(), || vec![("message", json!(text))]);
}

/// Writes an error of the command line.
pub(super) fn report_usage(text: &str, advice: Option<&str>) {
    let members = || {
        // What follows is for people.
        let ends = ["\n\nUsage: ", "\n\nFor more information"];
        let (message, _) = ends.iter().find_map(|end| text.split_once(end)).unwrap_or((text, ""));
        let (message, tip) = match message.split_once("\n\n  tip: ") {
            Some((message, tip)) => (message, Some(tip)),
            None => (message, None),
        };
        let error = Error::argument(message.strip_prefix("error: ").unwrap_or(message));
        all_members(&match advice.or(tip) {
            Some(hint) => error.suggest(hint.to_owned()),
            None => error,
        })
    };
    write(Level::Error, || with_hint(text.to_owned(), advice), members);
}

fn with_hint(text: String, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("{text}\nhint: {hint}"),
        None => text,
    }
}

/// Reports the errors of single tokens. Returns the exit code that they give a command; `None` without any.
pub(super) fn report_each<'a>(errors: impl Iterator<Item = &'a Error>) -> Option<u8> {
    let code = |error: &Error| {
        report(error);
        if error.kind() == ErrorKind::Authentication { exit::of(error) } else { exit::PARTLY_DONE }
    };
    errors.map(code).max()
}

/// Writes an error with its causes, its candidates and its advice.
pub(super) fn report(error: &Error) {
    let text = || {
        let mut lines = vec![format!("error: {}{}", message(error), facts(error))];
        lines.extend(causes(error).map(|cause| format!("  caused by: {}{}", message(cause), facts(cause))));
        lines.extend(candidates(error).map(|token| {
            let access_id = token.access_id.as_deref().unwrap_or("none");
            format!("  candidate: token {}, access id {access_id}", token.id)
        }));
        with_hint(lines.join("\n"), hint(error).as_deref())
    };
    write(Level::Error, text, || all_members(error));
}

fn causes(error: &Error) -> impl Iterator<Item = &Error> {
    iter::successors(error.details().cause.as_ref(), |cause| cause.details().cause.as_ref())
}

fn candidates(error: &Error) -> impl Iterator<Item = &Token> {
    error.details().candidates.iter().flatten()
}

fn hint(error: &Error) -> Option<String> {
    joined(&error.details().advice, words)
}

/// Returns the members of an error as JSON shows them, with its causes, its candidates and its advice.
fn all_members(error: &Error) -> Vec<(&'static str, Value)> {
    let candidate = |token: &Token| json!({"id": token.id, "access_id": token.access_id});
    let mut all = members(error);
    all.extend([
        ("causes", causes(error).map(|cause| json!(Members(members(cause)))).collect()),
        ("candidates", candidates(error).map(candidate).collect()),
        ("hint", json!(hint(error))),
    ]);
    all
}

fn members(error: &Error) -> Vec<(&'static str, Value)> {
    let details = error.details();
    vec![
        ("kind", json!(details.kind)),
        ("message", json!(message(error))),
        ("status", json!(details.status)),
        ("code", json!(details.code)),
        ("maybe_applied", json!(details.maybe_applied)),
    ]
}

fn message(error: &Error) -> String {
    in_shell_terms(&error.to_string())
}

fn facts(error: &Error) -> String {
    match (error.details().status, error.details().code) {
        (Some(status), Some(code)) if i64::from(status) != code => format!(" (HTTP {status}, code {code})"),
        (None, Some(code)) => format!(" (code {code})"),
        // A success alone explains nothing.
        (Some(200..=299) | None, None) => String::new(),
        (Some(status), _) => format!(" (HTTP {status})"),
    }
}

/// Writes events to standard error.
pub(super) struct StderrObserver;

impl Observer for StderrObserver {
    fn observe(&self, event: Event) {
        let (level, prefix) = match event.severity() {
            Severity::Debug => (Level::Debug, ""),
            // `--quiet` omits it.
            Severity::Warning if matches!(event, Event::LongWait { .. }) => (Level::Info, ""),
            Severity::Info => (Level::Info, ""),
            Severity::Warning => (Level::Warning, "warning: "),
        };
        let hint = || joined(&event.advice(), words);
        let text = || with_hint(format!("{prefix}{}", event.message()), hint().as_deref());
        write(level, text, || vec![("message", json!(event.message())), ("hint", json!(hint()))]);
    }
}
