//! The thread that writes a journal. Lines that queue up are written as a group, with one fsync.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use super::entry::Line;
use crate::advice::Advice;
use crate::destinations::secure_file::failed;
use crate::error::{Error, Result};
use crate::process::{refused, start_thread};

/// The largest number of lines per fsync.
const GROUP: usize = 256;

/// The handle of the thread.
pub(in crate::lifecycle) struct Writer {
    jobs: mpsc::UnboundedSender<Job>,
    failure: Arc<OnceLock<String>>,
}

struct Job {
    text: Zeroizing<String>,
    durably: bool,
    written: oneshot::Sender<()>,
}

impl Writer {
    pub(super) fn start(file: File, path: PathBuf) -> Result<Self> {
        let (jobs, inbox) = mpsc::unbounded_channel();
        let failure = Arc::new(OnceLock::new());
        let shared = Arc::clone(&failure);
        start_thread("lmtokens-journal", move || work(file, &path, inbox, &shared))
            .map_err(|error| refused(failed(format!("cannot start a thread: {error}")), &error))?;
        Ok(Self { jobs, failure })
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failure.get().cloned()
    }

    pub(super) async fn write(&self, line: &Line, durably: bool) -> Result<()> {
        self.hand_over(line.text()?, durably).await
    }

    pub(super) async fn flush(&self) -> Result<()> {
        self.hand_over(Zeroizing::default(), true).await
    }

    async fn hand_over(&self, text: Zeroizing<String>, durably: bool) -> Result<()> {
        let (written, done) = oneshot::channel();
        let sent = self.jobs.send(Job { text, durably, written });
        if sent.is_ok() && done.await.is_ok() {
            return Ok(());
        }
        Err(self.error())
    }

    fn error(&self) -> Error {
        let why = self.failure().unwrap_or_else(|| "its thread has ended".to_owned());
        failed(format!("cannot write the journal: {why}")).suggest(Advice::ResumeAfterRepair)
    }
}

/// Writes groups of lines until the first failure: an fsync after a failed one proves nothing.
fn work(
    mut file: File,
    path: &std::path::Path,
    mut inbox: mpsc::UnboundedReceiver<Job>,
    failure: &OnceLock<String>,
) {
    let mut group = Vec::with_capacity(GROUP);
    while inbox.blocking_recv_many(&mut group, GROUP) > 0 {
        if let Err(error) = write_group(&mut file, path, &group) {
            let _ = failure.set(format!("{}: {error}", path.display()));
            return;
        }
        for job in group.drain(..) {
            let _ = job.written.send(());
        }
    }
}

fn write_group(file: &mut File, path: &std::path::Path, group: &[Job]) -> io::Result<()> {
    let mut text = Zeroizing::new(Vec::with_capacity(group.iter().map(|job| job.text.len()).sum()));
    for job in group {
        text.extend_from_slice(job.text.as_bytes());
    }
    file.write_all(&text)?;
    if group.iter().any(|job| job.durably) {
        file.sync_data()?;
        still_there(file, path)?;
    }
    Ok(())
}

/// Fails if the path no longer names this file: writes to it would succeed, and the keys could not be found.
#[cfg(unix)]
fn still_there(file: &File, path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let (ours, there) = (file.metadata()?, std::fs::symlink_metadata(path)?);
    if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) {
        return Ok(());
    }
    Err(io::Error::other("it was replaced while it was being written"))
}

#[cfg(not(unix))]
fn still_there(_file: &File, path: &std::path::Path) -> io::Result<()> {
    std::fs::symlink_metadata(path).map(drop)
}
