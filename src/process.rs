//! Per-process state, rebuilt after `fork()`: the tokio runtime, connection pools, rate limits.
//!
//! A forked child has none of its parent's threads, so the parent's runtime never runs again in it, and it must not
//! use the parent's sockets. Every value here is tagged with the id of its process. A child that finds a value of its
//! parent builds a new one and leaks the old one, whose destructor would wait for threads that do not exist. No lock
//! is involved: `fork()` could copy it in its locked state.

mod runtime;
mod threads;

use std::convert::Infallible;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::error::Result;

#[cfg(feature = "sandbox")]
pub(crate) use runtime::build;
pub(crate) use runtime::check_available;
pub(crate) use runtime::check_descriptors;
pub use runtime::{Started, runtime};
#[cfg(unix)]
pub(crate) use threads::exhausted;
pub(crate) use threads::{
    blocking, descriptor_advice, offload, offloaded, refused, start_thread, thread_advice,
};

/// A value that each process builds on first use.
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
    /// Creates an empty cell.
    #[must_use]
    pub const fn new() -> Self {
        Self(ArcSwapOption::const_empty())
    }

    /// Returns this process's value, built now if there is none. If two threads build one at once, both get the first.
    pub fn get_or_try_init(&self, make: impl FnOnce() -> Result<T>) -> Result<OfProcess<T>> {
        self.get_or_build(make)
    }

    /// As [`PerProcess::get_or_try_init`], with a `make` that cannot fail.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> OfProcess<T> {
        let Ok(value) = self.get_or_build(|| Ok::<_, Infallible>(make()));
        value
    }

    fn get_or_build<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<OfProcess<T>, E> {
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

    /// Drops the value; the next use builds a new one. A value of another process is leaked.
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

/// A handle to this process's value.
#[derive(Debug)]
pub struct OfProcess<T>(Arc<Tagged<T>>);

impl<T> std::ops::Deref for OfProcess<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}
