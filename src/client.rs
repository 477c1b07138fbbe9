//! One request from start to end: sign → attempt → judge → answer.

mod diagnosis;
mod judge;
mod retry;
mod tls;
mod transport;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde_json::Value;

use crate::credentials::Identity;
use crate::error::{ErrorKind, Result};
use crate::lmv1;
use crate::ports::{Clock, Event, NoObserver, Observer, SystemClock, SystemRandom};
use crate::secret::MASK;

pub use judge::{Judged, judge, may_repeat};
pub use retry::Retry;
pub use transport::{Received, TransportFailure};

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates: the one method that must never be sent blindly again.
    Post,
    /// Changes the members that are named.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// The method's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// One request, not yet signed.
#[derive(Debug, Clone)]
pub struct Request {
    /// HTTP method.
    pub method: Method,
    /// The path with its ids replaced by names, as logs and budgets know it.
    pub endpoint: &'static str,
    /// The path after `/santaba/rest`.
    pub resource_path: String,
    /// Query parameters, which are not signed.
    pub query: Vec<(&'static str, String)>,
    /// The bytes to sign and send.
    pub body: Option<Vec<u8>>,
}

/// The portal's yes.
pub struct Answer {
    /// The HTTP status, of 2xx.
    pub status: u16,
    /// The JSON of the body; null where the body was empty.
    pub body: Value,
    /// The portal's clock when it answered.
    pub date: Option<SystemTime>,
}

impl std::fmt::Debug for Answer {
    /// Without the body: that of a create holds the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("date", &self.date)
            .finish_non_exhaustive()
    }
}

/// Calls one portal as one identity. Clones share connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    observer: Arc<dyn Observer>,
}

struct Shared {
    identity: Identity,
    transport: transport::Transport,
    clock: Arc<dyn Clock>,
    retry: Retry,
}

impl Client {
    /// A client of an identity; `embedder` is appended to the `User-Agent`.
    #[must_use]
    pub fn new(identity: Identity, embedder: Option<&str>) -> Self {
        Self::with_clock(identity, embedder, Arc::new(SystemClock))
    }

    /// A client with a clock of its own.
    #[must_use]
    pub fn with_clock(identity: Identity, embedder: Option<&str>, clock: Arc<dyn Clock>) -> Self {
        let mut user_agent = format!("lmtokens/{}", crate::VERSION);
        if let Some(embedder) = embedder {
            user_agent.push(' ');
            user_agent.push_str(embedder);
        }
        let transport = transport::Transport::new(user_agent);
        let shared = Shared { identity, transport, clock, retry: Retry::default() };
        Self { shared: Arc::new(shared), observer: Arc::new(NoObserver) }
    }

    /// The same client, telling what happens to `observer`.
    #[must_use]
    pub fn observed_by(&self, observer: Arc<dyn Observer>) -> Self {
        Self { shared: Arc::clone(&self.shared), observer }
    }

    /// Whom it calls, and as whom.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// Milliseconds since 1970-01-01 UTC by the client's clock.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.shared.clock.now_ms()
    }

    /// Tells what happened.
    pub fn tell(&self, event: Event) {
        self.observer.observe(event);
    }

    /// Lets go of the idle connections; the next request makes new ones.
    pub fn close_connections(&self) {
        self.shared.transport.close();
    }

    /// Sends one request, again where that can do no harm, and judges what comes back.
    pub async fn send(&self, request: &Request) -> Result<Answer> {
        let started = Instant::now();
        let mut earlier_maybe_applied = false;
        let mut attempt = 1;
        loop {
            let attempt_started = Instant::now();
            let authorization = self.authorization(request);
            let outcome =
                self.shared.transport.attempt(&self.shared.identity, request, authorization.clone()).await;
            let status = match &outcome {
                Ok(received) => Some(received.status),
                Err(failure) => failure.status,
            };
            let date = outcome.as_ref().ok().and_then(|received| received.date);
            let judged = judge(request.method, outcome);
            let pause = match &judged {
                Judged::Failed(error) if attempt < self.shared.retry.max_attempts => {
                    may_repeat(request.method, error).then(|| self.shared.retry.pause(attempt, &SystemRandom))
                }
                _ => None,
            };
            self.tell(Event::Attempt {
                method: request.method.as_str(),
                endpoint: request.endpoint,
                status,
                attempt,
                elapsed: attempt_started.elapsed(),
                pause,
            });
            let mut error = match judged {
                Judged::Done(body) => return Ok(Answer { status: status.unwrap_or(200), body, date }),
                Judged::Failed(error) => error,
            };
            if let Some(pause) = pause {
                earlier_maybe_applied |= error.details().maybe_applied;
                tokio::time::sleep(pause).await;
                attempt += 1;
                continue;
            }
            if request.method == Method::Delete
                && error.kind() == ErrorKind::NotFound
                && earlier_maybe_applied
            {
                // What an earlier attempt may have deleted is gone: that was the wish.
                return Ok(Answer { status: 404, body: Value::Null, date });
            }
            let details = error.details_mut();
            details.attempts = attempt;
            details.elapsed = started.elapsed();
            details.maybe_applied |= earlier_maybe_applied;
            details.message = self.scrub(&details.message, &authorization);
            if details.kind == ErrorKind::Authentication {
                let identity = &self.shared.identity;
                details.suggestion = Some(diagnosis::of_refused_credentials(identity, date, self.now_ms()));
            }
            return Err(error);
        }
    }

    fn authorization(&self, request: &Request) -> String {
        self.shared.identity.credentials.authorization(&lmv1::Request {
            method: request.method.as_str(),
            timestamp_ms: self.now_ms(),
            body: request.body.as_deref().unwrap_or_default(),
            resource_path: &request.resource_path,
        })
    }

    /// The text of an answer goes to people, and nothing keeps a portal or a proxy from repeating what it was sent. Cut
    /// only after that: what a cut left of a secret would not be found.
    fn scrub(&self, message: &str, authorization: &str) -> String {
        const MAX_CHARACTERS: usize = 500;
        let signature = authorization.split(':').nth(1).unwrap_or_default();
        let secret = self.shared.identity.credentials.secret().reveal();
        let masked = mask(&mask(message, secret), signature);
        masked.chars().take(MAX_CHARACTERS).collect()
    }
}

/// Hosts are told in lower case, whatever case they were sent in. Something shorter than any real secret occurs in words
/// that have nothing to do with it: masking those would hide the message, and tell the secret.
fn mask(text: &str, hidden: &str) -> String {
    const SHORTEST: usize = 6;
    if hidden.chars().count() < SHORTEST {
        return text.to_owned();
    }
    let (lower, hidden) = (text.to_ascii_lowercase(), hidden.to_ascii_lowercase());
    let mut masked = String::with_capacity(text.len());
    let mut from = 0;
    for (at, found) in lower.match_indices(&hidden) {
        masked.push_str(text.get(from..at).unwrap_or_default());
        masked.push_str(MASK);
        from = at + found.len();
    }
    masked.push_str(text.get(from..).unwrap_or_default());
    masked
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("portal", &self.shared.identity.portal)
            .field("credentials", &self.shared.identity.credentials)
            .finish_non_exhaustive()
    }
}
