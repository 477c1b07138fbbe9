//! The verbs, each written once: as a method of `Client`, as one of `AsyncCore`, and as a function of the module.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::client::Client as CoreClient;
use crate::error::Result;
use crate::lifecycle::{CreateToken, SweepTokens};
use crate::model::{self, TokenStatus, TokenType};
use crate::python::args::domain::{Admin, Target, Wanted, status, token_type};
use crate::python::args::plain as arguments;
use crate::python::operations::client::{AsyncCore, Client};
use crate::python::operations::deliver::Deliver;
use crate::python::operations::functions::default_client;
use crate::python::operations::list::{TokenIterator, TokenPages};
use crate::python::runtime::awaitable::{Awaitable, awaitable};
use crate::python::runtime::callback_queue::CallbackQueue;
use crate::python::runtime::wait::wait;
use crate::python::types::errors::exception;
use crate::python::types::swept_token::SweptToken;
use crate::python::types::token::Token;
use crate::python::types::whoami::Whoami;
use crate::tag::RunId;
use crate::tokens::{self, AddToken, DeleteToken, ListTokens, Types, UpdateToken};

/// Each row: documentation, name, name on the async core, Python's signature and result, Rust's parameters and result,
/// and what is done with a client.
macro_rules! verbs {
    ($(
        #[doc = $doc:expr]
        $name:ident / $core:ident ($($signature:tt)*) -> $returns:literal,
        ($($parameters:tt)*) -> $result:ty = $verb:expr;
    )*) => {
        #[pymethods]
        impl Client {
            $(
                #[doc = $doc]
                #[pyo3(signature = ($($signature)*) -> $returns)]
                fn $name(&self, py: Python<'_>, $($parameters)*) -> PyResult<$result> {
                    wait(py, self.py_client(), $verb)
                }
            )*
        }

        #[pymethods]
        impl AsyncCore {
            $(
                #[pyo3(signature = ($($signature)*))]
                fn $core<'py>(&self, py: Python<'py>, $($parameters)*) -> PyResult<Awaitable<'py>> {
                    awaitable(py, self.py_client(), $verb)
                }
            )*
        }

        $(
            #[doc = $doc]
            #[pyfunction]
            #[pyo3(signature = ($($signature)*) -> $returns)]
            pub(crate) fn $name(py: Python<'_>, $($parameters)*) -> PyResult<$result> {
                wait(py, default_client(py)?.get().py_client(), $verb)
            }
        )*
    };
}

