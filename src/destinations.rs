//! Where the secret of a new token can go: a file, the standard input of a command.

mod command;
mod file;
pub(crate) mod secure_file;

pub use command::ToCommand;
pub use file::ToFile;
