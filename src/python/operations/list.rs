//! `list_tokens`: tokens that are requested page by page during iteration.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pyo3::prelude::*;

use crate::client::Client as CoreClient;
use crate::error::Result;
use crate::ids::{PageSize, Type};
use crate::lock::locked;
use crate::model::Token;
use crate::operation::Operation;
use crate::python::args::{domain, plain};
use crate::python::operations::client::{AsyncCore, Client, PyClient};
use crate::python::operations::functions::default_client;
use crate::python::runtime::awaitable::Awaitable;
use crate::tokens::{ListTokens, Listing, Selection, User};

/// A list in progress, which several callers may iterate over.
#[derive(Clone)]
struct Pages {
    /// The list, and the time that its pages took.
    listing: Arc<tokio::sync::Mutex<(Listing, Duration)>>,
    /// Tokens that were received and not yet returned. They survive an interrupt. `None` if no page was requested.
    ready: Arc<Mutex<Option<VecDeque<Token>>>>,
}

impl Pages {
    fn new(list: ListTokens) -> Self {
        Self {
            listing: Arc::new(tokio::sync::Mutex::new((list.start(), Duration::ZERO))),
            ready: Arc::default(),
        }
    }
}

/// Requests the next page if no token is ready; the result is `false` at the end.
struct NextPage(Pages);

impl Operation for NextPage {
    type Output = bool;

    async fn run(self, client: &CoreClient) -> Result<bool> {
        let Pages { listing, ready } = self.0;
        let mut listing = listing.lock().await;
        if !locked(&ready).get_or_insert_default().is_empty() {
            return Ok(true);
        }
        // The deadline limits the time that all pages take, without the caller's time between them.
        let (listing, spent) = &mut *listing;
        let call = client.start_call(*spent);
        let page = listing.next_page(&call.client).await;
        *spent = call.spent();
        let Some(page) = call.complete(page)? else { return Ok(false) };
        locked(&ready).get_or_insert_default().extend(page);
        Ok(true)
    }
}

/// An iterator of tokens, which requests page by page.
///
/// Its display in a notebook shows tokens that it has received already, and sends no request.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct TokenIterator {
    client: Arc<PyClient>,
    pages: Pages,
}

#[pymethods]
impl TokenIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Token>> {
        loop {
            let token = locked(&self.pages.ready).as_mut().and_then(VecDeque::pop_front);
            if token.is_some() {
                return Ok(token);
            }
            if !self.client.wait(py, |_| Ok(NextPage(self.pages.clone())))? {
                return Ok(None);
            }
        }
    }

    /// Return the number of tokens that were received and not yet returned, and the first ten.
    fn _received(&self) -> (usize, Vec<Token>) {
        const MAX_SHOWN: usize = 10;
        locked(&self.pages.ready).as_ref().map_or_else(Default::default, |ready| {
            (ready.len(), ready.iter().take(MAX_SHOWN).cloned().collect())
        })
    }

    fn __repr__(&self) -> String {
        let state = match locked(&self.pages.ready).as_ref().map(VecDeque::len) {
            None => "no page requested yet".to_owned(),
            Some(1) => "1 token received and not yet returned".to_owned(),
            Some(count) => format!("{count} tokens received and not yet returned"),
        };
        format!(
            "<lmtokens.TokenIterator: {state}; iterate over it, or use list(), or lmtokens.to_dataframe() for a table>"
        )
    }
}

/// The pages of a list, for the iterator of the async API.
#[pyclass(name = "_TokenPages", frozen, module = "lmtokens._lmtokens")]
pub(crate) struct TokenPages {
    client: Arc<PyClient>,
    pages: Pages,
}

#[pymethods]
impl TokenPages {
    /// Return the future of whether there are more tokens, which `take` then returns, with its call.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Awaitable<'py, bool>> {
        self.client.awaitable(py, |_| Ok(NextPage(self.pages.clone())))
    }

    /// Return the tokens that were received and not yet taken.
    fn take(&self) -> Vec<Token> {
        locked(&self.pages.ready).as_mut().map(std::mem::take).unwrap_or_default().into()
    }
}