verbs! {
    #[doc = include_str!("../doc/add_token.md")]
    add_token / _add_token(
        admin_id: "int | str",
        note: "str | None" = None,
        status: "int | str | TokenStatus" = 2,
        *,
        r#type: "str | TokenType" = "lmv1",
        deliver = None,
    ) -> "Token",
    (
        admin_id: Admin,
        #[pyo3(from_py_with = arguments::note)] note: Option<String>,
        #[pyo3(from_py_with = status)] status: i64,
        #[pyo3(from_py_with = token_type)] r#type: &str,
        deliver: Option<Deliver>,
    ) -> Token = add(admin_id, note, status, r#type, deliver);

    #[doc = include_str!("../doc/find_token.md")]
    find_token / _find_token(token: "int | str | Token") -> "Token",
    (token: Target) -> Token = {
        let verb = token.find();
        move |client: CoreClient, _: &Arc<CallbackQueue>| async move { verb.run(&client).await.map(Token::from) }
    };

    #[doc = include_str!("../doc/update_token.md")]
    update_token / _update_token(
        token: "int | str | Token",
        note: "str | None" = None,
        status: "int | str | TokenStatus | None" = None,
        *,
        force: "bool" = false,
    ) -> "Token",
    (
        token: Target,
        #[pyo3(from_py_with = arguments::note)] note: Option<String>,
        #[pyo3(from_py_with = optional_status)] status: Option<i64>,
        #[pyo3(from_py_with = arguments::force)] force: bool,
    ) -> Token = update(token, note, status, force);

    #[doc = include_str!("../doc/enable_token.md")]
    enable_token / _enable_token(token: "int | str | Token") -> "Token",
    (token: Target) -> Token = update(token, None, Some(2), false);

    #[doc = include_str!("../doc/disable_token.md")]
    disable_token / _disable_token(token: "int | str | Token", *, force: "bool" = false) -> "Token",
    (token: Target, #[pyo3(from_py_with = arguments::force)] force: bool) -> Token = update(token, None, Some(1), force);

    #[doc = include_str!("../doc/delete_token.md")]
    delete_token / _delete_token(token: "int | str | Token", *, force: "bool" = false) -> "None",
    (token: Target, #[pyo3(from_py_with = arguments::force)] force: bool) -> () = {
        let verb = DeleteToken { target: token.0, force };
        move |client: CoreClient, _: &Arc<CallbackQueue>| async move { verb.run(&client).await }
    };

    #[doc = include_str!("../doc/sweep_tokens.md")]
    sweep_tokens / _sweep_tokens(*, dry_run: "bool" = true) -> "list[SweptToken]",
    (#[pyo3(from_py_with = arguments::dry_run)] dry_run: bool) -> Vec<SweptToken> = |client: CoreClient, _: &Arc<CallbackQueue>| async move {
        let swept = SweepTokens { delete: !dry_run }.run(&client).await?;
        Ok(swept.into_iter().map(SweptToken::from).collect::<Vec<_>>())
    };

    #[doc = include_str!("../doc/whoami.md")]
    whoami / _whoami() -> "Whoami",
    () -> Whoami = |client: CoreClient, _: &Arc<CallbackQueue>| async move { tokens::whoami(&client).await.map(Whoami::from) };
}

fn optional_status(object: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    if object.is_none() { Ok(None) } else { status(object).map(Some) }
}

fn add(
    admin_id: Admin,
    note: Option<String>,
    status: i64,
    r#type: &str,
    deliver: Option<Deliver>,
) -> impl FnOnce(CoreClient, &Arc<CallbackQueue>) -> Running<Token> + use<> {
    let r#type = TokenType::parse(r#type);
    move |client, caller| {
        let destination = deliver.map(|deliver| deliver.destination(caller));
        Box::pin(async move {
            let token = AddToken {
                admin: admin_id.0,
                note,
                status: TokenStatus::from_number(status),
                r#type: r#type?,
            };
            let Some(destination) = destination else { return token.run(&client).await.map(Token::from) };
            let verb = CreateToken { token, destination, run: RunId::fresh()? };
            // The key is where it belongs, and in no second place.
            verb.run(&client).await.map(|token| model::Token { access_key: None, ..token }.into())
        })
    }
}

fn update(
    token: Target,
    note: Option<String>,
    status: Option<i64>,
    force: bool,
) -> impl FnOnce(CoreClient, &Arc<CallbackQueue>) -> Running<Token> {
    let verb = UpdateToken { target: token.0, note, status: status.map(TokenStatus::from_number), force };
    move |client, _| Box::pin(async move { verb.run(&client).await.map(Token::from) })
}

type Running<T> = std::pin::Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// Defines the listing verb, whose result is no single value.
macro_rules! list_verb {
    ([$($signature:tt)*] [$($parameters:tt)*] |$py:ident| $verb:expr) => {
        #[pymethods]
        impl Client {
            #[doc = include_str!("../doc/list_tokens.md")]
            #[pyo3(signature = ($($signature)*) -> "TokenIterator")]
            fn list_tokens(&self, $py: Python<'_>, $($parameters)*) -> PyResult<TokenIterator> {
                TokenIterator::new($py, Arc::clone(self.py_client()), $verb?)
            }
        }

        #[pymethods]
        impl AsyncCore {
            #[pyo3(signature = ($($signature)*) -> "TokenPages")]
            fn _list_tokens(&self, $py: Python<'_>, $($parameters)*) -> PyResult<TokenPages> {
                TokenPages::new($py, Arc::clone(self.py_client()), $verb?)
            }
        }

        #[doc = include_str!("../doc/list_tokens.md")]
        #[pyfunction]
        #[pyo3(signature = ($($signature)*) -> "TokenIterator")]
        pub(crate) fn list_tokens($py: Python<'_>, $($parameters)*) -> PyResult<TokenIterator> {
            TokenIterator::new($py, Arc::clone(default_client($py)?.get().py_client()), $verb?)
        }
    };
}

list_verb! {
    [
        admin_id: "int | str | None" = None,
        *,
        r#type: "str | TokenType | None" = None,
        filter: "Filter | str | None" = None,
        page_size: "int" = 1000,
    ]
    [
        admin_id: Option<Admin>,
        #[pyo3(from_py_with = optional_type)] r#type: Option<&str>,
        #[pyo3(from_py_with = arguments::filter)] filter: Option<Wanted<'_>>,
        #[pyo3(from_py_with = arguments::page_size)] page_size: u32,
    ]
    |py| list(py, admin_id, r#type, filter, page_size)
}

fn optional_type(object: &Bound<'_, PyAny>) -> PyResult<Option<&'static str>> {
    if object.is_none() { Ok(None) } else { token_type(object).map(Some) }
}

fn list(
    py: Python<'_>,
    admin_id: Option<Admin>,
    r#type: Option<&str>,
    filter: Option<Wanted<'_>>,
    page_size: u32,
) -> PyResult<ListTokens> {
    let types = Types::parse(r#type).map_err(|error| exception(py, error))?;
    let wanted = filter.map(Wanted::core).unwrap_or_default();
    Ok(ListTokens { admin: admin_id.map(|admin| admin.0), types, wanted, page_size })
}
