//! `lmtokens whoami`.

use clap::Args;

use super::connection::Connection;
use super::exit;
use super::host::Host;
use super::output::{self, ListFormat, Output};
use super::report::Failure;
use super::signals::run_until_signal;
use crate::operation::call;
use crate::tokens::Whoami as WhoamiOperation;

/// Show the portal, the token that signs the calls, its user, and the source of the settings
///
/// What the credentials may not view is empty, and limitation says why.
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &exit::OF_CALL))]
pub(super) struct Whoami {
    /// Select the output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    output: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

const EXAMPLES: &str = "\
Examples:
  lmtokens whoami
  lmtokens whoami -o json | jq -r .expires";

impl Whoami {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let output = Output::open()?;
        let client = self.connection.client(host, false)?;
        let report = run_until_signal(call(WhoamiOperation, &client))?;
        output.write(&output::one(&report.members(), self.output)?)?;
        Ok(exit::DONE)
    }
}
