//! Resolution of host names by the operating system. reqwest's own resolver panics if it cannot start a thread.

use std::io;
use std::net::ToSocketAddrs as _;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use crate::process;

/// The most look-ups at once. Each takes a thread for as long as the operating system waits for name servers.
const CONCURRENCY: usize = 32;

pub(super) struct Resolver(Arc<Semaphore>);

impl Resolver {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(CONCURRENCY)))
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let semaphore = Arc::clone(&self.0);
        Box::pin(async move {
            let permit = semaphore.acquire_owned().await?;
            let found = process::blocking(move || {
                let found = (name.as_str(), 0).to_socket_addrs();
                drop(permit);
                found
            });
            let found = found.await.map_err(LookupFailed::NoThread)?.map_err(LookupFailed::NotFound)?;
            Ok(Box::new(found) as Addrs)
        })
    }
}

/// A look-up that found no address or could not be started. The cause is in the message, so it is not the source.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupFailed {
    #[error("cannot start a thread: {0}")]
    NoThread(io::Error),
    #[error("{0}")]
    NotFound(io::Error),
}
