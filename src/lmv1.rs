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
    /// The exact bytes that are sent; empty for a request without a body.
    pub body: &'a [u8],
    /// The percent-decoded path after `/santaba/rest`, without query.
    pub resource_path: &'a str,
}

impl Request<'_> {
    /// Returns the bytes that the HMAC covers: method, milliseconds, body and path without separators.
    #[must_use]
    pub fn string_to_sign(&self) -> Vec<u8> {
        let timestamp = self.timestamp_ms.to_string();
        [self.method.as_bytes(), timestamp.as_bytes(), self.body, self.resource_path.as_bytes()].concat()
    }

    /// Returns the HMAC-SHA256 as 64 lower-case hex digits.
    #[must_use]
    pub fn digest_hex(&self, access_key: &[u8]) -> String {
        hex(&self.digest(access_key))
    }

    /// Returns the base64 of the hex digest, which is always 88 characters.
    #[must_use]
    pub fn signature(&self, access_key: &[u8]) -> String {
        BASE64.encode(self.digest_hex(access_key))
    }

    /// Returns the value of the `Authorization` header.
    #[must_use]
    pub fn authorization(&self, access_id: &str, access_key: &[u8]) -> String {
        format!("LMv1 {access_id}:{}:{}", self.signature(access_key), self.timestamp_ms)
    }

    fn digest(&self, access_key: &[u8]) -> [u8; 32] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(access_key) else {
            unreachable!("HMAC takes a key of any length");
        };
        mac.update(self.method.as_bytes());
        mac.update(self.timestamp_ms.to_string().as_bytes());
        mac.update(self.body);
        mac.update(self.resource_path.as_bytes());
        mac.finalize().into_bytes().into()
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
        request.signature(access_key).as_bytes().ct_eq(self.signature.as_bytes()).into()
    }
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
    } else if path.chars().any(char::is_control) {
        "contains control characters"
    } else {
        return Ok(());
    };
    Err(Error::argument(format!("invalid resource_path: {problem}; expected {EXPECTED}")))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().map_or('0', char::from);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}
