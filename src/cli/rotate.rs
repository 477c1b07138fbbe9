//! `lmtokens rotate`.

use std::collections::HashMap;
use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use clap::{ArgGroup, Args};
use serde_json::json;

use super::connection::Connection;
use super::destination::{FileFormat, To, split};
use super::exit;
use super::host::Host;
use super::output::{self, ListFormat, Output};
use super::placeholders;
use super::report::{Failure, report, say};
use super::signals::run_until_signal;
use crate::destinations::{BoxFuture, Destination, ToCommand};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Note, TokenId};
use crate::lifecycle::{
    CancelRotation, Check, FinishRotations, RotateToken, RotateTokens, Rotation, RotationState,
    SelectForRotation,
};
use crate::model::{Token, TokenStatus, iso_8601};
use crate::operation::call;
use crate::times;
use crate::token_output::Members;
use crate::tokens::{AccessId, FindToken, Selection, Target, User};

/// Replace a token by a new one, without a moment in which no token works
///
/// The new token is created disabled, its secret is delivered, and a request that is signed with the delivered secret
/// must succeed. Until the overlap is over, both tokens work. Then the old token is disabled, unless it is in use, and
/// deleted after the quarantine.
///
/// The command does what is due and prints what remains. Nothing runs by itself: run it again, or lmtokens rotate
/// --finish on any machine. What is in progress is written in the notes of both tokens. The same command therefore
/// continues a rotation that was killed.
///
/// The exit code is 0 if the overlap runs or the old token is disabled, also when called again; 3 if the old token is still
/// in use, or if a rotation of several failed; 1 if another process is rotating the token, or if --then failed.
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &[exit::PARTLY_DONE, exit::AUTHENTICATION, exit::NOT_FOUND, exit::RATE_LIMIT, exit::OUTCOME_UNKNOWN]))]
#[command(group = ArgGroup::new("mode").args(MODES).required(true).multiple(true))]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Rotate {
    /// Id or access id of the token to replace
    #[arg(value_name = "TOKEN", value_parser = target, conflicts_with_all = ["user", "filter", "older_than"])]
    token: Option<Target>,
    /// Rotate all enabled tokens of a user, by id or name, the first one as a test: if it fails, the others are not
    /// rotated
    #[arg(long, value_name = "USER")]
    user: Option<User>,
    /// Rotate all enabled tokens that match a filter in the portal's syntax
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// Rotate all enabled tokens that were created longer ago than this
    #[arg(long, value_name = "DURATION", value_parser = times::duration)]
    older_than: Option<Duration>,
    /// Finish rotations: do what is due for that of one token, or for all
    #[arg(long, value_name = "TOKEN", value_parser = target, num_args = 0..=1)]
    #[arg(conflicts_with_all = OF_ROTATE)]
    #[allow(clippy::option_option, reason = "the form in which clap reads an option with an optional value")]
    finish: Option<Option<Target>>,
    /// Cancel the rotation of a token: it works again, and the new one is disabled
    #[arg(long, value_name = "TOKEN", value_parser = target)]
    #[arg(conflicts_with_all = OF_ROTATE)]
    #[arg(conflicts_with_all = ["finish", "quarantine", "force"])]
    cancel: Option<Target>,
    /// Deliver the secret to a file (file:PATH), or as JSON to the standard input of a command (command:COMMAND). With
    /// --user, --filter and --older-than, {old_id}, {access_id}, {admin_id} and {row} in it stand for those of each old
    /// token and for its number in the list
    #[arg(long, value_name = "DESTINATION", required_unless_present_any = ["finish", "cancel"])]
    to: Option<To>,
    /// Keep both tokens working for this time: 90s, 30m, 24h, 7d or a number of seconds; 0 disables the old one at once. If
    /// the overlap runs already, the shorter one counts
    #[arg(long, value_name = "DURATION", value_parser = times::duration)]
    #[arg(required_unless_present_any = ["finish", "cancel"])]
    overlap: Option<Duration>,
    /// Keep the old token disabled for this time before it is deleted. If it is disabled already, the time in its note
    /// counts, unless this is 0 and its rotation is named: then it is deleted now
    #[arg(long, value_name = "DURATION", value_parser = times::duration, default_value = "7d")]
    quarantine: Duration,
    /// Run a command once the new secret is in place, for example to restart the program that uses it; if it fails, the
    /// rotation stops with both tokens working. It must end within 30 minutes
    #[arg(long, value_name = "COMMAND", value_parser = then_command)]
    then: Option<ToCommand>,
    /// Set the note of the new token [default: the note of the old one]
    #[arg(long, allow_hyphen_values = true, value_parser = |note: &str| Note::new(note))]
    note: Option<Note>,
    /// Rotate a bearer token too: the portal may delete it as soon as the new one is created
    #[arg(long)]
    allow_bearer: bool,
    /// Continue a rotation of another machine 12 minutes after it created its token, instead of after an hour
    #[arg(long)]
    take_over: bool,
    /// Disable and delete old tokens even if they are in use
    #[arg(long)]
    force: bool,
    /// Replace an existing file of --to. The file of the old token needs no --overwrite
    #[arg(long)]
    overwrite: bool,
    /// List the tokens that would be rotated, each with the destination of its secret, without changing anything
    #[arg(long)]
    dry_run: bool,
    /// Trust all users who can write to the folder of --to file:
    #[arg(long)]
    trust_folder: bool,
    /// Select the format of the file
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Option<FileFormat>,
    /// Select the output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    output: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

