//! The shape that every public operation has.

use std::sync::Arc;
use std::time::Duration;

use crate::client::{Client, Request};
use crate::error::{Error, Result};
use crate::event::Event;

/// One public operation: a value that holds checked arguments and runs against a client.
///
/// The blocking API, the async API, the module functions and the command line are adapters over this trait.
pub trait Operation: Send + Sized + 'static {
    /// The result.
    type Output: Send + 'static;

    /// Whether the blocking API handles the first interrupt (Ctrl-C) only after the operation has ended.
    const OUTLASTS_INTERRUPT: bool = false;

    /// Runs the operation to its end.
    fn run(self, client: &Client) -> impl Future<Output = Result<Self::Output>> + Send;

    /// Returns the event to report if the caller can no longer receive this result, for example after Ctrl-C; `None` if
    /// the result contains nothing that only the caller can have, such as a secret.
    fn lost_result(_output: &Self::Output) -> Option<Event> {
        None
    }
}

/// Runs an operation as one call: the client's deadline counts from now, and an error has the facts of the whole call.
pub async fn call<O: Operation>(operation: O, client: &Client) -> Result<O::Output> {
    let call = client.start_call(Duration::ZERO);
    let result = operation.run(&call.client).await;
    call.complete(result)
}

/// Runs an operation up to its first request that would change something, and returns it without sending
/// it.
pub(crate) async fn planned_request<O: Operation>(operation: O, client: &Client) -> Result<Request> {
    let planned = Arc::default();
    let result = call(operation, &client.for_dry_run(&planned)).await;
    match planned.get() {
        Some(request) => Ok(request.clone()),
        None => Err(result.err().unwrap_or_else(|| Error::argument("nothing would be changed"))),
    }
}

/// Returns the event to report if the caller can no longer receive a result or an error of `O`; `None` if that does no
/// harm.
pub fn lost_result<O: Operation>(result: &Result<O::Output>) -> Option<Event> {
    match result {
        Ok(output) => O::lost_result(output),
        Err(error) => Event::lost_error(error),
    }
}
