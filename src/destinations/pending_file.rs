//! The pending file of a create: the record of its token, beside the final file, until the token is enabled.
//!
//! Its process holds a lock on it from before the POST to the end. A file without a lock is therefore that of a process
//! that has ended, and its record suffices to finish or to clear the create.

mod earlier;
mod examine;
mod names;
mod pending;
mod record;

pub(super) use earlier::Earlier;
pub(super) use examine::read_start;
pub(super) use names::previous_name;
pub(super) use pending::{Existing, Pending};
pub(super) use record::Record;
