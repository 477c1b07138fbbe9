//! Locks, as this package takes them.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock also after a panic elsewhere: what is behind the locks here holds together after every step.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
