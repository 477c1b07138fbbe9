//! Work that signals can end.

use std::future::Future;

use super::Failure;
use crate::error::{Error, ErrorKind, Result};
use crate::process;

/// A signal that asks a command to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signal {
    pub(super) number: u8,
    name: &'static str,
}

impl Signal {
    pub(super) const INTERRUPT: Self = Self { number: 2, name: "SIGINT" };
    pub(super) const TERMINATE: Self = Self { number: 15, name: "SIGTERM" };
    pub(super) const HANG_UP: Self = Self { number: 1, name: "SIGHUP" };

    pub(super) fn name(self) -> &'static str {
        self.name
    }

    pub(super) fn is_interrupt(self) -> bool {
        self == Self::INTERRUPT
    }

    /// As a shell reports a command that a signal ended.
    pub(super) fn exit_status(self) -> u8 {
        128 + self.number
    }
}

/// The signals that come in from now on.
pub(super) struct Signals {
    #[cfg(unix)]
    streams: [(Signal, tokio::signal::unix::Signal); 3],
}

impl Signals {
    /// Takes the signals over; inside a runtime only.
    #[cfg(unix)]
    pub(super) fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let stream = |which: Signal| {
            signal(SignalKind::from_raw(which.number.into())).map(|stream| (which, stream)).map_err(|error| {
                Error::new(ErrorKind::Configuration, format!("cannot handle signals: {error}"))
            })
        };
        let streams = [stream(Signal::INTERRUPT)?, stream(Signal::TERMINATE)?, stream(Signal::HANG_UP)?];
        Ok(Self { streams })
    }

    #[cfg(unix)]
    pub(super) async fn next(&mut self) -> Signal {
        let [(first, a), (second, b), (third, c)] = &mut self.streams;
        tokio::select! {
            _ = a.recv() => *first,
            _ = b.recv() => *second,
            _ = c.recv() => *third,
        }
    }

    #[cfg(not(unix))]
    pub(super) fn listen() -> Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    pub(super) async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::INTERRUPT
    }
}

/// Runs `work` to its end; `None` where a signal ended it, which `stopped` is told.
pub(super) fn run_until_signal_or<T>(
    work: impl Future<Output = Result<T>>,
    stopped: impl FnOnce(Signal),
) -> Option<Result<T>> {
    match run_until_signal(work) {
        Ok(value) => Some(Ok(value)),
        Err(Failure::Error(error)) => Some(Err(error)),
        Err(Failure::Stopped(signal)) => {
            stopped(signal);
            None
        }
        Err(Failure::Output(_)) => None,
    }
}

/// Runs `work` to its end, or drops it at a signal.
pub(super) fn run_until_signal<T>(work: impl Future<Output = Result<T>>) -> Result<T, Failure> {
    let runtime = process::runtime()?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        tokio::select! {
            result = work => result.map_err(Failure::Error),
            signal = signals.next() => Err(Failure::Stopped(signal)),
        }
    })
}
