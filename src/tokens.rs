//! What takes one call to the portal: one struct a verb, each with `run`.

mod add;
mod delete;
mod list;

pub use add::AddToken;
pub use delete::DeleteToken;
pub use list::newest_of_owner;
