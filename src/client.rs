//! Sends one request: permit → sign → attempt → outcome → retry or response.

mod attempt;
mod call;
mod deadline;
mod diagnosis;
mod limiter;
mod off_thread;
mod outcome;
mod portal_clock;
mod redact;
mod request;
mod retry;
mod tls;
mod transport;
mod visibility;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::advice::Advice;
use crate::clock::{Clock, SystemClock};
use crate::credentials::{Credentials, Identity, Provenance, Supplied, Supplier, Timeouts};
use crate::error::{Details, Error, ErrorKind, Result};
use crate::event::{Event, NoObserver, Observer};
use crate::lmv1;
use crate::lock::locked;
use crate::model::Token;
use crate::process::{OfProcess, PerProcess};
use crate::secret::Secret;
use attempt::Attempt;
use call::Traffic;
use deadline::Deadline;
use limiter::{Permit, RateLimit, RateLimited, Usage};
use portal_clock::PortalClock;
use retry::RetryDecision;
use transport::Transport;
use visibility::Visibility;

pub use crate::clock::Moment;
pub(crate) use call::Call;
pub(crate) use diagnosis::{ACCESS_ID_LENGTH, ClockSkew};
pub use limiter::OnLimit;
pub use off_thread::off_thread;
pub use outcome::outcome;
pub use redact::redact;
pub use request::{Method, Request, Response};
pub use retry::Policy;
#[cfg(any(test, fuzzing))]
pub(crate) use transport::fuzz_headers;
pub(crate) use transport::probe;
pub use transport::{RawResponse, TransportFailure};

/// Calls one portal with one identity. Clones share connections, the portal's clock and visibility.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    /// The identity of the current call, or between calls that of the next one. Its credentials are replaced if the
    /// supplier supplies others.
    identity: Arc<ArcSwap<Identity>>,
    /// What supplies credentials to the current call, if they are not fixed.
    supplier: Option<Arc<dyn Supplier>>,
    policy: Policy,
    observer: Arc<dyn Observer>,
    /// By when the current call, or the lease of its token, must end.
    deadline: Option<Deadline>,
    /// The secret of a new token, which no message may repeat.
    new_secret: Option<Secret>,
    /// The requests of the current call.
    traffic: Arc<Traffic>,
    /// Whether its creates are of pending tokens.
    creates_pending: bool,
    /// In a dry run, the first request that would change something.
    planned: Option<Arc<OnceLock<Request>>>,
}

struct Shared {
    /// The identity of calls that begin now.
    identity: Arc<ArcSwap<Identity>>,
    transport: Transport,
    clock: Arc<dyn Clock>,
    portal_clock: PerProcess<PortalClock>,
    visibility: PerProcess<Visibility>,
    /// Held while credentials are supplied, so that calls at the same time share them. One for each runner: a call
    /// must not wait for an event loop that no longer runs.
    renewals: PerProcess<Mutex<HashMap<usize, Weak<tokio::sync::Mutex<()>>>>>,
}

/// What has happened to a request so far. It outlives the attempts, because the deadline can drop them at any await.
#[derive(Default)]
struct Progress {
    attempts: u32,
    /// Whether a finished attempt may have changed something.
    maybe_applied: bool,
    /// Whether an attempt is in flight that may change something.
    is_write_in_flight: bool,
    waited: Duration,
    /// The longest wait that was reported.
    reported_wait: Duration,
}

impl Shared {
    /// Returns the lock of the calls whose supplier has this runner.
    fn renewal(&self, runner: usize) -> Arc<tokio::sync::Mutex<()>> {
        let renewals = self.renewals.get_or_init(Mutex::default);
        let mut renewals = locked(&renewals);
        renewals.retain(|_, renewal| renewal.strong_count() > 0);
        let known = renewals.get(&runner).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let renewal = Arc::default();
            renewals.insert(runner, Arc::downgrade(&renewal));
            renewal
        })
    }
}

