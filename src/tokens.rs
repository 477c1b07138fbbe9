//! What takes one call to the portal, or a few that only read: one struct a verb, each with `run`.

mod add;
mod admin;
mod delete;
mod find;
mod list;
mod target;
mod update;
mod whoami;

pub use add::AddToken;
pub use admin::Admin;
pub use delete::DeleteToken;
pub use find::FindToken;
pub use list::{ListTokens, Listing, Types, Wanted};
pub use target::Target;
pub use update::UpdateToken;
pub(crate) use update::change;
pub use whoami::{Whoami, whoami};
