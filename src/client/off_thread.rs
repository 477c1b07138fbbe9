//! Work on large bodies, on a thread of its own.

use crate::process;

/// A body up to this size is read in about a millisecond, about as long as a new thread may take to start.
const MAX_INLINE_BYTES: usize = 256 * 1024;

/// Does work whose time grows with a body of `size` bytes. A large body keeps neither the caller's thread busy, which
/// watches for signals and the deadline, nor the only I/O thread. `None` if the work panicked.
pub async fn off_thread<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    if size <= MAX_INLINE_BYTES { Some(work()) } else { Box::pin(process::offloaded(work)).await }
}
