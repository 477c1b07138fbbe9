//! One attempt of a request, classified once for the rate limit, the observer and the retry decision.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::limiter::Usage;
use super::off_thread::off_thread;
use super::outcome::outcome;
use super::request::Method;
use super::transport::{RawResponse, TransportFailure};
use crate::error::{Details, ErrorKind, Result};
use crate::model::RateHeaders;

/// One attempt and its outcome.
pub(super) struct Attempt {
    /// The JSON body of a success, or the error.
    pub(super) outcome: Result<Bytes>,
    /// The status, if a response arrived or began.
    pub(super) status: Option<u16>,
    /// The portal's clock, if a response arrived.
    pub(super) date: Option<SystemTime>,
    /// The rate limit, if a response has it.
    pub(super) rate: Option<RateHeaders>,
    /// What the attempt used of the rate limit.
    pub(super) usage: Usage,
    /// From signing the request to the end of the response.
    pub(super) elapsed: Duration,
}

impl Attempt {
    /// Reads a response, a large one off the caller's thread. `withhold` makes an error fit to be shown; it gets the
    /// body too.
    pub(super) async fn read(
        method: Method,
        exchange: Result<RawResponse, TransportFailure>,
        elapsed: Duration,
        withhold: impl FnOnce(&mut Details, &[u8]) + Send + 'static,
    ) -> Self {
        let body = exchange.as_ref().map(|response| response.body.clone()).unwrap_or_default();
        let size = body.len();
        let work = move || {
            let mut attempt = Self::new(method, exchange, elapsed);
            if let Err(error) = &mut attempt.outcome {
                withhold(error.details_mut(), &body);
            }
            attempt
        };
        let attempt = off_thread(size, work).await;
        attempt.unwrap_or_else(|| Self::new(method, Err(TransportFailure::unread()), elapsed))
    }

    fn new(method: Method, exchange: Result<RawResponse, TransportFailure>, elapsed: Duration) -> Self {
        let rate = exchange.as_ref().ok().and_then(|response| response.rate);
        let (status, date, usage) = match &exchange {
            Ok(response) => (Some(response.status), response.date, Usage::Response(response.rate)),
            Err(failure) if failure.maybe_sent => (failure.status, None, Usage::Unknown),
            Err(failure) => (failure.status, None, Usage::NotSent),
        };
        let outcome = outcome(method, exchange);
        let is_rate_limited = outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::RateLimit);
        let usage = match usage {
            Usage::Response(rate) if is_rate_limited => Usage::Rejected(rate),
            usage => usage,
        };
        Self { outcome, status, date, rate, usage, elapsed }
    }
}