/// Defines `list_tokens` on both clients and as a module function.
macro_rules! list_operation {
    ($(#[$doc:meta])* [$($signature:tt)*] [$($parameters:tt)*] $list:expr) => {
        #[pymethods]
        impl Client {
            $(#[$doc])*
            #[pyo3(signature = ($($signature)*) -> "TokenIterator")]
            fn list_tokens(&self, $($parameters)*) -> PyResult<TokenIterator> {
                Ok(TokenIterator { client: Arc::clone(self.py_client()), pages: Pages::new($list) })
            }
        }

        #[pymethods]
        impl AsyncCore {
            $(#[$doc])*
            #[pyo3(signature = ($($signature)*) -> "_TokenPages")]
            fn _list_tokens(&self, $($parameters)*) -> PyResult<TokenPages> {
                Ok(TokenPages { client: Arc::clone(self.py_client()), pages: Pages::new($list) })
            }
        }

        $(#[$doc])*
        #[pyfunction]
        #[pyo3(signature = ($($signature)*) -> "TokenIterator")]
        pub(crate) fn list_tokens(py: Python<'_>, $($parameters)*) -> PyResult<TokenIterator> {
            let client = Arc::clone(default_client(py)?.get().py_client());
            Ok(TokenIterator { client, pages: Pages::new($list) })
        }
    };
}

list_operation! {
    /// List tokens, requesting pages as they are iterated over.
    ///
    /// Tokens that are deleted during the iteration do not cause other tokens to be skipped or repeated.
    ///
    /// Args:
    ///     admin_id (int | str | None): list the tokens of this user, given by id or name; default: of all users.
    ///     type (str | TokenType | None): list only ``"lmv1"`` or ``"bearer"`` tokens; default: both, LMv1 first (the
    ///         portal lists one type at a time).
    ///     filter (Filter | str | None): a condition made with ``lmtokens.where``, or a string in the portal's filter
    ///         syntax, which is sent unchanged (times in it are seconds since 1970-01-01 UTC). ``where.note`` compares
    ///         the user's part of a note. The portal knows whole notes only, with the markers of lmtokens, so it may
    ///         return more tokens than the list yields: those whose notes end with the text, for ``==``; all that the
    ///         other conditions select, for ``!=`` and ``not_contains``. A string compares whole notes. Default: all
    ///         tokens.
    ///     page_size (int): tokens per request, 1 to 1000 (the default).
    ///
    /// Returns:
    ///     Iterator[Token]: the tokens, without access keys. If the iteration raises an error, iterating again requests
    ///         the same page again.
    ///
    /// Raises:
    ///     TypeError, ValueError: an argument is invalid; nothing was sent.
    ///     APIError, TransportError, ResponseError: raised by the iteration if the portal rejects a request, cannot be
    ///         reached, or sends a response that cannot be understood.
    ///
    /// Source: the vendor's page "Getting API Token Details".
    ///
    /// Example:
    ///     >>> import lmtokens.sandbox
    ///     >>> from lmtokens import where
    ///     >>> with lmtokens.sandbox.Portal() as portal, portal.client() as client:
    ///     ...     disabled = client.add_token(32, "old", 1)
    ///     ...     [token.note for token in client.list_tokens(32, filter=where.status == 1)]
    ///     ['old']
    [
        admin_id = None,
        *,
        r#type: "Literal['lmv1', 'bearer'] | TokenType | None" = None,
        filter = None,
        page_size: "int" = 1000,
    ]
    [
        admin_id: Option<User>,
        #[pyo3(from_py_with = domain::optional_type)] r#type: Option<Type>,
        filter: Option<Selection>,
        #[pyo3(from_py_with = plain::page_size)] page_size: i64,
    ]
    ListTokens {
        admin: admin_id,
        r#type,
        selection: filter.unwrap_or_default(),
        page_size: PageSize::new(page_size)?,
    }
}
