//! The control over HTTP: `/sandbox/…`, JSON in and out, for tests in any language.
//!
//! | request | body | response |
//! | --- | --- | --- |
//! | GET `/sandbox/record` | | the recorded requests, as a list of [`Seen`](super::Seen) |
//! | DELETE `/sandbox/record` | | `{}` |
//! | GET `/sandbox/tokens` | | a list of [`StoredToken`](super::StoredToken), without secrets |
//! | POST `/sandbox/tokens` | a [`NewToken`](super::NewToken) | the token, with its `access_key` |
//! | POST `/sandbox/users` | a [`NewUser`](super::NewUser) | `{"id": 34}` |
//! | POST `/sandbox/faults` | a [`Fault`](super::Fault) | `{}` |
//! | DELETE `/sandbox/faults` | | `{}`; ends random faults, too |
//! | PUT `/sandbox/random-faults` | a [`RandomFaults`](super::RandomFaults), or `null` for none | `{}` |
//! | PUT `/sandbox/rate-limit` | `{"limit": 200, "window_seconds": 60}`, optionally with `"method"` | `{}` |
//! | PUT `/sandbox/clock` | `{"offset_seconds": 0}` | `{}` |
//! | POST `/sandbox/advance` | `{"hours": 2}`, or other units; their sum is added to the clock | `{}` |
//! | PATCH `/sandbox/settings` | members of [`Behavior`](super::Behavior) | `{}` |
//! | GET `/sandbox/emails` | | `{"count": 0}` |
//! | POST `/sandbox/reset` | | `{}` |
//!
//! Requests without a body in this table ignore one. Status 400 reports an invalid body, 404 an unknown path or user,
//! 413 a body over 1 MiB, and 403 a request from a web page; each with `{"error": "…"}`. An unsupported method gets 405
//! without a body. `docs/sandbox-control.md` has an example of every request.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Shared;
use super::arguments;
use super::command::{Answer, Command};
use super::request::{BodyError, read};
use crate::error::{Error, ErrorKind};

pub(super) fn router(shared: Arc<Shared>) -> Router {
    use MethodFilter as On;
    Router::new()
        .route(
            "/sandbox/record",
            without_body(On::GET, Command::GetRecord).merge(without_body(On::DELETE, Command::ClearRecord)),
        )
        .route(
            "/sandbox/tokens",
            without_body(On::GET, Command::ListTokens).merge(with_body(On::POST, Command::CreateToken)),
        )
        .route("/sandbox/users", with_body(On::POST, Command::AddUser))
        .route(
            "/sandbox/faults",
            with_body(On::POST, Command::AddFault).merge(without_body(On::DELETE, Command::ClearFaults)),
        )
        .route("/sandbox/random-faults", with_body(On::PUT, Command::SetRandomFaults))
        .route("/sandbox/rate-limit", with_body(On::PUT, Command::SetRateLimit))
        .route("/sandbox/clock", with_body(On::PUT, Command::SetClock))
        .route("/sandbox/advance", with_body(On::POST, Command::Advance))
        .route("/sandbox/settings", with_body(On::PATCH, Command::Configure))
        .route("/sandbox/emails", without_body(On::GET, Command::CountEmails))
        .route("/sandbox/reset", without_body(On::POST, Command::Reset))
        .fallback(async || Failure(StatusCode::NOT_FOUND, "the path does not exist".to_owned()))
        .layer(from_fn(reject_web_pages))
        .with_state(shared)
}

fn without_body(method: MethodFilter, command: Command) -> MethodRouter<Arc<Shared>> {
    on(method, async |State(shared): State<Arc<Shared>>| run(&shared, command))
}

/// The body holds the arguments of the command.
fn with_body<T>(method: MethodFilter, command: fn(T) -> Command) -> MethodRouter<Arc<Shared>>
where
    T: DeserializeOwned + Send + 'static,
{
    on(method, async move |State(shared): State<Arc<Shared>>, JsonBody(arguments): JsonBody<T>| {
        run(&shared, command(arguments))
    })
}

fn run(shared: &Shared, command: Command) -> Result<Response, Failure> {
    let answer = shared.apply(command)?;
    let mut value = json!(answer);
    if let (Answer::Token(token), Some(members)) = (&answer, value.as_object_mut()) {
        // Over HTTP, this response is the only way to get the secret.
        members.insert("access_key".to_owned(), token.access_key.reveal().into());
    }
    Ok(json_response(&value))
}

fn json_response(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// The reason why a request failed.
struct Failure(StatusCode, String);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::Argument => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, json_response(&json!({ "error": self.1 }))).into_response()
    }
}

/// The JSON of a request's body.
struct JsonBody<T>(T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let body = read(request.into_body()).await.map_err(|error| match error {
            BodyError::TooLarge => Failure(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large".to_owned()),
            BodyError::Broken => Failure(StatusCode::BAD_REQUEST, "the body could not be read".to_owned()),
        })?;
        Ok(Self(arguments::read("body", &body)?))
    }
}

/// Rejects requests from web pages: a page in a browser on this machine could reach the port under a host name of its
/// own (DNS rebinding) or across sites.
async fn reject_web_pages(request: Request, next: Next) -> Response {
    if names_loopback(request.headers()) && !request.headers().contains_key(ORIGIN) {
        return next.run(request).await;
    }
    let message = "only programs on this machine may use the control: \
                   Host must be localhost or a loopback address, and Origin must be absent";
    Failure(StatusCode::FORBIDDEN, message.to_owned()).into_response()
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let authority = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        let host = authority.host();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    })
}
