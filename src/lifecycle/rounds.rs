//! Repeating a step a limited number of times.

use crate::client::{Client, Policy};

/// A counter of rounds, with the client's usual pauses between them.
pub(super) struct Rounds {
    done: u32,
    max: u32,
}

impl Rounds {
    pub(super) fn at_most(max: u32) -> Self {
        Self { done: 1, max }
    }

    /// Starts another round; `false` if all are used up.
    pub(super) fn next(&mut self) -> bool {
        let is_allowed = self.done < self.max;
        self.done += u32::from(is_allowed);
        is_allowed
    }

    /// As `next`, after a pause that grows from round to round; `false` also if the client's deadline leaves no time.
    pub(super) async fn next_after_pause(&mut self, client: &Client) -> bool {
        let pause = Policy::default().pause(self.done);
        let is_allowed = client.remaining().is_none_or(|remaining| remaining > pause) && self.next();
        if is_allowed {
            tokio::time::sleep(pause).await;
        }
        is_allowed
    }

    /// Returns the number of the current round, counted from 1.
    pub(super) fn number(&self) -> u32 {
        self.done
    }
}
