//! `lmtokens add`.

use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use super::connection::Connection;
use super::destination::{FileFormat, To, ToStdout};
use super::dry_run;
use super::exit;
use super::github::GithubFile;
use super::host::Host;
use super::output::{Format, Output};
use super::report::{Failure, say};
use super::signals::run_until_signal;
use crate::client::{Client, Method, Request};
use crate::error::Error;
use crate::ids::{Note, Status, Type};
use crate::lifecycle::AddToken;
use crate::marker;
use crate::operation::call;
use crate::times::Expiry;
use crate::tokens::{NewToken, User};

/// Create a token and print or deliver its secret
///
/// The token is created disabled and enabled after its secret is delivered. If the delivery fails, the token is
/// deleted. With --to file: or command:, standard output receives only the token's id. If an earlier run for the same
/// file was killed, the same command finishes it instead of creating another token.
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &CODES))]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Add {
    /// Id or name of the token's owner
    #[arg(value_name = "USER", allow_negative_numbers = true)]
    user: User,
    /// Set the note; write --note=TEXT if it begins with -- or with a short option
    #[arg(long, allow_hyphen_values = true, value_parser = |note: &str| Note::new(note))]
    note: Option<Note>,
    /// Leave the token disabled
    #[arg(long)]
    disabled: bool,
    /// Select the type of the token
    #[arg(long, value_name = "TYPE", default_value = "lmv1")]
    #[arg(value_parser = PossibleValuesParser::new(["lmv1", "bearer"]).try_map(|word| word.parse::<Type>()))]
    r#type: Type,
    /// Let lmtokens sweep delete the token after this time, even if it is in use: 90s, 30m, 24h, 30d or a number of
    /// seconds, at most 3650d [default: never]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    expires: Option<Expiry>,
    /// Deliver the secret to standard output (-), to a file (file:PATH), to the keyring of the operating system for the
    /// profile NAME (keyring:NAME), or as JSON to the standard input of a command (command:COMMAND)
    #[arg(long, value_name = "DESTINATION", default_value = "-")]
    to: To,
    /// Replace an existing file or keyring entry of --to after the new token is enabled
    #[arg(long)]
    overwrite: bool,
    /// Trust all users who can write to the folder of --to file:
    #[arg(long)]
    trust_folder: bool,
    /// Select the format of the file of --to [default: json]
    #[arg(long, value_name = "FORMAT", value_enum, conflicts_with = "output")]
    format: Option<FileFormat>,
    /// Select the output format, or that of the file of --to [default: table; json for a file]
    #[arg(short, long, value_name = "FORMAT", value_enum)]
    output: Option<Format>,
    /// Print the requests without sending them
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connection: Connection,
}

const CODES: [u8; 4] = [exit::AUTHENTICATION, exit::NOT_FOUND, exit::RATE_LIMIT, exit::OUTCOME_UNKNOWN];

const EXAMPLES: &str = r#"Examples:
  lmtokens add 32 --note ci
  eval "$(lmtokens add api-user --type bearer -o env)"
  lmtokens add 32 --to file:ci.env --format env-file && docker run --env-file ci.env IMAGE
  lmtokens add 32 --to file:ci.json --expires 30d
  lmtokens add 32 --expires 2h -o github
  lmtokens add 32 --to 'command:vault kv put secret/ci -'"#;

impl Add {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let token = NewToken {
            admin: self.user,
            note: self.note,
            status: if self.disabled { Status::Disabled } else { Status::Enabled },
            r#type: self.r#type,
            expires: self.expires,
        };
        if self.dry_run && self.output.is_some() && matches!(self.to, To::Stdout) {
            return Err(Error::argument(
                "--output is the format of the token, which --dry-run does not create",
            )
            .into());
        }
        if self.format.is_some() && matches!(self.to, To::Stdout) {
            return Err(
                Error::argument("--format needs --to file:PATH; use --output for standard output").into()
            );
        }
        let format = self.format.map(FileFormat::into).or(self.output);
        let destination = self.to.destination(&host.keyring, format, self.overwrite, self.trust_folder)?;
        let github = (self.output == Some(Format::Github)).then(GithubFile::open).transpose()?;
        let output = Output::open()?;
        let client = self.connection.client(host, self.dry_run)?;
        if self.dry_run {
            destination.map_or(Ok(()), |destination| destination.check(None))?;
            output.write(&planned(&token, &client)?)?;
            return Ok(exit::DONE);
        }
        let Some(destination) = destination else {
            let portal = client.identity().portal.clone();
            let format = self.output.unwrap_or(Format::Table);
            let destination = Arc::new(ToStdout::new(output, format, portal, github));
            run_until_signal(call(AddToken { token, destination: Some(destination) }, &client))?;
            return Ok(exit::DONE);
        };
        let add = AddToken { token, destination: Some(Arc::clone(&destination)) };
        let token = run_until_signal(call(add, &client))?;
        say(&format!("key delivered to {}", destination.describe()));
        output.write(&format!("{}\n", token.id))?;
        Ok(exit::DONE)
    }
}

/// Returns the two requests that create and enable the token.
fn planned(token: &NewToken, client: &Client) -> Result<String, Failure> {
    let admin_id = run_until_signal(token.admin.id(client))?;
    let note = token.note().unwrap_or_default();
    let pending_note = if note.is_empty() { "TAG".to_owned() } else { format!("TAG {note}") };
    let post = token.request_with(admin_id, Some(&pending_note), Status::Disabled)?;
    let final_note = match token.expires.map(|expires| expires.time(client.portal_now_ms())) {
        Some(time) => marker::note("ID", &[marker::expires_part(time)], note),
        None => note.to_owned(),
    };
    let patch = token.request_with(admin_id, Some(final_note.as_str()), token.status)?;
    let patch = Request {
        method: Method::Patch,
        resource_path: format!("{}/ID", patch.resource_path),
        query: Vec::new(),
        ..patch
    };
    let [post, patch] = [post, patch].map(|request| dry_run::shown(&request, client));
    Ok(format!("{post}after the key is delivered:\n{patch}"))
}
