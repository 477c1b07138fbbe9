//! `temporary_token`: a token that exists during a `with` block.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::ids::{Note, Status};
use crate::lifecycle::{AddToken, DeleteTemporary};
use crate::lock::locked;
use crate::model;
use crate::python::args::domain;
use crate::python::operations::client::{AsyncCore, Client, PyClient};
use crate::python::operations::functions::default_client;
use crate::python::runtime::awaitable::Awaitable;
use crate::python::types::token::Token;
use crate::times::Expiry;
use crate::tokens::{Deleted, NewToken, User};

/// A token that is yet to be created, once.
struct Creation {
    client: Arc<PyClient>,
    token: Mutex<Option<NewToken>>,
    /// The process that created it. A child that a fork made inside the block leaves the token to it.
    process: AtomicU32,
}

impl Creation {
    fn new(client: &Arc<PyClient>, token: NewToken) -> Self {
        Self { client: Arc::clone(client), token: Mutex::new(Some(token)), process: AtomicU32::new(0) }
    }

    /// Returns the operation that creates the token, once.
    fn take(&self) -> PyResult<AddToken> {
        let token = locked(&self.token).take().ok_or_else(|| {
            PyRuntimeError::new_err(
                "a temporary token can be entered only once; call temporary_token() for each with statement",
            )
        })?;
        self.process.store(std::process::id(), Ordering::Relaxed);
        Ok(AddToken { token, destination: None })
    }

    fn is_of_this_process(&self) -> bool {
        self.process.load(Ordering::Relaxed) == std::process::id()
    }

    fn delete(&self, py: Python<'_>, token: model::Token) -> PyResult<()> {
        self.client.wait(py, |_| Ok(DeleteTemporary { token })).map(|Deleted| ())
    }
}

/// A token that exists during a ``with`` block: the result of ``temporary_token``, for one ``with`` statement.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct TemporaryToken {
    creation: Creation,
    created: Mutex<Option<model::Token>>,
}

impl TemporaryToken {
    fn new(client: &Arc<PyClient>, token: NewToken) -> Self {
        Self { creation: Creation::new(client, token), created: Mutex::default() }
    }
}

#[pymethods]
impl TemporaryToken {
    #[pyo3(signature = () -> "CreatedToken")]
    fn __enter__(&self, py: Python<'_>) -> PyResult<model::Token> {
        let create = self.creation.take()?;
        let token = self.creation.client.wait(py, |_| Ok(create))?;
        *locked(&self.created) = Some(token.clone());
        Ok(token)
    }

    #[pyo3(signature = (*exception: "object") -> "None")]
    fn __exit__(&self, py: Python<'_>, exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        let created = locked(&self.created).take();
        let Some(token) = created.filter(|_| self.creation.is_of_this_process()) else { return Ok(()) };
        let deleted = self.creation.delete(py, token);
        let is_raising = exception.iter().next().is_some_and(|class| !class.is_none());
        match deleted {
            // The exception of the block matters more; a warning reports the failed deletion.
            Err(error) if is_raising && error.is_instance_of::<PyException>(py) => Ok(()),
            outcome => outcome,
        }
    }
}

/// The native part of `AsyncTemporaryToken`.
#[pyclass(name = "_AsyncTemporaryToken", frozen, module = "lmtokens._lmtokens")]
pub(crate) struct AsyncTemporaryToken(Creation);

#[pymethods]
impl AsyncTemporaryToken {
    /// Return the future of the new token, with its call.
    fn create<'py>(&self, py: Python<'py>) -> PyResult<Awaitable<'py, model::Token>> {
        let create = self.0.take()?;
        self.0.client.awaitable(py, |_| Ok(create))
    }

    /// Return whether this process created the token. A child process leaves it to its parent.
    fn is_of_this_process(&self) -> bool {
        self.0.is_of_this_process()
    }

    /// Delete the token without an event loop.
    #[pyo3(signature = (token, /))]
    fn delete_now(&self, py: Python<'_>, token: &Bound<'_, Token>) -> PyResult<()> {
        self.0.delete(py, token.get().core().clone())
    }

    /// Return the future of the deletion, with its call.
    #[pyo3(signature = (token, /))]
    fn delete<'py>(&self, py: Python<'py>, token: &Bound<'py, Token>) -> PyResult<Awaitable<'py, Deleted>> {
        self.0.client.awaitable(py, |_| Ok(DeleteTemporary { token: token.get().core().clone() }))
    }
}

