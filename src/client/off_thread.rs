//! Work on large bodies, on a thread of its own.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::lock::locked;

/// A body up to this size is read in about a millisecond, about as long as a new thread may take to start.
const MAX_INLINE_BYTES: usize = 256 * 1024;

/// Does work whose time grows with a body of `size` bytes. A large body keeps neither the caller's thread busy, which
/// watches for signals and the deadline, nor the only I/O thread. `None` if the work panicked.
///
/// This is not `spawn_blocking`: if no thread can be started, that queues the work for a thread that never comes.
pub async fn off_thread<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    if size <= MAX_INLINE_BYTES {
        return Some(work());
    }
    let (sender, receiver) = oneshot::channel();
    let work = Arc::new(Mutex::new(Some(work)));
    let shared = Arc::clone(&work);
    let run = move || {
        let work = locked(&shared).take();
        if let Some(work) = work {
            // The caller may have been interrupted.
            let _ = sender.send(work());
        }
    };
    if std::thread::Builder::new().name("lmtokens-read".to_owned()).spawn(run).is_err() {
        let work = locked(&work).take();
        return work.map(|work| work());
    }
    receiver.await.ok()
}
