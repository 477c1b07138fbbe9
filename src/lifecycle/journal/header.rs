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
}

/// Returns the run id for a proof.
pub(super) fn run_of(proof: &str) -> String {
    digest(&[b"lmtokens run ", proof.as_bytes()])
}
