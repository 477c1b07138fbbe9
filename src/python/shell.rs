//! The command `lmtokens`, run by a Python interpreter.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

use crate::cli::{self, Host};
use crate::credentials::Prompt;
use crate::error::Result;
use crate::python::args::environment::PythonPrompt;
use crate::python::keyring::AttachedKeyring;
use crate::python::operations::client::user_agent_suffix;
use crate::secret::Secret;

/// Runs the command that ``arguments`` holds, without the program's name; the result is the exit status.
#[pyfunction]
#[pyo3(signature = (arguments: "list[str]") -> "int")]
pub(crate) fn _shell(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<u8> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let host = Host {
        prompt: Arc::new(AttachedPrompt { interrupted: Arc::clone(&interrupted) }),
        keyring: Arc::new(AttachedKeyring { interrupted }),
        user_agent_suffix: user_agent_suffix(py),
        arguments,
    };
    let ended = py.detach(|| cli::run(&host));
    // The interpreter's handler hears of every SIGINT too, and would raise the exception at the next turn.
    match py.check_signals() {
        Err(error) if error.is_instance_of::<PyKeyboardInterrupt>(py) => Ok(ended.status_if_interrupted()),
        outcome => outcome.map(|()| ended.status()),
    }
}

/// A prompt for code that runs detached.
struct AttachedPrompt {
    interrupted: Arc<AtomicBool>,
}

impl AttachedPrompt {
    fn with<T>(&self, ask: impl FnOnce(&PythonPrompt<'_>) -> T) -> T {
        Python::attach(|py| {
            let prompt = PythonPrompt::new(py);
            let answer = ask(&prompt);
            self.interrupted.fetch_or(prompt.is_interrupted(), Ordering::Relaxed);
            answer
        })
    }
}

impl Prompt for AttachedPrompt {
    fn is_available(&self) -> bool {
        self.with(|prompt| prompt.is_available())
    }

    fn ask(&self, question: &str) -> Result<String> {
        self.with(|prompt| prompt.ask(question))
    }

    fn ask_secret(&self, question: &str) -> Result<Secret> {
        self.with(|prompt| prompt.ask_secret(question))
    }

    fn is_interrupted(&self) -> bool {
        // Checking consumes the signal.
        let is_interrupted = Python::attach(|py| py.check_signals().is_err());
        self.interrupted.fetch_or(is_interrupted, Ordering::Relaxed) || is_interrupted
    }
}
