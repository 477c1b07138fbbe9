//! `lmtokens disable`.

use clap::Args;

use super::each::Each;
use super::exit;
use super::host::Host;
use super::report::Failure;
use crate::ids::Status;
use crate::tokens::UpdateToken;

/// Disable tokens: the portal keeps them and rejects their requests
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &exit::OF_CHANGES))]
pub(super) struct Disable {
    /// Disable also the token that signs this call, after the others
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    each: Each,
}

const EXAMPLES: &str = "\
Examples:
  lmtokens disable 248 249
  lmtokens list --unused-for 90d --fields id -o csv | tail -n +2 | xargs -r lmtokens disable";

impl Disable {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let disable = |target| UpdateToken { target, change: Status::Disabled.into(), force: self.force };
        self.each.run(host, "disabled", false, self.force, disable)
    }
}
