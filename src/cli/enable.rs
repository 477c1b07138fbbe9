//! `lmtokens enable`.

use clap::Args;

use super::each::Each;
use super::exit;
use super::host::Host;
use super::report::Failure;
use crate::ids::Status;
use crate::tokens::UpdateToken;

/// Enable tokens
///
/// A pending token loses the tag in its note, by which lmtokens sweep would find it. Other markers are kept.
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &exit::OF_CHANGES))]
pub(super) struct Enable {
    #[command(flatten)]
    each: Each,
}

const EXAMPLES: &str = "\
Examples:
  lmtokens enable 248
  lmtokens enable 248 exampleAccessId00001 --dry-run";

impl Enable {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let enable = |target| UpdateToken { target, change: Status::Enabled.into(), force: false };
        self.each.run(host, "enabled", false, false, enable)
    }
}
