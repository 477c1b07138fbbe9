//! The portal's rate limits, respected before they are reached.
//!
//! A rate limit belongs to a portal, a method and an endpoint, and all clients of the portal share it. So every client,
//! thread and task of this process shares the estimates in this module. Nothing is assumed about a limit: each response
//! says how many requests remain, and no more than that are sent. When none remain, the oldest counted request expires
//! one window after it was counted. Then one request is sent alone, and the others wait for its response: other
//! processes may have used the permit, and then only this one request is rejected. A longer window than the usual one
//! is not believed: one response could otherwise silence an operation for as long as it says. So at least once a minute
//! one request asks again, alone.
//!
//! Source: the vendor's page "Rate Limiting": limits are per account, method and endpoint; the window is rolling.

use std::collections::{HashMap, VecDeque};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::request::Method;
use crate::error::{Error, Result};
use crate::lock::locked;
use crate::model::RateHeaders;
use crate::process::PerProcess;

/// What to do if the rate limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLimit {
    /// Wait for a permit.
    #[default]
    Wait,
    /// Fail at once.
    Raise,
}

impl FromStr for OnLimit {
    type Err = Error;

    fn from_str(given: &str) -> Result<Self> {
        match given {
            "wait" => Ok(Self::Wait),
            "raise" => Ok(Self::Raise),
            _ => Err(Error::invalid("on_limit", format_args!("{given:?}"), "\"wait\" or \"raise\"")),
        }
    }
}

/// The portal's window, used until a response reports a shorter one.
const USUAL_WINDOW: Duration = Duration::from_secs(60);

/// How long other requests wait for the response to the request that goes first.
const FIRST_RESPONSE: Duration = Duration::from_secs(1);

/// The most that the portal's clock and this machine's may drift apart within one window.
const MARGIN: Duration = Duration::from_millis(5);

type Key = (String, Method, &'static str);

/// Returns the rate limit of one method and endpoint of one portal.
pub(super) fn rate_limit(portal: &str, method: Method, endpoint: &'static str) -> RateLimit {
    static RATE_LIMITS: PerProcess<Mutex<HashMap<Key, Arc<Shared>>>> = PerProcess::new();
    let rate_limits = RATE_LIMITS.get_or_init(Mutex::default);
    let mut rate_limits = locked(&rate_limits);
    let shared = rate_limits.entry((portal.to_owned(), method, endpoint)).or_default();
    RateLimit(Arc::clone(shared))
}

/// One rate limit, shared by the whole process.
#[derive(Debug, Clone)]
pub(super) struct RateLimit(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    estimate: LimitEstimate,
    in_flight: u64,
    last_sent: Option<Instant>,
    waiting: VecDeque<(u64, Arc<Notify>)>,
    next_ticket: u64,
    /// The last reported wait, and the end of its window.
    reported: Option<(Duration, Instant)>,
}

/// What responses have said about a rate limit. Pure: no clock, no waiting, no waking.
#[derive(Debug, Default)]
struct LimitEstimate {
    /// Whether the request that goes first has ended. Until then, the others wait for its response.
    is_first_done: bool,
    rate: Option<RateHeaders>,
    /// The remaining counts that still apply. A count is outdated once a request that was sent after it reports
    /// another.
    reports: Vec<Report>,
    /// When the latest request whose response reported a count was sent. After a rejection: when that arrived.
    reported_sent: Option<Instant>,
    /// When the responses to this process's own requests of the last window arrived.
    counted: VecDeque<Instant>,
    /// The portal rejected a request; nothing is sent until then.
    blocked_until: Option<Instant>,
}

/// The remaining count of one response.
#[derive(Debug)]
struct Report {
    received: Instant,
    remaining: u64,
}

/// Whether a request may be sent.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Go,
    /// After the response to a request in flight, or at this time.
    AfterResponse(Instant),
    /// When a counted request leaves the window: at this time.
    At(Instant),
}

impl LimitEstimate {
    fn window(&self) -> Duration {
        self.rate.map_or(USUAL_WINDOW, |rate| rate.window.min(USUAL_WINDOW))
    }

