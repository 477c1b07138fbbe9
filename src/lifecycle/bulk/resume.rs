//! What an earlier run left: rows whose token is not known to be finished, and pending tokens of no row.

use std::time::Duration;

use crate::advice::Advice;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ids::{AdminId, Status, TokenId, Type};
use crate::lifecycle::journal::{Journal, Journaled, Line, RowKey, RowState};
use crate::lifecycle::reconcile::{delete, tokens_of};
use crate::lifecycle::rounds::Rounds;
use crate::model::{Token, TokenStatus};
use crate::operation::Operation as _;
use crate::tag::{RunId, Tag};
use crate::tokens::{ExpectedNote, FindToken, ListTokens, NewToken, ReportedToken, Unusable, User, change};

/// What remains to be done for a row.
pub(super) enum Todo {
    /// Nothing: it has its token.
    Done(Box<Token>),
    /// Create its token: nothing is left of an earlier one.
    Create,
}

/// Finds out what became of a row whose run was interrupted.
pub(super) async fn reconcile(
    client: &Client,
    journal: &Journal,
    row: &RowKey,
    state: RowState,
) -> Result<Todo> {
    if let Some(done) = state.finished() {
        return Ok(Todo::Done(Box::new(done.token(row))));
    }
    for journaled in state.tokens {
        if let Some(token) = reconcile_one(client, journal, row, &journaled).await? {
            return Ok(Todo::Done(Box::new(token)));
        }
    }
    Ok(Todo::Create)
}

async fn reconcile_one(
    client: &Client,
    journal: &Journal,
    row: &RowKey,
    journaled: &Journaled,
) -> Result<Option<Token>> {
    let id = TokenId::new(journaled.id)?;
    let found = match FindToken::Id(id).run(client).await {
        Ok(found) => Some(found),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let discarded = Line::Discarded { row: row.clone(), id: journaled.id };
    let created = Line::Created { row: row.clone(), id: journaled.id };
    let Some(found) = found else {
        if !client.visibility().sees_own() {
            prove_visibility(client, journal.run, journaled).await?;
        }
        if !client.visibility().sees_own() {
            return Err(Error::new(
                ErrorKind::OutcomeUnknown,
                format!(
                    "token {id} was created by an earlier run, but these credentials see neither it nor any other token of \
                     that run: whether it is enabled is unknown"
                ),
            )
            .suggest(Advice::ResumeWithViewer));
        }
        journal.write(&discarded).await?;
        return Ok(None);
    };
    let finished = |token: Token| Token { note: token.note, status: token.status, ..journaled.token(row) };
    let is_pending = found.note.as_deref().and_then(Tag::parse).is_some();
    if is_pending && found.status == Some(TokenStatus::Enabled) {
        // It was enabled by hand. Its key is on disk, so that only its note is missing.
        let admin_id = AdminId::new(found.admin_id.unwrap_or(journaled.admin_id))?;
        let (note, status) = (row.note().unwrap_or_default(), Status::from_number(row.status())?);
        let changed = change(client, admin_id, id, Some(note), Some(status), &found.r#type).await?;
        journal.write(&created).await?;
        return Ok(Some(finished(changed)));
    }
    if is_pending {
        // Its key is on disk, but a PATCH of the interrupted run may still arrive. Delete it and create another, so
        // that two tokens can never be enabled.
        delete(client, found).await?;
        journal.write(&discarded).await?;
        return Ok(None);
    }
    journal.write(&created).await?;
    Ok(Some(finished(found)))
}

/// Finds out whether these credentials see the tokens that they create. Other tokens of the run may be visible;
/// otherwise a disabled probe token decides.
async fn prove_visibility(client: &Client, run: RunId, journaled: &Journaled) -> Result<()> {
    let r#type = journaled.r#type.parse().unwrap_or(Type::Lmv1);
    let admin_id = AdminId::new(journaled.admin_id)?;
    tokens_of(client, admin_id, r#type).await?;
    if client.visibility().sees_own() {
        return Ok(());
    }
    let tag = Tag::fresh(run, client.portal_now_ms())?;
    let note = tag.note(None);
    let probe = NewToken { admin: User::Id(admin_id), note: None, status: Status::Disabled, r#type };
    let response = client.send(&probe.request_with(admin_id, Some(&note), Status::Disabled)?).await?;
    let token = match probe.created(client, admin_id, ExpectedNote::Tagged(&tag), &response) {
        Ok(token) => token,
        Err(Unusable { token: ReportedToken::WithoutSecret(token), .. }) => *token,
        Err(unusable) => return Err(unusable.error),
    };
    tokens_of(client, admin_id, r#type).await?;
    delete(client, token).await
}

/// Deletes the orphans of a run: disabled tokens with one of its tags that belong to no row. Those that cannot be
/// deleted are reported and left to sweep.
pub(super) async fn remove_orphans(client: &Client, run: RunId) {
    let mut rounds = Rounds::at_most(3);
    loop {
        let remaining = remove_once(client, run).await;
        if matches!(remaining, Ok(0)) {
            return;
        }
        if !rounds.next() {
            return client.report(Event::OrphansRemain { count: remaining.ok(), run: run.to_string() });
        }
    }
}

/// Returns the number of orphans that remain after one pass.
async fn remove_once(client: &Client, run: RunId) -> Result<u64> {
    let call = client.for_call(Duration::ZERO);
    let client = call.as_ref().unwrap_or(client);
    let mut listing = ListTokens::default().start();
    let mut left = 0;
    while let Some(page) = listing.next_page(client).await? {
        for token in page {
            let tag = token.note.as_deref().and_then(Tag::parse);
            let is_ours = tag.is_some_and(|(tag, _)| tag.run == run);
            if is_ours && token.status == Some(TokenStatus::Disabled) && !token.was_used {
                match delete(client, token).await {
                    Ok(()) => {}
                    // Repeated authentication failures lock a token.
                    Err(error) if error.kind() == ErrorKind::Authentication => return Err(error),
                    Err(_) => left += 1,
                }
            }
        }
    }
    Ok(left)
}
