//! Remedies that the core proposes. Each interface words them in its own terms: `src/python/advice.rs` and
//! `src/cli/advice.rs`.

use std::borrow::Cow;

use crate::model::TokenStatus;

/// What the user can do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// A sentence that reads the same in every interface.
    Text(Cow<'static, str>),
    /// Choose another file, or allow the existing one to be replaced.
    Overwrite,
    /// Keep the format of the existing file.
    FileFormat {
        /// The word for it.
        format: &'static str,
    },
    /// Use another keyring entry, or replace the existing one.
    OverwriteEntry,
    /// Use a folder that only this user can write to, or trust those who can write to this one.
    TrustFolder,
    /// Resume the existing journal, or choose another path.
    ResumeExisting,
    /// Repair the cause of a stopped run, then resume it.
    ResumeAfterRepair,
    /// Read the intact lines of a damaged journal and create the other rows in a new run, or restore the journal.
    ReadIntactLines,
    /// Resume with credentials that can view API tokens.
    ResumeWithViewer,
    /// Switch the journal's lock off, on a file system without locks.
    DisableLock,
    /// Trust the owner of a journal.
    TrustOwner,
    /// Use other credentials, or override the guard of the calling token.
    Force,
    /// Sweep, once the pending token is an hour old.
    Sweep,
    /// Resume the run or sweep later, which removes its pending tokens.
    ResumeOrSweep,
    /// Finish a token whose secret is delivered, or delete both.
    Finish {
        /// The token's id.
        id: i64,
        /// The note that it was to get.
        note: String,
        /// The status that it was to get.
        status: TokenStatus,
    },
    /// Repeat the call, which finishes the create.
    Repeat,
    /// Repeat the create, which puts the delivered key in its place.
    PutInPlace,
    /// Rotate the token again, which continues the rotation.
    RotateAgain,
    /// Cancel the rotation of a token.
    CancelRotation {
        /// The id of the old or the new token.
        id: i64,
    },
    /// End a rotation before the quarantine of its old token is over.
    EndRotation {
        /// The id of the old token.
        old: i64,
        /// The id of the new token.
        new: i64,
    },
    /// Take a rotation over, or rotate again later.
    TakeOver {
        /// The seconds after which its process has ended for sure.
        seconds: u64,
    },
    /// Allow bearer tokens to be rotated.
    AllowBearer,
    /// Delete a token whose key was lost.
    Delete {
        /// The token's id.
        id: i64,
    },
    /// Use the token that the error holds, if it is the created one.
    UseReported {
        /// The token's id.
        id: i64,
    },
    /// Allow a longer wait for the rate limit, or call again later.
    WaitLonger,
    /// Let the client fail instead of waiting for the rate limit.
    FailInstead {
        /// Whether a maximum wait applies.
        is_limited: bool,
    },
    /// Name the portal.
    NameCompany,
    /// Supply credentials.
    SupplyCredentials,
    /// Put the proxy's credentials into its URL.
    ProxyCredentials,
    /// Trust the certificate authority of a TLS-inspecting proxy.
    TrustAuthority,
    /// Supply a client certificate.
    SupplyClientCertificate,
}

impl From<&'static str> for Advice {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Advice {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

/// Returns the words of several remedies as one sentence; `None` if there are none.
pub(crate) fn joined(advice: &[Advice], words: impl Fn(&Advice) -> Cow<'static, str>) -> Option<String> {
    (!advice.is_empty()).then(|| advice.iter().map(words).collect::<Vec<_>>().join("; "))
}
