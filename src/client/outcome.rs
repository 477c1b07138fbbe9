//! The one place that decides, from the method and what came back, what a request's outcome is.

use std::fmt;

use serde_json::{Map, Value};

use super::Method;
use super::transport::{Received, TransportFailure};
use crate::error::{Error, ErrorKind, Result};
use crate::model::RateHeaders;

/// What became of a request.
pub enum Judged {
    /// The portal did it, and this is what it said.
    Done(Value),
    /// It did not, or it cannot be known; `maybe_applied` says which.
    Failed(Error),
}

impl fmt::Debug for Judged {
    /// Without the body: that of a create holds the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(_) => f.write_str("Done"),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

/// Judges an attempt.
#[must_use]
pub fn judge(method: Method, outcome: Result<Received, TransportFailure>) -> Judged {
    let (mut error, unknown) = match outcome {
        Ok(received) => match read(&received) {
            Ok(body) => return Judged::Done(body),
            Err(error) => {
                // A 5xx, or an answer that cannot be read, does not tell what reached the store. Any other no is a no.
                let unknown = matches!(error.kind(), ErrorKind::Server | ErrorKind::Response)
                    || matches!(error.details().code, Some(ACCEPTED_UNFINISHED | PARTLY_DONE));
                (error, unknown)
            }
        },
        Err(failure) => {
            let mut error = Error::new(failure.kind, failure.message);
            error.details_mut().status = failure.status;
            error.details_mut().advice.extend(failure.advice);
            (error, failure.maybe_sent)
        }
    };
    error.details_mut().maybe_applied = unknown && method != Method::Get;
    Judged::Failed(error)
}

/// Whether sending the request again can do no harm, and may do good.
///
/// Any request that cannot have reached the portal, or that it refused for the budget's sake. Beyond that GET, PATCH and
/// DELETE, which do the same thing twice as once; a POST that may have made something never is.
#[must_use]
pub fn may_repeat(method: Method, error: &Error) -> bool {
    let details = error.details();
    match details.kind {
        // A 200 that says so in its body says something the portal's pages do not: no ground to make something twice.
        ErrorKind::RateLimit => method != Method::Post || details.status == Some(429),
        // A proxy that refuses a password locks an account out after some tries.
        ErrorKind::Connect => details.status.is_none(),
        ErrorKind::RequestTimeout | ErrorKind::Transport => method != Method::Post || !details.maybe_applied,
        ErrorKind::Server => method != Method::Post && matches!(details.status, Some(502..=504)),
        _ => false,
    }
}

/// 202 with this code: the portal will do it later, or not.
const ACCEPTED_UNFINISHED: i64 = 1202;

/// Version 1's partial success: what was asked for may be among what was done.
const PARTLY_DONE: i64 = 1201;

/// The success body of an answer, or the error that it is. Errors also come with status 200, in either version's shape.
fn read(received: &Received) -> Result<Value> {
    let text = received.body.trim_ascii();
    let json = if text.is_empty() { Some(Value::Null) } else { serde_json::from_slice(text).ok() };
    let success = (200..300).contains(&received.status);
    let mut error = match (json, success) {
        (Some(Value::Object(members)), true) => match refusal(&members) {
            Some(error) => error,
            None => return Ok(without_v1_envelope(members)),
        },
        (Some(body), true) => return Ok(body),
        (Some(Value::Object(members)), false) => {
            // Outside 2xx the status says what it is; the body only adds the portal's words.
            let kind = kind_of_status(received.status);
            of_portal(kind, portal_message(&members), integer(&members, "errorCode"))
        }
        (None, true) => Error::new(ErrorKind::Response, format!("the answer is {}", shape(text))),
        (_, false) => {
            let message = format!("the portal answered {} with {}", received.status, shape(text));
            Error::new(kind_of_status(received.status), message)
        }
    };
    error.details_mut().status = Some(received.status);
    advise(&mut error, received);
    Err(error)
}

/// An error in a body whose HTTP status says success. `status` alone decides nothing: tokens have a member of that name.
fn refusal(members: &Map<String, Value>) -> Option<Error> {
    if let Some(code) = integer(members, "errorCode").filter(|_| members.contains_key("errorMessage")) {
        return Some(of_portal(kind_of_code(code), portal_message(members), Some(code)));
    }
    let v1_status = integer(members, "status").filter(|_| is_v1_envelope(members))?;
    (v1_status != 200)
        .then(|| of_portal(kind_of_v1_status(v1_status), portal_message(members), Some(v1_status)))
}

fn is_v1_envelope(members: &Map<String, Value>) -> bool {
    members.contains_key("errmsg")
        && (members.contains_key("data") || integer(members, "status").is_some_and(|status| status > 200))
}

fn without_v1_envelope(mut members: Map<String, Value>) -> Value {
    if is_v1_envelope(&members) {
        return members.remove("data").unwrap_or_default();
    }
    Value::Object(members)
}

fn of_portal(kind: ErrorKind, message: Option<String>, code: Option<i64>) -> Error {
    let message = message.unwrap_or_else(|| "the portal gave no reason".to_owned());
    let mut error = Error::new(kind, message);
    error.details_mut().code = code;
    error
}

fn portal_message(members: &Map<String, Value>) -> Option<String> {
    let message = ["errorMessage", "errmsg", "message", "error"]
        .iter()
        .find_map(|name| members.get(*name).and_then(Value::as_str).filter(|text| !text.trim().is_empty()))?;
    let one_line: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some(one_line.trim().to_owned())
}

fn integer(members: &Map<String, Value>, name: &str) -> Option<i64> {
    members.get(name).and_then(Value::as_i64)
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        400 | 413 => ErrorKind::BadRequest,
        401 => ErrorKind::Authentication,
        403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        412 => ErrorKind::TwoFactorRequired,
        429 => ErrorKind::RateLimit,
        500..=599 => ErrorKind::Server,
        _ => ErrorKind::Api,
    }
}

