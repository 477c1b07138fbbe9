//! The journal as the destination of a row's key, behind the caller's own where there is one.

use std::sync::Arc;

use crate::error::Result;
use crate::lifecycle::journal::{Journal, Journaled, Line, RowKey};
use crate::model::Token;
use crate::ports::{BoxFuture, Destination};
use crate::tag::Tag;

pub(super) struct JournalDestination {
    pub(super) journal: Arc<Journal>,
    pub(super) row: RowKey,
    pub(super) inner: Option<Arc<dyn Destination>>,
}

impl JournalDestination {
    async fn delivered(&self, token: &Token, tag: &Tag) -> Result<()> {
        if let Some(inner) = &self.inner {
            inner.deliver(token, tag).await?;
        }
        let made = Journaled::of(token, tag, self.journal.holds_keys);
        let line = Line::Pending { row: self.row.clone(), token: made };
        let written = self.journal.write_durably(&line).await;
        if let (Err(_), Some(inner)) = (&written, &self.inner) {
            let _ = inner.discard(token, tag).await;
        }
        written
    }

    async fn committed(&self, token: &Token, tag: &Tag) -> Result<()> {
        // The token works, and its key is on disk: that this line cannot be written ends the run, not the row.
        let _ = self.journal.write(&Line::Created { row: self.row.clone(), id: token.id }).await;
        match &self.inner {
            Some(inner) => inner.commit(token, tag).await,
            None => Ok(()),
        }
    }

    async fn discarded(&self, token: &Token, tag: &Tag) -> Result<()> {
        let line = Line::Discarded { row: self.row.clone(), id: token.id };
        let written = self.journal.write(&line).await;
        match &self.inner {
            Some(inner) => inner.discard(token, tag).await.and(written),
            None => written,
        }
    }
}

impl Destination for JournalDestination {
    fn deliver<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.delivered(token, tag))
    }

    fn commit<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.committed(token, tag))
    }

    fn discard<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.discarded(token, tag))
    }

    fn describe(&self) -> String {
        self.inner.as_ref().map_or_else(|| "the journal".to_owned(), |inner| inner.describe())
    }
}
