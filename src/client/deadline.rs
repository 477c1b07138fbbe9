//! The time by which a call, or the lease of a pending token, must end.

use std::time::Duration;

use crate::clock::Moment;

/// A limit on the time from one moment. No request is sent after it, and no wait or attempt lasts longer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    since: Moment,
    length: Duration,
    message: Message,
}

#[derive(Debug, Clone, Copy)]
enum Message {
    /// The caller's `deadline`, as given.
    OfCall(Duration),
    /// The event that allowed the requests.
    OfLease(&'static str),
}

impl Deadline {
    /// Returns the deadline of a call that begins now.
    pub(super) fn of_call(now_ms: u64, length: Duration) -> Self {
        Self { since: Moment::at(now_ms), length, message: Message::OfCall(length) }
    }

    /// Returns the time by which the requests that an event allows must end.
    pub(super) fn of_lease(since: Moment, length: Duration, event: &'static str) -> Self {
        Self { since, length, message: Message::OfLease(event) }
    }

    /// Returns this deadline, shortened by what earlier parts of the call took.
    pub(super) fn shortened(self, spent: Duration) -> Self {
        Self { length: self.length.saturating_sub(spent), ..self }
    }

    /// Returns the time that remains.
    pub(crate) fn remaining(&self, now_ms: u64) -> Duration {
        self.length.saturating_sub(self.since.elapsed(now_ms))
    }

    /// Returns the message of the error of a request that the deadline ended.
    pub(super) fn message(&self) -> String {
        match self.message {
            Message::OfCall(given) => format!("deadline of {} s exceeded", given.as_secs_f64()),
            Message::OfLease(event) => {
                format!("the request did not end within {} s of {event}", self.length.as_secs_f64())
            }
        }
    }
}