/// Source: the vendor's page "REST API Status Codes".
fn kind_of_code(code: i64) -> ErrorKind {
    match code {
        1400 | 14001 | 14003 | 14004 | 1104 | 1031 | 1077 | 1413 => ErrorKind::BadRequest,
        1401 => ErrorKind::Authentication,
        1403 => ErrorKind::PermissionDenied,
        1404 | 14042 | 1065 | 1069 => ErrorKind::NotFound,
        1409 => ErrorKind::Conflict,
        1412 => ErrorKind::TwoFactorRequired,
        1429 | 1091 | 1100 => ErrorKind::RateLimit,
        500..=599 | 1000 | 1001 | 1301 | 1500 => ErrorKind::Server,
        _ => ErrorKind::Api,
    }
}

/// Version 1 of the portal's API uses some of the same numbers for other things.
fn kind_of_v1_status(status: i64) -> ErrorKind {
    match status {
        401 | 403 | 1401 => ErrorKind::Authentication,
        600 => ErrorKind::Conflict,
        1041 => ErrorKind::PermissionDenied,
        1403 | 2403 | 3403 => ErrorKind::TwoFactorRequired,
        1069 | 404 => ErrorKind::NotFound,
        1001 | 1007 | 1101 | 500..=599 => ErrorKind::Server,
        _ => kind_of_code(status),
    }
}

/// What an answer that is no JSON is; never its text, which may hold anything.
fn shape(text: &[u8]) -> &'static str {
    if text.is_empty() {
        "an empty body"
    } else if text.starts_with(b"<") {
        "an HTML page (a proxy, a login page, or maintenance)"
    } else if text.starts_with(b"{") || text.starts_with(b"[") {
        "JSON that breaks off or is of another shape"
    } else {
        "something that is no JSON"
    }
}

fn advise(error: &mut Error, received: &Received) {
    let rate = received.rate;
    let details = error.details_mut();
    let advice: Option<String> = match details.kind {
        ErrorKind::RateLimit => {
            details.rate = rate;
            Some(match rate {
                Some(RateHeaders { limit, window, .. }) => format!(
                    "the portal allows {limit} such requests per {} s, shared by everyone who uses it; wait and call \
                     again",
                    window.as_secs()
                ),
                None => "wait a minute and call again: the budget is shared by everyone who uses the portal".to_owned(),
            })
        }
        ErrorKind::PermissionDenied => Some(
            "the credentials are good, but their user's role may not do this; to manage API tokens a role needs the \
             permission for it under the portal's user settings"
                .to_owned(),
        ),
        ErrorKind::NotFound => Some("check the id, and that company names the right portal".to_owned()),
        ErrorKind::TwoFactorRequired => {
            Some("the portal asks this user for two-factor authentication; use an API-only user".to_owned())
        }
        ErrorKind::Server => Some("the portal failed, or is being upgraded; try again later".to_owned()),
        ErrorKind::Api if (300..400).contains(&received.status) => {
            let to = received.redirect_host.as_deref().map(|host| format!(" to {host}")).unwrap_or_default();
            details.message = format!("the portal answered with a redirect{to}, which is never followed");
            Some("check company and domain: a portal that moved, or does not exist, redirects".to_owned())
        }
        _ => None,
    };
    details.advice.extend(advice.map(Into::into));
}
