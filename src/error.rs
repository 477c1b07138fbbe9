//! What can go wrong, and what to do next.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use crate::model::{RateHeaders, Token};

/// The result of everything in the core that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. Each kind is one exception class of the Python face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// An argument that can never be right; nothing was sent. User action: correct the call.
    Argument,
    /// Settings that contradict each other or cannot be used; nothing was sent. User action: correct the settings.
    Configuration,
    /// No credentials, half a pair, or a pair that cannot be one; nothing was sent. User action: supply the pair.
    Credentials,
    /// The portal said no, in a way that has no kind of its own.
    Api,
    /// 400: the portal did not understand or accept the request.
    BadRequest,
    /// 401: the portal did not accept the credentials. Never retried: repeats lock a token.
    Authentication,
    /// 403: the credentials are good and may not do this.
    PermissionDenied,
    /// 404: no such user or token.
    NotFound,
    /// 409: it exists already.
    Conflict,
    /// 412: the portal wants two-factor authentication; use an API-only user.
    TwoFactorRequired,
    /// 429: the budget of this method and endpoint is spent.
    RateLimit,
    /// 5xx: the portal failed.
    Server,
    /// No usable answer came back.
    Transport,
    /// The connection was never made, so the portal cannot have acted.
    Connect,
    /// The portal's certificate was refused, or TLS failed otherwise.
    Tls,
    /// The time limit passed.
    RequestTimeout,
    /// An answer came back that could not be understood.
    Response,
    /// A create may have happened. User action: look at the candidates; do not just call again.
    OutcomeUnknown,
    /// The call would disable or delete the token that signs it.
    SelfLockout,
    /// The secret of a new token could not be put where it belongs.
    Delivery,
}

impl ErrorKind {
    /// Every kind, for tests that no kind is forgotten.
    pub const ALL: [Self; 20] = [
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
    ];
}

/// An error with what a user or a support desk needs to know.
///
/// Holds no request, no answer's body and no credential.
pub struct Error(Box<Details>);

/// What an [`Error`] carries.
#[derive(Debug)]
pub struct Details {
    /// What went wrong.
    pub kind: ErrorKind,
    /// One sentence for people.
    pub message: String,
    /// What to do next.
    pub suggestion: Option<String>,
    /// The HTTP status of the answer.
    pub status: Option<u16>,
    /// The portal's own error code, such as 1401.
    pub code: Option<i64>,
    /// Whether the portal may have acted on the request.
    pub maybe_applied: bool,
    /// How often the request that failed was sent; other requests of the same call do not count.
    pub attempts: u32,
    /// From the start of the call to the error.
    pub elapsed: Duration,
    /// For [`ErrorKind::RateLimit`]: the budget, as the portal's headers told.
    pub rate: Option<RateHeaders>,
    /// For [`ErrorKind::OutcomeUnknown`]: the tokens that may be the result; `None` where the look at the portal failed.
    pub candidates: Option<Vec<Token>>,
    /// The error behind this one.
    pub cause: Option<Error>,
    /// What code of the embedder's failed with, for the embedder to have back.
    pub origin: Option<Box<dyn Any + Send + Sync>>,
}

impl Error {
    /// An error of a kind, with a sentence for people.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind,
            message: message.into(),
            suggestion: None,
            status: None,
            code: None,
            maybe_applied: false,
            attempts: 0,
            elapsed: Duration::ZERO,
            rate: None,
            candidates: None,
            cause: None,
            origin: None,
        }))
    }

    /// An argument that can never be right.
    #[must_use]
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Argument, message)
    }

    /// Returns the error for an argument whose value cannot be used: "invalid NAME GIVEN; expected EXPECTED".
    #[must_use]
    pub fn invalid(name: &str, given: impl fmt::Display, expected: impl fmt::Display) -> Self {
        Self::argument(format!("invalid {name} {given}; expected {expected}"))
    }

    /// Settings that cannot be used.
    #[must_use]
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// Credentials that are missing or cannot be right.
    #[must_use]
    pub fn credentials(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Credentials, message)
    }

    /// Adds what to do next.
    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.0.suggestion = Some(suggestion.into());
        self
    }

    /// Adds the error behind this one.
    #[must_use]
    pub fn caused_by(mut self, cause: Error) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// Adds the error behind this one, whose answer and attempts were this one's.
    #[must_use]
    pub(crate) fn because_of(mut self, cause: Error) -> Self {
        self.0.status = cause.0.status;
        self.0.code = cause.0.code;
        self.0.attempts = cause.0.attempts;
        self.caused_by(cause)
    }

    /// What the error carries.
    #[must_use]
    pub fn details(&self) -> &Details {
        &self.0
    }

    /// What the error carries, to be completed.
    pub fn details_mut(&mut self) -> &mut Details {
        &mut self.0
    }

    /// What the error carries, to keep.
    #[must_use]
    pub fn into_details(self) -> Details {
        *self.0
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
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
