//! The outcome of an attempt, decided by the method, the status and the body. Whether the body is the expected token is
//! checked by the operation.

use serde_json::{Map, Value};

use super::request::Method;
use super::transport::{RawResponse, TransportFailure};
use crate::error::{Error, ErrorKind, Result};
use crate::model::RateHeaders;

/// Returns the JSON body if the portal did what the request asked for, else the error. The error's `maybe_applied` says
/// whether the portal may have acted.
pub fn outcome(method: Method, exchange: Result<RawResponse, TransportFailure>) -> Result<Value> {
    let (mut error, is_unknown) = match exchange {
        Ok(response) => match read(&response) {
            Ok(body) => return Ok(body),
            Err(error) => {
                // A 5xx or an unreadable response does not say whether the portal stored the change. Any other error
                // response means that it did not.
                let is_unknown = matches!(error.kind(), ErrorKind::Server | ErrorKind::Response)
                    || matches!(error.details().code, Some(ACCEPTED_UNFINISHED | PARTIAL_SUCCESS));
                (error, is_unknown)
            }
        },
        Err(failure) => {
            let mut error = Error::new(failure.kind, failure.message);
            error.details_mut().status = failure.status;
            error.details_mut().advice.extend(failure.advice);
            (error, failure.maybe_sent)
        }
    };
    error.details_mut().maybe_applied = is_unknown && method.is_write();
    Err(error)
}

/// Code of a 202: the portal accepted the request and may carry it out later.
const ACCEPTED_UNFINISHED: i64 = 1202;

/// Code of version 1: a part of the request was carried out, maybe the one that matters.
const PARTIAL_SUCCESS: i64 = 1201;

/// Reads the body of a success, or the error. The portal also returns errors with status 200, in the shape of either
/// API version.
fn read(response: &RawResponse) -> Result<Value> {
    let text = response.body.trim_ascii();
    let json = if text.is_empty() { Some(Value::Null) } else { serde_json::from_slice(text).ok() };
    let success = (200..300).contains(&response.status);
    let mut error = match (json, success) {
        (Some(Value::Object(members)), true) => match error_in_success(&members) {
            Some(error) => error,
            None => return Ok(without_v1_envelope(members)),
        },
        (Some(body), true) => return Ok(body),
        (Some(Value::Object(members)), false) => {
            // Outside 2xx the status decides; the body only adds the portal's message.
            let kind = kind_of_status(response.status);
            portal_error(kind, portal_message(&members), integer(&members, "errorCode"))
        }
        (_, success) => {
            let kind = if success { ErrorKind::Response } else { kind_of_status(response.status) };
            let message =
                format!("the portal returned status {} with {}", response.status, describe_body(text));
            Error::new(kind, message)
        }
    };
    error.details_mut().status = Some(response.status);
    add_advice(&mut error, response);
    Err(error)
}

/// Returns the error in a body whose HTTP status is 2xx. A member `status` alone proves nothing: tokens have one too.
fn error_in_success(members: &Map<String, Value>) -> Option<Error> {
    if let Some(code) = integer(members, "errorCode").filter(|_| members.contains_key("errorMessage")) {
        return Some(portal_error(kind_of_code(code), portal_message(members), Some(code)));
    }
    let v1_status = integer(members, "status").filter(|_| is_v1_envelope(members))?;
    (v1_status != 200)
        .then(|| portal_error(kind_of_v1_status(v1_status), portal_message(members), Some(v1_status)))
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

fn portal_error(kind: ErrorKind, message: Option<String>, code: Option<i64>) -> Error {
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

/// Version 1 of the API uses some of the same numbers with other meanings.
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

/// Describes a body that cannot be used, without repeating its text, which may contain anything.
fn describe_body(text: &[u8]) -> &'static str {
    if text.is_empty() {
        "an empty body"
    } else if text.starts_with(b"<") {
        "an HTML page (a proxy, a login page, or maintenance)"
    } else if text.starts_with(b"{") || text.starts_with(b"[") {
        "truncated or unexpected JSON"
    } else {
        "a body that is not a JSON object"
    }
}

fn add_advice(error: &mut Error, response: &RawResponse) {
    let rate = response.rate;
    let details = error.details_mut();
    let advice: Option<String> = match details.kind {
        ErrorKind::RateLimit => {
            details.rate = rate;
            Some(match rate {
                Some(RateHeaders { limit, window, .. }) => format!(
                    "wait and retry; the portal allows {limit} such requests per {} s, shared by all of its clients",
                    window.as_secs()
                ),
                None => "wait a minute and retry; all clients of the portal share the rate limit".to_owned(),
            })
        }
        ErrorKind::PermissionDenied => Some(
            "give the user's role the permission, in the portal's user settings; the credentials themselves are valid"
                .to_owned(),
        ),
        ErrorKind::NotFound => Some("check the id, and that the company is the right one".to_owned()),
        ErrorKind::TwoFactorRequired => {
            Some("use an API-only user; the portal requires two-factor authentication from this one".to_owned())
        }
        ErrorKind::Server => Some("retry later; the portal failed or is being upgraded".to_owned()),
        ErrorKind::Api if (300..400).contains(&response.status) => {
            let to = response.redirect_host.as_deref().map(|host| format!(" to {host}")).unwrap_or_default();
            details.message = format!("the portal returned a redirect{to}; redirects are never followed");
            Some("check company and domain; a portal that was moved or does not exist redirects".to_owned())
        }
        _ => None,
    };
    details.advice.extend(advice.map(Into::into));
}
