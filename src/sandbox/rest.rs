//! The REST API: records a request and applies its fault, or acts on it.

use std::sync::Arc;

use super::Shared;
use super::act::{ActiveRequest, act_verified, version};
use super::apply_fault::apply_fault;
use super::auth::verify;
use super::envelope::{Rejection, Version, render};
use super::faults::Fault;
use super::reply::{ConnectionClosed, Reply};
use super::request::ReceivedRequest;
use super::store::Store;

/// The header by which a request selects a fault for itself.
const FAULT_HEADER: &str = "x-sandbox-fault";

/// Handles a request under `/santaba/rest`.
pub(super) async fn serve(shared: &Arc<Shared>, request: ReceivedRequest) -> Result<Reply, ConnectionClosed> {
    let (active, verification, fault) = {
        let mut store = shared.store();
        let verification = verify(&store, &request);
        let fault = next_fault(&mut store, &request);
        let kind = fault.as_ref().ok().and_then(|fault| fault.as_ref().map(|fault| fault.kind));
        let entry = store.record.open(&request, &verification, kind);
        (Arc::new(ActiveRequest { request, entry, generation: store.generation }), verification, fault)
    };
    let result = match fault {
        Ok(None) => Ok(act_verified(shared, &active, &verification, version(&active.request))),
        Ok(Some(fault)) => apply_fault(shared, &active, &fault).await,
        Err(rejection) => {
            let (status, body) = render(Version::V3, Err(rejection));
            Ok(Reply::json(shared.clock(), status, body))
        }
    };
    if let Ok(reply) = &result
        && let Some(seen) = shared.store().record.entry(active.entry)
    {
        seen.status = Some(reply.status);
    }
    result
}

fn next_fault(store: &mut Store, request: &ReceivedRequest) -> Result<Option<Fault>, Rejection> {
    match request.header(FAULT_HEADER) {
        Some(text) => Fault::parse_header(text)
            .map(Some)
            .map_err(|error| Rejection::bad_request(format!("X-Sandbox-Fault: {error}"))),
        None => Ok(store.faults.next(request.method.as_str(), &request.resource_path)),
    }
}
