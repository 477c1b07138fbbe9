//! Where the secret of a new token goes, as Python names it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::destinations;
use crate::error::{Error, ErrorKind, Result};
use crate::model;
use crate::ports::{BoxFuture, Destination};
use crate::python::args::domain::type_name;
use crate::python::args::plain as arguments;
use crate::python::args::stub_types::{FilePath, Words};
use crate::python::runtime::callback_queue::{CallbackQueue, Raised};
use crate::python::types::errors::exception;
use crate::python::types::token::Token;
use crate::tag::Tag;
use crate::token_output::Form;

/// A file as a destination; ``lmtokens.deliver.to_file`` makes one.
#[pyclass(frozen, module = "lmtokens.deliver")]
pub(crate) struct ToFile(destinations::ToFile);

/// A command as a destination; ``lmtokens.deliver.to_command`` makes one.
#[pyclass(frozen, module = "lmtokens.deliver")]
pub(crate) struct ToCommand(destinations::ToCommand);

#[pymethods]
impl ToFile {
    fn __repr__(&self) -> String {
        format!("<lmtokens.deliver.ToFile {}>", self.0.path.display())
    }
}

#[pymethods]
impl ToCommand {
    fn __repr__(&self) -> String {
        format!("<lmtokens.deliver.ToCommand {}>", self.0.describe())
    }
}

/// Write the secret of a new token to a file.
///
/// Before the token works, the secret is in ``PATH.<tag>.pending`` beside it, on disk and readable by its owner only from
/// the moment it exists; when the token works, that file takes the place of ``path`` in one step. So an old key in
/// ``path`` is never lost before the new one works.
///
/// Args:
///     path (str | os.PathLike): where the secret is to be. A symbolic link is refused, and so is a folder that others may
///         write to, unless it is sticky as ``/tmp`` is.
///     format (str): ``"json"`` (the default: one object with the token's members), ``"env"`` (the variables that this
///         package reads) or ``"key"`` (the secret alone); each ends with a line break.
///     overwrite (bool): replace a file that is there; default no, which is an error before anything is made.
///
/// Returns:
///     ToFile: for ``deliver=``.
///
/// Raises:
///     ValueError: a format that is not known.
///
/// Example:
///     >>> import lmtokens.sandbox, os, tempfile
///     >>> from lmtokens.deliver import to_file
///     >>> path = os.path.join(tempfile.mkdtemp(), "token.json")
///     >>> with lmtokens.sandbox.Portal() as portal:
///     ...     token = portal.client().add_token(32, "ci", deliver=to_file(path))
///     >>> oct(os.stat(path).st_mode & 0o777), token.access_key
///     ('0o600', None)
#[pyfunction]
#[pyo3(signature = (
    path,
    format: "str" = "json",
    *,
    overwrite: "bool" = false,
) -> "ToFile")]
pub(crate) fn to_file(
    py: Python<'_>,
    path: FilePath,
    #[pyo3(from_py_with = arguments::format)] format: &str,
    #[pyo3(from_py_with = arguments::overwrite)] overwrite: bool,
) -> PyResult<ToFile> {
    let form = Form::parse(format).map_err(|error| exception(py, error))?;
    // The working directory may be another when the token is made.
    let path = std::path::absolute(&path.0).unwrap_or(path.0);
    Ok(ToFile(destinations::ToFile { path, form, overwrite }))
}

