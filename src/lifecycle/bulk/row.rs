//! One row of a run, from its reconciliation to its end.

use std::sync::Arc;

use super::destination::JournalDestination;
use super::resume::{Todo, reconcile};
use super::{NewToken, Outcome};
use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::lifecycle::create::{CreateToken, Created};
use crate::lifecycle::journal::{Journal, Line, RowKey, RowState};
use crate::model::Token;
use crate::ports::Destination;

/// How often a row begins again whose token somebody deleted meanwhile.
const ROUNDS: u32 = 3;

/// What the rows of a run share.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) client: Client,
    pub(super) journal: Arc<Journal>,
    pub(super) destination: Option<Arc<dyn Destination>>,
}

/// What a row has behind it.
pub(super) struct Ended {
    pub(super) row: NewToken,
    pub(super) outcome: Outcome,
}

impl Work {
    /// Brings one row to its end; what it ends as stands in the journal.
    pub(super) async fn row(
        self,
        key: RowKey,
        row: NewToken,
        admin_id: i64,
        before: Option<RowState>,
    ) -> Ended {
        let outcome = self.outcome(&key, &row, admin_id, before).await;
        let line = match &outcome {
            Outcome::Failed(error) => Some(Line::Failed { row: key, error: error.to_string() }),
            Outcome::Unknown(error) => Some(Line::Unknown { row: key, error: error.to_string() }),
            Outcome::Created(_) | Outcome::Skipped { .. } => None,
        };
        if let Some(line) = line {
            // A journal that cannot be written ends the run; the row's own error is what its caller wants to know.
            let _ = self.journal.write(&line).await;
        }
        Ended { row, outcome }
    }

    async fn outcome(
        &self,
        key: &RowKey,
        row: &NewToken,
        admin_id: i64,
        before: Option<RowState>,
    ) -> Outcome {
        if let Some(before) = before {
            match reconcile(&self.client, &self.journal, key, before).await {
                Ok(Todo::Make) => {}
                Ok(Todo::Done(token)) => {
                    return Outcome::Skipped {
                        reason: "done by an earlier run".to_owned(),
                        token: Some(*token),
                    };
                }
                Err(error) => return Outcome::Unknown(error),
            }
        }
        let destination = JournalDestination {
            journal: Arc::clone(&self.journal),
            row: key.clone(),
            inner: self.destination.clone(),
        };
        let create = CreateToken {
            token: row.token.clone(),
            destination: Arc::new(destination),
            run: self.journal.run,
        };
        let mut round = 1;
        loop {
            match create.create(&self.client, admin_id).await {
                Ok(Created::Token(token)) if self.destination.is_some() => {
                    // Its key went to the caller's destination, and to no second place.
                    return Outcome::Created(Token { access_key: None, ..*token });
                }
                Ok(Created::Token(token)) => return Outcome::Created(*token),
                Ok(Created::Gone(_)) if round < ROUNDS => round += 1,
                Err(error) if error.details().maybe_applied => return Outcome::Unknown(error),
                Ok(Created::Gone(error)) | Err(error) => return Outcome::Failed(error),
            }
        }
    }
}

/// Whether the portal refused the credentials, here or in what is behind an error.
pub(super) fn is_refused(error: &Error) -> bool {
    error.kind() == ErrorKind::Authentication || error.details().cause.as_ref().is_some_and(is_refused)
}
