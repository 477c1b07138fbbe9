//! The two formats of a response: plain JSON with HTTP statuses (version 3), and wrapped with HTTP 200 (version 1).

use serde::Serialize;
use serde_json::{Value, json};

/// The version of the API that a request selects; the default is version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V3,
}

/// The result of a request, before it is formatted.
pub(super) type Outcome = Result<Success, Rejection>;

/// A request that was carried out.
#[derive(Debug)]
pub(super) struct Success {
    /// JSON.
    pub(super) body: Vec<u8>,
    /// Whether the request created, changed or deleted anything.
    pub(super) applied: bool,
}

impl Success {
    pub(super) fn new(body: &impl Serialize, applied: bool) -> Outcome {
        match serde_json::to_vec(body) {
            Ok(body) => Ok(Self { body, applied }),
            Err(cause) => Err(Rejection::internal(cause.to_string())),
        }
    }
}

/// A request that the portal rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    pub(super) status: u16,
    pub(super) code: i64,
    pub(super) message: String,
}

impl Rejection {
    fn new(status: u16, code: i64, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, 1400, message)
    }

    /// Returns the one rejection for every failed authentication, as the real portal does.
    pub(super) fn authentication() -> Self {
        Self::new(401, 1401, "Authentication failed")
    }

    pub(super) fn permission(message: impl Into<String>) -> Self {
        Self::new(403, 1403, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, 1404, message)
    }

    pub(super) fn too_large() -> Self {
        Self::new(413, 1413, "Request entity is too large")
    }

    pub(super) fn too_many_requests() -> Self {
        Self::new(429, 1429, "Too many requests")
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, 1500, message)
    }
}

/// Formats an outcome as an HTTP status and a body.
pub(super) fn render(version: Version, outcome: Outcome) -> (u16, Vec<u8>) {
    match (version, outcome) {
        (Version::V3, Ok(success)) => (200, success.body),
        (Version::V3, Err(rejection)) => (rejection.status, error(rejection.code, &rejection.message)),
        (Version::V1, Ok(success)) => (200, wrapped(&success.body)),
        (Version::V1, Err(rejection)) => {
            // The rate limiter runs in front of the API and does not look at the version.
            let status = if rejection.status == 429 { 429 } else { 200 };
            (status, wrapped_error(v1_status(&rejection), &rejection.message))
        }
    }
}

/// Formats an error of version 3.
pub(super) fn error(code: i64, message: &str) -> Vec<u8> {
    bytes(&json!({ "errorMessage": message, "errorCode": code, "errorDetail": null }))
}

/// Formats an error of version 1.
pub(super) fn wrapped_error(status: i64, message: &str) -> Vec<u8> {
    bytes(&json!({ "status": status, "errmsg": message, "data": null }))
}

/// Formats a success of version 1.
fn wrapped(data: &[u8]) -> Vec<u8> {
    [br#"{"status":200,"errmsg":"OK","data":"#, data.trim_ascii_end(), b"}"].concat()
}

/// Returns the status of version 1, whose numbers differ: 403 is a failed authentication, 1403 a missing second factor.
fn v1_status(rejection: &Rejection) -> i64 {
    match rejection.status {
        400 => 1007,
        401 => 403,
        403 => 1041,
        404 => 1069,
        429 => 1100,
        _ => 1001,
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
