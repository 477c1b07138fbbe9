//! The effect of each kind of fault on a request.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Shared;
use super::act::{ActiveRequest, act, act_as_version};
use super::envelope::{Version, error, wrapped_error};
use super::faults::{Fault, FaultKind, RateHeaders};
use super::reply::{ConnectionClosed, Delivery, RateHeaderValues, Reply};
use super::seconds::duration;

/// The default target of a redirect. Names under `.invalid` never resolve.
const DEFAULT_LOCATION: &str = "https://redirected.invalid/santaba/rest";

/// Handles a request with a fault.
pub(super) async fn apply_fault(
    shared: &Arc<Shared>,
    active: &Arc<ActiveRequest>,
    fault: &Fault,
) -> Result<Reply, ConnectionClosed> {
    use FaultKind as Kind;
    let reply = match fault.kind {
        Kind::CloseBeforeActing => return Err(ConnectionClosed),
        Kind::StatusBeforeActing => with_status(shared, fault),
        Kind::Html => html(shared, fault),
        Kind::RateLimited => rate_limited(shared, active, fault),
        Kind::ErrorIn200 => {
            Reply::json(shared.clock(), 200, error(fault.code.unwrap_or(1500), message(fault)))
        }
        Kind::V1Error => {
            Reply::json(shared.clock(), 200, wrapped_error(fault.code.unwrap_or(1001), message(fault)))
        }
        Kind::Redirect => Reply {
            location: Some(fault.location.clone().unwrap_or_else(|| DEFAULT_LOCATION.to_owned())),
            ..Reply::json(shared.clock(), fault.status.unwrap_or(302), Vec::new())
        },
        Kind::Delay => {
            return act_later(shared, active, pause(fault, 1.0)).await.map_err(|_| ConnectionClosed);
        }
        Kind::Late => {
            // The task runs on without a handle: the request takes effect after the client has given up.
            drop(act_later(shared, active, pause(fault, 1.0)));
            return Err(ConnectionClosed);
        }
        Kind::ActThenDelay => {
            let reply = act(shared, active);
            tokio::time::sleep(pause(fault, 1.0)).await;
            reply
        }
        Kind::ActThenClose => {
            act(shared, active);
            return Err(ConnectionClosed);
        }
        Kind::ActThenStatus => {
            act(shared, active);
            with_status(shared, fault)
        }
        Kind::ActThenHtml => {
            act(shared, active);
            html(shared, fault)
        }
        Kind::V1Envelope => act_as_version(shared, active, Version::V1),
        Kind::Truncated => Reply { delivery: Delivery::Half, ..act(shared, active) },
        Kind::Trickle => Reply { delivery: Delivery::Trickle(pause(fault, 0.01)), ..act(shared, active) },
        Kind::Garbage => with_body(act(shared, active), b"\xff\xfe{\"id\":\x00not JSON"),
        Kind::Empty => with_body(act(shared, active), b""),
        Kind::WrongShape => with_body(act(shared, active), br#"{"id":"x"}"#),
        Kind::NoKey => without_key(act(shared, active)),
    };
    Ok(reply)
}

/// Acts after a pause, in a separate task, because a client that disconnects does not cancel its request.
fn act_later(
    shared: &Arc<Shared>,
    active: &Arc<ActiveRequest>,
    pause: Duration,
) -> tokio::task::JoinHandle<Reply> {
    let (shared, active) = (Arc::clone(shared), Arc::clone(active));
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        act(&shared, &active)
    })
}

fn pause(fault: &Fault, default: f64) -> Duration {
    duration(fault.seconds.unwrap_or(default)).unwrap_or_default()
}

fn message(fault: &Fault) -> &str {
    fault.message.as_deref().unwrap_or("Injected fault")
}

fn with_status(shared: &Shared, fault: &Fault) -> Reply {
    let status = fault.status.unwrap_or(500);
    let code = fault.code.unwrap_or_else(|| 1000 + i64::from(status));
    Reply::json(shared.clock(), status, error(code, message(fault)))
}

fn html(shared: &Shared, fault: &Fault) -> Reply {
    Reply::html(shared.clock(), fault.status.unwrap_or(503))
}

fn rate_limited(shared: &Shared, active: &ActiveRequest, fault: &Fault) -> Reply {
    let rate = match fault.headers.unwrap_or_default() {
        RateHeaders::Normal => {
            RateHeaderValues::Numbers(shared.store().rate_limits.of(&active.request.method).rate(0))
        }
        RateHeaders::Missing => RateHeaderValues::Absent,
        RateHeaders::Nonsense => RateHeaderValues::Texts(["plenty", "-1", "soon"]),
        RateHeaders::Contradictory => RateHeaderValues::Texts(["10", "50", "0"]),
    };
    let text = fault.message.as_deref().unwrap_or("Too many requests");
    Reply { rate, ..Reply::json(shared.clock(), 429, error(fault.code.unwrap_or(1429), text)) }
}

fn with_body(reply: Reply, body: &[u8]) -> Reply {
    Reply { status: 200, body: body.to_vec(), ..reply }
}

fn without_key(mut reply: Reply) -> Reply {
    if let Ok(mut token) = serde_json::from_slice::<Value>(&reply.body)
        && let Some(members) = token.as_object_mut()
        && members.remove("accessKey").is_some()
    {
        reply.body = token.to_string().into_bytes();
    }
    reply
}
