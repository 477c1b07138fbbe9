//! The runtime of this process. tokio panics if it cannot start a thread or open its descriptors; here that is an error.

use std::io;
use std::ops::Deref;
use std::panic::catch_unwind;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::threads::{exhausted, start_thread};
use super::{OfProcess, PerProcess};
use crate::error::Result;

/// A runtime and the thread that drives its sockets and timers.
#[derive(Debug)]
pub struct Started {
    runtime: Arc<Runtime>,
    /// Dropping it ends the thread.
    _stop: oneshot::Sender<()>,
}

impl Deref for Started {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        &self.runtime
    }
}

/// Returns the runtime of this process, started on first use.
pub fn runtime() -> Result<OfProcess<Started>> {
    static RUNTIME: PerProcess<Started> = PerProcess::new();
    RUNTIME.get_or_try_init(start)
}

/// Starts a runtime. One thread drives the sockets; each blocking caller polls its own request.
fn start() -> Result<Started> {
    let runtime = Arc::new(build().map_err(|error| exhausted("start the client", &error))?);
    let (stop, stopped) = oneshot::channel::<()>();
    let driven = Arc::clone(&runtime);
    start_thread("lmtokens", move || drop(driven.block_on(stopped)))
        .map_err(|error| exhausted("start a thread", &error))?;
    Ok(Started { runtime, _stop: stop })
}

/// Fails if the process cannot start a runtime, or if it cannot start a thread or open a few descriptors now.
pub(crate) fn check_available() -> Result<()> {
    runtime()?;
    check_descriptors().map_err(|error| exhausted("open files", &error))?;
    let thread =
        start_thread("lmtokens-check", || ()).map_err(|error| exhausted("start a thread", &error))?;
    drop(thread.join());
    Ok(())
}

/// Builds a runtime that starts no thread.
pub(crate) fn build() -> io::Result<Runtime> {
    check_descriptors()?;
    // Another thread may take the last descriptor meanwhile.
    catch_unwind(|| Builder::new_current_thread().enable_all().build())
        .unwrap_or_else(|_| Err(io::Error::other("a resource of the operating system is exhausted")))
}

/// Fails if the process cannot open as many descriptors as a runtime and its first connection need: tokio panics if it
/// lacks those for signals.
#[cfg(unix)]
pub(crate) fn check_descriptors() -> io::Result<()> {
    use std::os::unix::net::UnixStream;
    let _open = [UnixStream::pair()?, UnixStream::pair()?, UnixStream::pair()?];
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn check_descriptors() -> io::Result<()> {
    Ok(())
}
