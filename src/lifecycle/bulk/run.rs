//! A run that is under way.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::resume::remove_left_overs;
use super::row::{Ended, Work, is_refused};
use super::{NewToken, OnError, Outcome, RowResult, Summary};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::lifecycle::journal::{Journal, Line, RowKey, States};
use crate::ports::Destination;
use crate::process;
use crate::tokens::Admin;

/// All that a run needs.
pub(super) struct Plan {
    pub(super) client: Client,
    pub(super) journal: Arc<Journal>,
    pub(super) states: States,
    pub(super) rows: Vec<(RowKey, NewToken)>,
    pub(super) concurrency: usize,
    pub(super) on_error: OnError,
    pub(super) destination: Option<Arc<dyn Destination>>,
}

/// The results of a run, as they come. Dropped, it starts no new row; those under way go on to their end.
pub struct Run {
    messages: mpsc::Receiver<Message>,
    summary: Summary,
    total: usize,
    stop: Arc<AtomicBool>,
    /// Until the first result is asked for.
    waiting: Option<(Driver, VecDeque<(RowKey, NewToken)>)>,
    task: Option<AbortHandle>,
}

enum Message {
    Row(Box<RowResult>),
    /// The run ended before its rows did, and why.
    Ended(Error),
}

impl Run {
    pub(super) fn new(plan: Plan) -> Self {
        let (messages, inbox) = mpsc::channel(plan.concurrency.max(1));
        let stop = Arc::new(AtomicBool::new(false));
        let total = plan.rows.len();
        let driver = Driver {
            work: Work { client: plan.client, journal: plan.journal, destination: plan.destination },
            states: plan.states,
            concurrency: plan.concurrency,
            on_error: plan.on_error,
            stop: Arc::clone(&stop),
            messages,
        };
        let waiting = Some((driver, plan.rows.into()));
        Self { messages: inbox, summary: Summary::default(), total, stop, waiting, task: None }
    }

    /// The next row that has ended; `None` when all have. The first call sends the first request. An error is of the run
    /// as a whole: it comes last, after every row has ended.
    pub async fn next(&mut self) -> Result<Option<RowResult>> {
        if let Some((driver, rows)) = self.waiting.take() {
            self.task = Some(process::runtime()?.spawn(driver.drive(rows)).abort_handle());
        }
        match self.messages.recv().await {
            None => Ok(None),
            Some(Message::Ended(error)) => Err(error),
            Some(Message::Row(result)) => {
                self.summary.count(&result.outcome);
                Ok(Some(*result))
            }
        }
    }

