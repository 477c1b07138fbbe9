//! Threads for work that blocks. tokio's `spawn_blocking` panics if it cannot start a thread; here that is an error.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind};
use crate::lock::locked;

/// Work of a thread. Boxed, so that the code that starts threads is in the binary once.
type Work = Box<dyn FnOnce() + Send>;

/// Starts a thread.
pub(crate) fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    start(name, Box::new(work))
}

fn start(name: &str, work: Work) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(work)
}

/// Runs work that blocks on a thread of its own, and returns its result.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (ended, result) = oneshot::channel();
    start_thread("lmtokens-blocking", move || drop(ended.send(work())))?;
    result.await.map_err(|_| io::Error::other("the thread ended unexpectedly"))
}

/// Runs work that blocks on a thread of its own, or on this one if there is none to be had.
pub(crate) fn offload(work: impl FnOnce() + Send + 'static) {
    offload_boxed(Box::new(work));
}

fn offload_boxed(work: Work) {
    // A thread that does not start drops its closure.
    let work = Arc::new(Mutex::new(Some(work)));
    let for_thread = Arc::clone(&work);
    if start_thread("lmtokens-blocking", move || run(&for_thread)).is_err() {
        run(&work);
    }
}

/// As [`offload`], and returns the result; `None` if the work panicked.
pub(crate) async fn offloaded<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (ended, result) = oneshot::channel();
    // The caller may be gone by then.
    offload(move || drop(ended.send(work())));
    result.await.ok()
}

fn run(work: &Mutex<Option<Work>>) {
    let work = locked(work).take();
    if let Some(work) = work {
        work();
    }
}

/// Returns the error for a lack of threads or descriptors. Nothing was sent.
pub(crate) fn exhausted(action: &str, error: &io::Error) -> Error {
    refused(Error::new(ErrorKind::Connect, format!("cannot {action}: {error}")), error)
}

/// Adds advice to an error if the operating system refused a thread, a process or a descriptor.
pub(crate) fn refused(failed: Error, cause: &io::Error) -> Error {
    match descriptor_advice(cause).or_else(|| thread_advice(cause)) {
        Some(advice) => failed.suggest(advice),
        None => failed,
    }
}

/// Returns what a user can do if the operating system refused a descriptor.
pub(crate) fn descriptor_advice(cause: &io::Error) -> Option<&'static str> {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    let is_refused = cfg!(unix) && matches!(cause.raw_os_error(), Some(ENFILE | EMFILE));
    is_refused.then_some("close files or connections, or raise the limit of open files (ulimit -n)")
}

/// Returns what a user can do if the operating system refused a thread or a process.
pub(crate) fn thread_advice(cause: &io::Error) -> Option<&'static str> {
    let is_refused = cause.kind() == io::ErrorKind::WouldBlock;
    is_refused.then_some(
        "stop other processes, or raise the limit of processes and threads (ulimit -u, or the container's pids limit)",
    )
}
