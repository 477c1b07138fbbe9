//! What an earlier run left: rows whose token is not known to be finished, and pending tokens of no row.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::DestinationForRow;
use super::snapshot::{Place, Snapshot};
use crate::advice::Advice;
use crate::client::{Client, Moment};
use crate::destinations::Destination;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ids::{AdminId, Note, Status, TokenId};
use crate::lifecycle::journal::{Journal, Journaled, Line, RowKey, RowState, RowToken, TokenState};
use crate::lifecycle::reconcile::{delete_listed, delete_read, left_pending};
use crate::lifecycle::rounds::Rounds;
use crate::model::{Token, TokenStatus};
use crate::operation::Operation as _;
use crate::tag::{RunId, Tag};
use crate::tokens::{Change, FindToken, ListTokens, Target, UpdateToken};

/// What remains to be done for a row.
pub(super) enum Todo {
    /// Nothing: it has its token.
    Done(Box<Token>),
    /// Create its token: nothing is left of an earlier one.
    Create,
    /// Nothing: its token was finished, and has been deleted since.
    Deleted(Error),
}

/// A row that an earlier run may have begun.
pub(super) struct EarlierRow<'a> {
    pub(super) client: &'a Client,
    pub(super) journal: &'a Journal,
    pub(super) destination: Option<&'a DestinationForRow>,
    pub(super) snapshot: &'a Snapshot,
    pub(super) key: &'a RowKey,
    pub(super) admin_id: AdminId,
}

impl EarlierRow<'_> {
    /// Finds out what became of the row. Every token of it is compared with the portal before any is changed.
    pub(super) async fn reconcile(&self, state: RowState) -> Result<Todo> {
        let mut live = Vec::new();
        let mut pending = Vec::new();
        let mut deleted = Vec::new();
        for token in state.tokens {
            let place = self.snapshot.find(self.key, self.admin_id, &token.journaled)?;
            match place {
                _ if token.state == TokenState::Pending => pending.push(token),
                // A finished token has no tag: it is read again, and believed only with its own tag.
                Place::Visible(found)
                    if found.note.as_deref().is_some_and(|note| Tag::parse(note).is_some()) =>
                {
                    pending.push(token);
                }
                Place::Visible(found) => {
                    live.push(self.finished(&token.journaled, found));
                    if token.state == TokenState::Deleted {
                        // A run with other credentials did not see it.
                        self.journal.write(&self.line_created(token.journaled.id)).await?;
                    }
                }
                Place::NotVisible if self.client.visibility().sees_own() => deleted.push(token),
                Place::NotVisible => return Err(not_visible(token.journaled.id)),
            }
        }
        for token in deleted.iter().filter(|token| token.state == TokenState::Finished) {
            self.journal.write(&self.line_discarded(token.journaled.id)).await?;
        }
        for token in pending {
            live.extend(self.reconcile_pending(&token).await?);
        }
        if live.len() > 1 {
            let ids: Vec<String> = live.iter().map(|token| token.id.to_string()).collect();
            let error = Error::new(
                ErrorKind::OutcomeUnknown,
                format!("this row has several finished tokens: {}", ids.join(", ")),
            );
            return Err(error.suggest("their keys are in the journal: delete those that are not used"));
        }
        if let Some(token) = live.pop() {
            return Ok(Todo::Done(Box::new(token)));
        }
        if let Some(RowToken { journaled, .. }) = deleted.pop() {
            let id = journaled.id;
            let error = Error::new(
                ErrorKind::NotFound,
                format!("token {id} of this row was created by an earlier run and has been deleted since"),
            );
            return Ok(Todo::Deleted(
                error.suggest(
                    "it is not created again: remove the row from the input; to create another, use a new journal",
                ),
            ));
        }
        Ok(Todo::Create)
    }

    /// Finishes or deletes a pending token. Returns it if it is finished.
    async fn reconcile_pending(&self, token: &RowToken) -> Result<Option<Token>> {
        let journaled = &token.journaled;
        let client = &self.client.withholding_secret_of(&journaled.token(self.key));
        let read = Moment::at(client.now_ms());
        let Some(found) = FindToken::Id(TokenId::new(journaled.id)?).optional(client).await? else {
            let admin_id = AdminId::new(journaled.admin_id)?;
            if !self.snapshot.sees_own(client, admin_id).await? {
                return Err(not_visible(journaled.id));
            }
            self.discard(token).await?;
            return Ok(None);
        };
        let has_tag = match found.note.as_deref().and_then(Tag::parse) {
            Some((tag, rest)) if tag.to_string() == journaled.tag => match tag.note_problem(rest) {
                None => true,
                Some(problem) => return Err(changed(journaled.id, problem)),
            },
            None => false,
            Some(_) => return Err(changed(journaled.id, "its note has another tag")),
        };
        if let Some(member) = journaled.difference(&found) {
            return Err(changed(journaled.id, &format!("its {member} is another")));
        }
        if !has_tag {
            let status = Some(TokenStatus::from_number(self.key.status()));
            if found.status != status {
                return Err(changed(journaled.id, "its note and status were changed since"));
            }
            return self.commit(token, found).await.map(Some);
        }
        match found.status {
            // Its key is on disk, but a PATCH of the interrupted run may still arrive. Delete it and create another, so
            // that two tokens can never be enabled.
            Some(TokenStatus::Disabled) if !found.was_used => {
                delete_read(client, read, found).await?;
                self.discard(token).await?;
                client.report(Event::ClearedEarlier { token_id: journaled.id, deleted: true });
                Ok(None)
            }
            // It was enabled by hand. Its key is on disk, so that only its note is missing.
            Some(TokenStatus::Enabled) => {
                let note = Note::new(self.key.note().unwrap_or_default())?;
                let change = Change::new(Some(note), Some(Status::from_number(self.key.status())?))?;
                let target = Target::Token(Box::new(found));
                let changed = UpdateToken { target, change, force: false }.run(client).await?;
                self.commit(token, changed).await.map(Some)
            }
            _ => Err(changed(journaled.id, "it is disabled, and was used")),
        }
    }

    /// Completes the delivery of a finished token.
    async fn commit(&self, row_token: &RowToken, found: Token) -> Result<Token> {
        let journaled = &row_token.journaled;
        let token = self.finished(journaled, &found);
        if let (Some(destination), Some((tag, _))) =
            (self.destination_of(row_token)?, Tag::parse(&journaled.tag))
        {
            destination.commit(&token, &tag).await?;
        }
        self.journal.write(&self.line_created(journaled.id)).await?;
        Ok(token)
    }

    /// Returns the destination of a token's key, which the number of its row at that time may name.
    fn destination_of(&self, token: &RowToken) -> Result<Option<Arc<dyn Destination>>> {
        self.destination.map(|destination_of| destination_of(self.key.user(), token.number)).transpose()
    }

    fn line_created(&self, id: i64) -> Line {
        Line::Created { row: self.key.clone(), id, input: None }
    }

    fn line_discarded(&self, id: i64) -> Line {
        Line::Discarded { row: self.key.clone(), id }
    }

    /// Removes what was delivered of a token that does not exist any more. Its key is void, so a failure is ignored.
    async fn discard(&self, token: &RowToken) -> Result<()> {
        let journaled = &token.journaled;
        if let (Some(destination), Some((tag, _))) = (self.destination_of(token)?, Tag::parse(&journaled.tag))
        {
            let _ = destination.discard(&journaled.token(self.key), &tag).await;
        }
        self.journal.write(&self.line_discarded(journaled.id)).await
    }

    /// Returns the token as it is at the portal, with the key in the journal.
    fn finished(&self, journaled: &Journaled, found: &Token) -> Token {
        Token {
            portal: found.portal.clone(),
            marker: found.marker,
            note: found.note.clone(),
            status: found.status,
            ..journaled.token(self.key)
        }
    }
}

