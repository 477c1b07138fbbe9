//! One row of a run, from its reconciliation to its result.

use std::sync::Arc;
use std::time::Duration;

use super::destination::JournalDestination;
use super::resume::{EarlierRow, Todo};
use super::snapshot::Snapshot;
use super::{DestinationForRow, Outcome, Row, RowResult};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::AdminId;
use crate::lifecycle::journal::{Journal, Line, RowKey, RowState};
use crate::lifecycle::rounds::Rounds;
use crate::lifecycle::two_phase::{Finished, TwoPhase};

/// What the rows of a run share.
#[derive(Clone)]
pub(super) struct RowWorker {
    pub(super) client: Client,
    pub(super) journal: Arc<Journal>,
    pub(super) destination: Option<DestinationForRow>,
    /// The portal's tokens, if the run is resumed.
    pub(super) snapshot: Option<Arc<Snapshot>>,
}

impl RowWorker {
    /// Runs one row to its end and writes its result into the journal.
    pub(super) async fn run(
        mut self,
        key: RowKey,
        row: Row,
        admin_id: AdminId,
        earlier: Option<RowState>,
    ) -> RowResult {
        // Each row is one call, with its own deadline.
        let call = self.client.start_call(Duration::ZERO);
        self.client = call.client.clone();
        let outcome = match self.outcome(&key, &row, admin_id, earlier).await {
            Outcome::Failed(error) => Outcome::Failed(call.completed(error)),
            Outcome::Unknown(error) => Outcome::Unknown(call.completed(error)),
            outcome @ (Outcome::Created(_) | Outcome::Skipped { .. }) => outcome,
        };
        self.journal_failure(key, &row, &outcome).await;
        RowResult { row, outcome }
    }

    /// Finds out what became of a row that an earlier run may have begun.
    pub(super) async fn reconcile(
        &self,
        snapshot: &Snapshot,
        key: &RowKey,
        admin_id: AdminId,
        earlier: RowState,
    ) -> Result<Todo> {
        let earlier_row = EarlierRow {
            client: &self.client,
            journal: &self.journal,
            destination: self.destination.as_ref(),
            snapshot,
            key,
            admin_id,
        };
        earlier_row.reconcile(earlier).await
    }

    /// Writes the line of a row without a token.
    pub(super) async fn journal_failure(&self, key: RowKey, row: &Row, outcome: &Outcome) {
        let input = Some(row.input.clone());
        let line = match outcome {
            Outcome::Failed(error) => Line::Failed { row: key, error: error.to_string(), input },
            Outcome::Unknown(error) => Line::Unknown { row: key, error: error.to_string(), input },
            Outcome::Created(_) | Outcome::Skipped { .. } => return,
        };
        // If the journal cannot be written, the run ends; the caller gets the row's own error.
        let _ = self.journal.write(&line).await;
    }

    async fn outcome(
        &self,
        key: &RowKey,
        row: &Row,
        admin_id: AdminId,
        earlier: Option<RowState>,
    ) -> Outcome {
        if let Some(snapshot) = &self.snapshot {
            let earlier = earlier.unwrap_or_default();
            let input = row.changed_input(earlier.input.as_ref());
            match self.reconcile(snapshot, key, admin_id, earlier).await {
                Ok(Todo::Create) => match snapshot.check_unclaimed(key, admin_id) {
                    Ok(()) => {}
                    Err(error) => return Outcome::Unknown(error),
                },
                Ok(Todo::Done(token)) => {
                    if input.is_some() {
                        let line = Line::Created { row: key.clone(), id: token.id, input };
                        // If the journal cannot be written, the run ends.
                        let _ = self.journal.write(&line).await;
                    }
                    let reason = "created by an earlier run".to_owned();
                    return Outcome::Skipped { reason, token: Some(*token) };
                }
                Ok(Todo::Deleted(error)) => return Outcome::Failed(error),
                Err(error) => return Outcome::Unknown(error),
            }
        }
        let inner = self.destination.as_ref().map(|of| of(&row.token.admin, row.input.number)).transpose();
        let inner = match inner {
            Ok(inner) => inner,
            Err(error) => return Outcome::Failed(error),
        };
        let destination = JournalDestination {
            journal: Arc::clone(&self.journal),
            row: key.clone(),
            input: row.input.clone(),
            inner,
        };
        let create = TwoPhase { token: &row.token, destination: &destination, run: self.journal.run };
        // Another client may delete the token meanwhile.
        let mut rounds = Rounds::at_most(3);
        loop {
            match create.run(&self.client, admin_id).await {
                Ok(Finished::Token(token)) => return Outcome::Created(*token),
                Ok(Finished::Gone(_)) if rounds.next() => {}
                Err(error) if error.details().maybe_applied => return Outcome::Unknown(error),
                Ok(Finished::Gone(error)) | Err(error) => return Outcome::Failed(error),
            }
        }
    }
}

/// Returns the error, or the one that caused it or of the lookup of its outcome, if the other rows would fail as well:
/// the portal or a proxy rejected the credentials, or there are none.
pub(super) fn refusal(error: &Error) -> Option<&Error> {
    if error.is_credential_rejection() || error.kind() == ErrorKind::Credentials {
        return Some(error);
    }
    let details = error.details();
    [&details.cause, &details.lookup_error].into_iter().flatten().find_map(refusal)
}
