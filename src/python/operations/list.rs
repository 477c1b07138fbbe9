//! Lists that are read as they are iterated over.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use pyo3::prelude::*;

use crate::client::Client;
use crate::error::Result;
use crate::lock::locked;
use crate::model;
use crate::ports::Loss;
use crate::python::operations::client::PyClient;
use crate::python::runtime::awaitable::{Awaitable, awaitable};
use crate::python::runtime::wait::wait;
use crate::python::types::errors::exception;
use crate::python::types::token::Token;
use crate::tokens::{ListTokens, Listing};

/// Tokens that were read and not yet handed over. Kept here by whoever reads them: an interrupt loses none.
type Ready = Arc<Mutex<VecDeque<model::Token>>>;

/// A listing that several callers may take pages of, one after the other.
type Shared = Arc<tokio::sync::Mutex<Listing>>;

fn start(py: Python<'_>, verb: ListTokens) -> PyResult<Shared> {
    let listing = verb.start().map_err(|error| exception(py, error))?;
    Ok(Arc::new(tokio::sync::Mutex::new(listing)))
}

/// Tokens, asked for page by page as they are wanted.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct TokenIterator {
    py_client: Arc<PyClient>,
    listing: Shared,
    ready: Ready,
}

impl TokenIterator {
    pub(crate) fn new(py: Python<'_>, py_client: Arc<PyClient>, verb: ListTokens) -> PyResult<Self> {
        Ok(Self { py_client, listing: start(py, verb)?, ready: Ready::default() })
    }

    fn take(&self) -> Option<Token> {
        locked(&self.ready).pop_front().map(Token::from)
    }
}

#[pymethods]
impl TokenIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Token>> {
        loop {
            if let Some(token) = self.take() {
                return Ok(Some(token));
            }
            let (listing, ready) = (Arc::clone(&self.listing), Arc::clone(&self.ready));
            let more = wait(py, &self.py_client, |client, _| read(client, listing, ready))?;
            if !more {
                return Ok(None);
            }
        }
    }
}

/// Reads on where nothing is ready; `false` at the end.
async fn read(client: Client, listing: Shared, ready: Ready) -> Result<bool> {
    let mut listing = listing.lock().await;
    if !locked(&ready).is_empty() {
        return Ok(true);
    }
    let Some(page) = listing.next_page(&client).await? else { return Ok(false) };
    locked(&ready).extend(page);
    Ok(true)
}

/// Whether there is more; what was read is kept.
impl Loss for bool {}

/// Pages of tokens, for an iterator of the async face.
#[pyclass(frozen, module = "lmtokens._lmtokens")]
pub(crate) struct TokenPages {
    py_client: Arc<PyClient>,
    listing: Shared,
    ready: Ready,
}

impl TokenPages {
    pub(crate) fn new(py: Python<'_>, py_client: Arc<PyClient>, verb: ListTokens) -> PyResult<Self> {
        Ok(Self { py_client, listing: start(py, verb)?, ready: Ready::default() })
    }
}

#[pymethods]
impl TokenPages {
    /// An awaitable of whether there are more tokens, which `take` then gives.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Awaitable<'py>> {
        let (listing, ready) = (Arc::clone(&self.listing), Arc::clone(&self.ready));
        awaitable(py, &self.py_client, |client, _| read(client, listing, ready))
    }

    /// The tokens that were read and not yet taken.
    fn take(&self) -> Vec<Token> {
        locked(&self.ready).drain(..).map(Token::from).collect()
    }
}
