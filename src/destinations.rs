//! Destinations of a new token's secret: a file, or the standard input of a command.

mod command;
mod file;
pub(crate) mod secure_file;

use std::pin::Pin;

use crate::error::Result;
use crate::model::Token;
use crate::tag::Tag;

pub(crate) use command::ToCommand;
pub use file::ToFile;

/// A boxed future, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A place that a new token's secret is delivered to before the token is enabled.
///
/// Each method receives the token as it will be, its secret included, and the tag of the attempt that created it.
pub trait Destination: Send + Sync {
    /// Fails if a delivery cannot succeed, before anything is sent to the portal.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Stores the secret. It is durable when this returns.
    fn deliver<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>>;

    /// Completes the delivery: the token is enabled.
    fn commit<'a>(&'a self, _token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Removes what was delivered: the token will never be enabled.
    fn discard<'a>(&'a self, _token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Returns a name for messages, such as a path.
    fn describe(&self) -> String;

    /// Returns whether the caller gets the secret as well, in the result.
    fn returns_secret(&self) -> bool {
        false
    }
}
