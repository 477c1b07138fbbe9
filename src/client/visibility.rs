//! Evidence that these credentials can see the tokens that they create.
//!
//! A list without a token proves that the token does not exist only if the credentials may view tokens: a role that may
//! create but not view gets an empty list.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::lock::locked;

/// The most ids that are kept (a few megabytes). A caller that creates more has listed one of them long before.
const MAX_CREATED: usize = 100_000;

/// The tokens that this process created with a client's credentials, and whether a list has shown one of them.
#[derive(Debug, Default)]
pub(crate) struct Visibility {
    created: Mutex<Created>,
    sees_own: AtomicBool,
}

#[derive(Debug, Default)]
struct Created {
    ids: HashSet<i64>,
    last: Option<i64>,
}

impl Visibility {
    /// Records that these credentials created a token.
    pub(crate) fn record_created(&self, id: i64) {
        let mut created = locked(&self.created);
        if created.ids.len() < MAX_CREATED {
            created.ids.insert(id);
        }
        created.last = Some(id);
    }

    /// Records that a list showed these tokens.
    pub(crate) fn record_listed(&self, ids: impl IntoIterator<Item = i64>) {
        if self.sees_own() {
            return;
        }
        let created = locked(&self.created);
        if ids.into_iter().any(|id| created.ids.contains(&id)) {
            self.sees_own.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether a list has shown a token that these credentials created.
    pub(crate) fn sees_own(&self) -> bool {
        self.sees_own.load(Ordering::Relaxed)
    }

    /// Returns the id of the last token that these credentials created.
    pub(crate) fn last_created(&self) -> Option<i64> {
        locked(&self.created).last
    }
}
