//! The REST API: each request's way from arrival through the checks to the resource, with its fault on top.

use std::sync::Arc;
use std::time::Instant;

use super::apply_fault::apply_fault;
use super::auth::{Verdict, admit, judge};
use super::envelope::{Outcome, Refusal, Version, render};
use super::exchange::{BodyError, Exchange};
use super::faults::Fault;
use super::rate_limit::OverLimit;
use super::record::EntryId;
use super::reply::{HangUp, RateShown, Reply};
use super::resources::Route;
use super::store::Store;
use super::{Shared, resources};

/// The header by which one request asks for a fault.
const FAULT_HEADER: &str = "x-sandbox-fault";

/// A request on its way, and where the record keeps it.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) exchange: Exchange,
    entry: Option<EntryId>,
    generation: u64,
}

/// Answers one request under the REST prefix.
pub(super) async fn serve(shared: &Arc<Shared>, exchange: Exchange) -> Result<Reply, HangUp> {
    let (arrival, verdict, fault) = {
        let mut store = shared.store();
        let verdict = judge(&store, &exchange);
        let fault = next_fault(&mut store, &exchange);
        let kind = fault.as_ref().ok().and_then(|fault| fault.as_ref().map(|fault| fault.kind));
        let entry = store.record.open(&exchange, &verdict, kind);
        (Arc::new(Arrival { exchange, entry, generation: store.generation }), verdict, fault)
    };
    let answered = match fault {
        Ok(None) => Ok(act_judged(shared, &arrival, &verdict, version(&arrival.exchange))),
        Ok(Some(fault)) => apply_fault(shared, &arrival, &fault).await,
        Err(refusal) => {
            let (status, body) = render(Version::V3, Err(refusal));
            Ok(Reply::json(shared.clock(), status, body))
        }
    };
    if let Ok(reply) = &answered
        && let Some(seen) = shared.store().record.entry(arrival.entry)
    {
        seen.status = Some(reply.status);
    }
    answered
}

fn next_fault(store: &mut Store, exchange: &Exchange) -> Result<Option<Fault>, Refusal> {
    match exchange.header(FAULT_HEADER) {
        Some(text) => Fault::parse_header(text)
            .map(Some)
            .map_err(|error| Refusal::bad_request(format!("X-Sandbox-Fault: {error}"))),
        None => Ok(store.faults.next(exchange.method.as_str(), &exchange.resource_path)),
    }
}

/// Lets a request through the checks to its resource, now.
pub(super) fn act(shared: &Shared, arrival: &Arrival) -> Reply {
    act_in_shape(shared, arrival, version(&arrival.exchange))
}

/// The same, answered in a shape that may not be the one asked for.
pub(super) fn act_in_shape(shared: &Shared, arrival: &Arrival, shape: Version) -> Reply {
    let verdict = judge(&shared.store(), &arrival.exchange);
    act_judged(shared, arrival, &verdict, shape)
}

fn act_judged(shared: &Shared, arrival: &Arrival, verdict: &Verdict, shape: Version) -> Reply {
    let exchange = &arrival.exchange;
    let mut store = shared.store();
    let mut rate = RateShown::Nothing;
    let outcome = match exchange.body {
        _ if store.generation != arrival.generation => Err(Refusal::internal("The sandbox was reset")),
        Err(BodyError::TooLarge) => Err(Refusal::too_large()),
        Err(BodyError::Broken) => Err(Refusal::bad_request("The request body could not be read")),
        Ok(_) => check_and_answer(&mut store, exchange, verdict, &mut rate),
    };
    if outcome.as_ref().is_ok_and(|success| success.applied)
        && let Some(seen) = store.record.entry(arrival.entry)
    {
        seen.applied = true;
    }
    let (status, body) = render(shape, outcome);
    Reply { rate, ..Reply::json(store.clock, status, body) }
}

/// The checks in the real portal's order: who signed, the rate limit, then permission and the resource itself.
fn check_and_answer(
    store: &mut Store,
    exchange: &Exchange,
    verdict: &Verdict,
    rate: &mut RateShown,
) -> Outcome {
    let caller = admit(store, exchange, verdict, version(exchange)).ok_or_else(Refusal::authentication)?;
    let route = Route::parse(&exchange.resource_path);
    match store.rate_limits.spend(&exchange.method, route.template(), Instant::now()) {
        Ok(spent) => *rate = RateShown::Rate(spent),
        Err(OverLimit(spent)) => {
            *rate = RateShown::Rate(spent);
            return Err(Refusal::too_many_requests());
        }
    }
    resources::answer(store, exchange, route, caller)
}

/// The version selector: the header or the query parameter.
fn version(exchange: &Exchange) -> Version {
    let selected = exchange.header("x-version").is_some_and(|version| version.trim() == "3")
        || exchange.parameter("v").is_some_and(|version| version == "3");
    if selected { Version::V3 } else { Version::V1 }
}
