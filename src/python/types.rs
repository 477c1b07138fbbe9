//! Python classes for values and results.

pub(crate) mod audit;
mod deleted;
pub(crate) mod display;
pub(crate) mod enums;
pub(crate) mod errors;
pub(crate) mod explanation;
pub(crate) mod filter;
pub(crate) mod journal_entry;
pub(crate) mod listed_user;
pub(crate) mod literals;
pub(crate) mod new_token;
pub(crate) mod results;
pub(crate) mod rotation;
pub(crate) mod row_result;
pub(crate) mod secret;
pub(crate) mod swept_token;
pub(crate) mod token;
mod user;
pub(crate) mod whoami;
