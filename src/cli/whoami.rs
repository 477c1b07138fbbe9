//! `lmtokens whoami`.

use clap::Args;
use serde_json::json;

use super::connection::Connection;
use super::exit;
use super::host::Host;
use super::output::{self, ListFormat, Output};
use super::report::Failure;
use super::signals::run_until_signal;
use crate::model::{TokenStatus, iso_8601};
use crate::operation::call;
use crate::token_output::Members;
use crate::tokens::{Whoami as WhoamiOperation, WhoamiReport};

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
        output.write(&output::one(&members(&report), self.output)?)?;
        Ok(exit::DONE)
    }
}

fn members(report: &WhoamiReport) -> Members {
    let WhoamiReport { identity, token, limitation } = report;
    let token = token.as_ref();
    Members(vec![
        ("base_url", json!(identity.portal.base_url())),
        ("company", json!(identity.portal.company())),
        ("portal_from", json!(identity.portal_from.to_string())),
        ("overridden_arguments", json!(identity.overridden)),
        ("credentials", json!(identity.credentials.kind())),
        ("access_id", json!(identity.credentials.access_id())),
        ("credentials_from", json!(identity.credentials_from.to_string())),
        ("ignored_sources", json!(identity.ignored_sources)),
        ("token_id", json!(token.map(|token| token.id))),
        ("status", json!(token.and_then(|token| token.status).map(TokenStatus::number))),
        ("note", json!(token.and_then(|token| token.note.as_ref()))),
        ("expires", json!(token.and_then(crate::model::Token::expires_on).map(iso_8601))),
        ("admin_id", json!(token.and_then(|token| token.admin_id))),
        ("admin_name", json!(token.and_then(|token| token.admin_name.as_ref()))),
        ("roles", json!(token.map(|token| &token.roles))),
        ("user_permission", json!(token.and_then(|token| token.user_permission.as_ref()))),
        ("limitation", json!(limitation)),
    ])
}
