//! The interpreter's environment and the person at it.

use std::cell::RefCell;

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::intern;
use pyo3::prelude::*;

use crate::error::{Error, Result};
use crate::ports::{Environment, Prompt, not_text};
use crate::secret::Secret;

/// `os.environ`, which other threads may change only while they hold the interpreter, unlike the C library's.
pub(super) struct OsEnviron<'py>(Bound<'py, PyAny>);

impl<'py> OsEnviron<'py> {
    pub(super) fn new(py: Python<'py>) -> PyResult<Self> {
        Ok(Self(py.import(intern!(py, "os"))?.getattr(intern!(py, "environ"))?))
    }
}

impl Environment for OsEnviron<'_> {
    fn variable(&self, name: &str) -> Result<Option<String>> {
        let value = self.0.call_method1(intern!(self.0.py(), "get"), (name,));
        // Bytes that are no UTF-8 stand in it as surrogates, which a Rust text cannot hold.
        value.and_then(|value| value.extract()).map_err(|_| not_text(name))
    }
}

/// `input()` and `getpass.getpass()`, called from here so that no Python frame of this package holds the answer.
pub(super) struct PythonPrompt<'py> {
    py: Python<'py>,
    interrupt: RefCell<Option<PyErr>>,
}

impl<'py> PythonPrompt<'py> {
    pub(super) fn new(py: Python<'py>) -> Self {
        Self { py, interrupt: RefCell::new(None) }
    }

    /// The Ctrl-C that ended a question, which is no error of credentials.
    pub(super) fn interrupt(self) -> Option<PyErr> {
        self.interrupt.into_inner()
    }

    fn look(&self) -> PyResult<bool> {
        let py = self.py;
        let sys = py.import(intern!(py, "sys"))?;
        let ci = py.import("os")?.getattr("environ")?.call_method1("get", ("CI", ""))?;
        if ci.is_truthy()? {
            return Ok(false);
        }
        let threading = py.import("threading")?;
        if !threading.call_method0("current_thread")?.is(threading.call_method0("main_thread")?) {
            return Ok(false);
        }
        if sys.getattr("modules")?.contains("ipykernel")? {
            return Ok(true);
        }
        let terminal = |name: &str| -> PyResult<bool> {
            let stream = sys.getattr(name)?;
            Ok(!stream.is_none() && stream.call_method0("isatty")?.is_truthy()?)
        };
        Ok(terminal("stdin")? && terminal("stderr")?)
    }

    fn call(&self, module: &str, function: &str, question: &str) -> Result<String> {
        let ask = || self.py.import(module)?.getattr(function)?.call1((question,))?.extract::<String>();
        ask().map_err(|error| {
            let name = error
                .get_type(self.py)
                .name()
                .map_or_else(|_| "an error".to_owned(), |name| name.to_string());
            if error.is_instance_of::<PyKeyboardInterrupt>(self.py) {
                self.interrupt.replace(Some(error));
            }
            Error::credentials(format!("the prompt for credentials ended with {name}"))
        })
    }
}

impl Prompt for PythonPrompt<'_> {
    fn is_available(&self) -> bool {
        self.look().unwrap_or(false)
    }

    fn ask(&self, question: &str) -> Result<String> {
        self.call("builtins", "input", question)
    }

    fn ask_secret(&self, question: &str) -> Result<Secret> {
        self.call("getpass", "getpass", question).map(Secret::new)
    }
}