/// The arguments of a rotation that is started or continued.
const OF_ROTATE: [&str; 14] = [
    "token",
    "user",
    "filter",
    "older_than",
    "to",
    "overlap",
    "then",
    "note",
    "allow_bearer",
    "take_over",
    "overwrite",
    "dry_run",
    "trust_folder",
    "format",
];

const MODES: [&str; 6] = ["token", "user", "filter", "older_than", "finish", "cancel"];

const EXAMPLES: &str = "\
Examples:
  lmtokens rotate 17 --to file:ci.json --overlap 24h
  lmtokens rotate 17 --to file:/etc/ci.json --overlap 0 --then 'systemctl restart ci'
  lmtokens rotate --older-than 90d --to 'file:keys/{old_id}.json' --overlap 24h
  lmtokens rotate --finish
  lmtokens rotate --cancel 17";

/// Reads the command of `--then`. While it runs, the new token is not marked yet, and a call on another machine may
/// replace it after an hour.
fn then_command(text: &str) -> Result<ToCommand> {
    const TIMEOUT: Duration = Duration::from_secs(1800);
    ToCommand::new(split(text)?, TIMEOUT)
}

/// Reads a token: digits are an id.
fn target(text: &str) -> Result<Target> {
    let find = match text.parse::<i64>() {
        Ok(id) => TokenId::new(id).map(FindToken::Id),
        Err(_) => AccessId::new(text).map(FindToken::AccessId),
    };
    find.map(Target::Find)
}

impl Rotate {
    pub(super) fn run(mut self, host: &Host) -> Result<u8, Failure> {
        let Self { quarantine, force, output: format, .. } = self;
        if let Some(then) = &self.then {
            then.check_program()?;
        }
        let (token, finish, cancel) = (self.token.take(), self.finish.take(), self.cancel.take());
        if let Some(token) = token.clone().filter(|_| !self.dry_run) {
            let destination = self.destination(host, None)?;
            let rotation = self.rotation(token, destination);
            let (mut output, client) = (Output::open()?, self.connection.client(host, false)?);
            let rotation = run_until_signal(call(rotation, &client))?;
            if let Rotation {
                old,
                new: Some(new),
                state: Ok(RotationState::Quarantine { .. }),
                changes: 0,
                ..
            } = &rotation
            {
                let (old, new) = (old.id, new.id);
                say(&format!(
                    "nothing was rotated: token {old} was replaced before; to replace token {new}, rotate that one"
                ));
            }
            return print(&mut output, format, &[rotation]);
        }
        if let Some(token) = cancel {
            let (mut output, client) = (Output::open()?, self.connection.client(host, false)?);
            let rotation = run_until_signal(call(CancelRotation { token }, &client))?;
            return print(&mut output, format, &[rotation]);
        }
        if let Some(token) = finish {
            let (mut output, client) = (Output::open()?, self.connection.client(host, false)?);
            let finish = FinishRotations { token, quarantine, force };
            let rotations = run_until_signal(call(finish, &client))?;
            return print(&mut output, format, &rotations);
        }
        self.run_many(token, host)
    }

