//! The command `lmtokens`, run by a Python interpreter.

use std::ffi::OsString;
use std::sync::Arc;

use pyo3::prelude::*;

use super::client::embedder;
use super::environment::PythonPrompt;
use crate::cli::{self, Host};
use crate::error::Result;
use crate::ports::Prompt;
use crate::secret::Secret;

/// Runs the command that ``arguments`` holds, without the program's name; the result is the exit status.
#[pyfunction]
#[pyo3(signature = (arguments: "list[str]") -> "int")]
pub(super) fn _shell(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    let host = Host { prompt: Arc::new(AttachedPrompt), embedder: embedder(py) };
    py.detach(|| cli::run(arguments, &host))
}

/// A prompt for code that runs detached.
struct AttachedPrompt;

impl Prompt for AttachedPrompt {
    fn is_available(&self) -> bool {
        Python::attach(|py| PythonPrompt::new(py).is_available())
    }

    fn ask(&self, question: &str) -> Result<String> {
        Python::attach(|py| PythonPrompt::new(py).ask(question))
    }

    fn ask_secret(&self, question: &str) -> Result<Secret> {
        Python::attach(|py| PythonPrompt::new(py).ask_secret(question))
    }
}