    fn forget_expired(&mut self, now: Instant) {
        let window = self.window();
        // The last report may be one window old, and `next_expiry` looks back one window from it.
        while self.counted.front().is_some_and(|at| now.saturating_duration_since(*at) > 2 * window) {
            self.counted.pop_front();
        }
        if self.reported_sent.is_some_and(|sent| now.saturating_duration_since(sent) >= window) {
            self.reports.clear();
        }
        if self.blocked_until.is_some_and(|until| until <= now) {
            self.blocked_until = None;
        }
    }

    /// Returns how many requests can certainly be sent: the lowest reported count minus the requests in flight.
    /// `None` if nothing is known.
    fn remaining(&self, in_flight: u64) -> Option<u64> {
        let lowest = self.reports.iter().map(|report| report.remaining).min()?;
        Some(lowest.saturating_sub(in_flight))
    }

    fn decide(&mut self, now: Instant, in_flight: u64, last_sent: Option<Instant>) -> Decision {
        self.forget_expired(now);
        if let Some(until) = self.blocked_until {
            return Decision::At(until);
        }
        let response_due = last_sent.filter(|_| in_flight > 0).map(|sent| sent + FIRST_RESPONSE);
        match self.remaining(in_flight) {
            Some(0) => {
                // The responses to the requests in flight report the exact count.
                if let Some(due) = response_due.filter(|due| *due > now) {
                    return Decision::AfterResponse(due);
                }
                let next = self.next_expiry(now);
                if next <= now { Decision::Go } else { Decision::At(next) }
            }
            Some(_) => Decision::Go,
            // No response has reported a limit, so none is assumed.
            None if self.is_first_done && self.rate.is_none() => Decision::Go,
            None => match response_due.filter(|due| *due > now) {
                Some(due) => Decision::AfterResponse(due),
                None => Decision::Go,
            },
        }
    }

    /// Returns when the next request leaves the window. Requests that had left it before the last report do not matter:
    /// that report's count already includes their departure.
    fn next_expiry(&self, now: Instant) -> Instant {
        let window = self.window() + MARGIN;
        let Some(sent) = self.reported_sent else { return now };
        let expiry = self.counted.iter().map(|at| *at + window).find(|expiry| *expiry > sent);
        expiry.unwrap_or(sent + window)
    }

    /// Takes in the response to a request that was sent at `sent`.
    fn on_response(&mut self, sent: Instant, now: Instant, rate: Option<RateHeaders>) {
        self.is_first_done = true;
        if let Some(rate) = rate {
            // Responses that arrived before this request was sent are outdated: its count includes theirs.
            self.reports.retain(|report| report.received >= sent);
            self.reports.push(Report { received: now, remaining: rate.remaining });
            self.rate = Some(rate);
            self.reported_sent = self.reported_sent.max(Some(sent));
            self.count(now);
        } else {
            self.on_unknown(now);
        }
    }

    fn count(&mut self, now: Instant) {
        let max = self.rate.map_or(1000, |rate| rate.limit.clamp(1, 100_000));
        while self.counted.len() as u64 >= max {
            self.counted.pop_front();
        }
        self.counted.push_back(now);
    }

    /// Takes in a request that the portal may have counted, although no response reported it.
    fn on_unknown(&mut self, now: Instant) {
        for report in &mut self.reports {
            report.remaining = report.remaining.saturating_sub(1);
        }
        self.count(now);
    }

    /// Takes in a rejection for the rate limit. The portal does not count rejected requests.
    fn on_rejected(&mut self, now: Instant, rate: Option<RateHeaders>) {
        self.is_first_done = true;
        if rate.is_some() {
            self.rate = rate;
        }
        self.reports.clear();
        self.reports.push(Report { received: now, remaining: 0 });
        self.reported_sent = Some(now);
        let window = self.window();
        // The rejection shows that the estimate was wrong, so the next request does not follow at once.
        let not_before = now + window / 20;
        let whole_window = now + window + MARGIN;
        let expiry = self.counted.iter().map(|at| *at + window + MARGIN).find(|expiry| *expiry > now);
        self.blocked_until = Some(expiry.map_or(whole_window, |expiry| expiry.max(not_before)));
    }

