//! Destinations: `to_file`, `to_keyring`, `to_command` and those of the caller.

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PySet};

use crate::advice::Advice;
use crate::destinations::{self, BoxFuture, Destination};
use crate::error::{Error, ErrorKind, Result};
use crate::lifecycle::Check;
use crate::model::Token;
use crate::printable;
use crate::python::args::domain;
use crate::python::args::plain::{self, wrong_type};
use crate::python::args::stub_types::{FilePath, Words};
use crate::python::keyring::AttachedKeyring;
use crate::python::runtime::callback_queue::{self, CallbackQueue, Raised};
use crate::tag::Tag;

/// A file as a destination; ``lmtokens.deliver.to_file`` makes one.
#[pyclass(frozen, module = "lmtokens.deliver")]
pub(crate) struct ToFile(destinations::ToFile);

/// A command as a destination; ``lmtokens.deliver.to_command`` makes one.
#[pyclass(frozen, module = "lmtokens.deliver")]
pub(crate) struct ToCommand(destinations::ToCommand);

/// An entry of the keyring as a destination; ``lmtokens.deliver.to_keyring`` makes one.
#[pyclass(frozen, module = "lmtokens.deliver")]
pub(crate) struct ToKeyring(destinations::ToKeyring);

#[pymethods]
impl ToKeyring {
    fn __repr__(&self) -> String {
        format!("<lmtokens.deliver.ToKeyring {}>", self.0.describe())
    }
}

#[pymethods]
impl ToFile {
    fn __repr__(&self) -> String {
        format!("<lmtokens.deliver.ToFile {}>", printable::line(&self.0.path.to_string_lossy()))
    }
}

#[pymethods]
impl ToCommand {
    fn __repr__(&self) -> String {
        format!("<lmtokens.deliver.ToCommand {}>", printable::line(&self.0.describe()))
    }
}

/// Deliver the secret of a new token to a file.
///
/// Until the token is enabled, the secret is in ``PATH.<tag>.pending``, on disk and readable by its owner only. An old
/// key in ``path`` is therefore kept until the new one is valid. If the process is killed before the key is in
/// ``path``, the same call finishes that create instead of creating another token: with the same portal, user, type,
/// note, status and expiry. If the expiry is given as a duration, it counts from the first call. Pending files of other
/// tokens are named in a warning and not changed. Only one create at a time can use a path.
///
/// Args:
///     path (str | os.PathLike): the path of the file. Symbolic links are refused, and so are folders that other users
///         can write to, unless they are sticky like ``/tmp``. A folder of another user causes a warning.
///     format (str): ``"json"`` (the default: one object with the token's members), ``"env"`` (shell commands that
///         export the environment variables of the token and its portal, for ``eval`` and ``.`` of POSIX shells),
///         ``"env-file"`` (the same variables as ``NAME=value`` without quotes, for ``docker --env-file``, ``kubectl
///         create secret --from-env-file`` and systemd's ``EnvironmentFile``) or ``"key"`` (the secret alone); each
///         ends with a line break. If the secret cannot be written so that the readers of ``"env"`` or ``"env-file"``
///         get it unchanged, the token is deleted and the error says so.
///     overwrite (bool): replace an existing file; default ``False``: an existing file is an error before anything is
///         sent.
///     trust_folder (bool): accept a folder that other users can write to, and do not warn if it belongs to another
///         user; default ``False``.
///
/// Returns:
///     ToFile: for ``deliver=``.
///
/// Raises:
///     ValueError: an unknown format.
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
    format: "Literal['json', 'env', 'env-file', 'key']" = "json",
    *,
    overwrite: "bool" = false,
    trust_folder: "bool" = false,
) -> "ToFile")]
pub(crate) fn to_file(
    path: FilePath,
    #[pyo3(from_py_with = domain::format)] format: &str,
    #[pyo3(from_py_with = plain::overwrite)] overwrite: bool,
    #[pyo3(from_py_with = plain::trust_folder)] trust_folder: bool,
) -> PyResult<ToFile> {
    let form = format.parse()?;
    // The working directory may change before the token is created.
    let path = std::path::absolute(&path.0).unwrap_or(path.0);
    Ok(ToFile(destinations::ToFile { path, form, overwrite, trust_folder }))
}

