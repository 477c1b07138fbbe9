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

use pyo3::prelude::*;
#[cfg(not(feature = "stubs"))]
use pyo3::{
    exceptions::PyAttributeError,
    types::{PyModule, PyString, PyType},
};

#[cfg(not(feature = "stubs"))]
const MODULE: &str = "lmtokens._lmtokens";

/// Creates a class, or returns the one that was created.
#[cfg(not(feature = "stubs"))]
type Create = for<'py> fn(Python<'py>) -> Bound<'py, PyType>;

/// Declares the module, with classes that are created when they are first used. Most programs use few of them, and
/// creating all takes longer than loading the library. Stubs are generated of a module that has all from the beginning.
macro_rules! module {
    ($($(#[$condition:meta])? $($path:ident)::+;)*) => {
        /// The native part of the package `lmtokens`.
        #[pyo3::pymodule(gil_used = false)]
        mod _lmtokens {
            $(
                $(#[$condition])?
                #[cfg(feature = "stubs")]
                #[pymodule_export]
                use crate::python::$($path)::+;
            )*
            #[cfg(feature = "cli")]
            #[pymodule_export]
            use crate::python::shell::_shell;
            #[pymodule_export]
            use crate::python::operations::bulk::add_tokens;
            #[pymodule_export]
            use crate::python::operations::deliver::{to_command, to_file, to_keyring};
            #[pymodule_export]
            use crate::python::operations::functions::{
                _forget_default_client, _signing_stages, configure, default_client, explain_signature, sign,
            };
            #[pymodule_export]
            use crate::python::operations::list::list_tokens;
            #[pymodule_export]
            use crate::python::operations::table::{
                add_token, audit_tokens, cancel_rotation, delete_token, disable_token, enable_token, find_token,
                finish_rotations, list_users, rotate_token, sweep_tokens, update_token, whoami,
            };
            #[pymodule_export]
            use crate::python::operations::temporary::temporary_token;
            #[pymodule_export]
            use crate::python::types::display::_printable;
            #[pymodule_export]
            use crate::python::types::journal_entry::read_journal;

            #[pymodule_export]
            #[allow(non_upper_case_globals, reason = "the name is Python's")]
            const __version__: &str = crate::VERSION;

            #[pymodule_init]
            fn init(py: pyo3::Python<'_>) -> pyo3::PyResult<()> {
                crate::python::initialize(py)
            }
        }

        #[cfg(not(feature = "stubs"))]
        const CLASSES: &[(&str, Create)] = &[
            $($(#[$condition])? (<$($path)::+ as pyo3::PyClass>::NAME, |py| py.get_type::<$($path)::+>()),)*
        ];
    };
}

module! {
    operations::bulk::AsyncBulkRun;
    operations::bulk::BulkRun;
    operations::client::AsyncCore;
    operations::client::Client;
    operations::deliver::ToCommand;
    operations::deliver::ToFile;
    operations::deliver::ToKeyring;
    operations::list::TokenIterator;
    operations::list::TokenPages;
    operations::signer::Signer;
    operations::temporary::AsyncTemporaryToken;
    operations::temporary::TemporaryToken;
    #[cfg(feature = "sandbox")] sandbox::SandboxPortal;
    types::audit::Audit;
    types::audit::Finding;
    types::explanation::SignatureCause;
    types::explanation::SignatureExplanation;
    types::filter::Field;
    types::filter::Filter;
    types::filter::Where;
    types::journal_entry::JournalEntry;
    types::listed_user::User;
    types::new_token::NewToken;
    types::rotation::Rotation;
    types::row_result::RowResult;
    types::row_result::Summary;
    types::secret::Secret;
    types::swept_token::SweptToken;
    types::token::CreatedToken;
    types::token::Token;
    types::whoami::Whoami;
}

fn initialize(py: Python<'_>) -> PyResult<()> {
    refuse_subinterpreter()?;
    runtime::gate::close_at_exit(py)?;
    types::errors::load(py)?;
    #[cfg(not(feature = "stubs"))]
    create_classes_on_first_use(py)?;
    Ok(())
}

#[cfg(not(feature = "stubs"))]
fn create_classes_on_first_use(py: Python<'_>) -> PyResult<()> {
    // If the module were an argument of `init`, the stub would say that it has unknown names.
    let modules = py.import("sys")?.getattr("modules")?;
    let module = modules.get_item(MODULE)?.cast_into::<PyModule>()?;
    let exported = module.index()?;
    CLASSES.iter().try_for_each(|(name, _)| exported.append(*name))?;
    module.setattr("__getattr__", wrap_pyfunction!(class_on_first_use, &module)?)
}

/// Returns a class of the module, and keeps it there. Python calls this for names that the module does not have.
#[cfg(not(feature = "stubs"))]
#[pyfunction(name = "__getattr__")]
#[pyo3(pass_module)]
fn class_on_first_use<'py>(
    module: &Bound<'py, PyModule>,
    name: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyType>> {
    let found = name.to_cow().ok().and_then(|name| CLASSES.iter().find(|(class, _)| *class == name));
    let Some((_, create)) = found else {
        return Err(PyAttributeError::new_err(format!(
            "module '{MODULE}' has no attribute {}",
            name.repr()?
        )));
    };
    let class = create(module.py());
    module.setattr(name, &class)?;
    Ok(class)
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
