//! A bulk run in progress.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::removed;
use super::resume::remove_orphans;
use super::row::{RowWorker, refusal};
use super::snapshot::Snapshot;
use super::{OnError, Outcome, Row, RowResult, RunSettings, Summary};
use crate::advice::Advice;
use crate::client::Client;
use crate::error::{Error, ErrorKind, INTERNAL_ERROR, Result};
use crate::ids::AdminId;
use crate::lifecycle::journal::{Journal, RowKey, States};
use crate::process;
use crate::tokens::{User, UserName};

type KeyedRows = VecDeque<(RowKey, Row)>;

/// The results of a run, as the rows end. When it is dropped, no new row starts; rows in progress run to their end.
pub struct Run {
    messages: mpsc::Receiver<Message>,
    summary: Summary,
    total: usize,
    stop: Arc<AtomicBool>,
    /// The driver, until the first result is requested.
    waiting: Option<(Driver, KeyedRows)>,
    task: Option<AbortHandle>,
}

enum Message {
    Row(Box<RowResult>),
    /// The run as a whole failed.
    Failed(Error),
}

impl Run {
    pub(super) fn new(
        client: Client,
        journal: Journal,
        states: States,
        rows: Vec<(RowKey, Row)>,
        settings: RunSettings,
    ) -> Self {
        // A small channel: a run stops by itself if its results are not taken.
        let (sender, messages) = mpsc::channel(settings.concurrency.get());
        let stop = Arc::new(AtomicBool::new(false));
        let total = rows.len();
        let driver = Driver {
            worker: RowWorker {
                client,
                journal: Arc::new(journal),
                destination: settings.destination,
                snapshot: None,
            },
            states,
            is_resumed: settings.resume,
            concurrency: settings.concurrency.get(),
            on_error: settings.on_error,
            stop: Arc::clone(&stop),
            messages: sender,
        };
        let waiting = Some((driver, rows.into()));
        Self { messages, summary: Summary::default(), total, stop, waiting, task: None }
    }

    /// Returns the next row that has ended, or `None` at the end. The first call sends the first request. An error
    /// concerns the run as a whole and comes last, after every row has ended.
    pub async fn next(&mut self) -> Result<Option<RowResult>> {
        if self.waiting.is_some() {
            let runtime = process::runtime()?;
            let task =
                self.waiting.take().map(|(driver, rows)| runtime.spawn(driver.drive(rows)).abort_handle());
            self.task = task;
        }
        match self.messages.recv().await {
            None => Ok(None),
            Some(Message::Failed(error)) => Err(error),
            Some(Message::Row(result)) => {
                self.summary.count(&result.outcome);
                Ok(Some(*result))
            }
        }
    }

