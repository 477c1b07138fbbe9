//! The error type of the core.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::advice::Advice;
use crate::model::{RateHeaders, Token};

/// The result type of the core.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The message of a bug, for example a panic.
pub(crate) const INTERNAL_ERROR: &str = "internal error in lmtokens; please report it";

/// The kind of an error. Each is one exception class of the Python API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// An invalid argument; nothing was sent.
    Argument,
    /// Settings that are invalid or contradict each other; nothing was sent.
    Configuration,
    /// No credentials, half a pair, or malformed credentials; nothing was sent.
    Credentials,
    /// The portal rejected the request for a reason that has no kind of its own.
    Api,
    /// 400, 413: the portal rejected the request as malformed.
    BadRequest,
    /// 401: the portal rejected the credentials. Never retried with the same ones: repeated failures lock a token.
    Authentication,
    /// 403: the credentials are valid but lack the permission.
    PermissionDenied,
    /// 404: no such user or token.
    NotFound,
    /// 409: the resource exists already.
    Conflict,
    /// 412: the portal requires two-factor authentication for this user.
    TwoFactorRequired,
    /// 429: the rate limit of this method and endpoint is reached.
    RateLimit,
    /// 5xx: the portal failed.
    Server,
    /// The connection failed after the request may have been sent.
    Transport,
    /// The connection could not be established; the portal received nothing.
    Connect,
    /// TLS failed, for example because the certificate is not trusted.
    Tls,
    /// A timeout or the deadline expired.
    RequestTimeout,
    /// The response could not be understood.
    Response,
    /// The response to a create was lost, so a token may exist.
    OutcomeUnknown,
    /// The call would disable or delete the calling token.
    SelfLockout,
    /// The secret of a new token could not be delivered, or a journal cannot be used.
    Delivery,
    /// A rotation cannot be continued, finished or cancelled now.
    Rotation,
}

impl ErrorKind {
    /// Every kind, for tests of completeness.
    pub const ALL: [Self; 21] = [
        Self::Argument,
        Self::Configuration,
        Self::Credentials,
        Self::Api,
        Self::BadRequest,
        Self::Authentication,
        Self::PermissionDenied,
        Self::NotFound,
        Self::Conflict,
        Self::TwoFactorRequired,
        Self::RateLimit,
        Self::Server,
        Self::Transport,
        Self::Connect,
        Self::Tls,
        Self::RequestTimeout,
        Self::Response,
        Self::OutcomeUnknown,
        Self::SelfLockout,
        Self::Delivery,
        Self::Rotation,
    ];
}

/// An error with the facts that a user or a support desk needs. It holds no request and no response body; a new token's
/// secret only in `token`, which masks it.
pub struct Error(Box<Details>);

/// The facts of an [`Error`].
#[derive(Debug)]
pub struct Details {
    /// The kind.
    pub kind: ErrorKind,
    /// One sentence that says what is wrong.
    pub message: String,
    /// What the user can do next.
    pub advice: Vec<Advice>,
    /// The HTTP status of the response.
    pub status: Option<u16>,
    /// The portal's own error code, such as 1401.
    pub code: Option<i64>,
    /// Whether the portal may have acted on the request.
    pub maybe_applied: bool,
    /// For [`ErrorKind::Response`]: whether the body exceeds the limit. A smaller page may not.
    pub is_too_long: bool,
    /// For [`ErrorKind::Connect`]: whether a proxy refused the connection.
    pub is_refused_by_proxy: bool,
    /// The number of attempts of the request that failed; if none failed, the number of requests of the call.
    pub attempts: u32,
    /// The time from the start of the call to the error.
    pub elapsed: Duration,
    /// For [`ErrorKind::RateLimit`]: the rate limit, as the response headers gave it.
    pub rate: Option<RateHeaders>,
    /// For [`ErrorKind::OutcomeUnknown`]: the tokens that may be the result; `None` if the portal could not be asked.
    pub candidates: Option<Vec<Token>>,
    /// For [`ErrorKind::OutcomeUnknown`]: the token of the response with its secret, if it may be the created one.
    pub token: Option<Token>,
    /// For [`ErrorKind::OutcomeUnknown`]: why the portal could not be asked.
    pub lookup_error: Option<Error>,
    /// The cause.
    pub cause: Option<Error>,
    /// The exception of a callback, which its interface gets back.
    pub origin: Option<Arc<dyn Any + Send + Sync>>,
}