impl Client {
    /// Creates a client for an identity. `user_agent_suffix` names the calling software.
    #[must_use]
    pub fn new(identity: Identity, user_agent_suffix: Option<&str>) -> Self {
        Self::with_clock(identity, user_agent_suffix, Arc::new(SystemClock))
    }

    /// As [`Client::new`], with the given clock for signatures.
    #[must_use]
    pub fn with_clock(identity: Identity, user_agent_suffix: Option<&str>, clock: Arc<dyn Clock>) -> Self {
        let mut user_agent = format!("lmtokens/{}", crate::VERSION);
        if let Some(user_agent_suffix) = user_agent_suffix {
            user_agent.push(' ');
            user_agent.push_str(user_agent_suffix);
        }
        let supplier = identity.supplier.clone();
        let identity = Arc::new(ArcSwap::from_pointee(identity));
        let shared = Shared {
            identity: Arc::clone(&identity),
            transport: Transport::new(user_agent),
            clock,
            portal_clock: PerProcess::new(),
            visibility: PerProcess::new(),
            renewals: PerProcess::new(),
        };
        Self {
            shared: Arc::new(shared),
            identity,
            supplier,
            policy: Policy::default(),
            observer: Arc::new(NoObserver),
            deadline: None,
            new_secret: None,
            traffic: Arc::default(),
            creates_pending: false,
            planned: None,
        }
    }

    /// Returns this client with another policy.
    #[must_use]
    pub fn with_policy(&self, policy: Policy) -> Self {
        Self { policy, ..self.clone() }
    }

    /// Returns this client without retries.
    #[must_use]
    pub(crate) fn without_retries(&self) -> Self {
        self.with_policy(Policy { max_attempts: 1, ..self.policy })
    }

    /// Returns this client without a limit on waits for permits.
    #[must_use]
    pub(crate) fn without_wait_limit(&self) -> Self {
        self.with_policy(Policy { max_wait: Duration::MAX, ..self.policy })
    }

    /// Starts a call, or the next part of one of which earlier parts took `spent`. The deadline counts from now.
    pub(crate) fn start_call(&self, spent: Duration) -> Call {
        let deadline = self.policy.deadline.map(|length| {
            let deadline = Deadline::of_call(self.now_ms(), length);
            deadline.shortened(spent)
        });
        let identity = Arc::new(ArcSwap::new(self.shared.identity.load_full()));
        Call::start(Self { identity, deadline: deadline.or(self.deadline), ..self.clone() }, spent)
    }

    /// Starts a part of the current call whose error is a result of its own.
    pub(crate) fn start_part(&self) -> Call {
        Call::start(self.clone(), Duration::ZERO)
    }

    /// Returns this client for requests that an event allows for a limited time: each ends within `length` of it.
    pub(crate) fn for_lease(&self, since: Moment, length: Duration, event: &'static str) -> Self {
        let lease = Deadline::of_lease(since, length, event);
        let now_ms = self.now_ms();
        let is_first = |deadline: &Deadline| deadline.remaining(now_ms) <= lease.remaining(now_ms);
        Self { deadline: Some(self.deadline.filter(is_first).unwrap_or(lease)), ..self.clone() }
    }

