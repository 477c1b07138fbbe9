//! `lmtokens update`.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use super::each::Each;
use super::exit;
use super::host::Host;
use super::report::Failure;
use crate::ids::{Note, Status};
use crate::tokens::{Change, UpdateToken};

/// Change the note or the status of tokens
///
/// Markers of lmtokens before the note, such as an expiry, are kept.
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &exit::OF_CHANGES))]
pub(super) struct Update {
    /// Set the note; write --note=TEXT if it begins with -- or with a short option, and --note= to remove it
    #[arg(long, allow_hyphen_values = true, value_parser = |note: &str| Note::new(note))]
    note: Option<Note>,
    /// Set the status
    #[arg(long, value_name = "STATUS")]
    #[arg(value_parser = PossibleValuesParser::new(["enabled", "disabled"]).try_map(|word| word.parse::<Status>()))]
    status: Option<Status>,
    /// Disable also the token that signs this call, after the others
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    each: Each,
}

const EXAMPLES: &str = "\
Examples:
  lmtokens update 248 --note 'ci of team a'
  lmtokens update 248 249 --note= --status disabled --dry-run";

impl Update {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let change = Change::new(self.note, self.status)?;
        let update = |target| UpdateToken { target, change: change.clone(), force: self.force };
        let includes_own = self.force && self.status == Some(Status::Disabled);
        self.each.run(host, "updated", false, includes_own, update)
    }
}
