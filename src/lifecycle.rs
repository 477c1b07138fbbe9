//! What takes several calls: a create with a destination, sweeping up, and many creates at once.

mod bulk;
mod create;
mod journal;
mod reconcile;
mod sweep;

#[cfg(any(feature = "cli", feature = "python"))]
pub(crate) use bulk::all_problems;
pub use bulk::{AddTokens, NewToken, OnError, Outcome, RowResult, Run, Summary};
pub use create::CreateToken;
pub use journal::{JournalEntry, read_journal};
pub use sweep::{SweepTokens, Swept};