    /// Rotates all selected tokens, or lists them.
    fn run_many(self, token: Option<Target>, host: &Host) -> Result<u8, Failure> {
        let is_single = token.is_some();
        if self.overwrite && !is_single {
            let message =
                "--overwrite cannot be combined with several tokens: one could replace the secret of another";
            return Err(Error::argument(message).into());
        }
        self.check_template(host, is_single)?;
        let selection = self.filter.clone().map_or(Selection::All, Selection::Raw);
        let select = SelectForRotation {
            token,
            admin: self.user.clone(),
            selection,
            older_than: self.older_than,
            allow_bearer: self.allow_bearer,
        };
        let destination_of = |token: &Token, row: usize| {
            let placeholders = (!is_single).then_some(Placeholders(Some((token, row + 1))));
            self.destination(host, placeholders.as_ref())
        };
        let mut output = Output::open()?;
        let client = self.connection.client(host, false)?;
        let tokens = run_until_signal(call(select, &client))?;
        let numbered = tokens.iter().enumerate();
        let destinations: Vec<_> =
            numbered.map(|(row, token)| destination_of(token, row)).collect::<Result<_>>()?;
        let mut known = HashMap::new();
        for (token, destination) in tokens.iter().zip(&destinations) {
            if let Some(location) = destination.exclusive_location()
                && let Some(first) = known.insert(location, token.id)
            {
                let message = format!(
                    "invalid --to: {} holds the key of one token, not those that replace the tokens {first} and {}; \
                     expected {{old_id}} in it",
                    destination.describe(),
                    token.id
                );
                return Err(Error::argument(message).into());
            }
        }
        if self.dry_run {
            let rows = tokens.iter().zip(&destinations);
            let rows: Vec<Members> =
                rows.map(|(token, destination)| selected(token, &destination.describe())).collect();
            output.write(&output::list(&rows, self.output)?)?;
            say(&format!("{} tokens would be rotated", tokens.len()));
            return Ok(exit::DONE);
        }
        let count = tokens.len();
        let mut rotations = Vec::with_capacity(count);
        for (token, destination) in tokens.into_iter().zip(destinations) {
            rotations.push((token.clone(), self.rotation(Target::Token(Box::new(token)), destination)));
        }
        let status = Arc::new(AtomicU8::new(exit::DONE));
        let worst = Arc::clone(&status);
        let on_end = Box::new(move |rotation: &Rotation| {
            worst.fetch_max(explain(rotation), Ordering::Relaxed);
        });
        let rotated = run_until_signal(call(RotateTokens { rotations, on_end }, &client))?;
        let skipped = count - rotated.len();
        write_rows(&mut output, self.output, &rotated)?;
        if skipped > 0 {
            say(&format!("{skipped} tokens were not rotated, because the run stopped at an error"));
        }
        Ok(exit_code(&rotated, status.load(Ordering::Relaxed)))
    }

    fn rotation(&self, token: Target, destination: Arc<dyn Destination>) -> RotateToken {
        let then = self.then.clone().map(|then| Arc::new(ThenCommand(then)) as Arc<dyn Check>);
        RotateToken {
            token,
            destination,
            overlap: self.overlap.unwrap_or_default(),
            quarantine: self.quarantine,
            note: self.note.clone(),
            then,
            allow_bearer: self.allow_bearer,
            take_over: self.take_over,
            force: self.force,
        }
    }

