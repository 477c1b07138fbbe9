//! The outcome of a request, by method and response.

mod bodies;
mod messages;
mod statuses;
mod transport;

use bytes::Bytes;
use lmtokens::testing::client::{Method, RawResponse, TransportFailure, outcome};
use lmtokens::testing::error::{Error, ErrorKind};
use serde_json::Value;

const METHODS: [Method; 4] = [Method::Get, Method::Post, Method::Patch, Method::Delete];

fn received(status: u16, body: impl Into<Bytes>) -> RawResponse {
    RawResponse { status, date: None, rate: None, redirect_host: None, compression: None, body: body.into() }
}

fn failed(method: Method, exchange: Result<RawResponse, TransportFailure>) -> Error {
    match outcome(method, exchange) {
        Err(error) => error,
        Ok(_) => panic!("{method:?} succeeded"),
    }
}

fn done(method: Method, received: RawResponse) -> Value {
    match outcome(method, Ok(received)) {
        Ok(body) if body.is_empty() => Value::Null,
        Ok(body) => serde_json::from_slice(&body).unwrap(),
        Err(error) => panic!("{method:?} failed: {error:?}"),
    }
}

/// Checks kind, code, status and `maybe_applied` of the error for every method.
fn assert_refused(status: u16, body: &str, kind: ErrorKind, code: Option<i64>, is_unknown: bool) {
    for method in METHODS {
        let error = failed(method, Ok(received(status, body.to_owned())));
        let details = error.details();
        assert_eq!(
            (details.kind, details.code, details.status, details.maybe_applied),
            (kind, code, Some(status), is_unknown && method.is_write()),
            "{method:?} {status} {body}"
        );
        assert!(!details.message.trim().is_empty(), "{method:?} {status} {body}");
    }
}

/// Returns whether a single attempt can end with an error of this kind.
fn comes_from_an_attempt(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Api
        | ErrorKind::BadRequest
        | ErrorKind::Authentication
        | ErrorKind::PermissionDenied
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::TwoFactorRequired
        | ErrorKind::RateLimit
        | ErrorKind::Server
        | ErrorKind::Transport
        | ErrorKind::Connect
        | ErrorKind::Tls
        | ErrorKind::RequestTimeout
        | ErrorKind::Response => true,
        ErrorKind::Argument
        | ErrorKind::Configuration
        | ErrorKind::Credentials
        | ErrorKind::OutcomeUnknown
        | ErrorKind::SelfLockout
        | ErrorKind::Rotation
        | ErrorKind::Delivery => false,
    }
}

#[test]
fn the_tables_cover_every_kind_of_an_attempt() {
    let mut reached: Vec<ErrorKind> = statuses::STATUSES.iter().map(|(_, kind, _)| *kind).collect();
    reached.extend(transport::FAILURES.map(|(kind, _)| kind));
    reached.push(ErrorKind::Response);
    for kind in ErrorKind::ALL {
        assert_eq!(reached.contains(&kind), comes_from_an_attempt(kind), "{kind:?}");
    }
}
