//! Operations on tokens that need one call, or a look-up and one call.

mod calling_token;
mod company;
mod create;
mod delete;
mod expected;
mod find;
mod list;
mod portal_time;
mod target;
mod unreadable;
mod update;
mod user;
mod users;
mod whoami;

pub(crate) use calling_token::{CallingToken, FirstPage};
pub(crate) use company::token_disabled_days;
pub(crate) use create::CreateToken;
pub use create::NewToken;
pub(crate) use create::{ReportedToken, Unusable, confirm_created};
pub use delete::DeleteToken;
pub(crate) use delete::Deleted;
pub(crate) use expected::{ExpectedNote, is_same_token};
pub(crate) use find::AccessId;
pub use find::FindToken;
pub(crate) use find::is_listed;
pub use list::tokens_of_page;
pub(crate) use list::{ListTokens, Listing, Selection};
pub(crate) use portal_time::LearnPortalTime;
pub use target::Target;
pub(crate) use target::{is_mask_of, is_self, refuse_self};
pub use update::{Change, UpdateToken};
pub(crate) use update::{MAX_READ_AGE, change};
pub use user::User;
pub(crate) use user::UserName;
pub(crate) use users::{ListUsers, ListedUser, USER_MEMBERS, is_administrator};
pub(crate) use whoami::{Whoami, WhoamiReport};
