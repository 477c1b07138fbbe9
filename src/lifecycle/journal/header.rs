//! The first line of a journal.

use serde::{Deserialize, Serialize};

use super::seal::digest;

/// The version of the format.
pub(super) const VERSION: u32 = 2;

/// The first line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) lmtokens_journal: u32,
    pub(super) run: String,
    /// Random text whose digest is the run id. The notes of pending tokens show the run id, so that without it anyone
    /// could write a journal for another run.
    pub(super) proof: String,
    pub(super) portal: String,
    pub(super) begun: String,
    pub(super) holds_keys: bool,
    /// The digest of the name of the destinations. The name itself may contain a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) destination: Option<String>,
}

/// Returns the digest of the name of the destinations of a run.
pub(super) fn destination_digest(run: &str, name: &str) -> String {
    digest(&[b"lmtokens destination ", run.as_bytes(), b" ", name.as_bytes()])
}

/// Returns the run id for a proof.
pub(super) fn run_of(proof: &str) -> String {
    digest(&[b"lmtokens run ", proof.as_bytes()])
}
