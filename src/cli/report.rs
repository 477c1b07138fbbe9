//! Messages on standard error: failures, warnings and what takes long.

use std::io::{self, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::advice::words;
use super::exit;
use super::progress;
use super::signals::{Signal, Unfinished};
use crate::advice::{Advice, joined};
use crate::error::{Error, ErrorKind};
use crate::event::{Event, Observer, Severity};
use crate::lock::locked;
use crate::printable;

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
                say(&format!("error: cannot write to standard output: {error}"));
                exit::FAILED
            }
            Self::Signal(signal) => {
                let ended = if signal.is_interrupt() { "interrupted" } else { "terminated" };
                say(&format!("{ended} by {}", signal.name()));
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

/// Writes lines to standard error, their control characters escaped: they may contain text from a portal, from a file or
/// from an argument. A closed standard error must not stop a command.
pub(super) fn say(lines: &str) {
    let text = printable::lines(lines) + "\n";
    let _ = progress::aside(|| io::stderr().write_all(text.as_bytes()));
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
    say(&format!("error: {error}{}", facts(error)));
    let mut cause = error.details().cause.as_ref();
    while let Some(error) = cause {
        say(&format!("  caused by: {error}{}", facts(error)));
        cause = error.details().cause.as_ref();
    }
    for token in error.details().candidates.iter().flatten() {
        let access_id = token.access_id.as_deref().unwrap_or("none");
        say(&format!("  candidate: token {}, access id {access_id}", token.id));
    }
    say_advice(&error.details().advice);
}

fn say_advice(advice: &[Advice]) {
    if let Some(advice) = joined(advice, words) {
        say(&format!("hint: {advice}"));
    }
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
#[derive(Default)]
pub(super) struct StderrObserver {
    last_wait: Mutex<Option<Instant>>,
}

impl StderrObserver {
    /// Returns whether a wait is reported now: when many rows wait for one rate limit, one line is enough.
    fn reports_wait(&self) -> bool {
        const INTERVAL: Duration = Duration::from_secs(10);
        let mut last = locked(&self.last_wait);
        let is_due = last.is_none_or(|last| last.elapsed() >= INTERVAL);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

impl Observer for StderrObserver {
    fn observe(&self, event: Event) {
        match event.severity() {
            Severity::Debug => return,
            Severity::Info if matches!(event, Event::LongWait { .. }) && !self.reports_wait() => return,
            Severity::Info => say(&event.message()),
            Severity::Warning => say(&format!("warning: {}", event.message())),
        }
        say_advice(&event.advice());
    }
}