fn not_visible(id: i64) -> Error {
    Error::new(
        ErrorKind::OutcomeUnknown,
        format!(
            "token {id} was created by an earlier run, but these credentials see neither it nor any other token of \
             that run: whether it is enabled is unknown"
        ),
    )
    .suggest(Advice::ResumeWithViewer)
}

fn changed(id: i64, how: &str) -> Error {
    Error::new(
        ErrorKind::OutcomeUnknown,
        format!("token {id} of this row is not as an earlier run created it: {how}; nothing was changed"),
    )
    .suggest("look at the token, and delete it or its row's line in the input")
}

/// Deletes the orphans of a run: disabled tokens with one of its tags that belong to no row. The deleted ones are
/// reported; those that cannot be deleted are reported too, and left to sweep. Those whose note somebody has changed are
/// kept and reported.
pub(super) async fn remove_orphans(client: &Client, run: RunId) {
    let mut rounds = Rounds::at_most(3);
    let mut removed = Vec::new();
    let mut kept = BTreeSet::new();
    let left = loop {
        let left = remove_once(client, run, &mut removed, &mut kept).await;
        if matches!(left, Ok(0)) || !rounds.next() {
            break left;
        }
    };
    if !removed.is_empty() {
        client.report(Event::OrphansRemoved { ids: removed, run: run.to_string() });
    }
    if !kept.is_empty() {
        client.report(Event::OrphansKept { ids: kept.into_iter().collect(), run: run.to_string() });
    }
    if !matches!(left, Ok(0)) {
        client.report(Event::OrphansRemain { count: left.ok(), run: run.to_string() });
    }
}

/// Returns the number of orphans that remain after one pass.
async fn remove_once(
    client: &Client,
    run: RunId,
    removed: &mut Vec<i64>,
    kept: &mut BTreeSet<i64>,
) -> Result<u64> {
    let client = client.start_call(Duration::ZERO).client;
    let mut listing = ListTokens::default().start();
    let mut left = 0;
    while let Some(page) = listing.next_page(&client).await? {
        for token in &page {
            let left_by_run = |token: &Token| left_pending(token).filter(|left| left.tag.run == run);
            match left_by_run(token) {
                Some(left) if left.note_problem.is_none() => {}
                Some(_) => {
                    kept.insert(token.id);
                    continue;
                }
                None => continue,
            }
            let is_orphan = |now: &Token| {
                let is_left = left_by_run(now).is_some_and(|left| left.note_problem.is_none());
                Ok(is_left && now.note == token.note)
            };
            match delete_listed(&client, token, is_orphan).await {
                Ok(true) => removed.push(token.id),
                Ok(false) => {}
                // Repeated authentication failures lock a token.
                Err(error) if error.is_credential_rejection() => return Err(error),
                Err(_) => left += 1,
            }
        }
    }
    Ok(left)
}