    /// Returns the number of rows by result, of those that `next` has returned.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// Starts no further row. `next` returns those in progress as they end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Returns whether `next` was called, so that rows may be in progress.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.waiting.is_none()
    }

    /// Cancels the rows in progress, as if the process had been killed: the journal can be resumed.
    pub fn abort(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Drop for Run {
    /// A run that sent nothing leaves no journal that it created.
    fn drop(&mut self) {
        self.stop();
        if let Some((driver, _)) = &self.waiting {
            driver.worker.journal.remove_if_new();
        }
    }
}

struct Driver {
    worker: RowWorker,
    states: States,
    is_resumed: bool,
    concurrency: usize,
    on_error: OnError,
    stop: Arc<AtomicBool>,
    messages: mpsc::Sender<Message>,
}

/// Why no new row starts.
enum Stopped {
    /// The caller stopped the run, or a row failed with [`OnError::Stop`].
    Requested(&'static str),
    /// The run as a whole failed.
    Failed(Error),
}

impl Stopped {
    fn reason(&self) -> String {
        match self {
            Self::Requested(reason) => (*reason).to_owned(),
            Self::Failed(error) => format!("the run stopped: {error}"),
        }
    }
}

/// The state of the rows of a run.
#[derive(Default)]
struct Progress {
    running: JoinSet<RowResult>,
    /// The rows that are running, for the report of one that panics.
    started: HashMap<Id, (RowKey, Row)>,
    stopped: Option<Stopped>,
    /// Whether a row failed, so that pending tokens may remain.
    any_failed: bool,
}

type UserIds = HashMap<UserName, Result<AdminId>>;

impl Driver {
    async fn drive(mut self, mut rows: KeyedRows) {
        let (stopped, any_failed) = match self.prepare(&rows).await {
            Ok(ids) => self.run_rows(&mut rows, &ids).await,
            Err(error) => (Some(Stopped::Failed(error)), false),
        };
        let reason = stopped.as_ref().map_or_else(|| "the run stopped".to_owned(), Stopped::reason);
        for (_, row) in rows {
            self.send(row, Outcome::Skipped { reason: reason.clone(), token: None }).await;
        }
        let is_rejected = matches!(&stopped, Some(Stopped::Failed(error)) if refusal(error).is_some());
        if (self.is_resumed || any_failed) && !is_rejected {
            remove_orphans(&self.worker.client, self.worker.journal.run).await;
        }
        let closed = self.worker.journal.close().await;
        let Self { worker, messages, .. } = self;
        // Release the journal before the end is reported: the caller may resume it at once.
        drop(worker);
        if let (Some(Stopped::Failed(error)), _) | (_, Err(error)) = (stopped, closed) {
            let _ = messages.send(Message::Failed(error)).await;
        }
    }

    async fn send(&self, row: Row, outcome: Outcome) {
        let _ = self.messages.send(Message::Row(Box::new(RowResult { row, outcome }))).await;
    }

    /// Reads what the rows need from the portal.
    async fn prepare(&mut self, rows: &KeyedRows) -> Result<UserIds> {
        let ids = self.user_ids(rows).await?;
        if self.is_resumed {
            let snapshot = Snapshot::take(&self.worker.client, &self.worker.journal, &self.states).await?;
            self.worker.snapshot = Some(Arc::new(snapshot));
            let input = rows.iter().map(|(key, _)| key).collect();
            removed::settle(&self.worker, self.states.take_others(&input)).await?;
        }
        Ok(ids)
    }

    /// Looks up the id of each user that the rows name, once. An unknown name fails its rows, not the run.
    async fn user_ids(&self, rows: &KeyedRows) -> Result<UserIds> {
        let mut ids = HashMap::new();
        for (_, row) in rows {
            let User::Name(name) = &row.token.admin else { continue };
            if ids.contains_key(name) {
                continue;
            }
            let call = self.worker.client.start_call(Duration::ZERO);
            let id = match call.complete(row.token.admin.id(&call.client).await) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                id => id,
            };
            ids.insert(name.clone(), id);
        }
        Ok(ids)
    }

    /// Runs the rows; those that were not started remain in `rows`.
    async fn run_rows(&mut self, rows: &mut KeyedRows, ids: &UserIds) -> (Option<Stopped>, bool) {
        let mut progress = Progress::default();
        // The first row runs alone: several authentication failures at once lock a token.
        let mut limit = 1;
        loop {
            if progress.stopped.is_none() && self.stop.load(Ordering::Relaxed) {
                progress.stopped = Some(Stopped::Requested("the run was closed"));
            }
            while progress.stopped.is_none()
                && progress.running.len() < limit
                && let Some((key, row)) = rows.pop_front()
            {
                self.start_row(key, row, ids, &mut progress).await;
            }
            let Some(ended) = progress.running.join_next_with_id().await else { break };
            limit = self.concurrency;
            let result = match ended {
                Ok((id, result)) => {
                    progress.started.remove(&id);
                    result
                }
                Err(error) => match self.panicked(&mut progress, &error).await {
                    Some(result) => result,
                    None => continue,
                },
            };
            self.take_result(result, &mut progress).await;
        }
        (progress.stopped, progress.any_failed)
    }

    async fn start_row(&mut self, key: RowKey, row: Row, ids: &UserIds, progress: &mut Progress) {
        let id = match &row.token.admin {
            User::Id(id) => Ok(*id),
            User::Name(name) => match ids.get(name) {
                Some(Ok(id)) => Ok(*id),
                // Each row of the user gets the error.
                Some(Err(error)) => Err(error.repeated()),
                None => Err(Error::internal()),
            },
        };
        match id {
            Ok(admin_id) => {
                let earlier = self.states.take(&key);
                let work = self.worker.clone().run(key.clone(), row.clone(), admin_id, earlier);
                progress.started.insert(progress.running.spawn(work).id(), (key, row));
            }
            Err(error) => {
                let outcome = Outcome::Failed(error);
                self.worker.journal_failure(key, &row, &outcome).await;
                self.send(row, outcome).await;
                if self.on_error == OnError::Stop {
                    progress.stopped = Some(Stopped::Requested(ROW_FAILED));
                }
            }
        }
    }

    /// Returns the result of a row that panicked. The panic must not abort the others.
    async fn panicked(&self, progress: &mut Progress, error: &JoinError) -> Option<RowResult> {
        let (key, row) = progress.started.remove(&error.id())?;
        let mut error = Error::new(ErrorKind::OutcomeUnknown, INTERNAL_ERROR);
        error.details_mut().maybe_applied = true;
        let outcome = Outcome::Unknown(error.suggest(Advice::ResumeOrSweep));
        self.worker.journal_failure(key, &row, &outcome).await;
        Some(RowResult { row, outcome })
    }

    async fn take_result(&self, result: RowResult, progress: &mut Progress) {
        if let Outcome::Failed(error) | Outcome::Unknown(error) = &result.outcome {
            progress.any_failed = true;
            if let Some(refusal) = refusal(error) {
                let (mut rejection, refusal) = (error.repeated(), refusal.details());
                let details = rejection.details_mut();
                (details.kind, details.origin) = (refusal.kind, refusal.origin.clone());
                (details.status, details.is_refused_by_proxy) = (refusal.status, refusal.is_refused_by_proxy);
                progress.stopped.get_or_insert(Stopped::Failed(rejection));
            } else if self.on_error == OnError::Stop {
                progress.stopped.get_or_insert(Stopped::Requested(ROW_FAILED));
            }
        }
        if let Some(why) = self.worker.journal.failure()
            && !matches!(progress.stopped, Some(Stopped::Failed(_)))
        {
            let error = Error::new(ErrorKind::Delivery, format!("cannot write the journal: {why}"))
                .suggest("every token whose key is not in the journal is disabled or deleted")
                .suggest(Advice::ResumeAfterRepair);
            progress.stopped = Some(Stopped::Failed(error));
        }
        self.send(result.row, result.outcome).await;
    }
}

const ROW_FAILED: &str = "an earlier row failed";