    /// Returns the time until this client's deadline; `None` if it has none.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.remaining(self.now_ms()))
    }

    /// Returns whether this client's deadline has passed.
    pub(crate) fn is_over(&self) -> bool {
        self.remaining().is_some_and(|remaining| remaining.is_zero())
    }

    /// Returns whether a request of this client for a lease ended with the lease before it changed anything, so that
    /// `caller`, whose own deadline has not passed, may read again and repeat it.
    pub(crate) fn may_read_again(&self, caller: &Self, error: &Error) -> bool {
        self.is_over() && !caller.is_over() && !error.details().maybe_applied
    }

    /// Returns this client with an observer for its events.
    #[must_use]
    pub fn observed_by(&self, observer: Arc<dyn Observer>) -> Self {
        Self { observer, ..self.clone() }
    }

    /// Returns this client with a supplier of its credentials.
    #[must_use]
    pub fn supplied_by(&self, supplier: Arc<dyn Supplier>) -> Self {
        Self { supplier: Some(supplier), ..self.clone() }
    }

    /// Returns this client for requests about a new token: a response may repeat its secret.
    #[must_use]
    pub(crate) fn withholding_secret_of(&self, token: &Token) -> Self {
        Self { new_secret: token.access_key.clone(), ..self.clone() }
    }

    /// Returns this client with the credentials that it has now, for a request that is allowed because of them.
    #[must_use]
    pub(crate) fn with_fixed_credentials(&self) -> Self {
        Self { identity: Arc::new(ArcSwap::new(self.identity())), supplier: None, ..self.clone() }
    }

    /// Returns this client for the create of a disabled token that sweep recognizes: a second one is harmless.
    #[must_use]
    pub(crate) fn for_pending_create(&self) -> Self {
        Self { creates_pending: true, ..self.clone() }
    }

    /// Returns this client for a dry run: a request that would change something is not sent, but fails and is left in
    /// `planned`.
    #[must_use]
    pub(crate) fn for_dry_run(&self, planned: &Arc<OnceLock<Request>>) -> Self {
        Self { planned: Some(Arc::clone(planned)), ..self.clone() }
    }

    /// Returns the portal and the credentials.
    #[must_use]
    pub fn identity(&self) -> Arc<Identity> {
        self.identity.load_full()
    }

    /// Returns this client with other credentials.
    #[must_use]
    pub(crate) fn with_credentials(&self, credentials: Credentials) -> Self {
        let identity = Identity {
            credentials: Some(credentials),
            credentials_from: Provenance::Rotation,
            validity: None,
            ..(*self.identity()).clone()
        };
        Self { identity: Arc::new(ArcSwap::from_pointee(identity)), supplier: None, ..self.clone() }
    }

    /// Gives the credentials of this client to all its clones, for calls that begin from now on.
    pub(crate) fn share_credentials(&self) {
        self.shared.identity.store(self.identity());
    }

    /// Returns the milliseconds since 1970-01-01 UTC by the client's clock.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.shared.clock.now_ms()
    }

    /// Returns the time on the portal's clock, derived from its last response; `None` before the first response, and if
    /// the time since the last one is uncertain.
    #[must_use]
    pub fn portal_time(&self) -> Option<SystemTime> {
        self.portal_clock().now(self.now_ms())
    }

    /// Returns the milliseconds since 1970-01-01 UTC by the portal's clock if it is known, else by the client's clock.
    #[must_use]
    pub(crate) fn portal_now_ms(&self) -> u64 {
        let since_epoch = self.portal_time().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        since_epoch.and_then(|time| u64::try_from(time.as_millis()).ok()).unwrap_or_else(|| self.now_ms())
    }

    /// Returns the record, for this process, of whether these credentials can see the tokens that they create.
    pub(crate) fn visibility(&self) -> OfProcess<Visibility> {
        self.shared.visibility.get_or_init(Visibility::default)
    }

    /// Reports an event to the observer.
    pub fn report(&self, event: Event) {
        self.observer.observe(event);
    }

    /// Returns whether a request of the current call that changes something may have reached the portal.
    pub(crate) fn may_have_written(&self) -> bool {
        self.traffic.may_have_written()
    }

    /// Closes the idle connections. The next request opens new ones.
    pub fn close_connections(&self) {
        self.shared.transport.close();
    }

    /// Sends a request, repeats it as the policy allows, and returns the successful response.
    pub async fn send(&self, request: &Request) -> Result<Response> {
        if let Some(planned) = self.planned.as_ref().filter(|_| request.method.is_write()) {
            // Only the first one: later ones may depend on its response.
            let _ = planned.set(request.clone());
            return Err(Error::argument("a dry run sends no request that changes something"));
        }
        let started = Instant::now();
        let mut progress = Progress::default();
        // In a box, or the future of an operation would hold one for each of its requests, and be moved with them.
        let sending = Box::pin(self.send_with_retries(request, &mut progress));
        let result = self.within_deadline(sending).await;
        result.map_err(|mut error| {
            let details = error.details_mut();
            details.attempts = progress.attempts;
            details.elapsed = started.elapsed();
            details.maybe_applied |= progress.maybe_applied || progress.is_write_in_flight;
            error
        })
    }

    async fn within_deadline<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(deadline) = &self.deadline else { return work.await };
        let remaining = deadline.remaining(self.now_ms());
        tokio::time::timeout(remaining, work).await.unwrap_or_else(|_| Err(exceeded(deadline)))
    }

    async fn send_with_retries(&self, request: &Request, progress: &mut Progress) -> Result<Response> {
        let rate_limit = {
            let identity = self.identity();
            limiter::rate_limit(identity.portal.base_url(), request.method, request.endpoint)
        };
        let mut rejection = None;
        let mut has_renewed = false;
        loop {
            // Before the permit is taken: a callable may send requests that need it.
            let identity = self.usable_identity(None).await?;
            let credentials = identity.credentials()?;
            let permit = self.permit(&rate_limit, request, progress, rejection.take()).await?;
            let sent = Moment::at(self.now_ms());
            if let Some(deadline) = &self.deadline
                && deadline.remaining(self.now_ms()).is_zero()
            {
                // The wall clock advanced more than the timer: the machine slept, or the clock was set.
                permit.settle(Usage::NotSent);
                return Err(exceeded(deadline));
            }
            progress.attempts += 1;
            progress.is_write_in_flight = request.method.is_write();
            self.traffic.begin(progress.is_write_in_flight);
            let authorization = self.authorization(request, credentials);
            let attempt = self.attempt(request, &identity, authorization, progress).await;
            progress.is_write_in_flight = false;
            self.traffic.end(attempt.status);
            permit.settle(attempt.usage);

            let decision = match &attempt.outcome {
                Ok(_) => RetryDecision::No,
                Err(error) => self.policy.retry(request.method, error, progress.attempts),
            };
            self.report_attempt(request, progress, &attempt, decision);
            let Attempt { outcome, status, date, rate, .. } = attempt;
            let error = match outcome {
                Ok(body) => return Ok(Response { status: status.unwrap_or(200), body, date, rate, sent }),
                Err(error) => error,
            };
            let is_not_found = request.method == Method::Delete && error.kind() == ErrorKind::NotFound;
            if is_not_found && progress.maybe_applied {
                // An earlier attempt deleted the resource, and its response was lost.
                return Ok(Response { status: 404, body: Bytes::new(), date, rate, sent });
            }
            progress.maybe_applied |= error.details().maybe_applied;
            match decision {
                RetryDecision::After(pause) => tokio::time::sleep(pause).await,
                RetryDecision::WhenPermitted => rejection = Some(error),
                RetryDecision::No if !has_renewed && is_refusal(&error) => {
                    has_renewed = true;
                    if !self.has_others(&identity).await? {
                        return Err(error);
                    }
                    // The portal may have created the token before something answered 401.
                    let may_repeat = request.method != Method::Post || self.creates_pending;
                    if !may_repeat || progress.attempts >= self.policy.max_attempts {
                        return Err(error.suggest("call again; the client has other credentials now"));
                    }
                }
                RetryDecision::No => return Err(error),
            }
        }
    }

    /// Returns the credentials of the next request.
    pub(crate) async fn credentials(&self) -> Result<Credentials> {
        let identity = self.within_deadline(self.usable_identity(None)).await?;
        identity.credentials().cloned()
    }

    /// Returns whether there are other credentials than those that the portal refused. Repeated failures with the same
    /// ones lock a token.
    async fn has_others(&self, refused: &Identity) -> Result<bool> {
        if self.supplier.is_none() {
            return Ok(false);
        }
        let identity = self.usable_identity(refused.credentials.as_ref()).await?;
        Ok(identity.credentials != refused.credentials)
    }

    /// Returns the identity for the next attempt, with other credentials than the `refused` ones if there are any.
    async fn usable_identity(&self, refused: Option<&Credentials>) -> Result<Arc<Identity>> {
        let identity = self.identity();
        match &self.supplier {
            Some(supplier) if !self.is_usable(&identity, refused) => {
                // Rare: the future of every request would hold it.
                Box::pin(self.renewed_identity(supplier, refused)).await
            }
            _ => Ok(identity),
        }
    }

    fn is_usable(&self, identity: &Identity, refused: Option<&Credentials>) -> bool {
        let is_over = identity.validity.is_some_and(|validity| validity.is_over(self.now_ms()));
        !is_over && identity.credentials.as_ref().is_some_and(|credentials| Some(credentials) != refused)
    }

    /// Returns the identity with credentials that another call or the supplier has now.
    async fn renewed_identity(
        &self,
        supplier: &Arc<dyn Supplier>,
        refused: Option<&Credentials>,
    ) -> Result<Arc<Identity>> {
        let before = self.shared.identity.load_full();
        let renewal = self.shared.renewal(supplier.runner());
        let _alone = renewal.lock().await;
        let mut identity = self.shared.identity.load_full();
        // If another call replaced them meanwhile, its answer counts, even if the credentials are the same.
        if Arc::ptr_eq(&before, &identity) && !self.is_usable(&identity, refused) {
            let Supplied { credentials, from, validity } = supplier.supply(refused).await?;
            identity = Arc::new(Identity {
                credentials: Some(credentials),
                credentials_from: from,
                validity,
                ..(*identity).clone()
            });
            self.shared.identity.store(Arc::clone(&identity));
        }
        self.identity.store(Arc::clone(&identity));
        Ok(identity)
    }

    /// Waits for a permit. If the portal has rejected this request before, a wait that is too long fails with that
    /// `rejection`.
    async fn permit(
        &self,
        rate_limit: &RateLimit,
        request: &Request,
        progress: &mut Progress,
        rejection: Option<Error>,
    ) -> Result<Permit> {
        const LONG_WAIT: Duration = Duration::from_secs(2);
        let started = Instant::now();
        let Progress { waited, reported_wait, .. } = progress;
        let max_wait = self.policy.max_wait.saturating_sub(*waited);
        // Many short waits add up, if the portal rejects the request again and again.
        let report = |remaining: Duration| {
            let wait = *waited + started.elapsed() + remaining;
            if wait <= LONG_WAIT {
                return;
            }
            let is_first = remaining > LONG_WAIT && rate_limit.is_first_report(remaining);
            if is_first || wait > *reported_wait * 2 {
                *reported_wait = wait;
                self.report(Event::LongWait {
                    method: request.method.as_str(),
                    endpoint: request.endpoint,
                    wait,
                    remaining,
                    is_first,
                    is_limited: self.policy.max_wait < Duration::MAX,
                });
            }
        };
        let permit = rate_limit.permit(self.policy.on_limit, max_wait, report).await;
        progress.waited += started.elapsed();
        permit.map_err(|limited| rejection.unwrap_or_else(|| rate_limited(request, &limited, self.policy)))
    }

    /// Sends the signed request once. An error is ready to be returned: its message repeats no credentials, and
    /// a 401 is diagnosed.
    async fn attempt(
        &self,
        request: &Request,
        identity: &Arc<Identity>,
        authorization: String,
        progress: &mut Progress,
    ) -> Attempt {
        let started = Instant::now();
        let exchange = self.shared.transport.exchange(identity, request, &authorization, &*self.shared.clock);
        let mut exchange = exchange.await;
        if let Err(failure) = &mut exchange
            && !failure.maybe_sent
        {
            // What follows can be interrupted too.
            self.traffic.was_not_sent(progress.is_write_in_flight);
            progress.is_write_in_flight = false;
            let Timeouts { connect, total } = identity.timeouts;
            let limit = connect.min(total.saturating_sub(started.elapsed()));
            // Rare, and large: the future of every request would hold it.
            Box::pin(self.shared.transport.find_reason(failure, identity, limit)).await;
        }
        let (own, new_secret) = (Arc::clone(identity), self.new_secret.clone());
        let withhold = move |details: &mut Details, body: &[u8]| {
            redact(details, &own, new_secret.as_ref(), &authorization, body);
        };
        let mut attempt = Attempt::read(request.method, exchange, started.elapsed(), withhold).await;
        if let Some(date) = attempt.date {
            self.portal_clock().set(date, self.now_ms());
        }
        if let Err(error) = &mut attempt.outcome {
            let details = error.details_mut();
            if details.kind == ErrorKind::Authentication {
                details.advice = diagnosis::of_rejected_credentials(identity, attempt.date, self.now_ms());
            }
        }
        attempt
    }

    /// Returns whether a text from the portal repeats a part of the credentials.
    pub(crate) fn is_repeated_in(&self, text: &str) -> bool {
        redact::secrets_of(&self.identity()).matches(text)
    }

    fn authorization(&self, request: &Request, credentials: &Credentials) -> String {
        credentials.authorization(&lmv1::Request {
            method: request.method.as_str(),
            timestamp_ms: self.now_ms(),
            body: request.body.as_deref().unwrap_or_default(),
            resource_path: &request.resource_path,
        })
    }

    fn report_attempt(
        &self,
        request: &Request,
        progress: &Progress,
        attempt: &Attempt,
        decision: RetryDecision,
    ) {
        self.report(Event::Attempt {
            method: request.method.as_str(),
            endpoint: request.endpoint,
            status: attempt.status,
            attempt: progress.attempts,
            elapsed: attempt.elapsed,
            pause: decision.pause(),
        });
    }

    /// Sets the portal's clock, as a response does.
    #[cfg(test)]
    pub(crate) fn set_portal_time(&self, time: SystemTime) {
        self.portal_clock().set(time, self.now_ms());
    }

    fn portal_clock(&self) -> OfProcess<PortalClock> {
        self.shared.portal_clock.get_or_init(PortalClock::default)
    }
}

