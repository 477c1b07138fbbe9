//! `lmtokens delete`.

use clap::Args;

use super::each::Each;
use super::exit;
use super::host::Host;
use super::report::Failure;
use crate::tokens::DeleteToken;

/// Delete tokens permanently
///
/// At a terminal, lmtokens asks first.
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &exit::OF_CHANGES))]
pub(super) struct Delete {
    /// Delete without asking; needed if there is no terminal
    #[arg(long)]
    yes: bool,
    /// Delete also the token that signs this call, after the others
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    each: Each,
}

const EXAMPLES: &str = "\
Examples:
  lmtokens delete 248
  lmtokens delete 248 exampleAccessId00001 --yes
  lmtokens delete 248 --dry-run";

impl Delete {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let delete = |target| DeleteToken { target, force: self.force };
        self.each.run(host, "deleted", !self.yes, self.force, delete)
    }
}