    /// How the rows ended that `next` has given.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// How many rows there are.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// Ends it now. What is under way is cut off, as if the process had died: the journal can be gone on with.
    pub fn abort(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Summary {
    fn count(&mut self, outcome: &Outcome) {
        let count = match outcome {
            Outcome::Created(_) => &mut self.created,
            Outcome::Failed(_) => &mut self.failed,
            Outcome::Unknown(_) => &mut self.unknown,
            Outcome::Skipped { token: Some(_), .. } => &mut self.already_done,
            Outcome::Skipped { token: None, .. } => &mut self.skipped,
        };
        *count += 1;
    }
}

struct Driver {
    work: Work,
    states: States,
    concurrency: usize,
    on_error: OnError,
    stop: Arc<AtomicBool>,
    /// Only here: the results end when the driver does. It holds few, so that a run whose results nobody takes stands still.
    messages: mpsc::Sender<Message>,
}

/// Why no new row is started.
enum Stopped {
    /// The caller wants no more, or a row failed and that was to be the end.
    Wanted(String),
    /// The run as a whole failed.
    Failed(Error),
}

impl Driver {
    async fn drive(mut self, rows: VecDeque<(RowKey, NewToken)>) {
        let is_resumed = !self.states.is_empty();
        for id in self.states.ids() {
            self.work.client.visibility().record_created(id);
        }
        let (stopped, lost_any, rest) = match self.admin_ids(&rows).await {
            Ok(ids) => self.rows(rows, &ids).await,
            Err(error) => (Some(Stopped::Failed(error)), false, rows),
        };
        let reason = match &stopped {
            Some(Stopped::Failed(error)) => format!("the run stopped: {error}"),
            Some(Stopped::Wanted(reason)) => reason.clone(),
            None => "the run stopped".to_owned(),
        };
        for (_, row) in rest {
            self.send(row, Outcome::Skipped { reason: reason.clone(), token: None }).await;
        }
        let is_refused = matches!(&stopped, Some(Stopped::Failed(error)) if is_refused(error));
        if (is_resumed || lost_any) && !is_refused {
            remove_left_overs(&self.work.client, self.work.journal.run).await;
        }
        let flushed = self.work.journal.flush().await;
        let Self { work, messages, .. } = self;
        // Whoever hears of the end may go on with the journal at once.
        drop(work);
        if let (Some(Stopped::Failed(error)), _) | (_, Err(error)) = (stopped, flushed) {
            let _ = messages.send(Message::Ended(error)).await;
        }
    }

    async fn send(&self, row: NewToken, outcome: Outcome) {
        let _ = self.messages.send(Message::Row(Box::new(RowResult { row, outcome }))).await;
    }

    /// The ids of all users that are named, each asked for once; the error of a name that is not known.
    async fn admin_ids(
        &self,
        rows: &VecDeque<(RowKey, NewToken)>,
    ) -> Result<HashMap<String, Result<i64, (ErrorKind, String)>>> {
        let mut ids = HashMap::new();
        for (_, row) in rows {
            let Admin::Name(name) = &row.token.admin else { continue };
            if ids.contains_key(name) {
                continue;
            }
            let id = match row.token.admin.id(&self.work.client).await {
                Ok(id) => Ok(id),
                Err(error) if error.kind() == ErrorKind::NotFound => Err((error.kind(), error.to_string())),
                Err(error) => return Err(error),
            };
            ids.insert(name.clone(), id);
        }
        Ok(ids)
    }

    /// Runs the rows; what it returns are why it stopped, whether an answer was lost, and the rows that were not begun.
    async fn rows(
        &mut self,
        mut rows: VecDeque<(RowKey, NewToken)>,
        ids: &HashMap<String, Result<i64, (ErrorKind, String)>>,
    ) -> (Option<Stopped>, bool, VecDeque<(RowKey, NewToken)>) {
        let mut under_way: JoinSet<Ended> = JoinSet::new();
        let mut stopped = None;
        let mut lost_any = false;
        // The first goes alone: eight refusals at once lock a token.
        let mut at_once = 1;
        loop {
            if stopped.is_none() && self.stop.load(Ordering::Relaxed) {
                stopped = Some(Stopped::Wanted("the run was left".to_owned()));
            }
            while stopped.is_none()
                && under_way.len() < at_once
                && let Some((key, row)) = rows.pop_front()
            {
                let id = match &row.token.admin {
                    Admin::Id(id) => Ok(*id),
                    Admin::Name(name) => {
                        ids.get(name).cloned().unwrap_or(Err((ErrorKind::NotFound, String::new())))
                    }
                };
                match id {
                    Ok(admin_id) => {
                        let before = self.states.take(&key);
                        under_way.spawn(self.work.clone().row(key, row, admin_id, before));
                    }
                    Err((kind, message)) => {
                        let line = Line::Failed { row: key, error: message.clone() };
                        // A journal that cannot be written ends the run at the next row.
                        let _ = self.work.journal.write(&line).await;
                        self.send(row, Outcome::Failed(Error::new(kind, message))).await;
                        if self.on_error == OnError::Stop {
                            stopped = Some(Stopped::Wanted("a row before it failed".to_owned()));
                        }
                    }
                }
            }
            let Some(ended) = under_way.join_next().await else { break };
            // A row that panicked is a bug of ours; its neighbours are not to blame.
            let Ok(Ended { row, outcome }) = ended else { continue };
            at_once = self.concurrency;
            if let Outcome::Failed(error) | Outcome::Unknown(error) = &outcome {
                lost_any = true;
                if is_refused(error) {
                    let refusal = Error::new(ErrorKind::Authentication, error.to_string());
                    let hint = error.details().suggestion.clone().unwrap_or_default();
                    stopped = stopped.or(Some(Stopped::Failed(refusal.suggest(hint))));
                } else if self.on_error == OnError::Stop && stopped.is_none() {
                    stopped = Some(Stopped::Wanted("a row before it failed".to_owned()));
                }
            }
            if let Some(why) = self.work.journal.failure()
                && !matches!(stopped, Some(Stopped::Failed(_)))
            {
                let error = Error::new(ErrorKind::Delivery, format!("cannot write the journal: {why}")).suggest(
                    "every token whose key is not in the journal is disabled or deleted; make room or mend the folder, \
                     then go on with resume=True (--resume)",
                );
                stopped = Some(Stopped::Failed(error));
            }
            self.send(row, outcome).await;
        }
        (stopped, lost_any, rows)
    }
}
