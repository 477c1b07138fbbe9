//! The outcome of an attempt, decided by the method, the status and the body. Whether the body is the expected token is
//! checked by the operation.

use std::borrow::Cow;

use bytes::Bytes;

use super::request::Method;
use super::transport::{RawResponse, TransportFailure};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Member, members, mended};
use crate::model::RateHeaders;

/// Returns the body, which is valid JSON or empty, if the portal did what the request asked for, else the error. The
/// error's `maybe_applied` says whether the portal may have acted.
pub fn outcome(method: Method, exchange: Result<RawResponse, TransportFailure>) -> Result<Bytes> {
    let (mut error, is_unknown) = match exchange {
        Ok(response) => match read(method, &response) {
            Ok(body) => return Ok(body),
            Err(error) => {
                // A 5xx, an unreadable response or an unknown code in a 2xx does not say whether the portal stored the
                // change. Any other error response means that it did not.
                let is_unknown = error.details().maybe_applied
                    || matches!(error.kind(), ErrorKind::Server | ErrorKind::Response)
                    || matches!(error.details().code, Some(ACCEPTED_UNFINISHED | PARTIAL_SUCCESS));
                (error, is_unknown)
            }
        },
        Err(failure) => {
            let mut error = Error::new(failure.kind, failure.message);
            error.details_mut().status = failure.status;
            error.details_mut().advice.extend(failure.advice);
            error.details_mut().is_too_long = failure.is_too_long;
            error.details_mut().is_refused_by_proxy = failure.refusal.is_some();
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
fn read(method: Method, response: &RawResponse) -> Result<Bytes> {
    let body = normalized(&response.body);
    let success = (200..300).contains(&response.status);
    let mut error = match (Content::of(&body), success) {
        (Content::Object(envelope), true) => {
            let content = if envelope.is_v1() {
                let data = envelope.data.raw().filter(|_| !envelope.data.is_null());
                data.map_or_else(Bytes::new, |data| body.slice_ref(data.as_bytes()))
            } else {
                body.clone()
            };
            match envelope.error() {
                // Only a token that the portal created has a key, whatever the code says. The key is shown only here.
                Some(error) if !(method == Method::Post && holds_key(&content)) => error,
                _ => return Ok(content),
            }
        }
        (Content::Nothing | Content::Other, true) => return Ok(body),
        // Outside 2xx the status decides; the body only adds the portal's message.
        (Content::Object(envelope), false) => {
            envelope.error_of(kind_of_status(response.status), envelope.code.whole_number())
        }
        (_, success) => {
            let kind = if success { ErrorKind::Response } else { kind_of_status(response.status) };
            let message =
                format!("the portal returned status {} with {}", response.status, describe(response, &body));
            Error::new(kind, message)
        }
    };
    error.details_mut().status = Some(response.status);
    add_advice(&mut error, response);
    Err(error)
}

/// Returns the body without surrounding white space and byte order marks, as valid UTF-8 and with its values mended.
fn normalized(body: &Bytes) -> Bytes {
    let trim = |text| str::trim_matches(text, |c: char| c.is_ascii_whitespace() || c == '\u{feff}');
    match String::from_utf8_lossy(body) {
        Cow::Borrowed(text) => match mended(trim(text)) {
            Cow::Borrowed(text) => body.slice_ref(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        },
        Cow::Owned(text) => Bytes::from(mended(trim(&text)).into_owned()),
    }
}

/// Returns whether JSON is a token with its key.
fn holds_key(json: &[u8]) -> bool {
    let members = std::str::from_utf8(json).ok().and_then(|text| members(text, ["id", "accessKey"]).ok()?);
    members.is_some_and(|[id, key]| {
        id.whole_number().is_some() && key.text().is_some_and(|key| !key.trim().is_empty())
    })
}

/// What a body is.
enum Content<'a> {
    Nothing,
    Object(Envelope<'a>),
    /// Another JSON value.
    Other,
    Unreadable,
}

impl<'a> Content<'a> {
    fn of(body: &'a [u8]) -> Self {
        let names = ["errorCode", "id", "status", "data", "errmsg", "errorMessage", "message", "error"];
        match std::str::from_utf8(body).ok().map(|text| (text, members(text, names))) {
            Some(("", _)) => Self::Nothing,
            Some((_, Ok(Some([code, id, status, data, errmsg, error_message, message, error])))) => {
                Self::Object(Envelope {
                    code,
                    id,
                    status,
                    data,
                    errmsg,
                    error_message,
                    others: [message, error],
                })
            }
            Some((_, Ok(None))) => Self::Other,
            Some((_, Err(_))) | None => Self::Unreadable,
        }
    }
}

/// The members that tell an error from a success, in the shapes of both API versions.
struct Envelope<'a> {
    code: Member<'a>,
    id: Member<'a>,
    status: Member<'a>,
    data: Member<'a>,
    errmsg: Member<'a>,
    error_message: Member<'a>,
    others: [Member<'a>; 2],
}

impl Envelope<'_> {
    /// Returns the error in a body whose HTTP status is 2xx. A member `status` alone proves nothing: tokens have one
    /// too. A code that cannot be read is an error whose outcome is unknown.
    fn error(&self) -> Option<Error> {
        if self.error_message.is_given() && !self.code.is_null() {
            return self.error_of_code(self.code.whole_number(), kind_of_code);
        }
        if !self.is_v1() || self.status.is_null() {
            return None;
        }
        self.error_of_code(self.status.whole_number(), kind_of_v1_status)
    }

    fn is_v1(&self) -> bool {
        let status = self.status.whole_number();
        let is_token = matches!(status, Some(1 | 2)) && self.id.whole_number().is_some();
        let is_error = status.is_some_and(|status| status > 200);
        self.errmsg.is_given() && !is_token && (self.data.is_given() || is_error)
    }

    /// Returns the error with a code, unless it is that of a success. An unknown code does not say whether the portal
    /// acted.
    fn error_of_code(&self, code: Option<i64>, kind_of: fn(i64) -> Option<ErrorKind>) -> Option<Error> {
        let Some(number) = code else { return Some(self.error_of(ErrorKind::Response, None)) };
        if SUCCESSES.contains(&number) {
            return None;
        }
        let kind = kind_of(number);
        let mut error = self.error_of(kind.unwrap_or(ErrorKind::Api), code);
        error.details_mut().maybe_applied = kind.is_none();
        Some(error)
    }

    fn error_of(&self, kind: ErrorKind, code: Option<i64>) -> Error {
        let message = self.message().unwrap_or_else(|| "the portal gave no reason".to_owned());
        let mut error = Error::new(kind, message);
        error.details_mut().code = code;
        error
    }

    fn message(&self) -> Option<String> {
        let [third, fourth] = self.others;
        let message = [self.error_message, self.errmsg, third, fourth]
            .iter()
            .find_map(|member| member.text().filter(|text| !text.trim().is_empty()))?;
        let one_line: String = message.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
        Some(one_line.trim().to_owned())
    }
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

/// The codes with which a success is reported.
const SUCCESSES: [i64; 6] = [0, 200, 201, 204, 1200, 1204];

/// Returns the kind of a known code. Source: the vendor's page "REST API Status Codes".
fn kind_of_code(code: i64) -> Option<ErrorKind> {
    Some(match code {
        1400 | 14001 | 14003 | 14004 | 1104 | 1031 | 1077 | 1413 => ErrorKind::BadRequest,
        1401 => ErrorKind::Authentication,
        1403 => ErrorKind::PermissionDenied,
        1404 | 14042 | 1065 | 1069 => ErrorKind::NotFound,
        1409 => ErrorKind::Conflict,
        1412 => ErrorKind::TwoFactorRequired,
        1429 | 1091 | 1100 => ErrorKind::RateLimit,
        500..=599 | 1000 | 1001 | 1301 | 1500 => ErrorKind::Server,
        _ => return None,
    })
}

/// Version 1 of the API uses some of the same numbers with other meanings.
fn kind_of_v1_status(status: i64) -> Option<ErrorKind> {
    Some(match status {
        401 | 403 | 1401 => ErrorKind::Authentication,
        600 => ErrorKind::Conflict,
        1041 => ErrorKind::PermissionDenied,
        1403 | 2403 | 3403 => ErrorKind::TwoFactorRequired,
        1069 | 404 => ErrorKind::NotFound,
        1001 | 1007 | 1101 | 500..=599 => ErrorKind::Server,
        _ => return kind_of_code(status),
    })
}

/// Describes a body that cannot be used, without repeating its text, which may contain anything.
fn describe(response: &RawResponse, text: &[u8]) -> Cow<'static, str> {
    /// The first bytes of a compressed body. A server that ignores what the client accepts may not name it either.
    const SIGNATURES: [(&[u8], &str); 2] = [(b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd")];
    let found = || SIGNATURES.iter().find(|(start, _)| response.body.starts_with(start));
    let compression = response.compression.as_deref().or_else(|| found().map(|(_, name)| *name));
    if text.is_empty() {
        "an empty body".into()
    } else if let Some(compression) = compression {
        format!("a body that is compressed ({compression}), although the request said not to (Accept-Encoding: identity)")
            .into()
    } else if text.starts_with(b"<") {
        "an HTML page (a gateway, a login page, or maintenance)".into()
    } else if text.starts_with(b"{") || text.starts_with(b"[") {
        "truncated or unexpected JSON".into()
    } else {
        "a body that is not a JSON object".into()
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
