//! `credential_process` of a profile: a command that prints credentials.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::OwnedMutexGuard;
use zeroize::Zeroizing;

use super::secret_file::read_secret_from;
use super::{
    Arguments, Credentials, Environment, ProcessEnvironment, Provenance, Supplied, Supplier, Validity,
    located,
};
use crate::clock::{Clock as _, SystemClock};
use crate::destinations::BoxFuture;
use crate::error::{Error, Result};
use crate::lock::locked;
use crate::process::{self, PerProcess, start_thread};
use crate::secret::Secret;
use crate::times::Expiry;

const TIME_LIMIT: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(20);

/// The command of a profile, which may print other credentials for another profile with the same words.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Command {
    /// The configuration file.
    pub(super) file: PathBuf,
    /// The name of the profile.
    pub(super) profile: String,
    /// The program and its arguments.
    pub(super) words: Vec<String>,
}

/// A command with what completes and names its output.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) command: Command,
    /// The settings of the profile, of which the access id may be one.
    pub(super) settings: Arguments,
    pub(super) provenance: Provenance,
}

/// What a command printed, and how long it is used; held while the command runs.
type Printed = tokio::sync::Mutex<Kept>;
type Kept = Option<(Secret, Option<Validity>)>;

/// What commands printed in this process.
static OUTPUTS: PerProcess<Mutex<HashMap<Command, Arc<Printed>>>> = PerProcess::new();

impl Source {
    /// Returns the credentials that the command prints, or printed in this process, unless they are `refused`. Messages
    /// repeat neither its words nor its output.
    pub(super) fn credentials(
        &self,
        environment: &dyn Environment,
        refused: Option<&Credentials>,
    ) -> Result<Option<Supplied>> {
        let mut printed = self.alone(environment)?;
        if let Some((text, validity)) = &*printed
            && validity.is_none_or(|validity| !validity.is_over(SystemClock.now_ms()))
        {
            // Another client with this profile may have replaced them.
            let kept = self.supplied(text, *validity)?;
            if refused.is_none() || kept.as_ref().map(|kept| &kept.credentials) != refused {
                return Ok(kept);
            }
        }
        *printed = None;
        let (text, validity) = self.run(environment)?;
        let supplied = self.supplied(&text, validity)?;
        *printed = Some((text, validity));
        Ok(supplied)
    }

    fn supplied(&self, text: &Secret, validity: Option<Validity>) -> Result<Option<Supplied>> {
        let credentials = self.read(text)?.0.credentials().map_err(|error| self.located(error))?;
        let from = self.provenance.clone();
        Ok(credentials.map(|credentials| Supplied { credentials, from, validity }))
    }

    /// Waits until no other thread runs the command.
    fn alone(&self, environment: &dyn Environment) -> Result<OwnedMutexGuard<Kept>> {
        let outputs = OUTPUTS.get_or_init(Mutex::default);
        let printed = Arc::clone(locked(&outputs).entry(self.command.clone()).or_default());
        let mut guard = Arc::clone(&printed).try_lock_owned().ok();
        while guard.is_none() {
            environment.wait(&mut || {
                guard = Arc::clone(&printed).try_lock_owned().ok();
                if guard.is_none() {
                    std::thread::sleep(TICK);
                }
                guard.is_some()
            })?;
        }
        guard.ok_or_else(Error::internal)
    }

    /// Runs the command. Unusable output is not kept.
    fn run(&self, environment: &dyn Environment) -> Result<(Secret, Option<Validity>)> {
        let text = run(&self.command.words, TIME_LIMIT, environment).map_err(|problem| match problem {
            Problem::Text(text) => Error::credentials(format!("{} {text}", self.provenance)).suggest(
                "run the command by hand to see its output, which is not shown here because it may contain the secret",
            ),
            Problem::Interrupted(error) => error,
        })?;
        let (settings, expires) = self.read(&text)?;
        settings.credentials().map_err(|error| self.located(error))?;
        let validity = expires.map(|expiry| Validity::until(expiry, SystemClock.now_ms())).transpose();
        Ok((text, validity.map_err(|error| self.located(error))?))
    }

