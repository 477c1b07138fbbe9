//! `lmtokens sweep`.

use clap::Args;
use serde_json::json;

use super::connection::Connection;
use super::exit;
use super::host::Host;
use super::output::{self, ListFormat, Output};
use super::report::{Failure, report, say};
use super::signals::run_until_signal;
use crate::lifecycle::{SweepTokens, Swept};
use crate::model::iso_8601;
use crate::operation::call;
use crate::token_output::Members;

/// List or delete pending tokens that interrupted creates left behind
///
/// A token is listed if lmtokens created it and its secret was never confirmed as delivered: it is disabled, was never
/// used, has a note that begins with a tag of lmtokens, and is more than an hour old by the portal's clock and this
/// machine's, which must agree within an hour. A token whose note was changed after its create is listed as kept, and is
/// never deleted.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Sweep {
    /// Delete the tokens instead of only listing them
    #[arg(long)]
    yes: bool,
    /// Select the output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    output: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

const EXAMPLES: &str = "\
Examples:
  lmtokens sweep
  lmtokens sweep --yes -o jsonl";

impl Sweep {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let mut output = Output::open()?;
        let client = self.connection.client(host, false)?;
        let swept = run_until_signal(call(SweepTokens { delete: self.yes }, &client))?;
        let rows: Vec<Members> = swept.iter().map(members).collect();
        output.write(&output::list(&rows, self.output)?)?;
        let mut status = exit::DONE;
        for error in swept.iter().filter_map(|swept| swept.error.as_ref()) {
            report(error);
            status = exit::PARTLY_DONE;
        }
        let kept: Vec<_> = swept.iter().filter_map(|swept| Some((swept.token.id, swept.kept?))).collect();
        for (id, reason) in &kept {
            say(&format!("token {id} is kept: {reason}; delete it yourself if it is not needed"));
        }
        let found = swept.len() - kept.len();
        if self.yes {
            let deleted = swept.iter().filter(|swept| swept.deleted).count();
            say(&format!("{deleted} of {found} deleted"));
        } else if found == 0 {
            say("no pending tokens older than an hour");
        } else {
            say(&format!("{found} pending; pass --yes to delete them"));
        }
        Ok(status)
    }
}

fn members(swept: &Swept) -> Members {
    let token = &swept.token;
    Members(vec![
        ("id", json!(token.id)),
        ("type", json!(token.r#type.as_str())),
        ("access_id", json!(token.access_id)),
        ("admin_id", json!(token.admin_id)),
        ("admin_name", json!(token.admin_name)),
        ("created_on", json!(token.created_on.map(iso_8601))),
        ("note", json!(token.note)),
        ("deleted", json!(swept.deleted)),
        ("kept", json!(swept.kept)),
    ])
}
