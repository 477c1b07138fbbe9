//! `lmtokens doctor`.

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::advice::words;
use super::connection::Connection;
use super::exit;
use super::host::Host;
use super::output::{Output, ReportFormat};
use super::report::{Failure, StderrObserver};
use super::signals::run_until_signal;
use crate::advice::joined;
use crate::clock::SystemClock;
use crate::doctor::{Examination, Finding, Status};
use crate::printable;

/// Check settings, network, clock and credentials, and say what to do
///
/// Checks the profile, portal, credentials, proxy, DNS, TCP, TLS, clock, one signed request, permission and rate limit. Each
/// check has its own result: ok, warning, problem or skipped. Nothing is changed, and there is no prompt for missing settings.
/// At most one signed request is sent, since repeated failures lock a token. --timeout limits each step; steps of the
/// connection take at most 10 seconds.
///
/// The exit code is 10 if a check finds a problem. Warnings do not change it.
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &[exit::FINDINGS]))]
pub(super) struct Doctor {
    /// Select the output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "text")]
    output: ReportFormat,
    #[command(flatten)]
    connection: Connection,
}

const EXAMPLES: &str = "\
Examples:
  lmtokens doctor
  lmtokens doctor --profile production
  lmtokens doctor -o json | jq -r '.checks[] | select(.status == \"problem\") | .name'";

impl Doctor {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        // The one request never waits for the rate limit.
        self.connection.policy()?;
        let output = Output::open()?;
        let examination = Examination::begin(&self.connection.arguments()?, host);
        let examination = host.unless_interrupted(examination)?;
        let (clock, observer) = (Arc::new(SystemClock), Arc::new(StderrObserver));
        let findings = run_until_signal(async {
            Ok(examination.finish(&host.user_agent_suffix, clock, observer).await)
        })?;
        output.write(&match self.output {
            ReportFormat::Text => text(&findings),
            ReportFormat::Json => json_text(&findings),
        })?;
        let has_problem = findings.iter().any(|finding| finding.status == Status::Problem);
        Ok(if has_problem { exit::FINDINGS } else { exit::DONE })
    }
}

fn text(findings: &[Finding]) -> String {
    let lines = findings.iter().flat_map(|finding| {
        let Finding { name, status, message, advice } = finding;
        let line = format!("{:<7}  {name:<11}  {}", status.as_str(), printable::line(message));
        let hints = advice.iter().map(|advice| format!("{:22}hint: {}", "", printable::line(&words(advice))));
        std::iter::once(line).chain(hints)
    });
    lines.map(|line| line + "\n").collect()
}

fn json_text(findings: &[Finding]) -> String {
    let check = |finding: &Finding| {
        json!({
            "name": finding.name,
            "status": finding.status.as_str(),
            "message": finding.message,
            "hint": joined(&finding.advice, words),
        })
    };
    let checks: Vec<_> = findings.iter().map(check).collect();
    let value = json!({"checks": checks});
    printable::json(&format!("{value:#}")) + "\n"
}
