//! The portal's budgets, respected before they are hit.
//!
//! A budget belongs to a portal, a method and an endpoint, whoever calls: every client, thread and task of the process
//! shares what is here. Nothing is assumed of a budget; each answer tells what is left of it, and nobody sends more
//! than that. What was spent comes back a window after it was spent; then one request goes first, and what it is told
//! decides about the rest. So a budget that others spend from as well is never overrun by more than that one.
//!
//! Source: the vendor's page "Rate Limiting": budgets are per account, method and endpoint; the window is rolling.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Method;
use crate::error::{Error, Result};
use crate::lock::locked;
use crate::model::RateHeaders;
use crate::process::PerProcess;

/// What to do where the budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLimit {
    /// Wait until there is some again.
    #[default]
    Wait,
    /// Fail at once.
    Raise,
}

impl std::str::FromStr for OnLimit {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "wait" => Ok(Self::Wait),
            "raise" => Ok(Self::Raise),
            _ => Err(Error::invalid("on_limit", format_args!("{word:?}"), "\"wait\" or \"raise\"")),
        }
    }
}

/// The window where the portal has told none; its usual one.
const USUAL_WINDOW: Duration = Duration::from_secs(60);

/// How long others wait for the answer to the request that goes first.
const FIRST_ANSWER: Duration = Duration::from_secs(1);

/// What the portal's clock and ours may differ by over one window.
const MARGIN: Duration = Duration::from_millis(5);

type Key = (String, Method, &'static str);

/// The budget of one method and endpoint of one portal.
pub(super) fn rate_limit(portal: &str, method: Method, endpoint: &'static str) -> Result<RateLimit> {
    static RATE_LIMITS: PerProcess<Mutex<HashMap<Key, Arc<Shared>>>> = PerProcess::new();
    let rate_limits = RATE_LIMITS.get_or_try_init(|| Ok(Mutex::default()))?;
    let mut rate_limits = locked(&rate_limits);
    let shared = rate_limits.entry((portal.to_owned(), method, endpoint)).or_default();
    Ok(RateLimit(Arc::clone(shared)))
}

/// One budget, as everyone in the process knows it.
#[derive(Debug, Clone)]
pub(super) struct RateLimit(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    known: LimitEstimate,
    in_flight: u64,
    last_sent: Option<Instant>,
    waiting: VecDeque<(u64, Arc<Notify>)>,
    next_ticket: u64,
}

/// What is known of the budget, free of waiting and waking.
#[derive(Debug, Default)]
struct LimitEstimate {
    /// The portal has answered at least once.
    answered: bool,
    rate: Option<RateHeaders>,
    /// What was left, by the answers to requests of which no later one was sent after the answer.
    seen: Vec<Seen>,
    /// When the request was sent whose answer told last.
    observed: Option<Instant>,
    /// When our own requests of the last window were answered.
    own: VecDeque<Instant>,
    /// The portal refused, and nothing is sent before.
    blocked_until: Option<Instant>,
}

#[derive(Debug)]
struct Seen {
    answered: Instant,
    remaining: u64,
}

/// Whether a request may be sent.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Go,
    /// When the answer to what is under way has come, or at this time.
    AfterAnswer(Instant),
    /// When something of the budget is back: at this time.
    At(Instant),
}

impl LimitEstimate {
    fn window(&self) -> Duration {
        self.rate.map_or(USUAL_WINDOW, |rate| rate.window)
    }

    fn forget_what_is_over(&mut self, now: Instant) {
        let window = self.window();
        while self.own.front().is_some_and(|answered| now.saturating_duration_since(*answered) > 2 * window) {
            self.own.pop_front();
        }
        if self.observed.is_some_and(|observed| now.saturating_duration_since(observed) >= window) {
            self.seen.clear();
        }
        if self.blocked_until.is_some_and(|until| until <= now) {
            self.blocked_until = None;
        }
    }

    /// What can be sent for sure: what the least answer told, less what is under way. `None` where nothing is known.
    fn remaining(&self, in_flight: u64) -> Option<u64> {
        let least = self.seen.iter().map(|seen| seen.remaining).min()?;
        Some(least.saturating_sub(in_flight))
    }

    fn decide(&mut self, now: Instant, in_flight: u64, last_sent: Option<Instant>) -> Decision {
        self.forget_what_is_over(now);
        if let Some(until) = self.blocked_until {
            return Decision::At(until);
        }
        let first_answered_by = last_sent.filter(|_| in_flight > 0).map(|sent| sent + FIRST_ANSWER);
        match self.remaining(in_flight) {
            Some(0) => {
                // Whoever waits for the answers under way learns the exact number.
                if let Some(by) = first_answered_by.filter(|by| *by > now) {
                    return Decision::AfterAnswer(by);
                }
                let back = self.next_back(now);
                if back <= now { Decision::Go } else { Decision::At(back) }
            }
            Some(_) => Decision::Go,
            // A portal that tells nothing limits nothing.
            None if self.answered && self.rate.is_none() => Decision::Go,
            None => match first_answered_by.filter(|by| *by > now) {
                Some(by) => Decision::AfterAnswer(by),
                None => Decision::Go,
            },
        }
    }

