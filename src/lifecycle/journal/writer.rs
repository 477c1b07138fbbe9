//! The thread that writes a journal. Lines that queue up are written as a group, with one fsync.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// The handle of the thread. After `close`, or after it is dropped, the queued lines are written and the journal is
/// unlocked.
pub(in crate::lifecycle) struct Writer {
    /// `None` only while it is dropped.
    jobs: Option<mpsc::UnboundedSender<Job>>,
    failure: Arc<OnceLock<String>>,
    /// Whether the thread removes the journal when this handle is dropped.
    is_unused: Arc<AtomicBool>,
    /// Ends with the thread.
    ended: Mutex<blocking::Receiver<()>>,
    process_id: u32,
}

struct Job {
    /// `None` for the last job, which closes the journal.
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
        let is_unused = Arc::new(AtomicBool::new(false));
        let shared = (Arc::clone(&failure), Arc::clone(&is_unused));
        let lines = Lines { file, run, next };
        let work = move || {
            lines.work(inbox, &shared.0, &shared.1);
            drop(running);
        };
        start_thread("lmtokens-journal", work)
            .map_err(|error| refused(failed(format!("cannot start a thread: {error}")), &error))?;
        let process_id = std::process::id();
        Ok(Self { jobs: Some(jobs), failure, is_unused, ended: Mutex::new(ended), process_id })
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failure.get().cloned()
    }

    pub(super) async fn write(&self, line: &Line, durably: bool) -> Result<()> {
        self.hand_over(Some(line.object()?), durably).await
    }

    /// Removes the journal when this handle is dropped, in the process that created it.
    pub(super) fn remove_on_drop(&self) {
        self.is_unused.store(true, Ordering::Relaxed);
    }

    /// Waits until all lines are on disk and the journal is unlocked. No line can follow.
    pub(super) async fn close(&self) -> Result<()> {
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
        // A runtime's thread must not wait for the disk. It drops a journal that is not closed only if its run was
        // aborted, as if the process had been killed.
        let may_wait = tokio::runtime::Handle::try_current().is_err();
        if may_wait && self.process_id == std::process::id() {
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
    /// locked after it, until it is closed.
    fn work(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<Job>,
        failure: &OnceLock<String>,
        is_unused: &AtomicBool,
    ) {
        let mut group = Vec::with_capacity(GROUP);
        while inbox.blocking_recv_many(&mut group, GROUP) > 0 {
            if failure.get().is_none()
                && let Err(error) = self.write_group(&group)
            {
                let _ = failure.set(format!("{}: {error}", self.file.path().display()));
            }
            if group.iter().any(|job| job.object.is_none()) {
                // Unlock the journal before its end is reported.
                drop(self);
                return answer(group, failure);
            }
            answer(group.drain(..), failure);
        }
        if is_unused.load(Ordering::Relaxed) {
            // What remains is a journal without rows, which can be resumed.
            let _ = self.file.remove();
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

/// Tells the callers that their lines are written. After a failure, the jobs are dropped, which is an error for them.
fn answer(group: impl IntoIterator<Item = Job>, failure: &OnceLock<String>) {
    for job in group {
        if failure.get().is_none() {
            let _ = job.written.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::{Arc, JournalFile, Mutex, Writer};

    /// Returns a writer whose thread does not end before the sender is dropped.
    fn writer_of_a_slow_disk() -> (mpsc::Sender<()>, Writer) {
        let (running, ended) = mpsc::channel();
        let process_id = std::process::id();
        let writer = Writer {
            jobs: None,
            failure: Arc::default(),
            is_unused: Arc::default(),
            ended: Mutex::new(ended),
            process_id,
        };
        (running, writer)
    }

    #[test]
    fn only_a_thread_without_a_runtime_waits_for_the_disk() {
        let (running, writer) = writer_of_a_slow_disk();
        let (dropped, is_dropped) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move { drop(writer) });
            dropped.send(()).unwrap();
        });
        assert!(is_dropped.recv_timeout(Duration::from_secs(30)).is_ok());
        drop(running);
        thread.join().unwrap();

        let (running, writer) = writer_of_a_slow_disk();
        let (dropped, is_dropped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            drop(writer);
            dropped.send(()).unwrap();
        });
        assert!(is_dropped.recv_timeout(Duration::from_millis(100)).is_err());
        drop(running);
        thread.join().unwrap();
    }

    #[tokio::test]
    async fn a_closed_journal_is_unlocked() {
        let folder = std::env::temp_dir().join(format!("lmtokens-writer-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("run.journal");
        let file = JournalFile::create(&path, "header\n", true).unwrap();
        let writer = Writer::start(file, "run".to_owned(), 2).unwrap();
        assert!(JournalFile::open(&path, true, true).is_err());
        writer.close().await.unwrap();
        assert!(JournalFile::open(&path, true, true).is_ok());
        // The end of a run is reported only then, and no line can follow.
        assert!(writer.close().await.is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn unused_journal_is_removed_unless_the_path_names_another_file() {
        let folder = std::env::temp_dir().join(format!("lmtokens-unused-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("run.journal");
        for is_replaced in [false, true] {
            let file = JournalFile::create(&path, "header\n", true).unwrap();
            let writer = Writer::start(file, "run".to_owned(), 2).unwrap();
            if is_replaced {
                std::fs::rename(&path, folder.join("moved")).unwrap();
                std::fs::write(&path, "other").unwrap();
            }
            writer.remove_on_drop();
            drop(writer);
            assert_eq!(path.exists(), is_replaced);
        }
        assert!(folder.join("moved").exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
