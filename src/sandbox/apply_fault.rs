//! What each fault does to a request.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Shared;
use super::envelope::{Version, error, wrapped_error};
use super::faults::{Fault, FaultKind, RateHeaders};
use super::reply::{Delivery, HangUp, RateShown, Reply};
use super::rest::{Arrival, act, act_in_shape};
use super::settings::duration;

/// Where a redirect leads when nothing else was asked for: a name that can never be.
const NOWHERE: &str = "https://redirected.invalid/santaba/rest";

/// Answers a request that a fault strikes.
pub(super) async fn apply_fault(
    shared: &Arc<Shared>,
    arrival: &Arc<Arrival>,
    fault: &Fault,
) -> Result<Reply, HangUp> {
    use FaultKind as Kind;
    let reply = match fault.kind {
        Kind::CloseBeforeActing => return Err(HangUp),
        Kind::StatusBeforeActing => with_status(shared, fault),
        Kind::Html => html(shared, fault),
        Kind::RateLimited => rate_limited(shared, arrival, fault),
        Kind::ErrorIn200 => {
            Reply::json(shared.clock(), 200, error(fault.code.unwrap_or(1500), message(fault)))
        }
        Kind::V1Error => {
            Reply::json(shared.clock(), 200, wrapped_error(fault.code.unwrap_or(1001), message(fault)))
        }
        Kind::Redirect => Reply {
            location: Some(fault.location.clone().unwrap_or_else(|| NOWHERE.to_owned())),
            ..Reply::json(shared.clock(), fault.status.unwrap_or(302), Vec::new())
        },
        Kind::Delay => return act_later(shared, arrival, pause(fault, 1.0)).await.map_err(|_| HangUp),
        Kind::Late => {
            // Nobody waits for it: it lands when the client has long given up.
            drop(act_later(shared, arrival, pause(fault, 1.0)));
            return Err(HangUp);
        }
        Kind::ActThenDelay => {
            let reply = act(shared, arrival);
            tokio::time::sleep(pause(fault, 1.0)).await;
            reply
        }
        Kind::ActThenClose => {
            act(shared, arrival);
            return Err(HangUp);
        }
        Kind::ActThenStatus => {
            act(shared, arrival);
            with_status(shared, fault)
        }
        Kind::ActThenHtml => {
            act(shared, arrival);
            html(shared, fault)
        }
        Kind::V1Envelope => act_in_shape(shared, arrival, Version::V1),
        Kind::Truncated => Reply { delivery: Delivery::Half, ..act(shared, arrival) },
        Kind::Trickle => Reply { delivery: Delivery::Trickle(pause(fault, 0.01)), ..act(shared, arrival) },
        Kind::Garbage => with_body(act(shared, arrival), b"\xff\xfe{\"id\":\x00not JSON"),
        Kind::Empty => with_body(act(shared, arrival), b""),
        Kind::WrongShape => with_body(act(shared, arrival), br#"{"id":"x"}"#),
        Kind::NoKey => without_key(act(shared, arrival)),
    };
    Ok(reply)
}

/// Acts after a while, in a task of its own: a client that hangs up does not stop a portal.
fn act_later(
    shared: &Arc<Shared>,
    arrival: &Arc<Arrival>,
    pause: Duration,
) -> tokio::task::JoinHandle<Reply> {
    let (shared, arrival) = (Arc::clone(shared), Arc::clone(arrival));
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        act(&shared, &arrival)
    })
}

fn pause(fault: &Fault, default: f64) -> Duration {
    duration("seconds", fault.seconds.unwrap_or(default)).unwrap_or_default()
}

fn message(fault: &Fault) -> &str {
    fault.message.as_deref().unwrap_or("Something went wrong, as the sandbox was asked to")
}

fn with_status(shared: &Shared, fault: &Fault) -> Reply {
    let status = fault.status.unwrap_or(500);
    let code = fault.code.unwrap_or_else(|| 1000 + i64::from(status));
    Reply::json(shared.clock(), status, error(code, message(fault)))
}

fn html(shared: &Shared, fault: &Fault) -> Reply {
    Reply::html(shared.clock(), fault.status.unwrap_or(503))
}

fn rate_limited(shared: &Shared, arrival: &Arrival, fault: &Fault) -> Reply {
    let rate = match fault.headers.unwrap_or_default() {
        RateHeaders::Normal => {
            RateShown::Rate(shared.store().rate_limits.of(&arrival.exchange.method).rate(0))
        }
        RateHeaders::Missing => RateShown::Nothing,
        RateHeaders::Nonsense => RateShown::Texts(["plenty", "-1", "soon"]),
        RateHeaders::Contradictory => RateShown::Texts(["10", "50", "0"]),
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
