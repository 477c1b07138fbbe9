//! Re-exports of the core for `tests/rust`, `benches` and `examples/man.rs`. They are not an API: users have the Python
//! module and the command.

#![allow(missing_docs, reason = "the items are documented where they are defined")]

pub mod advice {
    pub use crate::advice::Advice;
}

pub mod client {
    pub use crate::client::{
        Client, Method, Moment, OnLimit, Policy, RawResponse, Request, Response, TransportFailure,
        off_thread, outcome, redact,
    };
}

/// Returns the description of the command line `lmtokens`, from which `make man` generates the man pages.
#[cfg(feature = "cli")]
#[must_use]
pub fn shell_command() -> clap::Command {
    crate::cli::command()
}

pub mod clock {
    pub use crate::clock::{Clock, SystemClock};
}

pub mod credentials {
    pub use crate::credentials::{
        Arguments, Credentials, Environment, Identity, NoPrompt, Prompt, Provenance, Supplied, Supplier,
        Timeouts, Validity, not_utf8,
    };

    /// Returns the identity of a client that was given an address and credentials, and nothing else.
    #[must_use]
    pub fn identity(portal: crate::portal::PortalAddress, credentials: Credentials) -> Identity {
        Identity {
            portal,
            portal_from: Provenance::Arguments,
            overridden: Vec::new(),
            credentials: Some(credentials),
            credentials_from: Provenance::Arguments,
            validity: None,
            supplier: None,
            ignored_sources: Vec::new(),
            timeouts: Timeouts::default(),
            network: crate::network::Network::default(),
        }
    }
}

pub mod destinations {
    pub use crate::destinations::{Attempt, BoxFuture, Destination, RequestedToken, ToFile};
}

pub mod doctor {
    pub use crate::doctor::{Examination, Finding, Status};
}

pub mod error {
    pub use crate::error::{Error, ErrorKind, Result};
}

pub mod event {
    pub use crate::event::{Event, Observer};
}

pub mod explain {
    pub use crate::explain::{Cause, Explanation, PortalTime, SentRequest, Token, explain};
}

pub mod ids {
    pub use crate::ids::{AdminId, Concurrency, MAX_ID, Note, Status, TokenId, Type};
}

pub mod lifecycle {
    pub use crate::lifecycle::{
        Action, AddToken, AddTokens, Audit, AuditReason, AuditTokens, AuditedPortal, CancelRotation, Check,
        DestinationForRow, EarlierReport, Finding, FinishRotations, Gone, OnError, Outcome, RotateToken,
        Rotation, RotationState, Row, RowInput, RowResult, Rules, Run, RunSettings, Severity, Source,
        Summary, audit_portals,
    };
}

pub mod lmv1 {
    pub use crate::lmv1::{Authorization, Request, SigningKey, check_method, check_resource_path};
}

pub mod marker {
    pub use crate::marker::{Marker, split};
}

pub mod model {
    pub use crate::model::{Origin, RateHeaders, Token, TokenStatus, TokenType, iso_8601};
}

pub mod network {
    pub use crate::network::{Arguments, Network};
}

pub mod note {
    pub use crate::note::normalized;
}

pub mod operation {
    pub use crate::operation::{Operation, call, lost_result};
}

pub mod portal {
    pub use crate::portal::PortalAddress;
}

pub mod process {
    pub use crate::process::{PerProcess, Started, runtime};
}

#[cfg(feature = "sandbox")]
pub mod sandbox {
    pub use crate::sandbox::{
        Behavior, Fault, FaultKind, LongNotes, NewToken, NewUser, Portal, RandomFaults, RateHeaders, Seconds,
        Seen, Settings, Signature, StoredToken, TokenType,
    };
}

pub mod secret {
    pub use crate::secret::{MASK, Secret};
}

pub mod signer {
    pub use crate::signer::Signer;
}

pub mod tag {
    pub use crate::tag::{RunId, Tag};
}

pub mod times {
    pub use crate::times::Expiry;
}

pub mod token_output {
    pub use crate::token_output::Form;
}

pub mod tokens {
    pub use crate::tokens::{
        Change, DeleteToken, FindToken, NewToken, Target, UpdateToken, User, tokens_of_page,
    };
}
