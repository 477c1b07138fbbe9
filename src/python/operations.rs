//! The operations as Python sees them: on both clients and as module functions.

pub(crate) mod bulk;
pub(crate) mod client;
pub(crate) mod deliver;
pub(crate) mod functions;
pub(crate) mod list;
pub(crate) mod signer;
mod supplier;
pub(crate) mod table;
pub(crate) mod temporary;
