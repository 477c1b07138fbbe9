//! Operations on tokens that need one call, or a look-up and one call.

mod create;
mod delete;
mod find;
mod list;
mod target;
mod update;
mod user;
mod whoami;

pub use create::{CreateToken, NewToken};
pub use delete::DeleteToken;
pub use find::{AccessId, FindToken};
pub use list::{ListTokens, Listing, Selection};
pub use target::Target;
pub(crate) use update::change;
pub use update::{Change, UpdateToken};
pub use user::{User, UserName};
pub use whoami::{Whoami, WhoamiReport};