    /// When the first of what we have spent comes back that had not come back when the portal told last.
    fn next_back(&self, now: Instant) -> Instant {
        let window = self.window() + MARGIN;
        let Some(observed) = self.observed else { return now };
        let back = self.own.iter().map(|answered| *answered + window).find(|back| *back > observed);
        back.unwrap_or(observed + window)
    }

    /// An answer came to a request sent at `sent`; `rate` is what it told.
    fn learn(&mut self, sent: Instant, now: Instant, rate: Option<RateHeaders>) {
        self.answered = true;
        if let Some(rate) = rate {
            // What was answered before this one was sent has been overtaken.
            self.seen.retain(|seen| seen.answered >= sent);
            self.seen.push(Seen { answered: now, remaining: rate.remaining });
            self.rate = Some(rate);
            self.observed = self.observed.max(Some(sent));
            self.spent(now);
        } else {
            self.lost(now);
        }
    }

    fn spent(&mut self, now: Instant) {
        let most = self.rate.map_or(1000, |rate| rate.limit.clamp(1, 100_000));
        while self.own.len() as u64 >= most {
            self.own.pop_front();
        }
        self.own.push_back(now);
    }

    /// Nothing was told, and the portal may have counted the request.
    fn lost(&mut self, now: Instant) {
        for seen in &mut self.seen {
            seen.remaining = seen.remaining.saturating_sub(1);
        }
        self.spent(now);
    }

    /// The portal refused for the budget's sake, which costs nothing of it.
    fn refused(&mut self, now: Instant, rate: Option<RateHeaders>) {
        self.answered = true;
        if rate.is_some() {
            self.rate = rate;
        }
        self.seen.clear();
        self.seen.push(Seen { answered: now, remaining: 0 });
        self.observed = Some(now);
        let window = self.window();
        let not_before = now + window / 20;
        let whole_window = now + window + MARGIN;
        let back = self.own.iter().map(|answered| *answered + window + MARGIN).find(|back| *back > now);
        self.blocked_until = Some(back.map_or(whole_window, |back| back.max(not_before)));
    }
}

/// The budget is spent, for longer than the caller would wait.
#[derive(Debug)]
pub(super) struct RateLimited {
    /// How long the wait would be at least.
    pub(super) wait: Duration,
    /// What the portal told of the budget.
    pub(super) rate: Option<RateHeaders>,
}

impl RateLimit {
    /// A place for one request, as soon as there is one; first come, first served. `tell` is told of the wait that lies
    /// ahead, as often as that is known better.
    pub(super) async fn permit(
        &self,
        on_limit: OnLimit,
        max_wait: Duration,
        mut tell: impl FnMut(Duration),
    ) -> Result<Permit, RateLimited> {
        let started = Instant::now();
        let mut ticket: Option<Ticket> = None;
        loop {
            let (wait, notify) = {
                let now = Instant::now();
                let mut state = locked(&self.0.0);
                let State { known, in_flight, last_sent, waiting, next_ticket } = &mut *state;
                let decision = known.decide(now, *in_flight, *last_sent);
                let mine = ticket.as_ref().map(|ticket| ticket.number);
                let is_first = waiting.front().is_none_or(|(number, _)| Some(*number) == mine);
                let free = decision == Decision::Go;
                // Whoever does not wait never holds up those who do: what is there for one is there for the next.
                if free && (is_first || on_limit == OnLimit::Raise) {
                    *in_flight += 1;
                    *last_sent = Some(now);
                    drop(state);
                    return Ok(Permit { rate_limit: self.clone(), sent: now, settled: false });
                }
                let (until, is_spent) = match decision {
                    Decision::At(until) => (until, true),
                    Decision::AfterAnswer(until) => (until, false),
                    Decision::Go => (now + FIRST_ANSWER, false),
                };
                let wait = until.saturating_duration_since(now);
                let is_too_long = now.saturating_duration_since(started) + wait > max_wait;
                if is_spent && (is_too_long || on_limit == OnLimit::Raise) {
                    return Err(RateLimited { wait, rate: known.rate });
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
                (if is_first { wait } else { wait.max(FIRST_ANSWER) }, notify)
            };
            tell(started.elapsed() + wait);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = notify.notified() => {}
            }
        }
    }

    fn settle(&self, learn: impl FnOnce(&mut LimitEstimate)) {
        let mut state = locked(&self.0.0);
        state.in_flight = state.in_flight.saturating_sub(1);
        learn(&mut state.known);
        wake_first(&state);
    }
}

