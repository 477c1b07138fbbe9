//! The journal as the destination of a row's key, after the caller's own if there is one.

use std::sync::Arc;

use crate::destinations::secure_file::failed;
use crate::destinations::{Attempt, BoxFuture, Destination};
use crate::error::Result;
use crate::lifecycle::journal::{Journal, Journaled, Line, RowInput, RowKey};
use crate::model::Token;
use crate::tag::Tag;

pub(super) struct JournalDestination {
    pub(super) journal: Arc<Journal>,
    pub(super) row: RowKey,
    pub(super) input: RowInput,
    pub(super) inner: Option<Arc<dyn Destination>>,
}

impl JournalDestination {
    /// Prepares a delivery to the caller's destination, unless an interrupted create of the same token left its key
    /// there: that token may be enabled, and this run cannot finish it. This run has reconciled its own tokens before.
    async fn prepare_inner(&self, inner: &dyn Destination, attempt: &Attempt<'_>) -> Result<()> {
        let mut foreign = None;
        for remaining in inner.remains(attempt.token).await?.deliveries {
            if remaining.tag.run == self.journal.run {
                // A token is enabled after its line is written, and this run has none: the key is void.
                inner.discard(&remaining.token, &remaining.tag).await?;
            } else {
                inner.abandon(&remaining.tag).await?;
                foreign.get_or_insert(remaining);
            }
        }
        match foreign {
            None => inner.prepare(attempt).await,
            Some(remaining) => Err(failed(format!(
                "an interrupted create left the key of token {} in {}, and the token may be enabled",
                remaining.token.id, remaining.path
            ))
            .suggest(
                "repeat the interrupted call or resume the interrupted run, which finishes that create",
            )),
        }
    }

    async fn write_pending(&self, token: &Token, tag: &Tag) -> Result<()> {
        if let Some(inner) = &self.inner {
            inner.deliver(token, tag).await?;
        }
        let journaled = Journaled::of(token, tag, self.journal.holds_keys);
        let (row, input) = (self.row.clone(), Some(self.input.clone()));
        let line = Line::Pending { row, token: journaled, input };
        let written = self.journal.write_durably(&line).await;
        if let (Err(_), Some(inner)) = (&written, &self.inner) {
            let _ = inner.discard(token, tag).await;
        }
        written
    }

    async fn write_created(&self, token: &Token, tag: &Tag) -> Result<()> {
        // First: without its line, a resumed run commits again.
        if let Some(inner) = &self.inner {
            inner.commit(token, tag).await?;
        }
        // The token is enabled and its key is on disk: a failure to write this line ends the run, not the row.
        let _ = self.journal.write(&Line::Created { row: self.row.clone(), id: token.id, input: None }).await;
        Ok(())
    }

    async fn write_discarded(&self, token: &Token, tag: &Tag) -> Result<()> {
        // First: without its line, a resumed run discards again.
        let discarded = match &self.inner {
            Some(inner) => inner.discard(token, tag).await,
            None => Ok(()),
        };
        let line = Line::Discarded { row: self.row.clone(), id: token.id };
        self.journal.write(&line).await.and(discarded)
    }
}

impl Destination for JournalDestination {
    fn prepare<'a>(&'a self, attempt: &'a Attempt<'a>) -> BoxFuture<'a, Result<()>> {
        match &self.inner {
            Some(inner) => Box::pin(self.prepare_inner(inner.as_ref(), attempt)),
            None => Box::pin(async { Ok(()) }),
        }
    }

    fn abandon<'a>(&'a self, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        match &self.inner {
            Some(inner) => inner.abandon(tag),
            None => Box::pin(async { Ok(()) }),
        }
    }

    fn deliver<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.write_pending(token, tag))
    }

    fn commit<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.write_created(token, tag))
    }

    fn discard<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.write_discarded(token, tag))
    }

    fn location(&self, tag: &Tag) -> String {
        self.inner.as_ref().map_or_else(|| self.describe(), |inner| inner.location(tag))
    }

    fn describe(&self) -> String {
        self.inner.as_ref().map_or_else(|| "the journal".to_owned(), |inner| inner.describe())
    }

    fn returns_secret(&self) -> bool {
        self.inner.is_none()
    }
}
