//! The control surface: `/sandbox/…`, JSON in and out, for tests in any language.
//!
//! | request | body | answer |
//! | --- | --- | --- |
//! | GET, DELETE `/sandbox/record` | | the requests seen; `{}` |
//! | GET `/sandbox/tokens` | | every token, without secrets |
//! | POST `/sandbox/tokens` | a [`NewToken`] | the token with its `access_key` |
//! | POST, DELETE `/sandbox/faults` | a [`Fault`] | `{}` |
//! | PUT `/sandbox/random-faults` | a [`RandomFaults`], or `null` for none | `{}` |
//! | PUT `/sandbox/clock` | `{"offset_seconds": 0}` | `{}` |
//! | PUT `/sandbox/rate-limit` | `{"method": null, "limit": 200, "window_seconds": 60}` | `{}` |
//! | POST `/sandbox/users` | a [`NewUser`] | `{"id": 34}` |
//! | POST `/sandbox/reset` | | `{}` |
//!
//! What goes wrong is answered with a status from 400 on and `{"error": "…"}`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Shared;
use super::exchange::{BodyError, read};
use super::faults::{Fault, RandomFaults};
use super::token::NewToken;
use super::user::NewUser;
use crate::error::{Error, ErrorKind};

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/sandbox/record", get(record).delete(clear_record))
        .route("/sandbox/tokens", get(tokens).post(create_token))
        .route("/sandbox/faults", post(add_fault).delete(clear_faults))
        .route("/sandbox/random-faults", put(set_random_faults))
        .route("/sandbox/clock", put(set_clock))
        .route("/sandbox/rate-limit", put(set_rate_limit))
        .route("/sandbox/users", post(add_user))
        .route("/sandbox/reset", post(reset))
        .fallback(async || Problem(StatusCode::NOT_FOUND, "there is nothing here".to_owned()))
        .layer(from_fn(only_from_this_machine))
        .with_state(shared)
}

async fn record(State(shared): State<Arc<Shared>>) -> Answer {
    Answer::of(&shared.store().record.to_vec())
}

async fn clear_record(State(shared): State<Arc<Shared>>) -> Answer {
    shared.store().record.clear();
    Answer::done()
}

async fn tokens(State(shared): State<Arc<Shared>>) -> Answer {
    Answer::of(&shared.store().tokens().collect::<Vec<_>>())
}

async fn create_token(
    State(shared): State<Arc<Shared>>,
    Sent(new): Sent<NewToken>,
) -> Result<Answer, Problem> {
    let token = shared.create_token(new)?;
    let Answer(mut answer) = Answer::of(&token);
    if let Some(members) = answer.as_object_mut() {
        members.insert("access_key".to_owned(), token.access_key.reveal().into());
    }
    Ok(Answer(answer))
}

async fn add_fault(State(shared): State<Arc<Shared>>, Sent(fault): Sent<Fault>) -> Result<Answer, Problem> {
    shared.store().faults.add(fault)?;
    Ok(Answer::done())
}

async fn clear_faults(State(shared): State<Arc<Shared>>) -> Answer {
    shared.store().faults.clear();
    Answer::done()
}

async fn set_random_faults(
    State(shared): State<Arc<Shared>>,
    Sent(faults): Sent<Option<RandomFaults>>,
) -> Result<Answer, Problem> {
    shared.store().faults.set_random(faults)?;
    Ok(Answer::done())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockSetting {
    offset_seconds: i64,
}

async fn set_clock(State(shared): State<Arc<Shared>>, Sent(clock): Sent<ClockSetting>) -> Answer {
    shared.store().set_clock_offset(clock.offset_seconds);
    Answer::done()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateLimitSetting {
    #[serde(default)]
    method: Option<String>,
    limit: u32,
    window_seconds: f64,
}

async fn set_rate_limit(
    State(shared): State<Arc<Shared>>,
    Sent(rate_limit): Sent<RateLimitSetting>,
) -> Result<Answer, Problem> {
    shared.store().set_rate_limit(
        rate_limit.method.as_deref(),
        rate_limit.limit,
        rate_limit.window_seconds,
    )?;
    Ok(Answer::done())
}

async fn add_user(State(shared): State<Arc<Shared>>, Sent(new): Sent<NewUser>) -> Answer {
    Answer(json!({ "id": shared.store().add_user(new) }))
}

async fn reset(State(shared): State<Arc<Shared>>) -> Answer {
    shared.reset();
    Answer::done()
}

/// JSON to answer.
struct Answer(Value);

impl Answer {
    fn of(value: &impl serde::Serialize) -> Self {
        Self(serde_json::to_value(value).unwrap_or_default())
    }

    fn done() -> Self {
        Self(json!({}))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], self.0.to_string()).into_response()
    }
}

/// What was wrong with a request.
struct Problem(StatusCode, String);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::Argument => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, Answer(json!({ "error": self.1 }))).into_response()
    }
}

/// JSON that was sent.
struct Sent<T>(T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let body = read(request.into_body()).await.map_err(|error| match error {
            BodyError::TooLarge => Problem(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large".to_owned()),
            BodyError::Broken => Problem(StatusCode::BAD_REQUEST, "the body could not be read".to_owned()),
        })?;
        let sent = serde_json::from_slice(&body);
        sent.map(Self).map_err(|cause| Problem(StatusCode::BAD_REQUEST, cause.to_string()))
    }
}

/// Keeps web pages out: one that a browser on this machine shows could reach the port, by its own name for it (DNS
/// rebinding) or across sites.
async fn only_from_this_machine(request: Request, next: Next) -> Response {
    if names_loopback(request.headers()) && !request.headers().contains_key(ORIGIN) {
        return next.run(request).await;
    }
    let message = "only programs on this machine may come in: Host must be localhost or a loopback address, without Origin";
    Problem(StatusCode::FORBIDDEN, message.to_owned()).into_response()
}

fn names_loopback(headers: &HeaderMap) -> bool {
    let authority = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        let host = authority.host();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    })
}