    /// Fails if `--to` is wrong, or does not name another file for each token.
    fn check_template(&self, host: &Host, is_single: bool) -> Result<()> {
        self.destination(host, (!is_single).then_some(Placeholders(None)).as_ref())?;
        let template = match &self.to {
            Some(to @ To::File(_)) => to.text(),
            _ => return Ok(()),
        };
        if !is_single && !template.contains("{old_id}") && !template.contains("{access_id}") {
            let expected = "a path with {old_id} or {access_id}: each token needs a file of its own";
            return Err(Error::invalid("--to", format_args!("{template:?}"), expected));
        }
        Ok(())
    }

    /// Returns the destination of a token; of several, with its placeholders filled in.
    fn destination(
        &self,
        host: &Host,
        placeholders: Option<&Placeholders<'_>>,
    ) -> Result<Arc<dyn Destination>> {
        let to = self.to.clone().unwrap_or(To::Stdout);
        let to = match placeholders {
            Some(placeholders) => to.map_words(|word| placeholders.fill(word))?,
            None => to.map_words(Placeholders::refuse)?,
        };
        let format = self.format.map(FileFormat::into);
        let destination = to.destination(&host.keyring, format, self.overwrite, self.trust_folder)?;
        let destination = destination.ok_or_else(|| {
            let expected = "file:PATH or command:COMMAND: a rotation must be able to repeat a delivery";
            Error::invalid("--to", "-", expected)
        })?;
        destination.check_rotation()?;
        Ok(destination)
    }
}

/// The placeholders in `--to`, of a token and its number in the list; of none when the template is checked. They are
/// filled into words that are split already, so that no value becomes another argument, and none of them is chosen by a
/// user of the portal.
struct Placeholders<'a>(Option<(&'a Token, usize)>);

impl Placeholders<'_> {
    const NAMES: [&'static str; 4] = ["old_id", "access_id", "admin_id", "row"];

    /// Returns the value of a placeholder; `None` if the name is not known.
    fn value(&self, name: &str) -> Result<Option<String>> {
        if !Self::NAMES.contains(&name) {
            return Ok(None);
        }
        let Some((old, row)) = self.0 else { return Ok(Some("0".to_owned())) };
        let access_id = old.access_id.as_ref().filter(|id| id.bytes().all(|b| b.is_ascii_alphanumeric()));
        Ok(Some(match (name, access_id) {
            ("old_id", _) => old.id.to_string(),
            ("admin_id", _) => old.admin_id.unwrap_or_default().to_string(),
            ("row", _) => row.to_string(),
            (_, Some(access_id)) => access_id.clone(),
            (_, None) => {
                let message =
                    format!("token {} has no access id for {{access_id}} in --to; use {{old_id}}", old.id);
                return Err(Error::argument(message));
            }
        }))
    }

    /// Refuses placeholders in the destination of a single token, whose path would contain them literally.
    fn refuse(word: &str) -> Result<String> {
        let placeholder = Self::NAMES.iter().map(|name| format!("{{{name}}}")).find(|it| word.contains(it));
        match placeholder {
            None => Ok(word.to_owned()),
            Some(placeholder) => {
                let message = format!("{placeholder} in --to needs --user, --filter or --older-than");
                Err(Error::argument(message))
            }
        }
    }

    fn fill(&self, word: &str) -> Result<String> {
        let expected = "{old_id}, {access_id}, {admin_id} or {row}";
        placeholders::fill(word, expected, |name| match name {
            "id" => {
                let message = "{id} in --to is not known before the new token is created; use {old_id}";
                Err(Error::argument(message))
            }
            name => self.value(name),
        })
    }
}

/// Prints rotations and says what remains of each. Returns the exit code.
fn print(output: &mut Output, format: ListFormat, rotations: &[Rotation]) -> Result<u8, Failure> {
    // Before the rows: standard output may be closed.
    let status = rotations.iter().map(explain).max().unwrap_or(exit::DONE);
    write_rows(output, format, rotations)?;
    Ok(exit_code(rotations, status))
}

