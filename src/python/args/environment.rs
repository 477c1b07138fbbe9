//! The interpreter's environment and its interactive prompt.

use std::cell::RefCell;
use std::ffi::OsString;

use pyo3::exceptions::{PyEOFError, PyException};
use pyo3::intern;
use pyo3::prelude::*;

use crate::credentials::{Environment, Prompt, not_utf8};
use crate::error::{Error, Result};
use crate::python::keyring;
use crate::python::runtime::gate::{GateGuard, detached};
use crate::secret::Secret;

/// An interrupt that Python code raised: Ctrl-C or `SystemExit`.
#[derive(Default)]
struct Interrupt(RefCell<Option<PyErr>>);

impl Interrupt {
    fn keep(&self, py: Python<'_>, error: PyErr) {
        if !error.is_instance_of::<PyException>(py) {
            self.0.replace(Some(error));
        }
    }
}

/// `os.environ`. Unlike the C library's environment, other threads change it only while they are attached.
pub(crate) struct OsEnviron<'py> {
    environ: Bound<'py, PyAny>,
    interrupt: Interrupt,
}

impl<'py> OsEnviron<'py> {
    pub(crate) fn new(py: Python<'py>) -> PyResult<Self> {
        let environ = py.import(intern!(py, "os"))?.getattr(intern!(py, "environ"))?;
        Ok(Self { environ, interrupt: Interrupt::default() })
    }

    fn get<T: for<'a> FromPyObject<'a, 'py, Error = PyErr>>(&self, name: &str) -> Result<Option<T>> {
        let py = self.environ.py();
        let value = self.environ.call_method1(intern!(py, "get"), (name,));
        value.and_then(|value| value.extract()).map_err(|error| {
            self.interrupt.keep(py, error);
            not_utf8(name)
        })
    }

    /// Returns the interrupt that ended reading a variable.
    pub(crate) fn interrupt(self) -> Option<PyErr> {
        self.interrupt.0.into_inner()
    }
}

impl Environment for OsEnviron<'_> {
    fn variable(&self, name: &str) -> Result<Option<String>> {
        // Bytes that are not UTF-8 are surrogates in `os.environ`, which a Rust string cannot hold.
        self.get(name)
    }

    fn os_variable(&self, name: &str) -> Result<Option<OsString>> {
        self.get(name)
    }

    fn wait(&self, is_over: &mut (dyn FnMut() -> bool + Send)) -> Result<()> {
        let py = self.environ.py();
        let _inside = GateGuard::enter(py);
        while !detached(py, &mut *is_over) {
            py.check_signals().map_err(|error| {
                self.interrupt.keep(py, error);
                Error::credentials("interrupted")
            })?;
        }
        Ok(())
    }

    fn keyring_secret(&self, profile: &str) -> Result<Option<Secret>> {
        let py = self.environ.py();
        keyring::get(py, profile)
            .map_err(|error| keyring::failure(py, error, |error| self.interrupt.keep(py, error)))
    }
}

/// Returns the kernel of the notebook that runs this code.
pub(crate) fn kernel(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let ipython = py.import(intern!(py, "sys"))?.getattr("modules")?.call_method1("get", ("IPython",))?;
    if ipython.is_none() {
        return Ok(None);
    }
    let kernel = ipython.call_method0("get_ipython")?.getattr_opt("kernel")?;
    Ok(kernel.filter(|kernel| !kernel.is_none()))
}

/// `input()` and `getpass.getpass()`. They are called from native code so that no Python frame of this package holds
/// the secret.
pub(crate) struct PythonPrompt<'py> {
    py: Python<'py>,
    interrupt: Interrupt,
}

impl<'py> PythonPrompt<'py> {
    pub(crate) fn new(py: Python<'py>) -> Self {
        Self { py, interrupt: Interrupt::default() }
    }

    /// Returns the interrupt that ended a prompt.
    pub(crate) fn interrupt(self) -> Option<PyErr> {
        self.interrupt.0.into_inner()
    }

    fn look_for_terminal(&self) -> PyResult<bool> {
        let py = self.py;
        let ci = py.import("os")?.getattr("environ")?.call_method1("get", ("CI", ""))?;
        if ci.is_truthy()? {
            return Ok(false);
        }
        let threading = py.import("threading")?;
        if !threading.call_method0("current_thread")?.is(threading.call_method0("main_thread")?) {
            return Ok(false);
        }
        match kernel(py)? {
            // Those that execute a saved notebook allow no prompt. A kernel that does not say is asked.
            Some(kernel) => kernel.getattr_opt("_allow_stdin")?.map_or(Ok(true), |allows| allows.is_truthy()),
            None => Ok(self.is_terminal("stdin")? && self.is_terminal("stderr")?),
        }
    }

    fn is_terminal(&self, stream: &str) -> PyResult<bool> {
        let stream = self.sys(stream)?;
        Ok(!stream.is_none() && stream.call_method0("isatty")?.is_truthy()?)
    }

    fn sys(&self, name: &str) -> PyResult<Bound<'py, PyAny>> {
        self.py.import(intern!(self.py, "sys"))?.getattr(name)
    }

    /// Reads a line with `input()`, which supports editing, if standard output is a terminal; otherwise the question
    /// goes to standard error.
    fn line(&self, question: &str) -> PyResult<String> {
        if kernel(self.py)?.is_some() || self.is_terminal("stdout")? {
            return self.py.import("builtins")?.getattr("input")?.call1((question,))?.extract();
        }
        let stderr = self.sys("stderr")?;
        stderr.call_method1("write", (question,))?;
        stderr.call_method0("flush")?;
        let line: String = self.sys("stdin")?.call_method0("readline")?.extract()?;
        match line.strip_suffix('\n') {
            Some(line) => Ok(line.to_owned()),
            None if line.is_empty() => Err(PyEOFError::new_err(())),
            None => Ok(line),
        }
    }

    fn hidden_line(&self, question: &str) -> PyResult<String> {
        self.py.import("getpass")?.getattr("getpass")?.call1((question,))?.extract()
    }

    fn answer(&self, answer: PyResult<String>) -> Result<String> {
        answer.map_err(|error| {
            let name = error
                .get_type(self.py)
                .name()
                .map_or_else(|_| "an error".to_owned(), |name| name.to_string());
            self.interrupt.keep(self.py, error);
            Error::credentials(format!("the prompt for credentials failed with {name}"))
        })
    }
}

impl Prompt for PythonPrompt<'_> {
    fn is_available(&self) -> bool {
        self.look_for_terminal().unwrap_or_else(|error| {
            self.interrupt.keep(self.py, error);
            false
        })
    }

    fn ask(&self, question: &str) -> Result<String> {
        self.answer(self.line(question))
    }

    fn ask_secret(&self, question: &str) -> Result<Secret> {
        self.answer(self.hidden_line(question)).map(Secret::new)
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.0.borrow().is_some()
    }
}
