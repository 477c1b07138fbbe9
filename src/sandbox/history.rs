//! Recent changes of tokens, from which lists that lag are shown.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::token::StoredToken;

/// A change of a token.
#[derive(Debug)]
pub(super) struct Change {
    at: Instant,
    pub(super) id: u32,
    /// The token before the change; `None` if the change created it.
    pub(super) before: Option<StoredToken>,
}

/// The changes within the longest lag, oldest first.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Change>);

impl History {
    /// Adds a change and drops those that are older than the longest lag. Without a lag, nothing is kept.
    pub(super) fn record(
        &mut self,
        now: Instant,
        longest_lag: Duration,
        id: u32,
        before: Option<StoredToken>,
    ) {
        self.0.push_back(Change { at: now, id, before });
        while self.0.front().is_some_and(|change| !is_within(change, now, longest_lag)) {
            self.0.pop_front();
        }
    }

    /// Returns the changes that a lag still hides, newest first: undone in this order, they lead to the state of then.
    pub(super) fn hidden(&self, now: Instant, lag: Duration) -> impl Iterator<Item = &Change> {
        self.0.iter().rev().take_while(move |change| is_within(change, now, lag))
    }
}

fn is_within(change: &Change, now: Instant, lag: Duration) -> bool {
    now.saturating_duration_since(change.at) < lag
}
