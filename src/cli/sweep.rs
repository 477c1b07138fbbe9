//! `lmtokens sweep`.

use clap::Args;
use serde_json::json;

use super::connection::Connection;
use super::output::{self, ListFormat, Output};
use super::signals::run_until_signal;
use super::{Failure, Host, exit, report, say};
use crate::lifecycle::{SweepTokens, Swept};
use crate::model::iso_8601;
use crate::token_output::Members;

/// Find tokens that were never finished, and delete them with --yes
///
/// Only tokens that this package made and left behind: disabled, never used, with its tag as their note, and more than an
/// hour old by the portal's clock.
#[derive(Args)]
pub(super) struct Sweep {
    /// Delete them; without this they are only listed
    #[arg(long)]
    yes: bool,
    /// How to print them
    #[arg(short, long, value_enum, default_value = "table")]
    output: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

impl Sweep {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let mut output = Output::open()?;
        let client = self.connection.client(host)?;
        let swept = run_until_signal(SweepTokens { delete: self.yes }.run(&client))?;
        let rows: Vec<Members> = swept.iter().map(members).collect();
        output.write(&output::list(&rows, self.output)?)?;
        let mut status = exit::DONE;
        for error in swept.iter().filter_map(|swept| swept.error.as_ref()) {
            report(error);
            status = exit::PARTLY_DONE;
        }
        let deleted = swept.iter().filter(|swept| swept.deleted).count();
        if self.yes {
            say(&format!("{deleted} of {} deleted", swept.len()));
        } else {
            say(&format!(
                "{} left behind{}",
                swept.len(),
                if rows.is_empty() { " that are more than an hour old" } else { "; --yes deletes them" }
            ));
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
    ])
}
