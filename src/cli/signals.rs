//! Signals that stop a command.

use crate::error::{Error, ErrorKind, Result};
use crate::process;

/// A signal that asks the process to exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signal {
    pub(super) number: u8,
    name: &'static str,
}

impl Signal {
    pub(super) const INTERRUPT: Self = Self { number: 2, name: "SIGINT" };
    pub(super) const TERMINATE: Self = Self { number: 15, name: "SIGTERM" };
    pub(super) const HANG_UP: Self = Self { number: 1, name: "SIGHUP" };
    /// Ctrl-Break, with the number that C and Python have for it.
    #[cfg(windows)]
    pub(super) const BREAK: Self = Self { number: 21, name: "SIGBREAK" };

    pub(super) fn name(self) -> &'static str {
        self.name
    }

    pub(super) fn is_interrupt(self) -> bool {
        self == Self::INTERRUPT
    }

    /// Returns the exit status that a shell reports for a process that this signal terminated.
    pub(super) fn exit_status(self) -> u8 {
        128 + self.number
    }
}

/// The signals received since it was created.
pub(super) struct Signals {
    #[cfg(unix)]
    streams: [(Signal, tokio::signal::unix::Signal); 3],
    #[cfg(windows)]
    console: Console,
}

/// What Windows tells the processes of a console. After the last two, it ends them within seconds.
#[cfg(windows)]
struct Console {
    ctrl_c: tokio::signal::windows::CtrlC,
    ctrl_break: tokio::signal::windows::CtrlBreak,
    close: tokio::signal::windows::CtrlClose,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

impl Signals {
    /// Handles the signals from now on. It must be called in a runtime.
    #[cfg(unix)]
    pub(super) fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let stream = |which: Signal| {
            let stream = signal(SignalKind::from_raw(which.number.into()));
            stream.map(|stream| (which, stream)).map_err(|error| cannot_handle(&error))
        };
        let streams = [stream(Signal::INTERRUPT)?, stream(Signal::TERMINATE)?, stream(Signal::HANG_UP)?];
        Ok(Self { streams })
    }

    /// Waits for the next signal.
    #[cfg(unix)]
    pub(super) async fn next(&mut self) -> Signal {
        let [(first, a), (second, b), (third, c)] = &mut self.streams;
        tokio::select! {
            _ = a.recv() => *first,
            _ = b.recv() => *second,
            _ = c.recv() => *third,
        }
    }

    #[cfg(windows)]
    pub(super) fn listen() -> Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
        let console = || {
            let (ctrl_c, ctrl_break) = (ctrl_c()?, ctrl_break()?);
            Ok(Console { ctrl_c, ctrl_break, close: ctrl_close()?, shutdown: ctrl_shutdown()? })
        };
        console().map(|console| Self { console }).map_err(|error| cannot_handle(&error))
    }

    #[cfg(windows)]
    pub(super) async fn next(&mut self) -> Signal {
        let Console { ctrl_c, ctrl_break, close, shutdown } = &mut self.console;
        tokio::select! {
            _ = ctrl_c.recv() => Signal::INTERRUPT,
            _ = ctrl_break.recv() => Signal::BREAK,
            _ = close.recv() => Signal::HANG_UP,
            _ = shutdown.recv() => Signal::TERMINATE,
        }
    }
}

fn cannot_handle(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Configuration, format!("cannot handle signals: {error}"))
}

/// Why work did not succeed.
pub(super) enum Unfinished {
    Failed(Error),
    /// A signal stopped it.
    Stopped(Signal),
}

impl From<Error> for Unfinished {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Runs `work` to its end, or drops it at the first signal.
pub(super) fn run_until_signal<T>(work: impl Future<Output = Result<T>>) -> Result<T, Unfinished> {
    let runtime = process::runtime()?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        tokio::select! {
            result = work => result.map_err(Unfinished::Failed),
            signal = signals.next() => Err(Unfinished::Stopped(signal)),
        }
    })
}
