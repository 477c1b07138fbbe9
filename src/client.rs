//! One request from start to end: wait for budget → sign → attempt → judge → answer, or again.

mod diagnosis;
mod limiter;
mod outcome;
mod retry;
mod tls;
mod transport;
mod visibility;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::clock::{Clock, SystemClock};
use crate::credentials::Identity;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, NoObserver, Observer};
use crate::lmv1;
use crate::process::{OfProcess, PerProcess};
use crate::secret::MASK;
use limiter::Permit;
use visibility::Visibility;

pub use limiter::OnLimit;
/// The visibility of one process; it knows nothing if there is none.
pub(crate) struct VisibilityHandle(Option<OfProcess<Visibility>>);

impl VisibilityHandle {
    pub(crate) fn created(&self, id: i64) {
        if let Some(visibility) = &self.0 {
            visibility.made(id);
        }
    }

    pub(crate) fn listed(&self, ids: impl IntoIterator<Item = i64>) {
        if let Some(visibility) = &self.0 {
            visibility.saw(ids);
        }
    }

    pub(crate) fn sees_own(&self) -> bool {
        self.0.as_ref().is_some_and(|visibility| visibility.sees_own())
    }

    pub(crate) fn last_created(&self) -> Option<i64> {
        self.0.as_ref()?.last_made()
    }
}

/// The portal's response.
pub type Response = Answer;

pub use outcome::{Judged, judge, may_repeat};
pub use retry::Policy;
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

/// Calls one portal as one identity. Clones share connections and what is remembered.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    policy: Policy,
    observer: Arc<dyn Observer>,
}

struct Shared {
    identity: Identity,
    transport: transport::Transport,
    clock: Arc<dyn Clock>,
    visibility: PerProcess<Visibility>,
}