    /// Takes in a request that cannot have reached the portal. No response will come, so no request waits for one.
    fn on_not_sent(&mut self) {
        self.is_first_done |= self.rate.is_none();
    }
}

/// The rate limit is reached, for longer than the caller wants to wait.
#[derive(Debug)]
pub(super) struct RateLimited {
    /// The shortest possible wait.
    pub(super) wait: Duration,
    /// The limit as the portal reported it.
    pub(super) rate: Option<RateHeaders>,
}

impl RateLimit {
    /// Returns whether to report a wait: the first one in its window, and another one that is far longer. A wait that
    /// ends little later than the window of an earlier report is for the same window.
    pub(super) fn is_first_report(&self, wait: Duration) -> bool {
        let mut state = locked(&self.0.0);
        let (now, window) = (Instant::now(), state.estimate.window());
        let is_first = state
            .reported
            .is_none_or(|(reported, window_end)| now + wait > window_end || wait > 2 * reported);
        if is_first {
            state.reported = Some((wait, now + wait.max(window) + window / 10));
        }
        is_first
    }

    /// Waits for a permit for one request, in the order of arrival. Calls `on_wait` with the expected time before each
    /// wait.
    pub(super) async fn permit(
        &self,
        on_limit: OnLimit,
        max_wait: Duration,
        mut on_wait: impl FnMut(Duration),
    ) -> Result<Permit, RateLimited> {
        let started = Instant::now();
        let mut ticket: Option<Ticket> = None;
        loop {
            let (wait, notify) = {
                let now = Instant::now();
                let mut state = locked(&self.0.0);
                let State { estimate, in_flight, last_sent, waiting, next_ticket, .. } = &mut *state;
                let decision = estimate.decide(now, *in_flight, *last_sent);
                let own_number = ticket.as_ref().map(|ticket| ticket.number);
                let is_first = waiting.front().is_none_or(|(number, _)| Some(*number) == own_number);
                // on_limit="raise" skips the queue: it must not fail while a permit is free.
                if decision == Decision::Go && (is_first || on_limit == OnLimit::Raise) {
                    *in_flight += 1;
                    *last_sent = Some(now);
                    drop(state);
                    return Ok(Permit { rate_limit: self.clone(), sent: now, is_settled: false });
                }
                let (until, is_reached) = match decision {
                    Decision::At(until) => (until, true),
                    Decision::AfterResponse(until) => (until, false),
                    // A permit is free, but others are ahead in the queue. This is an upper limit: the first is woken.
                    Decision::Go => (now + FIRST_RESPONSE, false),
                };
                let wait = until.saturating_duration_since(now);
                let is_too_long = now.saturating_duration_since(started) + wait > max_wait;
                if is_reached && (is_too_long || on_limit == OnLimit::Raise) {
                    return Err(RateLimited { wait, rate: estimate.rate });
                }
                let notify = if let Some(ticket) = &ticket {
                    Arc::clone(&ticket.notify)
                } else {
                    let notify = Arc::new(Notify::new());
                    waiting.push_back((*next_ticket, Arc::clone(&notify)));
                    ticket = Some(Ticket {
                        rate_limit: self.clone(),
                        number: *next_ticket,
                        notify: Arc::clone(&notify),
                    });
                    *next_ticket += 1;
                    notify
                };
                (if is_first { wait } else { wait.max(FIRST_RESPONSE) }, notify)
            };
            on_wait(wait);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = notify.notified() => {}
            }
        }
    }

    fn settle(&self, sent: Instant, usage: Usage) {
        let mut state = locked(&self.0.0);
        let now = Instant::now();
        state.in_flight = state.in_flight.saturating_sub(1);
        match usage {
            Usage::Response(rate) => state.estimate.on_response(sent, now, rate),
            Usage::Rejected(rate) => state.estimate.on_rejected(now, rate),
            Usage::NotSent => state.estimate.on_not_sent(),
            Usage::Unknown => state.estimate.on_unknown(now),
        }
        wake_first(&state);
    }
}

