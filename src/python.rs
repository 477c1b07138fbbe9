//! The Python API: the only code that uses `pyo3`. It makes no decisions.

#![allow(clippy::doc_markdown, reason = "doc comments are Python docstrings here")]
#![allow(clippy::doc_link_with_quotes, reason = "docstrings show lists")]
#![allow(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]

mod advice;
mod args;
mod keyring;
mod operations;
mod runtime;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(feature = "cli")]
mod shell;
mod types;

/// The native part of the package `lmtokens`.
#[pyo3::pymodule(gil_used = false)]
mod _lmtokens {
    #[cfg(feature = "sandbox")]
    #[pymodule_export]
    use super::sandbox::SandboxPortal;
    #[cfg(feature = "cli")]
    #[pymodule_export]
    use super::shell::_shell;
    #[pymodule_export]
    use crate::python::operations::bulk::{AsyncBulkRun, BulkRun, add_tokens};
    #[pymodule_export]
    use crate::python::operations::client::{AsyncCore, Client};
    #[pymodule_export]
    use crate::python::operations::deliver::{ToCommand, ToFile, ToKeyring, to_command, to_file, to_keyring};
    #[pymodule_export]
    use crate::python::operations::functions::{
        _forget_default_client, _signing_stages, configure, default_client, explain_signature, sign,
    };
    #[pymodule_export]
    use crate::python::operations::list::{TokenIterator, TokenPages, list_tokens};
    #[pymodule_export]
    use crate::python::operations::signer::Signer;
    #[pymodule_export]
    use crate::python::operations::table::{
        add_token, audit_tokens, cancel_rotation, delete_token, disable_token, enable_token, find_token,
        finish_rotations, list_users, rotate_token, sweep_tokens, update_token, whoami,
    };
    #[pymodule_export]
    use crate::python::operations::temporary::{AsyncTemporaryToken, TemporaryToken, temporary_token};
    #[pymodule_export]
    use crate::python::types::audit::{Audit, Finding};
    #[pymodule_export]
    use crate::python::types::display::_printable;
    #[pymodule_export]
    use crate::python::types::explanation::{SignatureCause, SignatureExplanation};
    #[pymodule_export]
    use crate::python::types::filter::{Field, Filter, Where};
    #[pymodule_export]
    use crate::python::types::journal_entry::{JournalEntry, read_journal};
    #[pymodule_export]
    use crate::python::types::listed_user::User;
    #[pymodule_export]
    use crate::python::types::new_token::NewToken;
    #[pymodule_export]
    use crate::python::types::rotation::Rotation;
    #[pymodule_export]
    use crate::python::types::row_result::{RowResult, Summary};
    #[pymodule_export]
    use crate::python::types::secret::Secret;
    #[pymodule_export]
    use crate::python::types::swept_token::SweptToken;
    #[pymodule_export]
    use crate::python::types::token::{CreatedToken, Token};
    #[pymodule_export]
    use crate::python::types::whoami::Whoami;

    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "the name is Python's")]
    const __version__: &str = crate::VERSION;

    #[pymodule_init]
    fn init(py: pyo3::Python<'_>) -> pyo3::PyResult<()> {
        super::refuse_subinterpreter()?;
        crate::python::runtime::gate::close_at_exit(py)?;
        crate::python::types::errors::load(py)
    }
}

/// Does nothing: python3.dll of CPython 3.9 does not have the function that tells the interpreter.
#[cfg(windows)]
#[allow(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
fn refuse_subinterpreter() -> pyo3::PyResult<()> {
    Ok(())
}

/// Fails in a subinterpreter: the per-process state (runtime, connections, exception classes) belongs to one
/// interpreter.
#[cfg(not(windows))]
fn refuse_subinterpreter() -> pyo3::PyResult<()> {
    // SAFETY: the current thread is attached, so there is a current interpreter, and asking for its number changes
    // nothing.
    #[allow(unsafe_code)]
    let number = unsafe { pyo3::ffi::PyInterpreterState_GetID(pyo3::ffi::PyInterpreterState_Get()) };
    if number == 0 {
        return Ok(());
    }
    Err(pyo3::exceptions::PyImportError::new_err(
        "lmtokens does not support subinterpreters; import it in the main interpreter",
    ))
}
