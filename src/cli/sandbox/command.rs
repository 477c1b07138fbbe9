//! Running the command of `lmtokens sandbox`.

use std::io;
use std::process::{Command, ExitStatus};

use crate::cli::exit;
use crate::error::{Error, ErrorKind, Result};

/// Runs a command, forwards signals to it and returns its exit status as shells report it. The inner error says why it
/// could not be started.
#[cfg(unix)]
pub(super) fn run(mut command: Command) -> Result<io::Result<u8>> {
    use signal_hook::consts::{SIGCHLD, SIGHUP};
    use signal_hook::iterator::SignalsInfo;
    use signal_hook::iterator::exfiltrator::WithOrigin;

    // Signals are handled from now on, so that none is lost that arrives while the command starts.
    let ignores_hang_up = is_hang_up_ignored();
    let forwarded = FORWARDED.iter().filter(|signal| !(ignores_hang_up && **signal == SIGHUP));
    let mut signals = SignalsInfo::<WithOrigin>::new(forwarded.chain([&SIGCHLD]))
        .map_err(|error| Error::new(ErrorKind::Configuration, format!("cannot handle signals: {error}")))?;
    let mut watchdog = Watchdog::start();
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(Err(error)),
    };
    watchdog.watch(&child);
    loop {
        for signal in signals.wait() {
            if signal.signal != SIGCHLD {
                forward(&child, &signal);
            }
        }
        if let Some(status) = child.try_wait().map_err(|error| cannot_wait(&error))? {
            watchdog.stop();
            return Ok(Ok(exit_status(status)));
        }
    }
}

/// The signals that end a process unless it handles them, except those for errors in the program.
#[cfg(unix)]
const FORWARDED: [i32; 7] = {
    use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM]
};

/// Returns whether `nohup` started this process: the command, which inherits that, must survive a hang-up too. Systems
/// without `/proc` do not tell.
#[cfg(unix)]
fn is_hang_up_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask =
        status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    // SIGHUP is the lowest bit.
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// Forwards a signal to the command. The terminal sends Ctrl-C and Ctrl-\ to the whole foreground process group, so
/// that the command has them already; a second signal could interrupt its clean-up.
#[cfg(unix)]
fn forward(child: &std::process::Child, signal: &signal_hook::low_level::siginfo::Origin) {
    use rustix::process::{Pid, Signal, kill_process};
    use signal_hook::consts::{SIGINT, SIGQUIT};

    let is_of_terminal = signal.process.is_none();
    if is_of_terminal && matches!(signal.signal, SIGINT | SIGQUIT) {
        return;
    }
    if let Some(signal) = Signal::from_named_raw(signal.signal) {
        // It fails only if the command has just exited: its id is in use until `try_wait` returns its status.
        let _ = kill_process(Pid::from_child(child), signal);
    }
}

/// Kills the command if this process ends first, even by SIGKILL.
///
/// It is a shell that reads from a pipe, which closes when this process ends. Linux has a signal for the death of a
/// parent, but a child has to request it between fork and exec, which takes unsafe code.
#[cfg(unix)]
struct Watchdog(Option<std::process::Child>);

#[cfg(unix)]
impl Watchdog {
    /// The first line is the id of the command's process. The second one comes when the command has ended.
    const SCRIPT: &str = "read -r id && { read -r _ || kill -KILL \"$id\"; }";

    fn start() -> Self {
        use std::os::unix::process::CommandExt as _;
        use std::process::Stdio;

        let shell = Command::new("/bin/sh")
            .args(["-c", Self::SCRIPT])
            .env_clear()
            // Out of reach of the terminal's signals.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if let Err(error) = &shell {
            crate::cli::report::warn(&format!(
                "cannot start /bin/sh ({error}): the command will not end if lmtokens is killed"
            ));
        }
        Self(shell.ok())
    }

    fn watch(&mut self, child: &std::process::Child) {
        self.write(&format!("{}\n", child.id()));
    }

    /// Ends the shell: the command's process id may be used again.
    fn stop(mut self) {
        self.write("\n");
        if let Some(mut shell) = self.0.take() {
            // This also closes the pipe.
            let _ = shell.wait();
        }
    }

    fn write(&mut self, text: &str) {
        use std::io::Write as _;

        if let Some(stdin) = self.0.as_mut().and_then(|shell| shell.stdin.as_mut()) {
            // It fails only if the shell was killed.
            let _ = stdin.write_all(text.as_bytes());
        }
    }
}

#[cfg(unix)]
fn exit_status(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let number = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    number.and_then(|number| u8::try_from(number).ok()).unwrap_or(exit::FAILED)
}

/// Runs a command and returns its exit status. Ctrl-C reaches it directly.
#[cfg(windows)]
pub(super) fn run(command: Command) -> Result<io::Result<u8>> {
    crate::process::runtime()?.block_on(async {
        let mut signals = crate::cli::signals::Signals::listen()?;
        let mut child = match tokio::process::Command::from(command).spawn() {
            Ok(child) => child,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            tokio::select! {
                status = child.wait() => return Ok(Ok(exit_status(status.map_err(|error| cannot_wait(&error))?))),
                _ = signals.next() => {}
            }
        }
    })
}

#[cfg(windows)]
fn exit_status(status: ExitStatus) -> u8 {
    status.code().and_then(|number| u8::try_from(number).ok()).unwrap_or(exit::FAILED)
}

fn cannot_wait(error: &io::Error) -> Error {
    Error::new(ErrorKind::Transport, format!("cannot wait for the command: {error}"))
}