fn wake_first(state: &State) {
    if let Some((_, notify)) = state.waiting.front() {
        notify.notify_one();
    }
}

/// A place in the queue for permits. Dropping it leaves the queue.
struct Ticket {
    rate_limit: RateLimit,
    number: u64,
    notify: Arc<Notify>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = locked(&self.rate_limit.0.0);
        state.waiting.retain(|(number, _)| *number != self.number);
        wake_first(&state);
    }
}

/// What an attempt used of a rate limit, and what the portal reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    /// The portal responded and counted the request.
    Response(Option<RateHeaders>),
    /// The portal rejected the request because the rate limit was reached.
    Rejected(Option<RateHeaders>),
    /// The portal cannot have seen the request.
    NotSent,
    /// The portal may have counted the request.
    Unknown,
}

/// The right to send one request. A permit dropped unsettled counts as used: the portal may have seen the request.
#[derive(Debug)]
pub(super) struct Permit {
    rate_limit: RateLimit,
    sent: Instant,
    is_settled: bool,
}

impl Permit {
    /// Ends the permit with what the attempt used.
    pub(super) fn settle(mut self, usage: Usage) {
        self.is_settled = true;
        self.rate_limit.settle(self.sent, usage);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_settled {
            self.rate_limit.settle(self.sent, Usage::Unknown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(2);

    #[allow(clippy::unnecessary_wraps, reason = "as the parameters are")]
    fn headers(limit: u64, remaining: u64) -> Option<RateHeaders> {
        Some(RateHeaders { limit, remaining, window: WINDOW })
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn first_request_goes_alone_and_its_response_releases_the_rest() {
        let (start, mut estimate) = (Instant::now(), LimitEstimate::default());
        assert_eq!(estimate.decide(start, 0, None), Decision::Go);
        assert_eq!(estimate.decide(start, 1, Some(start)), Decision::AfterResponse(start + FIRST_RESPONSE));
        estimate.on_response(start, start + ms(3), headers(100, 99));
        assert_eq!(estimate.decide(start + ms(3), 98, Some(start)), Decision::Go);
        assert!(matches!(
            estimate.decide(start + ms(3), 99, Some(start + ms(3))),
            Decision::AfterResponse(_)
        ));
    }

    #[test]
    fn reordered_responses_never_raise_the_count() {
        let (start, mut estimate) = (Instant::now(), LimitEstimate::default());
        estimate.on_response(start, start + ms(5), headers(100, 0));
        // Sent with the first, counted before it, received after it.
        estimate.on_response(start, start + ms(6), headers(100, 1));
        assert_eq!(estimate.remaining(0), Some(0));
        // Sent after both responses arrived: its count replaces theirs.
        estimate.on_response(start + ms(10), start + ms(12), headers(100, 40));
        assert_eq!(estimate.remaining(0), Some(40));
    }

    #[test]
    fn one_request_goes_when_the_first_leaves_the_window() {
        let (start, mut estimate) = (Instant::now(), LimitEstimate::default());
        estimate.on_response(start, start + ms(1), headers(2, 1));
        estimate.on_response(start + ms(500), start + ms(501), headers(2, 0));
        let back = start + ms(1) + WINDOW + MARGIN;
        assert_eq!(estimate.decide(start + ms(600), 0, None), Decision::At(back));
        assert_eq!(estimate.decide(back, 0, None), Decision::Go);
        assert!(matches!(estimate.decide(back, 1, Some(back)), Decision::AfterResponse(_)));
        estimate.on_response(back, back + ms(1), headers(2, 0));
        assert_eq!(estimate.decide(back + ms(2), 0, None), Decision::At(start + ms(501) + WINDOW + MARGIN));
    }

    #[test]
    fn rejection_without_headers_waits_for_the_usual_window() {
        let (start, mut estimate) = (Instant::now(), LimitEstimate::default());
        estimate.on_rejected(start, None);
        assert_eq!(estimate.decide(start, 0, None), Decision::At(start + USUAL_WINDOW + MARGIN));
    }

    #[test]
    fn rejection_with_headers_waits_for_their_window() {
        let (start, mut estimate) = (Instant::now(), LimitEstimate::default());
        estimate.on_rejected(start, headers(100, 0));
        assert_eq!(estimate.decide(start, 0, None), Decision::At(start + WINDOW + MARGIN));
    }

    #[test]
    fn longer_window_than_the_usual_one_is_probed() {
        let (start, mut estimate) = (Instant::now(), LimitEstimate::default());
        let day = Some(RateHeaders { limit: 200, remaining: 0, window: Duration::from_secs(86_400) });
        estimate.on_response(start, start + ms(1), day);
        let probe = start + ms(1) + USUAL_WINDOW + MARGIN;
        assert_eq!(estimate.decide(start + ms(2), 0, None), Decision::At(probe));
        assert_eq!(estimate.decide(probe, 0, None), Decision::Go);
        assert!(
            matches!(estimate.decide(probe, 1, Some(probe)), Decision::AfterResponse(_)),
            "it goes alone"
        );
        // Rejected: the next one asks after another minute, for as long as the portal rejects.
        estimate.on_rejected(probe + ms(1), day);
        let next = probe + ms(1) + USUAL_WINDOW + MARGIN;
        assert_eq!(estimate.decide(probe + ms(2), 0, None), Decision::At(next));
        assert_eq!(estimate.decide(next, 0, None), Decision::Go);
        // Accepted: the limit is known again.
        estimate.on_response(next, next + ms(1), headers(200, 199));
        assert_eq!(estimate.decide(next + ms(2), 0, None), Decision::Go);
    }

    #[test]
    fn extreme_headers_neither_overflow_nor_fill_memory() {
        let (start, mut estimate) = (Instant::now(), LimitEstimate::default());
        let window = Duration::from_secs(u64::MAX);
        estimate.on_response(
            start,
            start,
            Some(RateHeaders { limit: u64::MAX, remaining: u64::MAX, window }),
        );
        assert_eq!(estimate.decide(start, u64::MAX - 1, None), Decision::Go);
        for _ in 0..200_000 {
            estimate.on_unknown(start);
        }
        assert!(estimate.counted.len() <= 100_000);
        estimate.on_rejected(start, Some(RateHeaders { limit: 1, remaining: 0, window }));
        assert!(
            matches!(estimate.decide(start, 0, None), Decision::At(until) if until <= start + 2 * USUAL_WINDOW)
        );
    }

    #[test]
    fn portal_without_headers_has_no_limit() {
        let (start, mut estimate) = (Instant::now(), LimitEstimate::default());
        estimate.on_response(start, start + ms(1), None);
        assert_eq!(estimate.decide(start + ms(1), 1000, Some(start)), Decision::Go);
    }

    #[test]
    fn a_wait_is_reported_once_for_each_window() {
        let limit = RateLimit(Arc::default());
        locked(&limit.0.0).estimate.on_response(Instant::now(), Instant::now(), headers(1, 0));
        assert!(limit.is_first_report(WINDOW));
        // Other requests wait for the same window, and the last of them for the response to the first.
        assert!(!limit.is_first_report(WINDOW));
        assert!(!limit.is_first_report(WINDOW + WINDOW / 20));
        assert!(limit.is_first_report(2 * WINDOW));
        assert!(!limit.is_first_report(2 * WINDOW));
    }

    #[test]
    fn a_far_longer_wait_in_the_same_window_is_reported() {
        let limit = RateLimit(Arc::default());
        locked(&limit.0.0).estimate.on_response(Instant::now(), Instant::now(), headers(1, 0));
        assert!(limit.is_first_report(WINDOW / 6));
        assert!(!limit.is_first_report(WINDOW / 3));
        assert!(limit.is_first_report(WINDOW / 2));
        assert!(!limit.is_first_report(WINDOW));
    }

    #[test]
    fn requests_without_a_response_count_as_used() {
        let (start, mut estimate) = (Instant::now(), LimitEstimate::default());
        estimate.on_response(start, start + ms(1), headers(3, 2));
        estimate.on_unknown(start + ms(2));
        estimate.on_unknown(start + ms(3));
        assert_eq!(estimate.remaining(0), Some(0));
    }
}
