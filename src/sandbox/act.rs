//! Acts on a request: checks it and passes it to its resource.

use super::auth::{authenticate, verify};
use super::envelope::{Outcome, Rejection, Version, render};
use super::rate_limit::OverLimit;
use super::record::EntryId;
use super::reply::{RateHeaderValues, Reply};
use super::request::{BodyError, ReceivedRequest};
use super::resources::Route;
use super::store::Store;
use super::verification::Verification;
use super::{Shared, resources};

/// A request in progress, and its entry in the record.
#[derive(Debug)]
pub(super) struct ActiveRequest {
    pub(super) request: ReceivedRequest,
    pub(super) entry: Option<EntryId>,
    pub(super) generation: u64,
}

/// Checks a request and carries it out.
pub(super) fn act(shared: &Shared, active: &ActiveRequest) -> Reply {
    act_as_version(shared, active, version(&active.request))
}

/// Like [`act`], but responds in the format of the given version.
pub(super) fn act_as_version(shared: &Shared, active: &ActiveRequest, format: Version) -> Reply {
    let verification = verify(&shared.store(), &active.request);
    act_verified(shared, active, &verification, format)
}

/// Like [`act_as_version`], with a verification from before.
pub(super) fn act_verified(
    shared: &Shared,
    active: &ActiveRequest,
    verification: &Verification,
    format: Version,
) -> Reply {
    let request = &active.request;
    let mut store = shared.store();
    let mut rate = RateHeaderValues::Absent;
    let outcome = match request.body {
        _ if store.generation != active.generation => Err(Rejection::internal("The sandbox was reset")),
        Err(BodyError::TooLarge) => Err(Rejection::too_large()),
        Err(BodyError::Broken) => Err(Rejection::bad_request("The request body could not be read")),
        Ok(_) => check_and_respond(&mut store, request, verification, &mut rate),
    };
    if outcome.as_ref().is_ok_and(|success| success.applied)
        && let Some(seen) = store.record.entry(active.entry)
    {
        seen.applied = true;
    }
    let (status, body) = render(format, outcome);
    Reply { rate, ..Reply::json(store.clock, status, body) }
}

/// Checks in the real portal's order: authentication, rate limit, permission, resource.
fn check_and_respond(
    store: &mut Store,
    request: &ReceivedRequest,
    verification: &Verification,
    rate: &mut RateHeaderValues,
) -> Outcome {
    store.disable_idle_tokens();
    let caller =
        authenticate(store, request, verification, version(request)).ok_or_else(Rejection::authentication)?;
    let route = Route::parse(&request.resource_path);
    let now = store.clock.instant();
    match store.rate_limits.count(&request.method, route.template(), now) {
        Ok(values) => *rate = RateHeaderValues::Numbers(values),
        Err(OverLimit(values)) => {
            *rate = RateHeaderValues::Numbers(values);
            return Err(Rejection::too_many_requests());
        }
    }
    resources::respond(store, request, route, caller)
}

/// Returns the version that the header or the query parameter selects.
pub(super) fn version(request: &ReceivedRequest) -> Version {
    let selected = request.header("x-version").is_some_and(|version| version.trim() == "3")
        || request.parameter("v").is_some_and(|version| version == "3");
    if selected { Version::V3 } else { Version::V1 }
}
