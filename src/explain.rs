//! Why a portal refuses an LMv1 header: the known mistakes of hand-written code that produce it.
//!
//! `header` reads the header, however it is written, and the digest in its signature. `variants` makes the keys and the
//! parts of the string to sign that mistakes lead to, and `search` finds those that produce the digest. A digest that is
//! reproduced is a proof; a guess is never reported.

mod cause;
mod header;
mod json;
mod search;
mod variants;

use percent_encoding::percent_decode_str;
use serde_json::json;

pub use cause::Cause;
use header::Header;

use crate::error::{Error, Result};
use crate::lmv1::{Authorization, REST_PREFIX, TIME_WINDOW_MS, check_method, signed_body};
use crate::secret::Secret;
use crate::token_output::Members;

/// A request as it is sent.
#[derive(Debug, Clone)]
pub struct SentRequest<'a> {
    /// Upper-case HTTP method.
    pub method: String,
    /// The host, with its port, if it is known.
    pub host: Option<String>,
    /// The path, with or without `/santaba/rest`, percent-encoded or not.
    pub path: String,
    /// The query, without the question mark.
    pub query: String,
    /// The body.
    pub body: &'a [u8],
    /// Data that the caller has, but that the method does not send.
    pub unsent: &'a [u8],
}

impl<'a> SentRequest<'a> {
    /// Creates a request to a path or a URL, with its query. `GET` and `HEAD` do not send the data.
    ///
    /// The error does not repeat the path.
    pub fn new(method: &str, path: &str, data: &'a [u8]) -> Result<Self> {
        let method = check_method(method)?;
        let is_url =
            |scheme: &str| scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
        let (host, path) = match path.split_once("://").filter(|(scheme, _)| is_url(scheme)) {
            Some((_, rest)) => {
                let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Some(host.rsplit('@').next().unwrap_or(host).to_owned()), path)
            }
            None => (None, path),
        };
        if !path.starts_with('/') {
            return Err(Error::argument(
                "invalid path: does not begin with a slash; expected the path or the URL of the request, with its query",
            ));
        }
        let path = path.split('#').next().unwrap_or(path);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let body = signed_body(&method, data);
        let unsent = data.get(body.len()..).unwrap_or_default();
        Ok(Self { method, host, path: path.to_owned(), query: query.to_owned(), body, unsent })
    }

    /// Returns the path after `/santaba/rest`, as it is sent.
    fn sent_resource(&self) -> &str {
        let rest = self.path.strip_prefix(REST_PREFIX);
        rest.filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(&self.path)
    }

    /// Returns the path that is to be signed.
    fn resource_path(&self) -> String {
        percent_decode_str(self.sent_resource()).decode_utf8_lossy().into_owned()
    }
}

/// The token that a header should name.
#[derive(Debug, Clone, Copy)]
pub struct Token<'a> {
    /// Its access id.
    pub access_id: &'a str,
    /// Its access key.
    pub access_key: &'a Secret,
}

/// The time by which a portal judges the time in a header.
#[derive(Debug, Clone, Copy)]
pub struct PortalTime {
    /// Milliseconds since 1970-01-01 UTC.
    pub now_ms: u64,
    /// The largest difference that the portal accepts, in milliseconds.
    pub window_ms: u64,
}

impl PortalTime {
    /// Returns the time of a portal with the documented window.
    #[must_use]
    pub fn at(now_ms: u64) -> Self {
        Self { now_ms, window_ms: TIME_WINDOW_MS }
    }
}

/// What is wrong with a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the header is the one that the portal computes for the same time. The time may still be outside the
    /// portal's window, which is then a cause: only the caller knows when the header was made.
    pub correct: bool,
    /// What is wrong; empty if nothing is.
    pub causes: Vec<Cause>,
    /// The string to sign with the time in the header, `None` without one. It is not a credential, whereas the header
    /// that belongs to it would be.
    pub string_to_sign: Option<String>,
}

impl Explanation {
    /// Returns its members for output.
    pub(crate) fn members(&self) -> Members {
        let cause = |cause: &Cause| json!({"name": cause.name(), "explanation": cause.explanation()});
        let causes: Vec<_> = self.causes.iter().map(cause).collect();
        Members(vec![
            ("correct", json!(self.correct)),
            ("causes", json!(causes)),
            ("string_to_sign", json!(self.string_to_sign)),
        ])
    }
}

/// Explains the value of an `Authorization` header. Without a token, the access id is unknown.
#[must_use]
pub fn explain(
    header: &str,
    request: &SentRequest<'_>,
    token: Option<Token<'_>>,
    time: PortalTime,
) -> Explanation {
    let Header { access_id, signature, epoch, mut causes } = Header::read(header);
    match token {
        None => add(&mut causes, Cause::UnknownAccessId),
        Some(token) => {
            if access_id != token.access_id {
                add(&mut causes, Cause::AccessId);
            }
            if !is_signed(header, request, token) {
                for cause in causes_of_signature(&signature, request, token, &epoch) {
                    add(&mut causes, cause);
                }
                if causes.is_empty() {
                    causes.push(Cause::Unknown);
                }
            }
        }
    }
    let correct = causes.is_empty();
    let milliseconds = header::milliseconds(&epoch);
    if milliseconds.is_some_and(|milliseconds| milliseconds.abs_diff(time.now_ms) > time.window_ms) {
        causes.push(Cause::TimeWindow);
    }
    let string_to_sign = milliseconds.map(|milliseconds| {
        let body = String::from_utf8_lossy(request.body);
        format!("{}{milliseconds}{body}{}", request.method, request.resource_path())
    });
    Explanation { correct, causes, string_to_sign }
}

/// Returns the value of a header, which may follow its name. A bearer token is refused: it is a secret, and not signed.
pub(crate) fn header_value(header: &str) -> Result<&str> {
    const NAME: &str = "authorization:";
    let is_named = header.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME));
    let value = if is_named { header.get(NAME.len()..).unwrap_or_default() } else { header }.trim();
    if is_bearer(value) {
        return Err(Error::argument(
            "invalid authorization: a bearer token, which is not signed; expected LMv1 ACCESS_ID:SIGNATURE:EPOCH",
        ));
    }
    Ok(value)
}

/// Returns whether a header has a bearer token, and not the fields of an LMv1 header after the wrong word.
pub(crate) fn is_bearer(header: &str) -> bool {
    let (scheme, value) = header.split_once(' ').unwrap_or(("", header));
    value.contains("lmb_") || scheme.eq_ignore_ascii_case("Bearer") && value.split(':').count() != 3
}

/// Returns the access id that a header names, however it is written.
pub(crate) fn access_id(header: &str) -> String {
    Header::read(header).access_id
}

fn causes_of_signature(
    signature: &str,
    request: &SentRequest<'_>,
    token: Token<'_>,
    epoch: &str,
) -> Vec<Cause> {
    match header::digest(signature) {
        Some((digest, mut causes)) => {
            causes.extend(search::find(&digest, request, token, epoch));
            causes
        }
        None => vec![Cause::Signature],
    }
}

fn is_signed(header: &str, request: &SentRequest<'_>, token: Token<'_>) -> bool {
    let key = token.access_key.reveal().as_bytes();
    Authorization::parse(header)
        .is_some_and(|header| header.verify(&request.method, request.body, &request.resource_path(), key))
}

fn add(causes: &mut Vec<Cause>, cause: Cause) {
    if !causes.contains(&cause) {
        causes.push(cause);
    }
}
