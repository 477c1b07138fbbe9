//! What a client remembers of what it saw: enough to tell whether an empty list is evidence, and what time it is at the
//! portal.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::lock::locked;

/// Some megabytes at most; whoever makes more has been shown one of them long before.
const MOST_CREATES: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Visibility {
    made: Mutex<Made>,
    sees_own: AtomicBool,
    portal_time: Mutex<Option<(SystemTime, Instant)>>,
}

#[derive(Debug, Default)]
struct Made {
    ids: HashSet<i64>,
    last: Option<i64>,
}

impl Visibility {
    pub(super) fn made(&self, id: i64) {
        let mut made = locked(&self.made);
        if made.ids.len() < MOST_CREATES {
            made.ids.insert(id);
        }
        made.last = Some(id);
    }

    pub(super) fn saw(&self, ids: impl IntoIterator<Item = i64>) {
        if self.sees_own() {
            return;
        }
        let made = locked(&self.made);
        if ids.into_iter().any(|id| made.ids.contains(&id)) {
            self.sees_own.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn sees_own(&self) -> bool {
        self.sees_own.load(Ordering::Relaxed)
    }

    pub(super) fn last_made(&self) -> Option<i64> {
        locked(&self.made).last
    }

    pub(super) fn set_portal_time(&self, date: SystemTime) {
        *locked(&self.portal_time) = Some((date, Instant::now()));
    }

    pub(super) fn portal_time(&self) -> Option<SystemTime> {
        let (date, told) = (*locked(&self.portal_time))?;
        date.checked_add(told.elapsed().min(Duration::from_secs(86_400)))
    }
}