    fn read(&self, text: &Secret) -> Result<(Arguments, Option<Expiry>)> {
        let (settings, expires) = parse(text, &self.settings).ok_or_else(|| {
            Error::credentials(format!("{} printed something else than credentials", self.provenance)).suggest(
                "print the secret alone, or a JSON object with access_id and access_key, or with bearer_token",
            )
        })?;
        let expires = expires.map(|expires| {
            expires.map_err(|NotATime| {
                Error::credentials(format!(
                    "{} printed an invalid expires; expected a time as in RFC 3339, such as 2030-01-01T00:00:00Z",
                    self.provenance
                ))
            })
        });
        Ok((settings, expires.transpose()?))
    }

    fn located(&self, error: Error) -> Error {
        located(error, &format!("from {}", self.provenance))
    }
}

impl Supplier for Source {
    /// Runs the command again, unless another client has. It is killed when the future is dropped.
    fn supply<'a>(&'a self, refused: Option<&'a Credentials>) -> BoxFuture<'a, Result<Supplied>> {
        Box::pin(async move {
            let call = Arc::new(());
            let (source, environment) = (self.clone(), UntilDropped(Arc::downgrade(&call)));
            let refused = refused.cloned();
            let supplied = process::blocking(move || source.credentials(&environment, refused.as_ref()));
            let supplied = supplied.await;
            drop(call);
            supplied
                .map_err(|error| Error::credentials(format!("{} cannot be run: {error}", self.provenance)))??
                .ok_or_else(Error::internal)
        })
    }
}

/// The environment of a command whose output a call waits for.
struct UntilDropped(Weak<()>);

impl Environment for UntilDropped {
    fn variable(&self, name: &str) -> Result<Option<String>> {
        ProcessEnvironment.variable(name)
    }

    fn wait(&self, is_over: &mut (dyn FnMut() -> bool + Send)) -> Result<()> {
        while !is_over() {
            if self.0.strong_count() == 0 {
                return Err(Error::credentials("interrupted"));
            }
        }
        Ok(())
    }
}

/// A JSON object as `lmtokens add -o json` prints it. Other members are ignored.
#[derive(Deserialize)]
struct Output {
    access_id: Option<Zeroizing<String>>,
    access_key: Option<Zeroizing<String>>,
    bearer_token: Option<Zeroizing<String>>,
    /// RFC 3339.
    expires: Option<serde_json::Value>,
    /// The name that commands for AWS use.
    #[serde(rename = "Expiration")]
    expiration: Option<serde_json::Value>,
}

/// `expires` is not a time as in RFC 3339.
pub(super) struct NotATime;

/// Returns the settings in the output of a command or in an entry of a keyring, the other ones being `settings`, and
/// when they expire.
pub(super) fn parse(
    output: &Secret,
    settings: &Arguments,
) -> Option<(Arguments, Option<Result<Expiry, NotATime>>)> {
    let text = output.reveal();
    // An access key may begin with a brace, but contains no quotation marks.
    let after_brace = text.trim_start().strip_prefix('{');
    if !after_brace.is_some_and(|rest| rest.contains('"') || matches!(rest.trim(), "" | "}")) {
        let is_line = !text.is_empty() && !text.contains(['\n', '\r']);
        return is_line.then(|| (Arguments { access_key: Some(output.clone()), ..settings.clone() }, None));
    }
    let Output { access_id, access_key, bearer_token, expires, expiration } =
        serde_json::from_str(text).ok()?;
    let secret = |mut text: Zeroizing<String>| Secret::new(std::mem::take(&mut *text));
    let expires = expires.or(expiration).map(|expires| {
        let time = expires.as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        time.map(|time| Expiry::At(time.unix_timestamp())).ok_or(NotATime)
    });
    let settings = (access_key.is_some() || bearer_token.is_some()).then(|| Arguments {
        access_id: access_id
            .map(secret)
            .or_else(|| settings.access_id.clone().filter(|_| access_key.is_some())),
        access_key: access_key.map(secret),
        bearer_token: bearer_token.map(secret),
        ..settings.clone()
    });
    settings.map(|settings| (settings, expires))
}

/// "No child processes", on Linux and macOS.
const ECHILD: i32 = 10;

enum Problem {
    /// What the command did.
    Text(String),
    Interrupted(Error),
}