/// Deliver the secret of a new token to a command, as JSON on its standard input.
///
/// The command must exit with status 0 once it has stored the secret; any other status fails the delivery, and the
/// token is deleted. Its output is discarded: it may contain the secret.
///
/// Args:
///     command (Sequence[str | os.PathLike]): the program and its arguments; no shell is involved.
///     timeout (float): seconds until the command is killed; default 30.
///
/// Returns:
///     ToCommand: for ``deliver=``.
///
/// Raises:
///     TypeError: a string or another object instead of a list.
///     ValueError: an empty list, or a timeout of 0 or less.
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
    #[pyo3(from_py_with = plain::timeout)] timeout: f64,
) -> PyResult<ToCommand> {
    let expected = "a list of the program and its arguments (shlex.split makes one of a string)";
    let command = command.0.bind(py);
    if command.is_instance_of::<PySet>() || command.is_instance_of::<PyFrozenSet>() {
        return Err(wrong_type("command", expected, command));
    }
    let mut words = Vec::new();
    for word in plain::items("command", expected, command)? {
        words.push(plain::path("each word of command", &word?)?.into_os_string());
    }
    let timeout = Duration::try_from_secs_f64(timeout)
        .map_err(|_| Error::invalid("timeout", timeout, "a number of seconds above 0"))?;
    Ok(destinations::ToCommand::new(words, timeout).map(ToCommand)?)
}

/// Deliver the secret of a new token to the keyring of the operating system, for a profile with ``keyring = true``.
///
/// The entry of the service ``lmtokens`` with the profile's name holds the access id and the access key, or the bearer
/// token, as JSON. Until the token is enabled, it is in an entry ``NAME.pending``, so that an old secret is kept. If the
/// call is interrupted, call it again with the same arguments: the token is then completed, or deleted.
/// ``rotate_token`` does not accept it: the entry would not keep the old secret. Needs the package keyring: ``pip
/// install 'lmtokens[keyring]'``. A dialog of the keyring delays an interrupt by up to 2 seconds.
///
/// Args:
///     name (str): the name of the profile, which may not exist yet.
///     overwrite (bool): replace an existing entry; default ``False``: an existing entry is an error before the token
///         is created.
///
/// Returns:
///     ToKeyring: for ``deliver=``.
///
/// Raises:
///     ValueError: a name that no profile can have.
///
/// Example:
///     >>> from lmtokens.deliver import to_keyring
///     >>> to_keyring("acme")
///     <lmtokens.deliver.ToKeyring the keyring entry acme>
#[pyfunction]
#[pyo3(signature = (
    name: "str",
    *,
    overwrite: "bool" = false,
) -> "ToKeyring")]
pub(crate) fn to_keyring(
    #[pyo3(from_py_with = plain::name)] name: String,
    #[pyo3(from_py_with = plain::overwrite)] overwrite: bool,
) -> PyResult<ToKeyring> {
    let keyring = Arc::new(AttachedKeyring::default());
    Ok(ToKeyring(destinations::ToKeyring::new(keyring, name, overwrite)?))
}

/// The argument ``deliver=``.
pub(crate) enum Deliver {
    Native(Arc<dyn Destination>),
    /// A callable, or an object with `deliver`.
    Python(Arc<Py<PyAny>>),
}

impl<'py> FromPyObject<'_, 'py> for Deliver {
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const INPUT_TYPE: pyo3::inspect::PyStaticExpr =
        pyo3::type_hint_identifier!("lmtokens._types", "Destination");

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(file) = object.cast::<ToFile>() {
            return Ok(Self::Native(file.get().0.clone().destination()));
        }
        if let Ok(command) = object.cast::<ToCommand>() {
            return Ok(Self::Native(Arc::new(command.get().0.clone())));
        }
        if let Ok(keyring) = object.cast::<ToKeyring>() {
            return Ok(Self::Native(keyring.get().0.clone().destination()));
        }
        if object.hasattr("deliver")? || object.is_callable() {
            return Ok(Self::Python(Arc::new(object.to_owned().unbind())));
        }
        let expected = "to_file(…), to_keyring(…), to_command(…), a callable that takes the token, or an object with a method deliver(token)";
        Err(wrong_type("deliver", expected, &object))
    }
}

impl Deliver {
    /// Returns the caller's object, if it is one.
    pub(crate) fn object(&self) -> Option<&Arc<Py<PyAny>>> {
        match self {
            Self::Native(_) => None,
            Self::Python(object) => Some(object),
        }
    }

    pub(crate) fn destination(self, queue: &Arc<CallbackQueue>) -> Arc<dyn Destination> {
        match self {
            Self::Native(destination) => destination,
            Self::Python(object) => Arc::new(PythonDestination { object, queue: Arc::downgrade(queue) }),
        }
    }
}

/// A destination of the caller. Its methods run on the caller's thread, or in its loop.
struct PythonDestination {
    object: Arc<Py<PyAny>>,
    queue: std::sync::Weak<CallbackQueue>,
}

