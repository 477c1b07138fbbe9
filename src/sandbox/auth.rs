//! Who signed a request, and whether that holds.

use serde::{Deserialize, Serialize};

use super::envelope::Version;
use super::exchange::Exchange;
use super::store::Store;
use super::token::{ENABLED, TokenType, bearer_handle};
use crate::lmv1::{Authorization, TIME_WINDOW_MS};

/// What became of the `Authorization` header of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signature {
    /// There was none.
    Absent,
    /// Neither `LMv1 id:signature:milliseconds` nor `Bearer token`.
    Malformed,
    /// LMv1, with a time further than 30 minutes from the portal's clock.
    Stale,
    /// LMv1, with an access id that no token has.
    UnknownId,
    /// LMv1, and the signature does not match what was received.
    Invalid,
    /// LMv1, and it holds.
    Valid,
    /// A bearer that no token is.
    BearerInvalid,
    /// A bearer that is a token.
    BearerValid,
}

/// The signature and whom it names.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub(super) signature: Signature,
    /// As claimed.
    pub(super) access_id: Option<String>,
    /// The token named, whether the signature holds or not.
    pub(super) token_id: Option<u32>,
}

/// Looks at the `Authorization` header, changing nothing.
pub(super) fn judge(store: &Store, exchange: &Exchange) -> Verdict {
    let verdict = |signature| Verdict { signature, access_id: None, token_id: None };
    let Some(header) = exchange.headers.get("authorization") else {
        return verdict(Signature::Absent);
    };
    let Ok(header) = header.to_str() else {
        return verdict(Signature::Malformed);
    };
    if let Some(bearer) = header.strip_prefix("Bearer ") {
        return judge_bearer(store, bearer);
    }
    match Authorization::parse(header) {
        Some(authorization) => judge_lmv1(store, exchange, authorization),
        None => verdict(Signature::Malformed),
    }
}

fn judge_bearer(store: &Store, bearer: &str) -> Verdict {
    let token = store.by_handle(bearer_handle(bearer)).filter(|token| {
        token.r#type == TokenType::Bearer
            && subtle::ConstantTimeEq::ct_eq(token.access_key.reveal().as_bytes(), bearer.as_bytes()).into()
    });
    Verdict {
        signature: if token.is_some() { Signature::BearerValid } else { Signature::BearerInvalid },
        access_id: None,
        token_id: token.map(|token| token.id),
    }
}

fn judge_lmv1(store: &Store, exchange: &Exchange, authorization: Authorization) -> Verdict {
    let token = store.by_handle(&authorization.access_id).filter(|token| token.r#type == TokenType::Lmv1);
    let signature = if authorization.timestamp_ms.abs_diff(store.clock.now_ms()) > TIME_WINDOW_MS {
        Signature::Stale
    } else if let Some(token) = token {
        let key = token.access_key.reveal().as_bytes();
        let method = exchange.method.as_str();
        if authorization.verify(method, exchange.body(), &exchange.resource_path, key) {
            Signature::Valid
        } else {
            Signature::Invalid
        }
    } else {
        Signature::UnknownId
    };
    let token_id = token.map(|token| token.id);
    Verdict { signature, access_id: Some(authorization.access_id), token_id }
}

/// Lets a request in as the user of its token, or not; counts failures, and remembers the use.
///
/// The reason of a refusal is not told, as the real portal does not tell it.
pub(super) fn admit(
    store: &mut Store,
    exchange: &Exchange,
    verdict: &Verdict,
    version: Version,
) -> Option<u32> {
    let lock_out_after = store.lock_out_after;
    let now = store.clock.now_seconds();
    let token = store.token_mut(verdict.token_id?)?;
    if !matches!(verdict.signature, Signature::Valid | Signature::BearerValid) {
        token.failures = token.failures.saturating_add(1);
        token.locked |= lock_out_after > 0 && token.failures >= lock_out_after;
        return None;
    }
    // The first version of the API is older than bearer tokens.
    let too_old = verdict.signature == Signature::BearerValid && version == Version::V1;
    if too_old || token.locked || token.status != ENABLED {
        return None;
    }
    token.failures = 0;
    token.last_used_on = now;
    token.last_auth_ip = exchange.peer.ip.to_string();
    Some(token.admin_id)
}
