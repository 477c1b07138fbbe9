//! The LMv1 signature: pure functions, with the time and the key as arguments.
//!
//! ```text
//! string to sign = METHOD + epoch milliseconds + body + resource path          (no separators)
//! signature      = base64(lower-case hex(HMAC-SHA256(access key, string to sign)))
//! Authorization  = "LMv1 " + access id + ":" + signature + ":" + epoch milliseconds
//! ```
//!
//! Source: the vendor's page "REST API Authentication". The formula on that page omits the hex step, but its sample
//! code and every working client include it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::error::Error;

/// The start of the path in every URL of the REST API. It is not signed.
pub(crate) const REST_PREFIX: &str = "/santaba/rest";

/// The portal rejects signatures whose time differs from its own clock by more than this, in milliseconds.
pub(crate) const TIME_WINDOW_MS: u64 = 30 * 60 * 1000;

/// The signed parts of one request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Upper-case HTTP method.
    pub method: &'a str,
    /// Milliseconds since 1970-01-01 UTC.
    pub timestamp_ms: u64,
    /// The exact bytes that are sent; empty for a request without a body. `GET` and `HEAD` do not send a body, and
    /// it is not signed.
    pub body: &'a [u8],
    /// The percent-decoded path after `/santaba/rest`, without query.
    pub resource_path: &'a str,
}

impl Request<'_> {
    /// Returns the bytes that the HMAC covers: method, milliseconds, body and path without separators.
    #[must_use]
    pub fn string_to_sign(&self) -> Vec<u8> {
        self.parts(&self.timestamp_ms.to_string()).concat()
    }

    /// Returns the HMAC-SHA256 as 64 lower-case hex digits.
    #[must_use]
    pub fn digest_hex(&self, key: &SigningKey) -> String {
        self.hex(key, &self.timestamp_ms.to_string()).into_iter().map(char::from).collect()
    }

    /// Returns the base64 of the hex digest, which is always 88 characters.
    #[must_use]
    pub fn signature(&self, key: &SigningKey) -> String {
        BASE64.encode(self.hex(key, &self.timestamp_ms.to_string()))
    }

    /// Returns the value of the `Authorization` header.
    #[must_use]
    pub fn authorization(&self, access_id: &str, key: &SigningKey) -> String {
        let timestamp = self.timestamp_ms.to_string();
        let mut header = String::with_capacity("LMv1 ::".len() + access_id.len() + 88 + timestamp.len());
        header.push_str("LMv1 ");
        header.push_str(access_id);
        header.push(':');
        BASE64.encode_string(self.hex(key, &timestamp), &mut header);
        header.push(':');
        header.push_str(&timestamp);
        header
    }

    fn hex(&self, key: &SigningKey, timestamp: &str) -> [u8; 64] {
        let mut mac = Hmac::clone(&key.0);
        for part in self.parts(timestamp) {
            mac.update(part);
        }
        hex(&mac.finalize().into_bytes().into())
    }

    fn parts<'a>(&'a self, timestamp: &'a str) -> [&'a [u8]; 4] {
        let body = signed_body(self.method, self.body);
        [self.method.as_bytes(), timestamp.as_bytes(), body, self.resource_path.as_bytes()]
    }
}

/// An access key, prepared for many signatures: HMAC hashes it once only.
///
/// Clones share one state, which is wiped when the last clone is dropped.
#[derive(Clone)]
pub struct SigningKey(Arc<Hmac<Sha256>>);

impl SigningKey {
    /// Prepares an access key.
    #[must_use]
    pub fn new(access_key: &[u8]) -> Self {
        let Ok(mac) = Hmac::new_from_slice(access_key) else {
            unreachable!("HMAC takes a key of any length");
        };
        Self(Arc::new(mac))
    }
}

/// A parsed `Authorization: LMv1 …` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The access id of the signing token.
    pub access_id: String,
    /// The base64 of the hex digest, as received.
    pub signature: String,
    /// Milliseconds since 1970-01-01 UTC.
    pub timestamp_ms: u64,
}

impl Authorization {
    /// Parses a header value; `None` unless it has the form `LMv1 id:signature:milliseconds`.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.strip_prefix("LMv1 ")?.split(':');
        let (access_id, signature, timestamp) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || access_id.is_empty() || !timestamp.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            access_id: access_id.to_owned(),
            signature: signature.to_owned(),
            // The time is signed as text, so only its canonical form is accepted.
            timestamp_ms: timestamp.parse().ok().filter(|number: &u64| number.to_string() == timestamp)?,
        })
    }

    /// Returns whether `access_key` produced this header for these bytes. Compares in constant time.
    #[must_use]
    pub fn verify(&self, method: &str, body: &[u8], resource_path: &str, access_key: &[u8]) -> bool {
        let request = Request { method, timestamp_ms: self.timestamp_ms, body, resource_path };
        let signature = request.signature(&SigningKey::new(access_key));
        signature.as_bytes().ct_eq(self.signature.as_bytes()).into()
    }
}

/// Returns the part of a body that a signature covers: `GET` and `HEAD` have no body.
#[must_use]
pub(crate) fn signed_body<'a>(method: &str, body: &'a [u8]) -> &'a [u8] {
    if matches!(method, "GET" | "HEAD") { &[] } else { body }
}

/// Checks a caller's method and returns it in upper case. The error does not repeat it: it may be a misplaced
/// credential.
pub fn check_method(method: &str) -> Result<String, Error> {
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Err(Error::argument(
            "invalid method; expected an HTTP method such as GET, POST, PUT, PATCH or DELETE",
        ));
    }
    Ok(method.to_ascii_uppercase())
}

/// Rejects a resource path whose signature the portal would never accept. The error does not repeat it.
pub fn check_resource_path(path: &str) -> Result<(), Error> {
    const EXPECTED: &str = "the path after /santaba/rest, such as /setting/admins/32/apitokens";
    let problem = if !path.starts_with('/') {
        "does not begin with a slash"
    } else if path == REST_PREFIX || path.starts_with("/santaba/rest/") {
        "contains /santaba/rest, which is not signed"
    } else if path.contains('?') {
        "contains a query string, which is never signed"
    } else if path.contains('#') {
        "contains a fragment"
    } else if has_control_characters(path) {
        "contains control characters"
    } else {
        return Ok(());
    };
    Err(Error::argument(format!("invalid resource_path: {problem}; expected {EXPECTED}")))
}

fn has_control_characters(text: &str) -> bool {
    // Bytes are compared faster than characters.
    if text.is_ascii() {
        text.bytes().any(|b| b.is_ascii_control())
    } else {
        text.chars().any(char::is_control)
    }
}

fn hex(digest: &[u8; 32]) -> [u8; 64] {
    let digit = |nibble: u8| b'0' + nibble + if nibble > 9 { b'a' - b'9' - 1 } else { 0 };
    let mut digits = [0; 64];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
        *pair = [digit(byte >> 4), digit(byte & 0xf)];
    }
    digits
}
