//! `lmtokens add`.

use clap::Args;

use super::connection::Connection;
use super::output::{self, Format, Output};
use super::stop::run_until_signal;
use super::{Failure, Host, exit, report, say};
use crate::client::Client;
use crate::model::{Token, TokenStatus, TokenType};
use crate::tokens::{AddToken, DeleteToken, Target};

/// Make a token for a user and print it, its secret included, once
///
/// Sends one request. If the token cannot be written to standard output, it is deleted again.
#[derive(Args)]
pub(super) struct Add {
    /// Id or name of the token's user
    #[arg(value_name = "ADMIN", allow_hyphen_values = true)]
    admin: String,
    /// A label
    #[arg(long)]
    note: Option<String>,
    /// Make it disabled
    #[arg(long)]
    disabled: bool,
    /// Kind of token
    #[arg(long, value_name = "TYPE", default_value = "lmv1", value_parser = ["lmv1", "bearer"])]
    r#type: String,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    /// Only say what would be sent
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Add {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let verb = AddToken {
            admin: self.admin.parse()?,
            note: self.note,
            status: if self.disabled { TokenStatus::Disabled } else { TokenStatus::Enabled },
            r#type: TokenType::parse(&self.r#type)?,
        };
        verb.admin.check()?;
        let mut output = Output::open()?;
        let client = self.connection.client(host)?;
        if self.dry_run {
            let admin_id = run_until_signal(verb.admin.id(&client))?;
            let request = verb.request(admin_id)?;
            let query: Vec<(&str, &str)> =
                request.query.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let url = client.identity().portal.url(&request.resource_path, &query);
            let body = String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()).into_owned();
            output.write(&format!("{} {url}\n{body}\n", request.method.as_str()))?;
            return Ok(exit::DONE);
        }
        let token = run_until_signal(verb.run(&client))?;
        let text = output::new_token(&token, self.output).map_err(Failure::Error);
        match text.and_then(|text| output.write(&text)) {
            Ok(()) => Ok(exit::DONE),
            Err(failure) => Err(take_back(&client, &token, failure)),
        }
    }
}

/// Deletes the token whose secret reached nobody.
fn take_back(client: &Client, token: &Token, failure: Failure) -> Failure {
    let Some(admin_id) = token.admin_id else { return failure };
    let id = token.id;
    match run_until_signal(
        DeleteToken { target: Target::Token(Box::new(token.clone())), force: true }.run(client),
    ) {
        Ok(()) => {
            say(&format!("the token just made ({id}) was deleted: its secret could not be handed over"));
        }
        Err(deletion) => {
            say(&format!(
                "warning: token {id} of user {admin_id} was made, its secret could not be handed over, and deleting it \
                 failed too; delete it: it is live, and nobody holds its key"
            ));
            if let Failure::Error(error) = deletion {
                report(&error);
            }
        }
    }
    failure
}
