//! `lmtokens sweep`.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use super::connection::Connection;
use super::exit;
use super::host::Host;
use super::output::{self, ListFormat, Output};
use super::report::{Failure, report_each, say};
use super::signals::run_until_signal;
use crate::lifecycle::{SweepReason, SweepTokens, Swept};
use crate::operation::call;
use crate::token_output::Members;

/// List or do what is due: delete orphans, expired and abandoned tokens, finish rotations
///
/// A pending token is listed if lmtokens created it and its secret was never confirmed as delivered: it is disabled,
/// was never used, has a note that begins with a tag of lmtokens, and is more than an hour old by the portal's clock
/// and this machine's, which must agree within an hour. A token whose note was changed after its create is listed as
/// kept, and is never deleted. A token has expired if the time in the marker of its note has passed by both clocks; it
/// is deleted even if it is in use. A rotation is due if its overlap or quarantine is over; its old token is listed.
/// The new token of a rotation is abandoned 7 days after the rotation was cancelled or another token replaced the old
/// one instead, if it is disabled. The exit code is 3 if something that is due could not be done, for example because
/// an old token is in use.
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &[exit::PARTLY_DONE, exit::AUTHENTICATION, exit::RATE_LIMIT]))]
pub(super) struct Sweep {
    /// Do what is due instead of only listing it
    #[arg(long)]
    yes: bool,
    /// List or do only this: orphans are pending tokens [default: all]
    #[arg(long, value_name = "REASON")]
    #[arg(value_parser = PossibleValuesParser::new(SweepReason::ALL.map(SweepReason::plural))
        .try_map(|word| word.parse::<SweepReason>()))]
    only: Option<SweepReason>,
    /// Select the output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    output: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

const EXAMPLES: &str = "\
Examples:
  lmtokens sweep
  lmtokens sweep --yes -o jsonl
  lmtokens sweep --only expired --yes";

impl Sweep {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let output = Output::open()?;
        let client = self.connection.client(host, false)?;
        let swept = run_until_signal(call(SweepTokens { delete: self.yes, only: self.only }, &client))?;
        let rows: Vec<Members> = swept.iter().map(Swept::members).collect();
        output.write(&output::table_of(&Swept::MEMBERS.map(|(name, _)| name), &rows, self.output)?)?;
        let errors = swept.iter().filter_map(|swept| swept.error.as_ref());
        let mut status = report_each(errors).unwrap_or(exit::DONE);
        let kept: Vec<_> = swept.iter().filter_map(|swept| Some((swept, swept.kept?))).collect();
        for (Swept { token, reason, .. }, why) in &kept {
            if *reason == SweepReason::Rotation {
                let id = token.id;
                say(&format!(
                    "token {id} is kept: {why}; finish its rotation later, or with lmtokens rotate --finish {id} --force"
                ));
                status = status.max(exit::PARTLY_DONE);
            } else {
                say(&format!("token {} is kept: {why}; delete it yourself if it is not needed", token.id));
            }
        }
        let found = swept.len() - kept.len();
        if self.yes {
            let deleted = swept.iter().filter(|swept| swept.deleted).count();
            let is_advanced =
                |swept: &&Swept| swept.rotation.is_some() && swept.kept.is_none() && !swept.deleted;
            let advanced = swept.iter().filter(is_advanced).count();
            let rotations =
                if advanced > 0 { format!(", {advanced} rotations advanced") } else { String::new() };
            say(&format!("{deleted} of {found} deleted{rotations}"));
        } else if found == 0 {
            say("nothing is due");
        } else {
            say(&format!("{found} due; pass --yes to do what is due"));
        }
        Ok(status)
    }
}
