//! Hints why the sandbox refused a header. The real portal does not give a reason.

use super::request::ReceivedRequest;
use super::store::Store;
use super::token::TokenType;
use super::verification::{Signature, Verification};
use crate::explain::{self, Cause, PortalTime, SentRequest, Token};
use crate::lmv1::signed_body;
use crate::secret::Secret;

/// A refused header, with what an explanation needs from the store: the explanation takes milliseconds, in which the store
/// is not locked.
pub(super) struct Refused {
    /// `None` if the header is missing.
    header: Option<String>,
    /// The token that the header names.
    token: Option<(String, Secret)>,
    time: PortalTime,
}

impl Refused {
    /// Returns the header of a request if it is refused; `None` for bearer tokens.
    pub(super) fn of(store: &Store, request: &ReceivedRequest, verification: &Verification) -> Option<Self> {
        let header = request.headers.get("authorization");
        let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let is_accepted = matches!(verification.signature, Signature::Valid | Signature::BearerValid);
        if is_accepted || header.as_deref().is_some_and(explain::is_bearer) {
            return None;
        }
        let access_id = header.as_deref().map(explain::access_id).unwrap_or_default();
        let token = store.by_handle(&access_id).filter(|token| token.r#type == TokenType::Lmv1);
        let time = PortalTime {
            now_ms: store.clock.time_of_clients_ms(),
            window_ms: u64::from(store.behavior.timestamp_window) * 1000,
        };
        Some(Self { header, token: token.map(|token| (access_id, token.access_key.clone())), time })
    }

    /// Returns why the header is refused.
    pub(super) fn causes(&self, request: &ReceivedRequest) -> Vec<Cause> {
        let Some(header) = &self.header else { return vec![Cause::HeaderMissing] };
        let body = signed_body(request.method.as_str(), request.body());
        let sent = SentRequest {
            method: request.method.as_str().to_owned(),
            host: request.header("host").map(str::to_owned),
            path: request.path.clone(),
            query: request.query.clone(),
            body,
            unsent: request.body().get(body.len()..).unwrap_or_default(),
        };
        let token = self.token.as_ref();
        let token = token.map(|(access_id, access_key)| Token { access_id, access_key });
        explain::explain(header, &sent, token, self.time).causes
    }
}

/// Returns the causes as one line of ASCII.
pub(super) fn hint(causes: &[Cause]) -> String {
    let hints: Vec<String> =
        causes.iter().map(|cause| format!("{}: {}", cause.name(), cause.explanation())).collect();
    hints.join("; ")
}
