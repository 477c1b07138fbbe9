//! Authentication: the token that a request names, and whether the request proves it.

use super::envelope::Version;
use super::request::ReceivedRequest;
use super::store::Store;
use super::token::{ENABLED, TokenType, bearer_handle};
use super::verification::{Signature, Verification};
use crate::lmv1::Authorization;

/// Verifies the `Authorization` header; changes nothing.
pub(super) fn verify(store: &Store, request: &ReceivedRequest) -> Verification {
    let unidentified = |signature| Verification { signature, access_id: None, token_id: None };
    let Some(header) = request.headers.get("authorization") else {
        return unidentified(Signature::Absent);
    };
    let Ok(header) = header.to_str() else {
        return unidentified(Signature::Malformed);
    };
    if let Some(bearer) = header.strip_prefix("Bearer ") {
        return verify_bearer(store, bearer);
    }
    match Authorization::parse(header) {
        Some(authorization) => verify_lmv1(store, request, authorization),
        None => unidentified(Signature::Malformed),
    }
}

fn verify_bearer(store: &Store, bearer: &str) -> Verification {
    let token = store.by_handle(bearer_handle(bearer)).filter(|token| {
        token.r#type == TokenType::Bearer
            && subtle::ConstantTimeEq::ct_eq(token.access_key.reveal().as_bytes(), bearer.as_bytes()).into()
    });
    Verification {
        signature: if token.is_some() { Signature::BearerValid } else { Signature::BearerInvalid },
        access_id: None,
        token_id: token.map(|token| token.id),
    }
}

fn verify_lmv1(store: &Store, request: &ReceivedRequest, authorization: Authorization) -> Verification {
    let token = store.by_handle(&authorization.access_id).filter(|token| token.r#type == TokenType::Lmv1);
    let window_ms = u64::from(store.behavior.timestamp_window) * 1000;
    let signature = if authorization.timestamp_ms.abs_diff(store.clock.time_of_clients_ms()) > window_ms {
        Signature::Stale
    } else if let Some(token) = token {
        let key = token.access_key.reveal().as_bytes();
        let method = request.method.as_str();
        if authorization.verify(method, request.body(), &request.resource_path, key) {
            Signature::Valid
        } else {
            Signature::Invalid
        }
    } else {
        Signature::UnknownId
    };
    let token_id = token.map(|token| token.id);
    Verification { signature, access_id: Some(authorization.access_id), token_id }
}

/// Returns the user of the token, or `None` if the request is rejected; updates the token's failures and last use, and
/// the audit log.
///
/// A rejection has no reason, because the real portal does not report one.
pub(super) fn authenticate(
    store: &mut Store,
    request: &ReceivedRequest,
    verification: &Verification,
    version: Version,
) -> Option<u32> {
    let admin_id = check_token(store, request, verification, version);
    if let (None, Some(access_id), Some(_)) = (admin_id, &verification.access_id, verification.token_id) {
        store.audit_log.add_refused(store.clock, request, access_id);
    }
    admin_id
}

/// Returns the user of a token that is accepted.
fn check_token(
    store: &mut Store,
    request: &ReceivedRequest,
    verification: &Verification,
    version: Version,
) -> Option<u32> {
    let lock_out_after = store.behavior.lock_out_after;
    let enable_delay = store.behavior.enable_delay.length();
    let (now, now_seconds) = (store.clock.instant(), store.clock.now_seconds());
    store.change(verification.token_id?, |token| {
        if !matches!(verification.signature, Signature::Valid | Signature::BearerValid) {
            token.failures = token.failures.saturating_add(1);
            token.locked |= lock_out_after > 0 && token.failures >= lock_out_after;
            return None;
        }
        // Version 1 of the API does not accept bearer tokens.
        let too_old = verification.signature == Signature::BearerValid && version == Version::V1;
        let too_early = token.enabled_for(now).is_some_and(|time| time < enable_delay);
        if too_old || too_early || token.locked || token.status != ENABLED {
            return None;
        }
        token.failures = 0;
        token.last_used_on = now_seconds;
        token.last_auth_ip = request.peer.ip.to_string();
        Some(token.admin_id)
    })?
}
