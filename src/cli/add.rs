//! `lmtokens add`.

use std::sync::Arc;

use clap::Args;

use super::connection::Connection;
use super::destination::{ToOutput, Where};
use super::output::{Format, Output};
use super::signals::run_until_signal;
use super::{Failure, Host, exit, say};
use crate::client::Client;
use crate::error::Error;
use crate::lifecycle::CreateToken;
use crate::model::{TokenStatus, TokenType};
use crate::ports::Destination;
use crate::tag::RunId;
use crate::tokens::AddToken;

/// Make a token for a user and hand its secret over, once
///
/// The token is made disabled; it is enabled when its secret has been written. If that fails, it is deleted.
#[derive(Args)]
pub(super) struct Add {
    /// Id or name of the token's user
    #[arg(value_name = "ADMIN", allow_hyphen_values = true)]
    admin: String,
    /// A label
    #[arg(long)]
    note: Option<String>,
    /// Leave it disabled
    #[arg(long)]
    disabled: bool,
    /// Kind of token
    #[arg(long, value_name = "TYPE", default_value = "lmv1", value_parser = ["lmv1", "bearer"])]
    r#type: String,
    /// Where the secret goes: - (standard output), file:PATH, or command:WORDS (its standard input, as JSON); with the last
    /// two, standard output gets the token's id
    #[arg(long, value_name = "WHERE", default_value = "-")]
    to: String,
    /// Replace the file of --to, once the new token works
    #[arg(long)]
    overwrite: bool,
    /// How it is written [default: table; json to a file]
    #[arg(short, long, value_enum)]
    output: Option<Format>,
    /// Only say what would be sent
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Add {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let token = AddToken {
            admin: self.admin.parse()?,
            note: self.note.clone(),
            status: if self.disabled { TokenStatus::Disabled } else { TokenStatus::Enabled },
            r#type: TokenType::parse(&self.r#type)?,
        };
        let to = Where::parse(&self.to)?;
        let mut output = Output::open()?;
        let client = self.connection.client(host)?;
        if self.dry_run {
            if !matches!(to, Where::Output) {
                to.destination(self.output, self.overwrite)?.check()?;
            }
            return dry_run(&token, &client, &mut output);
        }
        let (destination, shown): (Arc<dyn Destination>, _) = match to {
            Where::Output => (Arc::new(ToOutput::new(output, self.output.unwrap_or(Format::Table))), None),
            elsewhere => (elsewhere.destination(self.output, self.overwrite)?, Some(output)),
        };
        let create = CreateToken { token, destination: Arc::clone(&destination), run: RunId::fresh()? };
        create.check()?;
        let token = run_until_signal(create.run(&client))?;
        if let Some(mut output) = shown {
            say(&format!("the key is with {}", destination.describe()));
            // Where the secret is elsewhere, what is left to know is which token it is.
            output.write(&format!("{}\n", token.id))?;
        }
        Ok(exit::DONE)
    }
}

fn dry_run(token: &AddToken, client: &Client, output: &mut Output) -> Result<u8, Failure> {
    token.admin.check()?;
    let admin_id = run_until_signal(token.admin.id(client))?;
    let tagged = match token.note.as_deref().filter(|note| !note.is_empty()) {
        Some(note) => format!("TAG {note}"),
        None => "TAG".to_owned(),
    };
    let born = AddToken { note: Some(tagged), status: TokenStatus::Disabled, ..token.clone() };
    let finished = AddToken { note: Some(token.note.clone().unwrap_or_default()), ..token.clone() };
    let (create, change) = (born.request(admin_id)?, finished.request(admin_id)?);
    let query: Vec<(&str, &str)> = create.query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let portal = &client.identity().portal;
    let (posted, patched) =
        (portal.url(&create.resource_path, &query), portal.url(&create.resource_path, &[]));
    let (post, patch) = (text(create.body)?, text(change.body)?);
    output.write(&format!(
        "POST {posted}\n{post}\nand when the key has been handed over:\nPATCH {patched}/ID\n{patch}\n"
    ))?;
    Ok(exit::DONE)
}

fn text(body: Option<Vec<u8>>) -> Result<String, Failure> {
    String::from_utf8(body.unwrap_or_default())
        .map_err(|error| Failure::Error(Error::argument(error.to_string())))
}
