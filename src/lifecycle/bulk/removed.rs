//! Rows of the journal that are no longer in the input: removed, or corrected and therefore others.

use std::time::Duration;

use super::resume::Todo;
use super::row::{RowWorker, refusal};
use crate::error::Result;
use crate::event::Event;
use crate::ids::AdminId;
use crate::lifecycle::journal::{Line, RowKey, RowState};

/// Reconciles the rows with the portal. Pending tokens are deleted, or their delivery is completed if the portal has
/// finished them. Finished tokens are reported, and so are those whose state is not clear: these keep the journal from
/// being complete.
pub(super) async fn settle(worker: &RowWorker, rows: Vec<(RowKey, RowState)>) -> Result<()> {
    let (mut finished, mut unclear) = (Vec::new(), Vec::new());
    for (key, state) in rows {
        let was_removed = state.is_removed();
        match settle_row(worker, &key, state).await {
            Ok(Some(token)) => finished.push(token),
            Ok(None) if was_removed => {}
            Ok(None) => worker.journal.write(&Line::Removed { row: key }).await?,
            Err(error) if refusal(&error).is_some() => return Err(error),
            Err(error) => unclear.push(error.to_string()),
        }
    }
    let reports: [(_, fn(_, _) -> Event); 2] = [
        (finished, |shown, more| Event::RemovedRowsHaveTokens { shown, more }),
        (unclear, |shown, more| Event::RemovedRowsUnclear { shown, more }),
    ];
    for (mut shown, event) in reports {
        const SHOWN: usize = 20;
        let more = shown.len().saturating_sub(SHOWN);
        shown.truncate(SHOWN);
        if !shown.is_empty() {
            worker.client.report(event(shown, more));
        }
    }
    Ok(())
}

/// Returns the finished token of a row, in the words of a message.
async fn settle_row(worker: &RowWorker, key: &RowKey, state: RowState) -> Result<Option<String>> {
    let (Some(snapshot), Some(first)) = (&worker.snapshot, state.tokens.first()) else { return Ok(None) };
    let admin_id = AdminId::new(key.admin_id().unwrap_or(first.journaled.admin_id))?;
    let call = worker.client.start_call(Duration::ZERO);
    let worker = RowWorker { client: call.client.clone(), ..worker.clone() };
    Ok(match call.complete(worker.reconcile(snapshot, key, admin_id, state).await)? {
        Todo::Done(token) => {
            let note = token.note.as_deref().filter(|note| !note.is_empty());
            let note = note.map_or_else(|| "without a note".to_owned(), |note| format!("with note {note:?}"));
            Some(format!("token {} of user {admin_id} {note}", token.id))
        }
        Todo::Create | Todo::Deleted(_) => None,
    })
}
