//! The REST API: records a request and applies its fault, or acts on it.

use std::sync::Arc;

use super::Shared;
use super::act::{ActiveRequest, act_verified, version};
use super::apply_fault::apply_fault;
use super::auth::verify;
use super::envelope::{Rejection, Version, render};
use super::faults::Fault;
use super::hint::{Refused, hint};
use super::record::without_secrets;
use super::reply::{ConnectionClosed, Reply};
use super::request::ReceivedRequest;
use super::store::Store;
use crate::process;

/// The header by which a request selects a fault for itself.
const FAULT_HEADER: &str = "x-sandbox-fault";

/// Handles a request under `/santaba/rest`.
pub(super) async fn serve(shared: &Arc<Shared>, request: ReceivedRequest) -> Result<Reply, ConnectionClosed> {
    let (active, verification, refused, fault) = {
        let mut store = shared.store();
        let verification = verify(&store, &request);
        let refused = Refused::of(&store, &request, &verification);
        let fault = next_fault(&mut store, &request);
        let kind = fault.as_ref().ok().and_then(|fault| fault.as_ref().map(|fault| fault.kind));
        let entry = store.record.open(&request, &verification, kind);
        let active = ActiveRequest { request, entry, generation: store.generation };
        (Arc::new(active), verification, refused, fault)
    };
    let causes = match refused {
        // The search takes a while if the body is long, and must not delay other requests.
        Some(refused) => {
            let active = Arc::clone(&active);
            process::blocking(move || refused.causes(&active.request)).await.unwrap_or_default()
        }
        None => Vec::new(),
    };
    let mut result = match fault {
        Ok(None) => Ok(act_verified(shared, &active, &verification, version(&active.request))),
        Ok(Some(fault)) => apply_fault(shared, &active, &fault).await,
        Err(rejection) => {
            let (status, body) = render(Version::V3, Err(rejection));
            Ok(Reply::json(shared.clock(), status, body))
        }
    };
    if let Some(seen) = shared.store().record.entry(active.entry) {
        seen.status = result.as_ref().ok().map(|reply| reply.status);
        seen.causes = causes.iter().map(|cause| cause.name().to_owned()).collect();
    }
    if !causes.is_empty() {
        let hint = hint(&causes);
        if let Some(report) = shared.report {
            let (method, path) = (&active.request.method, without_secrets(&active.request.path));
            report(&format!("the sandbox refused {method} {path}: {hint}"));
        }
        if let Ok(reply) = &mut result {
            reply.hint = Some(hint);
        }
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
