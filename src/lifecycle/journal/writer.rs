//! The thread that writes a journal. Lines that queue up are written as a group, with one fsync.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, mpsc as blocking};

use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use super::entry::Line;
use super::file::JournalFile;
use super::seal::seal;
use crate::advice::Advice;
use crate::destinations::secure_file::failed;
use crate::error::{Error, Result};
use crate::lock::locked;
use crate::process::{refused, start_thread};

/// The largest number of lines per fsync.
const GROUP: usize = 256;

/// The handle of the thread. When it is dropped, the queued lines are written and the journal is unlocked.
pub(in crate::lifecycle) struct Writer {
    /// `None` only while it is dropped.
    jobs: Option<mpsc::UnboundedSender<Job>>,
    failure: Arc<OnceLock<String>>,
    /// Ends with the thread.
    ended: Mutex<blocking::Receiver<()>>,
    process_id: u32,
}

struct Job {
    /// `None` to wait for the lines before.
    object: Option<Zeroizing<String>>,
    durably: bool,
    written: oneshot::Sender<()>,
}

impl Writer {
    /// Starts the thread. `next` is the number of the next line.
    pub(super) fn start(file: JournalFile, run: String, next: u64) -> Result<Self> {
        let (jobs, inbox) = mpsc::unbounded_channel();
        let (running, ended) = blocking::channel();
        let failure = Arc::new(OnceLock::new());
        let shared = Arc::clone(&failure);
        let mut lines = Lines { file, run, next };
        let work = move || {
            lines.work(inbox, &shared);
            // Unlock the journal before the end is reported.
            drop(lines);
            drop(running);
        };
        start_thread("lmtokens-journal", work)
            .map_err(|error| refused(failed(format!("cannot start a thread: {error}")), &error))?;
        let process_id = std::process::id();
        Ok(Self { jobs: Some(jobs), failure, ended: Mutex::new(ended), process_id })
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failure.get().cloned()
    }

    pub(super) async fn write(&self, line: &Line, durably: bool) -> Result<()> {
        self.hand_over(Some(line.object()?), durably).await
    }

    pub(super) async fn flush(&self) -> Result<()> {
        self.hand_over(None, true).await
    }

    async fn hand_over(&self, object: Option<Zeroizing<String>>, durably: bool) -> Result<()> {
        let (written, done) = oneshot::channel();
        let job = Job { object, durably, written };
        let is_sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if is_sent && done.await.is_ok() {
            return Ok(());
        }
        Err(self.error())
    }

    fn error(&self) -> Error {
        let why = self.failure().unwrap_or_else(|| "its thread has ended".to_owned());
        failed(format!("cannot write the journal: {why}")).suggest(Advice::ResumeAfterRepair)
    }
}

impl Drop for Writer {
    /// Waits for the thread, so that the journal can be resumed at once. A forked child has no such thread.
    fn drop(&mut self) {
        self.jobs = None;
        if self.process_id == std::process::id() {
            let _ = locked(&self.ended).recv();
        }
    }
}

/// The end of the journal.
struct Lines {
    file: JournalFile,
    run: String,
    next: u64,
}

impl Lines {
    /// Writes groups of lines until the first failure: an fsync after a failed one proves nothing. The journal stays
    /// locked after it, until the rows in progress have ended.
    fn work(&mut self, mut inbox: mpsc::UnboundedReceiver<Job>, failure: &OnceLock<String>) {
        let mut group = Vec::with_capacity(GROUP);
        while inbox.blocking_recv_many(&mut group, GROUP) > 0 {
            if failure.get().is_none()
                && let Err(error) = self.write_group(&group)
            {
                let _ = failure.set(format!("{}: {error}", self.file.path().display()));
            }
            for job in group.drain(..).take_while(|_| failure.get().is_none()) {
                let _ = job.written.send(());
            }
        }
    }

    fn write_group(&mut self, group: &[Job]) -> io::Result<()> {
        let mut lines = Vec::with_capacity(group.len());
        for object in group.iter().filter_map(|job| job.object.as_ref()) {
            lines.push(seal(&self.run, self.next, object));
            self.next += 1;
        }
        // A buffer that grows would leave copies of keys in freed memory.
        let mut text = Zeroizing::new(Vec::with_capacity(lines.iter().map(|line| line.len()).sum()));
        for line in &lines {
            text.extend_from_slice(line.as_bytes());
        }
        self.file.append(&text, group.iter().any(|job| job.durably))
    }
}
