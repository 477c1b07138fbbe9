//! Lists that are read as they are iterated over.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;

use super::awaitable::{Awaitable, awaitable};
use super::client::Face;
use super::errors::exception;
use super::token::Token;
use super::wait::wait;
use crate::model;
use crate::tokens::{ListTokens, Listing};

/// A listing that several callers may take pages of, one after the other.
type Shared = Arc<tokio::sync::Mutex<Listing>>;

fn start(py: Python<'_>, verb: ListTokens) -> PyResult<Shared> {
    let listing = verb.start().map_err(|error| exception(py, error))?;
    Ok(Arc::new(tokio::sync::Mutex::new(listing)))
}

/// Tokens, asked for page by page as they are wanted.
#[pyclass(frozen, module = "lmtokens")]
pub(super) struct TokenIterator {
    face: Arc<Face>,
    listing: Shared,
    ready: Mutex<VecDeque<model::Token>>,
}

impl TokenIterator {
    pub(super) fn new(py: Python<'_>, face: Arc<Face>, verb: ListTokens) -> PyResult<Self> {
        Ok(Self { face, listing: start(py, verb)?, ready: Mutex::default() })
    }

    fn take(&self) -> Option<Token> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop_front().map(Token::from)
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
            let listing = Arc::clone(&self.listing);
            let page =
                wait(
                    py,
                    &self.face,
                    |client, _| async move { listing.lock().await.next_page(&client).await },
                )?;
            let Some(page) = page else { return Ok(None) };
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).extend(page);
        }
    }
}

/// Pages of tokens, for an iterator of the async face.
#[pyclass(frozen, module = "lmtokens._lmtokens")]
pub(super) struct TokenPages {
    face: Arc<Face>,
    listing: Shared,
}

impl TokenPages {
    pub(super) fn new(py: Python<'_>, face: Arc<Face>, verb: ListTokens) -> PyResult<Self> {
        Ok(Self { face, listing: start(py, verb)? })
    }
}

#[pymethods]
impl TokenPages {
    /// An awaitable of the next tokens, or of None at the end.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Awaitable<'py>> {
        let listing = Arc::clone(&self.listing);
        awaitable(py, &self.face, |client, _| async move {
            let page = listing.lock().await.next_page(&client).await?;
            Ok(page.map(|tokens| tokens.into_iter().map(Token::from).collect::<Vec<_>>()))
        })
    }
}