/// What is known of a request while it goes on, also when its time is over.
#[derive(Default)]
struct Progress {
    attempts: u32,
    maybe_applied: bool,
    waited: Duration,
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
        let shared = Shared { identity, transport, clock, visibility: PerProcess::new() };
        Self { shared: Arc::new(shared), policy: Policy::default(), observer: Arc::new(NoObserver) }
    }

    /// The same client with another policy.
    #[must_use]
    pub fn with_policy(&self, policy: Policy) -> Self {
        Self { policy, ..self.clone() }
    }

    /// The same client, waiting for budgets as long as it takes.
    #[must_use]
    pub(crate) fn without_wait_limit(&self) -> Self {
        self.with_policy(Policy { max_wait: Duration::MAX, ..self.policy })
    }

    /// The same client, telling what happens to `observer`.
    #[must_use]
    pub fn observed_by(&self, observer: Arc<dyn Observer>) -> Self {
        Self { observer, ..self.clone() }
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

    /// The portal's clock, as its last answer told and the time since then has it; `None` where none told.
    pub fn portal_time(&self) -> Result<Option<SystemTime>> {
        Ok(self.per_process()?.portal_time())
    }

    /// Tells what happened.
    pub fn report(&self, event: Event) {
        self.observer.observe(event);
    }

    /// Returns what these credentials have seen of their own tokens.
    pub(crate) fn visibility(&self) -> VisibilityHandle {
        VisibilityHandle(self.per_process().ok())
    }

    fn per_process(&self) -> Result<OfProcess<Visibility>> {
        self.shared.visibility.get_or_try_init(|| Ok(Visibility::default()))
    }

    /// Lets go of the idle connections; the next request makes new ones.
    pub fn close_connections(&self) {
        self.shared.transport.close();
    }

    /// Sends one request, again where that can do no harm, and judges what comes back.
    pub async fn send(&self, request: &Request) -> Result<Answer> {
        let started = Instant::now();
        let mut progress = Progress::default();
        let outcome = match self.policy.deadline {
            None => self.attempts(request, &mut progress).await,
            Some(deadline) => {
                match tokio::time::timeout(deadline, self.attempts(request, &mut progress)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(Error::new(
                        ErrorKind::RequestTimeout,
                        format!("not done within the deadline of {} s", deadline.as_secs_f64()),
                    )),
                }
            }
        };
        outcome.map_err(|mut error| {
            let details = error.details_mut();
            details.attempts = progress.attempts;
            details.elapsed = started.elapsed();
            details.maybe_applied |= progress.maybe_applied;
            error
        })
    }

    async fn attempts(&self, request: &Request, progress: &mut Progress) -> Result<Answer> {
        let rate_limit =
            limiter::rate_limit(self.identity().portal.base_url(), request.method, request.endpoint)?;
        let mut refusal = None;
        loop {
            let permit = self.permit(&rate_limit, request, progress, refusal.take()).await?;
            progress.attempts += 1;
            let earlier_maybe_applied = progress.maybe_applied;
            // Until it is known better: whoever ends the call now leaves a request that the portal may act on.
            progress.maybe_applied |= request.method != Method::Get;

            let attempt_started = Instant::now();
            let authorization = self.authorization(request);
            let outcome =
                self.shared.transport.attempt(&self.shared.identity, request, authorization.clone()).await;
            let received = outcome.as_ref().ok();
            let (date, rate) =
                (received.and_then(|received| received.date), received.and_then(|received| received.rate));
            let (answered, not_sent) = (received.is_some(), outcome.as_ref().is_err_and(|f| !f.maybe_sent));
            let status =
                outcome.as_ref().map_or_else(|failure| failure.status, |received| Some(received.status));
            if let (Some(date), Ok(visibility)) = (date, self.per_process()) {
                visibility.set_portal_time(date);
            }
            let judged = judge(request.method, outcome);
            let is_refusal = matches!(&judged, Judged::Failed(error) if error.kind() == ErrorKind::RateLimit);
            if is_refusal {
                permit.refused(rate);
            } else if answered {
                permit.answered(rate);
            } else if not_sent {
                permit.not_sent();
            } else {
                drop(permit);
            }
            let again = match &judged {
                Judged::Failed(error) => self.again(request.method, error, progress.attempts),
                Judged::Done(_) => RetryDecision::No,
            };
            self.report(Event::Attempt {
                method: request.method.as_str(),
                endpoint: request.endpoint,
                status,
                attempt: progress.attempts,
                elapsed: attempt_started.elapsed(),
                pause: if let RetryDecision::After(pause) = again { Some(pause) } else { None },
            });
            let mut error = match judged {
                Judged::Done(body) => return Ok(Answer { status: status.unwrap_or(200), body, date }),
                Judged::Failed(error) => error,
            };
            progress.maybe_applied = earlier_maybe_applied | error.details().maybe_applied;
            match again {
                RetryDecision::After(pause) => {
                    tokio::time::sleep(pause).await;
                    continue;
                }
                RetryDecision::WhenPermitted => {
                    refusal = Some(error);
                    continue;
                }
                RetryDecision::No => {}
            }
            if request.method == Method::Delete
                && error.kind() == ErrorKind::NotFound
                && earlier_maybe_applied
            {
                // What an earlier attempt may have deleted is gone: that was the wish.
                return Ok(Answer { status: 404, body: Value::Null, date });
            }
            let details = error.details_mut();
            details.message = self.scrub(&details.message, &authorization);
            if details.kind == ErrorKind::Authentication {
                let identity = &self.shared.identity;
                details.advice =
                    vec![diagnosis::of_refused_credentials(identity, date, self.now_ms()).into()];
            }
            return Err(error);
        }
    }

    fn again(&self, method: Method, error: &Error, attempts: u32) -> RetryDecision {
        let policy = &self.policy;
        if !may_repeat(method, error) || policy.max_attempts == 1 {
            RetryDecision::No
        } else if error.kind() == ErrorKind::RateLimit {
            if policy.on_limit == OnLimit::Wait { RetryDecision::WhenPermitted } else { RetryDecision::No }
        } else if attempts < policy.max_attempts {
            RetryDecision::After(policy.pause(attempts))
        } else {
            RetryDecision::No
        }
    }

    /// Waits until the budget allows one more request. `refusal` is the portal's, where it has refused this request.
    async fn permit(
        &self,
        rate_limit: &limiter::RateLimit,
        request: &Request,
        progress: &mut Progress,
        refusal: Option<Error>,
    ) -> Result<Permit> {
        const LONG: Duration = Duration::from_secs(2);
        let started = Instant::now();
        let max_wait = self.policy.max_wait.saturating_sub(progress.waited);
        let (method, endpoint) = (request.method.as_str(), request.endpoint);
        let mut told = false;
        let tell = |wait: Duration| {
            if wait > LONG && !told {
                told = true;
                self.report(Event::LongWait { method, endpoint, wait });
            }
        };
        let permit = rate_limit.permit(self.policy.on_limit, max_wait, tell).await;
        progress.waited += started.elapsed();
        permit.map_err(|limited| refusal.unwrap_or_else(|| rate_limited(request, &limited, self.policy)))
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

/// Whether and when a request is sent once more.
enum RetryDecision {
    No,
    After(Duration),
    /// As soon as the budget allows.
    WhenPermitted,
}

/// Nothing was sent: that the budget is spent is known.
fn rate_limited(request: &Request, limited: &limiter::RateLimited, policy: Policy) -> Error {
    let wait = limited.wait.as_secs_f64();
    let reason = match policy.on_limit {
        OnLimit::Raise => "on_limit=\"raise\"".to_owned(),
        OnLimit::Wait => format!("max_wait={}", policy.max_wait.as_secs_f64()),
    };
    let mut error = Error::new(
        ErrorKind::RateLimit,
        format!(
            "the portal's budget for {} {} is spent: there may be some again in {wait:.1} s, and {reason} says not to \
             wait for that",
            request.method.as_str(),
            request.endpoint
        ),
    )
    .suggest("call again later, or allow a longer wait; the budget is shared by everyone who uses the portal");
    error.details_mut().rate = limited.rate;
    error
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