/// Returns the exit code of rotations, which is that of the first error if all failed.
fn exit_code(rotations: &[Rotation], status: u8) -> u8 {
    let is_nothing_done = rotations.iter().all(|rotation| rotation.state.is_err());
    let first = rotations.first().and_then(|rotation| rotation.state.as_ref().err());
    first.filter(|_| is_nothing_done).map_or(status, exit::of)
}

fn write_rows(output: &mut Output, format: ListFormat, rotations: &[Rotation]) -> Result<(), Failure> {
    let rows: Vec<Members> = rotations.iter().map(Rotation::members).collect();
    output.write(&output::table_of(&Rotation::MEMBERS.map(|(name, _)| name), &rows, format)?)?;
    if rotations.is_empty() {
        say("nothing to rotate, and no rotation to finish");
    }
    Ok(())
}

fn selected(token: &Token, destination: &str) -> Members {
    Members(vec![
        ("old_id", json!(token.id)),
        ("access_id", json!(token.access_id)),
        ("admin_id", json!(token.admin_id)),
        ("admin_name", json!(token.admin_name)),
        ("created_on", json!(token.created_on.map(iso_8601))),
        ("note", json!(token.note)),
        ("destination", json!(destination)),
    ])
}

/// Says what remains of a rotation, and returns the exit code.
fn explain(rotation: &Rotation) -> u8 {
    let Rotation { old, new, state, .. } = rotation;
    let id = old.id;
    let new = new.as_ref().map_or_else(|| "the new token".to_owned(), |new| format!("token {}", new.id));
    match state {
        Ok(RotationState::Overlap { until }) => {
            say(&format!(
                "token {id} and {new} both work; token {id} is disabled after {}",
                iso_8601(*until)
            ));
        }
        Ok(RotationState::InUse { last_used_on, address, is_same_address }) => {
            let (is, used) = match old.status {
                Some(TokenStatus::Enabled) => ("is in use and still works", "used"),
                _ => ("is not deleted, because programs still try to use it", "refused"),
            };
            let address = address.map_or_else(|| "an unknown address".to_owned(), |it| it.to_string());
            let shown = if *is_same_address { " (the address that last used the new token)" } else { "" };
            let time = iso_8601(*last_used_on);
            say(&format!("token {id} {is}: last {used} {time} from {address}{shown}"));
            say("hint: give the new secret to the program that uses it, then run the command again");
            return exit::PARTLY_DONE;
        }
        Ok(RotationState::Quarantine { until }) => {
            say(&format!(
                "token {id} is disabled, {new} replaces it; it is deleted after {}",
                iso_8601(*until)
            ));
        }
        Ok(RotationState::Finished) => say(&format!("token {id} is deleted, {new} replaces it")),
        Ok(RotationState::Restored) => {
            say(&format!("token {id} works again, because the new token was disabled or deleted by others"));
            return exit::PARTLY_DONE;
        }
        Ok(RotationState::Cancelled) => say(&format!("token {id} works, {new} is disabled")),
        Ok(RotationState::TooLate) => {
            say(&format!("too late: token {id} is deleted already, {new} is kept"));
            return exit::FAILED;
        }
        Err(error) => {
            say(&format!("the rotation of token {id} failed:"));
            report(error);
            return exit::PARTLY_DONE;
        }
    }
    exit::DONE
}

/// A command that checks the new token. Its output goes to standard error.
struct ThenCommand(ToCommand);

impl Check for ThenCommand {
    fn run<'a>(&'a self, _token: &'a Token) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            self.0.run("", || Stdio::from(io::stderr())).await.map_err(|error| {
                let message = format!("{}; both tokens work", error.details().message);
                Error::new(ErrorKind::Rotation, message)
                    .suggest("repair the cause and run the command again, which continues the rotation")
            })
        })
    }
}
