//! `lmtokens users`.

use clap::Args;

use super::connection::Connection;
use super::exit;
use super::host::Host;
use super::output::{self, ListFormat, Output};
use super::report::Failure;
use super::signals::run_until_signal;
use crate::operation::call;
use crate::token_output::Members;
use crate::tokens::{ListUsers, ListedUser, USER_MEMBERS};

/// List the users of the portal with their ids
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &exit::OF_CALL))]
pub(super) struct Users {
    /// Select the output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    output: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

const EXAMPLES: &str = "\
Examples:
  lmtokens users
  lmtokens users -o csv
  lmtokens users -o json | jq '.[] | select(.api_only).id'";

impl Users {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let output = Output::open()?;
        let client = self.connection.client(host, false)?;
        let users = run_until_signal(call(ListUsers, &client))?;
        let rows: Vec<Members> = users.iter().map(ListedUser::members).collect();
        output.write(&output::table_of(&USER_MEMBERS.map(|(name, _)| name), &rows, self.output)?)?;
        Ok(exit::DONE)
    }
}