impl Error {
    /// Returns an error of a kind.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind,
            message: message.into(),
            advice: Vec::new(),
            status: None,
            code: None,
            maybe_applied: false,
            is_too_long: false,
            is_refused_by_proxy: false,
            attempts: 0,
            elapsed: Duration::ZERO,
            rate: None,
            candidates: None,
            token: None,
            lookup_error: None,
            cause: None,
            origin: None,
        }))
    }

    /// Returns the error for an invalid argument.
    #[must_use]
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Argument, message)
    }

    /// Returns the error for an argument whose value cannot be used: "invalid NAME GIVEN; expected EXPECTED".
    #[must_use]
    pub fn invalid(name: &str, given: impl fmt::Display, expected: impl fmt::Display) -> Self {
        Self::argument(format!("invalid {name} {given}; expected {expected}"))
    }

    /// Returns the error for a value from the portal that would be an invalid argument.
    #[must_use]
    pub(crate) fn of_portal(mut invalid: Self) -> Self {
        invalid.0.kind = ErrorKind::Response;
        invalid.0.message.insert_str(0, "the portal returned an ");
        invalid
    }

    /// Returns the error for invalid settings.
    #[must_use]
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// Returns the error for missing or malformed credentials.
    #[must_use]
    pub fn credentials(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Credentials, message)
    }

    /// Returns the error of a bug, for example a panic. What had been sent by then is not known.
    #[must_use]
    pub(crate) fn internal() -> Self {
        let mut error = Self::new(ErrorKind::Transport, INTERNAL_ERROR);
        error.0.maybe_applied = true;
        error
    }

    /// Adds what the user can do next.
    #[must_use]
    pub fn suggest(mut self, advice: impl Into<Advice>) -> Self {
        self.0.advice.push(advice.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, cause: Error) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// Adds the cause, and copies its status, code and attempts.
    #[must_use]
    pub(crate) fn caused_by_response(mut self, cause: Error) -> Self {
        self.0.status = cause.0.status;
        self.0.code = cause.0.code;
        self.0.attempts = cause.0.attempts;
        self.caused_by(cause)
    }

    /// Returns the error for another result that failed for the same reason. Tokens and causes are not repeated.
    #[must_use]
    pub(crate) fn repeated(&self) -> Self {
        let failed = &*self.0;
        let mut error = Self::new(failed.kind, failed.message.clone());
        *error.0 = Details {
            advice: failed.advice.clone(),
            status: failed.status,
            code: failed.code,
            maybe_applied: failed.maybe_applied,
            is_refused_by_proxy: failed.is_refused_by_proxy,
            attempts: failed.attempts,
            elapsed: failed.elapsed,
            rate: failed.rate,
            origin: failed.origin.clone(),
            ..*error.0
        };
        error
    }

    /// Returns the facts.
    #[must_use]
    pub fn details(&self) -> &Details {
        &self.0
    }

    /// Returns the facts, to complete them.
    pub fn details_mut(&mut self) -> &mut Details {
        &mut self.0
    }

    /// Returns the facts by value.
    #[must_use]
    pub fn into_details(self) -> Details {
        *self.0
    }

    /// Returns whether the portal rejected the credentials, or a proxy rejected its password. Repeated failures lock a
    /// token or an account.
    #[must_use]
    pub(crate) fn is_credential_rejection(&self) -> bool {
        let is_rejected_by_proxy = self.0.is_refused_by_proxy && self.0.status == Some(407);
        self.0.kind == ErrorKind::Authentication || is_rejected_by_proxy
    }

    /// Returns whether credentials or a proxy's password were rejected in this request or in the lookup of its outcome.
    #[must_use]
    pub(crate) fn follows_credential_rejection(&self) -> bool {
        self.is_credential_rejection()
            || self.0.lookup_error.as_ref().is_some_and(Self::is_credential_rejection)
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
}

/// Runs `work` and returns a panic as an error: it must not reach the user's interpreter.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Error::internal()))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_ref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}
