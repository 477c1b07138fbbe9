//! What checking the `Authorization` header of a request found.

use serde::{Deserialize, Serialize};

/// The result of checking the `Authorization` header of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signature {
    /// The header is missing.
    Absent,
    /// The header is neither `LMv1 id:signature:milliseconds` nor `Bearer token`.
    Malformed,
    /// LMv1, but the time differs from the portal's clock by more than it accepts.
    Stale,
    /// LMv1, but no token has the access id.
    UnknownId,
    /// LMv1, but the signature does not match the request.
    Invalid,
    /// LMv1 with a matching signature.
    Valid,
    /// A bearer token that does not exist.
    BearerInvalid,
    /// A bearer token that exists.
    BearerValid,
}

/// A [`Signature`], and the token that the header names.
#[derive(Debug, Clone)]
pub(super) struct Verification {
    pub(super) signature: Signature,
    /// The access id in the header, even if no token has it.
    pub(super) access_id: Option<String>,
    /// The token in the header, even if the signature does not match.
    pub(super) token_id: Option<u32>,
}
