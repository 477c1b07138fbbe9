//! `lmtokens show`.

use clap::Args;

use super::connection::Connection;
use super::exit;
use super::host::Host;
use super::output::{self, ListFormat, Output};
use super::report::Failure;
use super::signals::run_until_signal;
use crate::operation::call;
use crate::token_output::token_members;
use crate::tokens::FindToken;

/// Show one token, without its key
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &exit::OF_CALL))]
pub(super) struct Show {
    /// Id or access id of the token
    #[arg(value_name = "TOKEN", allow_negative_numbers = true)]
    token: String,
    /// Select the output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    output: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

const EXAMPLES: &str = "\
Examples:
  lmtokens show 248
  lmtokens show exampleAccessId00001 -o json";

impl Show {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let find: FindToken = self.token.parse()?;
        let output = Output::open()?;
        let client = self.connection.client(host, false)?;
        let token = run_until_signal(call(find, &client))?;
        output.write(&output::one(&token_members(&token), self.output)?)?;
        Ok(exit::DONE)
    }
}