/// Defines `temporary_token` on both clients and as a module function.
macro_rules! temporary_operation {
    ($(#[$doc:meta])* [$($signature:tt)*] [$($parameters:tt)*] $token:expr) => {
        #[pymethods]
        impl Client {
            $(#[$doc])*
            #[pyo3(
                signature = ($($signature)*) -> "TemporaryToken",
                text_signature = "($self, admin_id, note=None, *, expires=3600, type='lmv1')",
            )]
            fn temporary_token(&self, $($parameters)*) -> PyResult<TemporaryToken> {
                Ok(TemporaryToken::new(self.py_client(), $token))
            }
        }

        #[pymethods]
        impl AsyncCore {
            $(#[$doc])*
            #[pyo3(signature = ($($signature)*) -> "_AsyncTemporaryToken")]
            fn _temporary_token(&self, $($parameters)*) -> PyResult<AsyncTemporaryToken> {
                Ok(AsyncTemporaryToken(Creation::new(self.py_client(), $token)))
            }
        }

        $(#[$doc])*
        #[pyfunction]
        #[pyo3(
            signature = ($($signature)*) -> "TemporaryToken",
            text_signature = "(admin_id, note=None, *, expires=3600, type='lmv1')",
        )]
        pub(crate) fn temporary_token(py: Python<'_>, $($parameters)*) -> PyResult<TemporaryToken> {
            Ok(TemporaryToken::new(default_client(py)?.get().py_client(), $token))
        }
    };
}

temporary_operation! {
    /// Create a token for a ``with`` block and delete it at the end of the block.
    ///
    /// The token is created, enabled, when the block is entered, as by ``add_token(expires=…)``, and is deleted by the
    /// same client when the block ends: also by an exception, Ctrl-C or the cancellation of its task. A token that no
    /// longer exists is ignored. If the process is killed, the token remains until it expires and ``sweep_tokens``
    /// deletes it. A child process that is forked inside the block does not delete it. If the creation is interrupted, a warning says what may remain, as for ``add_token``.
    ///
    /// A Ctrl-C or cancellation during the deletion takes effect after it; a second one ends the deletion. If the
    /// deletion fails or is ended, a warning is logged that names the token and its expiry. The error is raised unless
    /// the block has raised an exception, which is never replaced by it.
    ///
    /// Args:
    ///     admin_id (int | str): the user's id, 1 to 2147483647, or the user's name, which is looked up.
    ///     note (str | None): a label, as for ``add_token``; default none.
    ///     expires (datetime | timedelta | float | str): when ``sweep_tokens`` may delete the token if this block does
    ///         not, as for ``add_token``; a number is in seconds. Choose it longer than the block takes:
    ///         ``sweep_tokens`` also deletes a token that is in use. Default one hour.
    ///     type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.
    ///
    /// Returns:
    ///     TemporaryToken: the context manager, for one ``with`` statement; with ``AsyncClient``, an
    ///         ``AsyncTemporaryToken`` for ``async with``. Its target is the ``CreatedToken`` with its ``access_key``.
    ///         Nothing is sent before the block is entered.
    ///
    /// Raises:
    ///     TypeError, ValueError: an argument is invalid; nothing was sent.
    ///     RuntimeError: the context manager is entered a second time.
    ///     LMTokensError: entering the block raises the errors of ``add_token``, and leaving it those of
    ///         ``delete_token``.
    ///
    /// Example:
    ///     >>> import lmtokens.sandbox
    ///     >>> with lmtokens.sandbox.Portal() as portal, portal.client() as client:
    ///     ...     with client.temporary_token(32, "job") as token:
    ///     ...         print([listed.note for listed in client.list_tokens(32)])
    ///     ...     print(list(client.list_tokens(32)))
    ///     ['job']
    ///     []
    [
        admin_id,
        note = None,
        *,
        expires = Expiry::ONE_HOUR,
        r#type: "Literal['lmv1', 'bearer'] | TokenType" = "lmv1",
    ]
    [
        admin_id: User,
        note: Option<Note>,
        expires: Expiry,
        #[pyo3(from_py_with = domain::r#type)] r#type: &str,
    ]
    domain::new_token(admin_id, note, Status::Enabled.number(), r#type, Some(expires))?
}
