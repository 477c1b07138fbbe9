//! The table of operations. Each row becomes a method of `Client`, a method of `AsyncCore` (of which `AsyncClient` makes a
//! coroutine) and a module function. `list_tokens` and `add_tokens` return iterators and have files of their own.

use pyo3::prelude::*;

use crate::ids::Note;
use crate::lifecycle::{AddToken, SweepTokens, Swept};
use crate::model::{Status, Token};
use crate::python::args::{domain, plain};
use crate::python::operations::client::{AsyncCore, Client};
use crate::python::operations::deliver::Deliver;
use crate::python::operations::functions::default_client;
use crate::python::runtime::awaitable::Awaitable;
use crate::tokens::{Change, DeleteToken, Target, UpdateToken, User, Whoami, WhoamiReport};

/// A row: docstring, Python signature, parameters, result, and a closure that makes the operation of
/// the arguments and of the callback queue of the call.
macro_rules! operations {
    ($(
        $(#[doc = $doc:expr])*
        #[signature($($signature:tt)*)]
        fn $name:ident($($parameters:tt)*) -> $result:ty {
            |$queue:pat_param| $operation:expr
        }
    )*) => {
        #[pymethods]
        impl Client {
            $(
                $(#[doc = $doc])*
                #[pyo3(signature = ($($signature)*))]
                fn $name(&self, py: Python<'_>, $($parameters)*) -> PyResult<$result> {
                    self.py_client().wait(py, |$queue| $operation)
                }
            )*
        }

        #[pymethods]
        impl AsyncCore {
            $(
                $(#[doc = $doc])*
                #[pyo3(signature = ($($signature)*))]
                fn $name<'py>(&self, py: Python<'py>, $($parameters)*) -> PyResult<Awaitable<'py, $result>> {
                    self.py_client().awaitable(py, |$queue| $operation)
                }
            )*
        }

        $(
            $(#[doc = $doc])*
            #[pyfunction]
            #[pyo3(signature = ($($signature)*))]
            pub(crate) fn $name(py: Python<'_>, $($parameters)*) -> PyResult<$result> {
                default_client(py)?.get().py_client().wait(py, |$queue| $operation)
            }
        )*
    };
}

operations! {
    #[doc = include_str!("../doc/add_token.md")]
    #[signature(
        admin_id,
        note = None,
        status: "int | str | TokenStatus" = 2,
        *,
        r#type: "str | TokenType" = "lmv1",
        deliver = None,
    )]
    fn add_token(
        admin_id: User,
        note: Option<Note>,
        #[pyo3(from_py_with = domain::status)] status: i64,
        #[pyo3(from_py_with = domain::r#type)] r#type: &str,
        deliver: Option<Deliver>,
    ) -> Token {
        |queue| domain::new_token(admin_id, note, status, r#type).map(|token| AddToken {
            token,
            destination: deliver.map(|deliver| deliver.destination(queue)),
        })
    }

    #[doc = include_str!("../doc/find_token.md")]
    #[signature(token)]
    fn find_token(token: Target) -> Token {
        |_| token.find()
    }

    #[doc = include_str!("../doc/update_token.md")]
    #[signature(token, note = None, status: "int | str | TokenStatus | None" = None, *, force: "bool" = false)]
    fn update_token(
        token: Target,
        note: Option<Note>,
        #[pyo3(from_py_with = domain::optional_status)] status: Option<Status>,
        #[pyo3(from_py_with = plain::force)] force: bool,
    ) -> Token {
        |_| Change::new(note, status).map(|change| UpdateToken { target: token, change, force })
    }

    #[doc = include_str!("../doc/enable_token.md")]
    #[signature(token)]
    fn enable_token(token: Target) -> Token {
        |_| Ok(UpdateToken { target: token, change: Status::Enabled.into(), force: false })
    }

    #[doc = include_str!("../doc/disable_token.md")]
    #[signature(token, *, force: "bool" = false)]
    fn disable_token(token: Target, #[pyo3(from_py_with = plain::force)] force: bool) -> Token {
        |_| Ok(UpdateToken { target: token, change: Status::Disabled.into(), force })
    }

    #[doc = include_str!("../doc/delete_token.md")]
    #[signature(token, *, force: "bool" = false)]
    fn delete_token(token: Target, #[pyo3(from_py_with = plain::force)] force: bool) -> () {
        |_| Ok(DeleteToken { target: token, force })
    }

    #[doc = include_str!("../doc/sweep_tokens.md")]
    #[signature(*, dry_run: "bool" = true)]
    fn sweep_tokens(#[pyo3(from_py_with = plain::dry_run)] dry_run: bool) -> Vec<Swept> {
        |_| Ok(SweepTokens { delete: !dry_run })
    }

    #[doc = include_str!("../doc/whoami.md")]
    #[signature()]
    fn whoami() -> WhoamiReport {
        |_| Ok(Whoami)
    }
}