/// Runs a command and returns what it printed. It is killed if it takes longer than `limit`, or at an interrupt.
fn run(words: &[String], limit: Duration, environment: &dyn Environment) -> Result<Secret, Problem> {
    let text = |text: String| Problem::Text(text);
    let [program, arguments @ ..] = words else { return Err(text("is empty".to_owned())) };
    let mut child = std::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // It may contain the secret, too.
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| text(format!("cannot be run: {error}")))?;
    let (sender, output) = mpsc::channel();
    let mut running = Running { output, text: None, ends: Instant::now() + limit };
    let read = child.stdout.take().map(|stdout| move || drop(sender.send(read_secret_from(stdout))));
    let started = read.map_or(Ok(()), |read| start_thread("lmtokens-output", read).map(drop));
    let waited = started
        .map_err(|error| text(format!("cannot be read: {error}")))
        .and_then(|()| environment.wait(&mut || running.is_over(&mut child)).map_err(Problem::Interrupted));
    let status = child.try_wait();
    if matches!(status, Ok(None)) {
        let _ = child.kill();
        let _ = child.wait();
    }
    waited?;
    match (running.text, status) {
        (Some(Ok(output)), Ok(Some(status))) if status.success() => Ok(output),
        // The process ignores SIGCHLD, so that the system does not keep the status.
        (Some(Ok(output)), Err(error)) if error.raw_os_error() == Some(ECHILD) => Ok(output),
        (Some(Err(error)), _) => Err(text(format!("printed what cannot be read: {error}"))),
        (_, Ok(Some(status))) if !status.success() => Err(text(format!("failed with {status}"))),
        (_, Err(error)) => Err(text(format!("cannot be waited for: {error}"))),
        _ => Err(text(format!("did not end within {} s and was killed", limit.as_secs_f64()))),
    }
}

struct Running {
    output: Receiver<io::Result<Secret>>,
    text: Option<io::Result<Secret>>,
    ends: Instant,
}

impl Running {
    /// Waits for a moment. Returns whether the command has ended, or should.
    fn is_over(&mut self, child: &mut Child) -> bool {
        if self.text.is_some() {
            // It has closed its output, so that it is about to end.
            std::thread::sleep(Duration::from_millis(1));
        } else if let Ok(text) = self.output.recv_timeout(TICK) {
            self.text = Some(text);
        }
        let has_ended = !matches!(child.try_wait(), Ok(None));
        let is_useless = matches!(self.text, Some(Err(_)));
        is_useless || has_ended && self.text.is_some() || Instant::now() >= self.ends
    }
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    use std::time::Duration;

    use super::parse;
    use crate::credentials::Arguments;
    use crate::credentials::random_text::{MANY, RandomText, key_characters};
    use crate::secret::Secret;

    // The commands are those of a POSIX shell.
    #[cfg(unix)]
    fn problem(command: &str, limit: Duration) -> String {
        use std::time::Instant;

        use super::{Problem, run};
        use crate::credentials::ProcessEnvironment;

        let words = ["sh", "-c", command].map(str::to_owned);
        let started = Instant::now();
        let outcome = run(&words, limit, &ProcessEnvironment);
        assert!(started.elapsed() < Duration::from_secs(20));
        match outcome {
            Err(Problem::Text(text)) => text,
            Err(Problem::Interrupted(error)) => error.to_string(),
            Ok(_) => "none".to_owned(),
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_command_that_hangs_is_killed() {
        let problem = |command| problem(command, Duration::from_millis(300));
        assert_eq!(problem("exec sleep 60"), "did not end within 0.3 s and was killed");
        // Its output is closed, or held open by another process.
        assert_eq!(problem("exec >&-; exec sleep 60"), "did not end within 0.3 s and was killed");
        assert_eq!(problem("sleep 60 & exit 0"), "did not end within 0.3 s and was killed");
    }

    #[cfg(unix)]
    #[test]
    fn a_command_without_end_is_not_read_to_the_end() {
        let problem = problem("yes", Duration::from_secs(20));
        assert_eq!(problem, "printed what cannot be read: it is larger than 1048576 bytes");
    }

    #[test]
    fn a_key_is_not_taken_for_json() {
        let parsed = |output: &str| parse(&Secret::new(output.to_owned()), &Arguments::default());
        let (mut random, characters) = (RandomText(1), key_characters());
        for _ in 0..MANY {
            let key = random.next(&characters, 40);
            let (settings, _) = parsed(&key).unwrap_or_else(|| panic!("{key}"));
            assert_eq!(settings.access_key.unwrap().reveal(), key);
        }
        for output in ["{", "{}", " { } ", r#"{"access_key": "unit-test""#, "{\n}", "{\"note\": \"unit\"}"] {
            assert!(parsed(output).is_none(), "{output}");
        }
    }
}
