//! The shape that every public operation has.

use crate::client::Client;
use crate::error::Result;
use crate::event::Event;

/// One public operation: a value that holds checked arguments and runs against a client.
///
/// The blocking API, the async API, the module functions and the command line are adapters over this trait.
pub trait Operation: Send + Sized + 'static {
    /// The result.
    type Output: Send + 'static;

    /// Runs the operation to its end.
    fn run(self, client: &Client) -> impl Future<Output = Result<Self::Output>> + Send;

    /// Returns the event that reports a result which could not be handed to the caller; `None` if nothing is lost with
    /// it.
    fn undelivered(_output: &Self::Output) -> Option<Event> {
        None
    }
}

/// Returns the event that reports a result or an error of `O` which could not be handed to the caller.
pub fn undelivered<O: Operation>(result: &Result<O::Output>) -> Option<Event> {
    match result {
        Ok(output) => O::undelivered(output),
        Err(error) => Event::undelivered_error(error),
    }
}
