//! What is new after a fork, in one place: the tokio runtime and whatever else is kept for each process.
//!
//! A forked child has none of the parent's threads, so a runtime from before the fork never runs again, and sockets in a
//! pool would be shared. Everything here is tagged with the process id; a child that finds the parent's makes its own
//! and leaks the parent's, whose destructor would wait for threads that do not exist. No lock is held that the fork
//! could have copied in its locked state.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, ErrorKind, Result};

/// A value that each process makes for itself on first use.
#[derive(Debug)]
pub struct PerProcess<T>(ArcSwapOption<Tagged<T>>);

#[derive(Debug)]
struct Tagged<T> {
    process_id: u32,
    value: T,
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> PerProcess<T> {
    /// Nothing made yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(ArcSwapOption::const_empty())
    }

    /// This process's value; made now if there is none. Where two threads make one at once, both get the first.
    pub fn get_or_try_init(&self, make: impl FnOnce() -> Result<T>) -> Result<OfProcess<T>> {
        let process_id = std::process::id();
        let current = self.0.load_full();
        if let Some(tagged) = current.as_ref().filter(|tagged| tagged.process_id == process_id) {
            return Ok(OfProcess(Arc::clone(tagged)));
        }
        let fresh = Arc::new(Tagged { process_id, value: make()? });
        let before = self.0.compare_and_swap(&current, Some(Arc::clone(&fresh)));
        if let Some(tagged) = before.as_ref().filter(|tagged| tagged.process_id == process_id) {
            return Ok(OfProcess(Arc::clone(tagged)));
        }
        if let Some(of_parent) = current {
            std::mem::forget(of_parent);
        }
        Ok(OfProcess(fresh))
    }

    /// Lets go of the value; the next use makes a new one. What another process made is leaked.
    pub fn clear(&self) {
        if let Some(tagged) = self.0.swap(None)
            && tagged.process_id != std::process::id()
        {
            std::mem::forget(tagged);
        }
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A process's own value.
#[derive(Debug)]
pub struct OfProcess<T>(Arc<Tagged<T>>);

impl<T> std::ops::Deref for OfProcess<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

/// The runtime of this process, started on first use.
pub fn runtime() -> Result<OfProcess<Runtime>> {
    static RUNTIME: PerProcess<Runtime> = PerProcess::new();
    RUNTIME.get_or_try_init(|| {
        Builder::new_multi_thread()
            // One thread drives the sockets; callers poll their own requests.
            .worker_threads(1)
            .thread_name("lmtokens")
            .enable_all()
            .build()
            .map_err(|error| Error::new(ErrorKind::Transport, format!("cannot start threads: {error}")))
    })
}