fn wake_first(state: &State) {
    if let Some((_, notify)) = state.waiting.front() {
        notify.notify_one();
    }
}

/// A turn in the queue, given up when dropped.
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

/// The right to send one request. Dropped without a word, the request counts as spent: the portal may have seen it.
#[derive(Debug)]
pub(super) struct Permit {
    rate_limit: RateLimit,
    sent: Instant,
    settled: bool,
}

impl Permit {
    /// The portal answered.
    pub(super) fn answered(mut self, rate: Option<RateHeaders>) {
        self.settled = true;
        let sent = self.sent;
        self.rate_limit.settle(|known| known.learn(sent, Instant::now(), rate));
    }

    /// The portal refused for the budget's sake.
    pub(super) fn refused(mut self, rate: Option<RateHeaders>) {
        self.settled = true;
        self.rate_limit.settle(|known| known.refused(Instant::now(), rate));
    }

    /// The portal cannot have seen the request.
    pub(super) fn not_sent(mut self) {
        self.settled = true;
        // Whoever waits for this answer waits for nothing.
        self.rate_limit.settle(|known| known.answered |= known.rate.is_none());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.settled {
            self.rate_limit.settle(|known| known.lost(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(2);

    #[allow(clippy::unnecessary_wraps, reason = "as the calls want it")]
    fn told(limit: u64, remaining: u64) -> Option<RateHeaders> {
        Some(RateHeaders { limit, remaining, window: WINDOW })
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn first_request_goes_alone_and_its_answer_frees_the_rest() {
        let (start, mut known) = (Instant::now(), LimitEstimate::default());
        assert_eq!(known.decide(start, 0, None), Decision::Go);
        assert_eq!(known.decide(start, 1, Some(start)), Decision::AfterAnswer(start + FIRST_ANSWER));
        known.learn(start, start + ms(3), told(100, 99));
        assert_eq!(known.decide(start + ms(3), 98, Some(start)), Decision::Go);
        assert!(matches!(known.decide(start + ms(3), 99, Some(start + ms(3))), Decision::AfterAnswer(_)));
    }

    #[test]
    fn answers_that_overtake_each_other_never_raise_the_count() {
        let (start, mut known) = (Instant::now(), LimitEstimate::default());
        known.learn(start, start + ms(5), told(100, 0));
        // Sent with the first, told before it was counted, answered after it.
        known.learn(start, start + ms(6), told(100, 1));
        assert_eq!(known.remaining(0), Some(0));
        // Sent after both were answered: what it tells is what holds.
        known.learn(start + ms(10), start + ms(12), told(100, 40));
        assert_eq!(known.remaining(0), Some(40));
    }

    #[test]
    fn spent_budget_is_asked_again_when_the_first_of_it_is_back() {
        let (start, mut known) = (Instant::now(), LimitEstimate::default());
        known.learn(start, start + ms(1), told(2, 1));
        known.learn(start + ms(500), start + ms(501), told(2, 0));
        let back = start + ms(1) + WINDOW + MARGIN;
        assert_eq!(known.decide(start + ms(600), 0, None), Decision::At(back));
        assert_eq!(known.decide(back, 0, None), Decision::Go);
        assert!(matches!(known.decide(back, 1, Some(back)), Decision::AfterAnswer(_)));
        known.learn(back, back + ms(1), told(2, 0));
        assert_eq!(known.decide(back + ms(2), 0, None), Decision::At(start + ms(501) + WINDOW + MARGIN));
    }

    #[test]
    fn refusal_without_headers_waits_out_the_usual_window() {
        let (start, mut known) = (Instant::now(), LimitEstimate::default());
        known.refused(start, None);
        assert_eq!(known.decide(start, 0, None), Decision::At(start + USUAL_WINDOW + MARGIN));
    }

    #[test]
    fn refusal_with_headers_waits_out_their_window() {
        let (start, mut known) = (Instant::now(), LimitEstimate::default());
        known.refused(start, told(100, 0));
        assert_eq!(known.decide(start, 0, None), Decision::At(start + WINDOW + MARGIN));
    }

    #[test]
    fn portal_without_headers_limits_nothing() {
        let (start, mut known) = (Instant::now(), LimitEstimate::default());
        known.learn(start, start + ms(1), None);
        assert_eq!(known.decide(start + ms(1), 1000, Some(start)), Decision::Go);
    }

    #[test]
    fn lost_requests_count_as_spent() {
        let (start, mut known) = (Instant::now(), LimitEstimate::default());
        known.learn(start, start + ms(1), told(3, 2));
        known.lost(start + ms(2));
        known.lost(start + ms(3));
        assert_eq!(known.remaining(0), Some(0));
    }
}
