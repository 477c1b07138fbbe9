//! Requests and successful responses.

use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;

use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::model::RateHeaders;

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates. The only method that must never be repeated blindly: each POST creates another token.
    Post,
    /// Changes the given members only.
    Patch,
    /// Deletes.
    Delete,
}

impl Method {
    /// Returns the method's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Returns whether a request with this method can change anything on the portal.
    #[must_use]
    pub fn is_write(self) -> bool {
        self != Self::Get
    }
}

/// One request, not yet signed.
#[derive(Debug, Clone)]
pub struct Request {
    /// HTTP method.
    pub method: Method,
    /// The path with placeholders instead of ids: the key of the rate limit, and what logs show.
    pub endpoint: &'static str,
    /// The path after `/santaba/rest`.
    pub resource_path: String,
    /// Query parameters. The signature does not cover them.
    pub query: Vec<(&'static str, String)>,
    /// The bytes to sign and send.
    pub body: Option<Vec<u8>>,
}

/// A successful response.
pub struct Response {
    /// HTTP status: 2xx, or 404 if an earlier attempt of the same DELETE may have deleted the resource.
    pub status: u16,
    /// The JSON body without an envelope, or nothing. It is valid JSON.
    pub body: Bytes,
    /// The portal's clock (the `Date` header).
    pub date: Option<SystemTime>,
    /// The rate limit, as the response headers give it.
    pub rate: Option<RateHeaders>,
    /// When the last attempt began, after its permit was granted.
    pub sent: Moment,
}

impl Response {
    /// Returns the error for a success to a write that does not show what was asked for.
    pub(crate) fn unexpected(&self, message: impl Into<String>) -> Error {
        let mut error = Error::new(ErrorKind::Response, message);
        let details = error.details_mut();
        (details.status, details.attempts, details.maybe_applied) = (Some(self.status), 1, true);
        error
    }
}

impl fmt::Debug for Response {
    /// Leaves the body out: the response to a create contains the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("date", &self.date)
            .finish_non_exhaustive()
    }
}
