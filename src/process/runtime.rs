//! The runtime of this process. tokio panics if it cannot start a thread or open its descriptors; here that is an error.

use std::io;
use std::panic::catch_unwind;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, EnterGuard, Runtime};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::threads::{exhausted, start_thread};
use super::{OfProcess, PerProcess};
use crate::error::Result;
use crate::lock::locked;

/// How long no thread may have waited before the runtime's own thread drives again.
const PAUSE: Duration = Duration::from_millis(10);

/// How many single waits in succession show that there is no crowd.
const CROWD: u32 = 32;

/// A runtime. One thread at a time drives its sockets and timers: a thread that waits for a result in `block_on`, which
/// so needs no other thread to wake it; else the runtime's own.
#[derive(Debug)]
pub struct Started {
    runtime: Arc<Runtime>,
    turns: Arc<Turns>,
    /// Dropping it ends the thread.
    _stop: oneshot::Sender<()>,
}

impl Started {
    /// Starts a task that proceeds whether or not a thread waits for it.
    pub fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let running = Turns::begin_task(&self.turns);
        self.runtime.spawn(async move {
            let result = task.await;
            drop(running);
            result
        })
    }

    /// Waits for a future on this thread.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut output = None;
        self.drive(pin!(async { output = Some(future.await) }));
        let Some(output) = output else { unreachable!("the future is complete") };
        output
    }

    /// Drives a future to its end. Not generic, so that the runtime's loop is in the binary once.
    fn drive(&self, future: Pin<&mut dyn Future<Output = ()>>) {
        let _waiting = Turns::begin_wait(&self.turns);
        self.runtime.block_on(async {
            // Perhaps no thread has looked at the sockets for a while: a connection may have been closed meanwhile.
            tokio::task::yield_now().await;
            future.await;
        });
    }

    /// Makes this thread able to start tasks, as dropping a request may do.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }
}

/// Who drives a runtime.
#[derive(Debug, Default)]
struct Turns {
    state: Mutex<State>,
    needed: Condvar,
    /// Makes the runtime's thread pause.
    pause: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Tasks that need the runtime's thread.
    tasks: usize,
    /// Threads in `block_on`.
    waiting: usize,
    /// Whether a thread has been in `block_on` since the runtime's thread looked last.
    was_waiting: bool,
    /// Falls to 0 when single threads have waited for some time. Several threads progress faster if none of them drives:
    /// the one that does must wake the next when it has its result.
    crowd: u32,
    is_paused: bool,
}

impl State {
    fn needs_thread(&self) -> bool {
        self.tasks > 0 || self.crowd > 0
    }
}

impl Turns {
    fn begin_task(turns: &Arc<Self>) -> Ending {
        let mut state = locked(&turns.state);
        state.tasks += 1;
        turns.call_thread(&state);
        Ending(Arc::clone(turns), |state| state.tasks -= 1)
    }

    fn begin_wait(turns: &Arc<Self>) -> Ending {
        let mut state = locked(&turns.state);
        state.waiting += 1;
        state.crowd = if state.waiting > 1 { CROWD } else { state.crowd.saturating_sub(1) };
        turns.call_thread(&state);
        Ending(Arc::clone(turns), |state| {
            state.waiting -= 1;
            state.was_waiting = true;
        })
    }

    /// Makes the runtime's thread drive or pause.
    fn call_thread(&self, state: &State) {
        match (state.needs_thread(), state.is_paused) {
            (true, true) => self.needed.notify_one(),
            (false, false) => self.pause.notify_one(),
            _ => {}
        }
    }

    /// Drives the runtime until `stopped` is complete, except while threads wait again and again.
    fn drive(&self, runtime: &Runtime, mut stopped: oneshot::Receiver<()>) {
        let mut drive_until_pause = || {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = &mut stopped => false,
                    () = self.pause.notified() => true,
                }
            })
        };
        while drive_until_pause() {
            self.paused();
        }
    }

    /// Returns when the thread is needed, or when no other has waited for a moment.
    fn paused(&self) {
        let mut state = locked(&self.state);
        state.is_paused = true;
        loop {
            state.was_waiting = false;
            let waited = self.needed.wait_timeout_while(state, PAUSE, |state| !state.needs_thread());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.needs_thread() || (state.waiting == 0 && !state.was_waiting) {
                break;
            }
        }
        state.is_paused = false;
    }
}

/// The end of a task or of a wait.
struct Ending(Arc<Turns>, fn(&mut State));

impl Drop for Ending {
    fn drop(&mut self) {
        self.1(&mut locked(&self.0.state));
    }
}

/// Returns the runtime of this process, started on first use.
pub fn runtime() -> Result<OfProcess<Started>> {
    static RUNTIME: PerProcess<Started> = PerProcess::new();
    RUNTIME.get_or_try_init(start)
}

/// Starts a runtime and its thread.
fn start() -> Result<Started> {
    let runtime = Arc::new(build().map_err(|error| exhausted("start the client", &error))?);
    let (stop, stopped) = oneshot::channel::<()>();
    let turns = Arc::<Turns>::default();
    let (driven, its_turns) = (Arc::clone(&runtime), Arc::clone(&turns));
    start_thread("lmtokens", move || its_turns.drive(&driven, stopped))
        .map_err(|error| exhausted("start a thread", &error))?;
    Ok(Started { runtime, turns, _stop: stop })
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

#[cfg(windows)]
#[allow(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
pub(crate) fn check_descriptors() -> io::Result<()> {
    Ok(())
}