fn exceeded(deadline: &Deadline) -> Error {
    Error::new(ErrorKind::RequestTimeout, deadline.message())
}

/// Returns whether the portal itself refused the credentials, not a proxy. What a rejection in the body of a success
/// means for a create is not documented.
fn is_refusal(error: &Error) -> bool {
    const REFUSED: i64 = 1401;
    let details = error.details();
    details.kind == ErrorKind::Authentication && (details.status, details.code) == (Some(401), Some(REFUSED))
}

/// Returns the error of a request that was not sent because the wait for a permit would be too long.
fn rate_limited(request: &Request, limited: &RateLimited, policy: Policy) -> Error {
    let (method, endpoint) = (request.method.as_str(), request.endpoint);
    let wait = limited.wait.as_secs_f64();
    let reason = match policy.on_limit {
        OnLimit::Raise => "on_limit=\"raise\"".to_owned(),
        OnLimit::Wait => format!("the wait would exceed max_wait={}", policy.max_wait.as_secs_f64()),
    };
    let mut error = Error::new(
        ErrorKind::RateLimit,
        format!("rate limit of {method} {endpoint} reached; retry in {wait:.1} s ({reason})"),
    )
    .suggest(Advice::WaitLonger);
    error.details_mut().rate = limited.rate;
    error
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("portal", &self.identity().portal)
            .field("credentials", &self.identity().kind())
            .finish_non_exhaustive()
    }
}
