//! What a request's outcome is, by method and by what came back.

mod bodies;
mod messages;
mod statuses;
mod transport;

use bytes::Bytes;
use lmtokens::client::{Method, RawResponse, TransportFailure, outcome};
use lmtokens::error::{Error, ErrorKind};
use serde_json::Value;

const METHODS: [Method; 4] = [Method::Get, Method::Post, Method::Patch, Method::Delete];

fn received(status: u16, body: impl Into<Bytes>) -> RawResponse {
    RawResponse { status, date: None, rate: None, redirect_host: None, body: body.into() }
}

fn failed(method: Method, exchange: Result<RawResponse, TransportFailure>) -> Error {
    match outcome(method, exchange) {
        Err(error) => error,
        Ok(_) => panic!("{method:?} succeeded"),
    }
}

fn done(method: Method, received: RawResponse) -> Value {
    match outcome(method, Ok(received)) {
        Ok(body) => body,
        Err(error) => panic!("{method:?} failed: {error:?}"),
    }
}

/// Kind, code and whether the portal may have acted, for a GET and for everything that writes.
fn assert_refused(status: u16, body: &str, kind: ErrorKind, code: Option<i64>, unknown: bool) {
    for method in METHODS {
        let error = failed(method, Ok(received(status, body.to_owned())));
        let details = error.details();
        assert_eq!(
            (details.kind, details.code, details.status, details.maybe_applied),
            (kind, code, Some(status), unknown && method != Method::Get),
            "{method:?} {status} {body}"
        );
        assert!(!details.message.trim().is_empty(), "{method:?} {status} {body}");
    }
}

/// Whether an answer, or the lack of one, can be of a kind; the others come from before a request or from several.
fn comes_from_an_answer(kind: ErrorKind) -> bool {
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
        | ErrorKind::Delivery => false,
    }
}

#[test]
fn every_kind_that_an_answer_can_be_is_in_the_tables() {
    let mut reached: Vec<ErrorKind> = statuses::STATUSES.iter().map(|(_, kind, _)| *kind).collect();
    reached.extend(transport::FAILURES.map(|(kind, _)| kind));
    reached.push(ErrorKind::Response);
    for kind in ErrorKind::ALL {
        assert_eq!(reached.contains(&kind), comes_from_an_answer(kind), "{kind:?}");
    }
}
