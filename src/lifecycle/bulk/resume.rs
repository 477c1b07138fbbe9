//! What an earlier run left: rows whose token was made and not known to be finished, and tokens of no row.

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::lifecycle::journal::{Journal, Journaled, Line, RowKey, RowState};
use crate::lifecycle::reconcile::{delete, tokens_of};
use crate::model::{Token, TokenStatus, TokenType};
use crate::ports::Event;
use crate::tag::{RunId, Tag};
use crate::tokens::{AddToken, Admin, FindToken, ListTokens, change};

/// What is to be done with a row.
pub(super) enum Todo {
    /// It has its token.
    Done(Box<Token>),
    /// Nothing of it is left.
    Make,
}

/// Finds out what became of a row whose run died.
pub(super) async fn reconcile(
    client: &Client,
    journal: &Journal,
    row: &RowKey,
    state: RowState,
) -> Result<Todo> {
    let RowState { made, created, .. } = state;
    if let Some(done) = made.iter().find(|made| Some(made.id) == created) {
        return Ok(Todo::Done(Box::new(done.token(row))));
    }
    for made in made {
        if let Some(token) = reconcile_one(client, journal, row, &made).await? {
            return Ok(Todo::Done(Box::new(token)));
        }
    }
    Ok(Todo::Make)
}

async fn reconcile_one(
    client: &Client,
    journal: &Journal,
    row: &RowKey,
    made: &Journaled,
) -> Result<Option<Token>> {
    let found = match (FindToken::Id(made.id)).run(client).await {
        Ok(found) => Some(found),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let dead = Line::Discarded { row: row.clone(), id: made.id };
    let Some(found) = found else {
        if !client.visibility().sees_own() {
            look_for_evidence(client, journal.run, made).await?;
        }
        if !client.visibility().sees_own() {
            return Err(Error::new(
                ErrorKind::OutcomeUnknown,
                format!(
                    "token {} was made by an earlier run, and these credentials see neither it nor any other that was: \
                     whether it works is not known",
                    made.id
                ),
            )
            .suggest("go on with credentials that may view API tokens"));
        }
        journal.write(&dead).await?;
        return Ok(None);
    };
    let finished = |token: Token| Token { note: token.note, status: token.status, ..made.token(row) };
    let is_unfinished = found.note.as_deref().and_then(Tag::parse).is_some();
    if is_unfinished && found.status == Some(TokenStatus::Enabled) {
        // Somebody enabled it by hand; its key is on disk, so all that it lacks is its note.
        let admin_id = found.admin_id.unwrap_or(made.admin_id);
        let wanted = made.token(row);
        let note = wanted.note.unwrap_or_default();
        let changed = change(client, admin_id, found.id, Some(&note), wanted.status, &found.r#type).await?;
        journal.write(&Line::Created { row: row.clone(), id: made.id }).await?;
        return Ok(Some(finished(changed)));
    }
    if is_unfinished {
        // Its key is on disk, but a change that the dead run sent may still be under way: it goes, and the row begins
        // anew, so that there are never two that work.
        delete(client, found).await?;
        journal.write(&dead).await?;
        return Ok(None);
    }
    journal.write(&Line::Created { row: row.clone(), id: made.id }).await?;
    Ok(Some(finished(found)))
}

/// Whether these credentials see what they make: other tokens of the run may be in plain sight, and a new one, disabled,
/// settles it.
async fn look_for_evidence(client: &Client, run: RunId, made: &Journaled) -> Result<()> {
    let r#type = TokenType::parse(&made.r#type).unwrap_or(TokenType::Lmv1);
    tokens_of(client, made.admin_id, &r#type).await?;
    if client.visibility().sees_own() {
        return Ok(());
    }
    let tag = Tag::fresh(run, client.now_ms())?;
    let probe = AddToken {
        admin: Admin::Id(made.admin_id),
        note: Some(tag.note(None)),
        status: TokenStatus::Disabled,
        r#type: r#type.clone(),
    };
    let answer = client.send(&probe.request(made.admin_id)?).await?;
    let token = match probe.made(client, made.admin_id, &answer) {
        Ok(token) => token,
        Err(lost) => match *lost {
            (_, Some(token)) => token,
            (cause, None) => return Err(cause),
        },
    };
    tokens_of(client, made.admin_id, &r#type).await?;
    delete(client, token).await
}

/// Deletes what attempts of a run left that belongs to no row: disabled tokens with a tag of the run. What cannot be
/// deleted is told, and left to sweep.
pub(super) async fn remove_left_overs(client: &Client, run: RunId) {
    const ROUNDS: u32 = 3;
    let mut left = Ok(0);
    for _ in 0..ROUNDS {
        left = remove_once(client, run).await;
        if matches!(left, Ok(0)) {
            return;
        }
    }
    client.emit(Event::LeftOvers { count: left.ok(), run: run.to_string() });
}

/// How many are left after one try.
async fn remove_once(client: &Client, run: RunId) -> Result<u64> {
    let mut listing = ListTokens::default().start()?;
    let mut left = 0;
    while let Some(page) = listing.next_page(client).await? {
        for token in page {
            let tag = token.note.as_deref().and_then(Tag::parse);
            let is_ours = tag.is_some_and(|(tag, _)| tag.run == run);
            if is_ours && token.status == Some(TokenStatus::Disabled) && token.last_used_on.is_none() {
                match delete(client, token).await {
                    Ok(()) => {}
                    // Repeats lock a token.
                    Err(error) if error.kind() == ErrorKind::Authentication => return Err(error),
                    Err(_) => left += 1,
                }
            }
        }
    }
    Ok(left)
}
