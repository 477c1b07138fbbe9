//! Operations that need several calls: create with a destination, bulk runs with their journal, rotation, sweep, audit.

mod add;
mod audit;
mod bulk;
mod finish;
mod journal;
mod reconcile;
mod rotation;
mod rounds;
mod sweep;
#[cfg(feature = "python")]
mod temporary;
mod two_phase;

pub use add::AddToken;
pub use audit::{
    Action, Audit, AuditReason, AuditTokens, AuditedPortal, EarlierReport, Finding, Gone, Rules, Severity,
    Source, audit_portals,
};
pub use bulk::{
    AddTokens, DestinationForRow, OnError, Outcome, Row, RowInput, RowResult, Run, RunSettings, Summary,
};
#[cfg(any(feature = "cli", feature = "python"))]
pub(crate) use bulk::{Cell, Cells, Column, HEADER, all_problems};
#[cfg(any(test, fuzzing))]
pub(crate) use journal::fuzz_journal;
pub(crate) use journal::{EntryState, JournalEntry, ReadJournal, read_journal};
pub use rotation::{CancelRotation, Check, FinishRotations, RotateToken, Rotation, RotationState};
#[cfg(feature = "cli")]
pub(crate) use rotation::{RotateTokens, SelectForRotation};
pub(crate) use sweep::{SweepReason, SweepTokens, Swept};
#[cfg(feature = "python")]
pub(crate) use temporary::DeleteTemporary;
