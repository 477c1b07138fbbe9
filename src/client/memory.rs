//! What a client remembers of what it saw: enough to tell whether an empty list is evidence, and what time it is at the
//! portal.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// More than a look ever needs.
const MOST_CREATES: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Memory {
    made: Mutex<VecDeque<i64>>,
    sees_own: AtomicBool,
    portal_time: Mutex<Option<(SystemTime, Instant)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    pub(super) fn made(&self, id: i64) {
        let mut made = locked(&self.made);
        if made.len() >= MOST_CREATES {
            made.pop_front();
        }
        made.push_back(id);
    }

    pub(super) fn saw(&self, ids: impl IntoIterator<Item = i64>) {
        if self.sees_own() {
            return;
        }
        let made = locked(&self.made);
        if !made.is_empty() && ids.into_iter().any(|id| made.contains(&id)) {
            self.sees_own.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn sees_own(&self) -> bool {
        self.sees_own.load(Ordering::Relaxed)
    }

    pub(super) fn last_made(&self) -> Option<i64> {
        locked(&self.made).back().copied()
    }

    pub(super) fn set_portal_time(&self, date: SystemTime) {
        *locked(&self.portal_time) = Some((date, Instant::now()));
    }

    pub(super) fn portal_time(&self) -> Option<SystemTime> {
        let (date, told) = (*locked(&self.portal_time))?;
        date.checked_add(told.elapsed().min(Duration::from_secs(86_400)))
    }
}