impl PythonDestination {
    async fn call(&self, method: &'static str, token: &Token) -> Result<()> {
        let (object, token) = (Arc::clone(&self.object), token.clone());
        let code = move |py: Python<'_>| {
            let object = object.bind(py);
            if object.hasattr(method)? {
                return object.call_method1(method, (token,)).map(Bound::unbind);
            }
            if method == "deliver" {
                return object.call1((token,)).map(Bound::unbind);
            }
            Ok(py.None())
        };
        let what = format!("the destination's {method}");
        run(&self.queue, code, check_delivered, ErrorKind::Delivery, &what).await
    }
}

/// Runs code of the caller. `what` names it in an error.
async fn run(
    queue: &std::sync::Weak<CallbackQueue>,
    code: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static,
    check: callback_queue::Check<()>,
    kind: ErrorKind,
    what: &str,
) -> Result<()> {
    let outcome = match queue.upgrade() {
        Some(queue) => queue.call(code, check).await,
        None => Err(Raised::NoCaller),
    };
    outcome.map_err(|raised| match raised {
        Raised::NoCaller => Error::new(kind, format!("the call ended before {what} could run")),
        Raised::Exception { class, exception } => {
            let mut error = Error::new(kind, format!("{what} raised {class}"));
            error.details_mut().origin = Some(Arc::new(exception));
            error
        }
    })
}

/// The argument ``then=`` of ``rotate_token``.
pub(crate) struct Then(Py<PyAny>);

impl FromPyObject<'_, '_> for Then {
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const INPUT_TYPE: pyo3::inspect::PyStaticExpr = pyo3::type_hint_identifier!("lmtokens._types", "Then");

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if object.is_callable() {
            return Ok(Self(object.to_owned().unbind()));
        }
        Err(wrong_type("then", "a callable that takes the new token", &object))
    }
}

impl Then {
    pub(crate) fn check(self, queue: &Arc<CallbackQueue>) -> Arc<dyn Check> {
        Arc::new(PythonCheck { callable: Arc::new(self.0), queue: Arc::downgrade(queue) })
    }
}

/// A check of the caller. It runs on the caller's thread, or in its loop.
struct PythonCheck {
    callable: Arc<Py<PyAny>>,
    queue: std::sync::Weak<CallbackQueue>,
}

impl Check for PythonCheck {
    fn run<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<()>> {
        let (callable, token) = (Arc::clone(&self.callable), token.without_secret());
        let code = move |py: Python<'_>| callable.bind(py).call1((token,)).map(Bound::unbind);
        Box::pin(async {
            run(&self.queue, code, check_then, ErrorKind::Rotation, "then").await.map_err(|mut error| {
                error.details_mut().message.push_str("; both tokens work");
                error.suggest(Advice::RotateAgain)
            })
        })
    }
}

/// Checks the result of a destination: the secret would be lost if it were not stored yet.
fn check_delivered(result: &Bound<'_, PyAny>) -> PyResult<()> {
    check_done(result, "a destination")
}

/// Checks the result of `then=`: the old token would be disabled before the check has ended.
fn check_then(result: &Bound<'_, PyAny>) -> PyResult<()> {
    check_done(result, "then")
}

/// Checks that the result of code of the caller is not work that is still to be done.
fn check_done(result: &Bound<'_, PyAny>, what: &str) -> PyResult<()> {
    let class = result.get_type();
    // Python, too, looks up special methods on the class.
    let has_any = |names: &[&str]| -> PyResult<bool> {
        names.iter().try_fold(false, |found, name| Ok(found || class.hasattr(*name)?))
    };
    // An open file, an HTTP response and a database cursor are iterators as well, but their work is done.
    let is_lazy =
        has_any(&["__await__"])? || has_any(&["__next__", "__anext__"])? && !has_any(&["read", "fetchone"])?;
    let runs_elsewhere = has_any(&["add_done_callback", "wait"])?;
    let is_destination = result.is_callable()
        || has_any(&["deliver"])?
        || result.is_instance_of::<ToFile>()
        || result.is_instance_of::<ToCommand>()
        || result.is_instance_of::<ToKeyring>();
    if !(is_lazy || runs_elsewhere || is_destination) {
        return Ok(());
    }
    if is_lazy && has_any(&["close"])? {
        result.call_method0("close")?;
    }
    Err(PyTypeError::new_err(format!(
        "{what} must be done when it returns, but returned an object of type {}; finish the work before returning, wait \
         for threads and processes, and use coroutine functions with AsyncClient only",
        class.name()?
    )))
}

impl Destination for PythonDestination {
    fn deliver<'a>(&'a self, token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.call("deliver", token))
    }

    fn commit<'a>(&'a self, token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.call("commit", token))
    }

    fn discard<'a>(&'a self, token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.call("discard", token))
    }

    fn describe(&self) -> String {
        "the caller's destination".to_owned()
    }
}