/// Hand the secret of a new token to a command, as JSON on its standard input.
///
/// The command has the secret when it ends with status 0; anything else fails the delivery, and the token is deleted.
/// What it prints is thrown away: it may be the secret.
///
/// Args:
///     command (Sequence[str | os.PathLike]): the program and its arguments, each a word of its own; no shell reads them.
///     timeout (float): seconds that it may take; default 30. Then it is killed.
///
/// Returns:
///     ToCommand: for ``deliver=``.
///
/// Raises:
///     TypeError: a text instead of a list of words.
///     ValueError: no words, or a time limit of 0 or less.
///
/// Example:
///     >>> import lmtokens.sandbox, sys
///     >>> from lmtokens.deliver import to_command
///     >>> store = [sys.executable, "-c", "import json, sys; json.load(sys.stdin)['access_key']"]
///     >>> with lmtokens.sandbox.Portal() as portal:
///     ...     token = portal.client().add_token(32, deliver=to_command(store))
///     >>> token.status
///     TokenStatus.ENABLED
#[pyfunction]
#[pyo3(signature = (
    command,
    *,
    timeout: "float" = 30.0,
) -> "ToCommand")]
pub(crate) fn to_command(
    py: Python<'_>,
    command: Words,
    #[pyo3(from_py_with = arguments::timeout)] timeout: f64,
) -> PyResult<ToCommand> {
    let command = command.0.bind(py);
    if command.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(
            "command is a text: accepted is a list of words, the program first (shlex.split makes one of a text)",
        ));
    }
    let words: Vec<OsString> = command
        .try_iter()?
        .map(|word| word?.extract::<PathBuf>().map(PathBuf::into_os_string))
        .collect::<PyResult<_>>()?;
    let timeout = Duration::try_from_secs_f64(timeout).map_err(|_| {
        PyValueError::new_err(format!("timeout {timeout} is not accepted: accepted are seconds above 0"))
    })?;
    destinations::ToCommand::new(words, timeout).map(ToCommand).map_err(|error| exception(py, error))
}

/// The argument ``deliver=``.
pub(crate) enum Deliver {
    Native(Arc<dyn Destination>),
    /// A callable, or an object with `deliver`.
    Python(Py<PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for Deliver {
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const INPUT_TYPE: pyo3::inspect::PyStaticExpr =
        pyo3::type_hint_identifier!("lmtokens._types", "Destination");

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(file) = object.cast::<ToFile>() {
            return Ok(Self::Native(Arc::new(file.get().0.clone())));
        }
        if let Ok(command) = object.cast::<ToCommand>() {
            return Ok(Self::Native(Arc::new(command.get().0.clone())));
        }
        if object.hasattr("deliver")? || object.is_callable() {
            return Ok(Self::Python(object.to_owned().unbind()));
        }
        Err(PyTypeError::new_err(format!(
            "deliver cannot be a {}: accepted are to_file(…), to_command(…), a callable that takes the token, and an \
             object with a method deliver(token)",
            type_name(&object)?
        )))
    }
}

impl Deliver {
    pub(crate) fn destination(self, caller: &Arc<CallbackQueue>) -> Arc<dyn Destination> {
        match self {
            Self::Native(destination) => destination,
            Self::Python(object) => {
                Arc::new(ByPython { object: Arc::new(object), caller: Arc::downgrade(caller) })
            }
        }
    }
}

/// A destination that is Python's: its methods are called on the caller's thread, or in its loop.
struct ByPython {
    object: Arc<Py<PyAny>>,
    caller: std::sync::Weak<CallbackQueue>,
}

impl ByPython {
    async fn call(&self, method: &'static str, token: &model::Token) -> Result<()> {
        let (object, token) = (Arc::clone(&self.object), token.clone());
        let code = move |py: Python<'_>| {
            let object = object.bind(py);
            let token = Token::from(token);
            if object.hasattr(method)? {
                return object.call_method1(method, (token,)).map(Bound::unbind);
            }
            if method == "deliver" {
                return object.call1((token,)).map(Bound::unbind);
            }
            Ok(py.None())
        };
        let outcome = match self.caller.upgrade() {
            Some(caller) => caller.call(code).await,
            None => Err(Raised::NobodyToCall),
        };
        outcome.map_err(|raised| match raised {
            Raised::NobodyToCall => {
                Error::new(ErrorKind::Delivery, format!("nobody is left to call the destination's {method}"))
            }
            Raised::Exception { class, exception } => {
                let message = format!("the destination's {method} raised {class}");
                let mut error = Error::new(ErrorKind::Delivery, message);
                error.details_mut().origin = Some(Box::new(exception));
                error
            }
        })
    }
}

impl Destination for ByPython {
    fn deliver<'a>(&'a self, token: &'a model::Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.call("deliver", token))
    }

    fn commit<'a>(&'a self, token: &'a model::Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.call("commit", token))
    }

    fn discard<'a>(&'a self, token: &'a model::Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.call("discard", token))
    }

    fn describe(&self) -> String {
        "its destination".to_owned()
    }
}
