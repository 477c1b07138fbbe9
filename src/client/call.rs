//! One call of a user, which may send several requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::Client;
use crate::error::{Error, ErrorKind, Result};

/// What the requests of one call, or of a part of it, were.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    requests: AtomicU32,
    /// The requests that change something and may have reached the portal.
    writes: AtomicU32,
    /// The HTTP status of the last request; 0 if it got no response.
    last_status: AtomicU16,
}

impl Traffic {
    /// Counts a request that is being sent.
    pub(super) fn begin(&self, is_write: bool) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.writes.fetch_add(is_write.into(), Ordering::Relaxed);
        self.last_status.store(0, Ordering::Relaxed);
    }

    /// Takes note that the last request did not reach the portal.
    pub(super) fn was_not_sent(&self, is_write: bool) {
        self.writes.fetch_sub(is_write.into(), Ordering::Relaxed);
    }

    pub(super) fn may_have_written(&self) -> bool {
        self.writes.load(Ordering::Relaxed) > 0
    }

    /// Takes note of the response to the last request.
    pub(super) fn end(&self, status: Option<u16>) {
        self.last_status.store(status.unwrap_or_default(), Ordering::Relaxed);
    }
}

/// A call in progress.
pub(crate) struct Call {
    /// The client for the requests of the call.
    pub(crate) client: Client,
    started: Instant,
    /// The time that earlier parts took: a list is one call, and each of its pages a part.
    earlier: Duration,
}

impl Call {
    /// Starts a call that counts its own requests, of which earlier parts took `earlier`.
    pub(super) fn start(client: Client, earlier: Duration) -> Self {
        let client = Client { traffic: Arc::default(), ..client };
        Self { client, started: Instant::now(), earlier }
    }

    /// Returns the time that the call has taken so far.
    pub(crate) fn spent(&self) -> Duration {
        self.earlier.saturating_add(self.started.elapsed())
    }

    /// Returns the result of the call, its error with the facts of the call.
    pub(crate) fn complete<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| self.completed(error))
    }

    /// Returns the error of the call with its time. An error that no request failed with, such as the conclusion from an
    /// empty list, gets the number of requests, and the status of the response that it was concluded from.
    pub(crate) fn completed(&self, mut error: Error) -> Error {
        let Traffic { requests, last_status, .. } = &*self.client.traffic;
        let details = error.details_mut();
        details.elapsed = details.elapsed.max(self.spent());
        if details.attempts == 0 {
            details.attempts = requests.load(Ordering::Relaxed);
        }
        let is_concluded =
            matches!(details.kind, ErrorKind::NotFound | ErrorKind::Response | ErrorKind::SelfLockout);
        if is_concluded && details.status.is_none() {
            details.status = Some(last_status.load(Ordering::Relaxed)).filter(|status| *status > 0);
        }
        error
    }
}
