//! `lmtokens audit`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{ArgGroup, Args};
use serde_json::json;

use super::connection::Connection;
use super::exit;
use super::host::Host;
use super::output::{self, ListFormat, Output};
use super::report::{Failure, report_each, say, warn};
use super::signals::run_until_signal;
use crate::lifecycle::{self, Action, AuditReason, AuditTokens, Finding, Gone, Rules, Severity};
use crate::operation::call;
use crate::times::duration;
use crate::token_output::Members;

/// Find tokens that should be replaced, disabled or deleted
///
/// The tokens of all users, of both types, are judged by the portal's clock; with --disable or --delete, by the earlier of
/// the portal's clock and this machine's, which must agree within an hour. idle, never_used, old, administrator,
/// address_changed and the reasons about owners apply to enabled tokens only.
///
/// Without --yes, --disable and --delete list what they would change and keep, and change nothing.
///
/// The exit code is 10 if there are findings of at least the severity of --fail-on: with --diff, new ones; with --disable
/// or --delete, those of tokens that were not changed, which without --yes are all. It is 3 if a token could not be
/// changed, and 4 if the portal rejected the credentials, after which no further token is changed.
///
/// Critical: owner_suspended. Warning: idle, never_used, old, expired, pending, rotation_stuck, address_changed. Info:
/// disabled, no_note, owner_not_api_only, administrator.
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &[exit::PARTLY_DONE, exit::AUTHENTICATION, exit::RATE_LIMIT, exit::FINDINGS]))]
#[command(group(ArgGroup::new("action").args(["disable", "delete"])))]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Audit {
    /// Look only for this reason; repeat it for several [default: all]
    #[arg(long, value_name = "REASON")]
    #[arg(value_parser = PossibleValuesParser::new(AuditReason::ALL.iter().map(|reason| reason.as_str()))
        .try_map(|word| word.parse::<AuditReason>()))]
    reason: Vec<AuditReason>,
    /// Report tokens as idle if last used longer ago than this
    #[arg(long, value_name = "DURATION", default_value = "45d", value_parser = duration)]
    idle_after: Duration,
    /// Report unused tokens as never_used if created longer ago than this
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = duration)]
    never_used_after: Duration,
    /// Report tokens as old if created longer ago than this
    #[arg(long, value_name = "DURATION", default_value = "365d", value_parser = duration)]
    old_after: Duration,
    /// Report disabled tokens if last used, or created if never used, longer ago than this
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = duration)]
    disabled_after: Duration,
    /// Report what changed since an earlier report, which -o json wrote to this file
    #[arg(long, value_name = "FILE", conflicts_with = "action")]
    diff: Option<PathBuf>,
    /// Report tokens without findings too, so that a later --diff knows the addresses of all tokens
    #[arg(long, conflicts_with_all = ["diff", "action"])]
    all: bool,
    /// Exit with 10 if a finding has at least this severity
    #[arg(long, value_name = "SEVERITY", default_value = "warning")]
    #[arg(value_parser = PossibleValuesParser::new(Severity::ALL.map(Severity::as_str))
        .try_map(|word| word.parse::<Severity>()))]
    fail_on: Severity,
    /// Disable the tokens that are found, except the calling one; needs --reason
    #[arg(long, requires = "reason")]
    disable: bool,
    /// Delete the tokens that are found and disabled, except the calling one; needs --reason
    #[arg(long, requires = "reason")]
    delete: bool,
    /// Do what --disable or --delete says instead of only listing it
    #[arg(long, requires = "action")]
    yes: bool,
    /// Select the output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    output: ListFormat,
    #[command(flatten)]
    connection: Connection,
}

const EXAMPLES: &str = "\
Examples:
  lmtokens audit
  lmtokens audit --reason idle --idle-after 90d -o csv
  lmtokens audit --all -o json > audit.json; lmtokens audit --diff audit.json
  lmtokens audit --reason idle --disable
  lmtokens audit --reason idle --disable --yes
  lmtokens audit --reason disabled --delete --yes";

/// The columns of a table, which is for people.
const COLUMNS: [&str; 8] =
    ["severity", "id", "type", "admin_name", "note", "last_used_on", "reasons", "remedy"];

impl Audit {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let mut rules = Rules {
            idle_after: self.idle_after,
            never_used_after: self.never_used_after,
            old_after: self.old_after,
            disabled_after: self.disabled_after,
            ..Rules::default()
        };
        if !self.reason.is_empty() {
            rules.reasons = self.reason;
        }
        let action = match (self.disable, self.delete) {
            (true, _) => Some(Action::Disable),
            (_, true) => Some(Action::Delete),
            _ => None,
        };
        let is_diff = self.diff.is_some();
        let audit = AuditTokens { rules, diff: self.diff, action, dry_run: !self.yes, all: self.all };
        let output = Output::open()?;
        let client = self.connection.client(host, false)?;
        let audit = run_until_signal(call(audit, &client))?;

        let mut rows = if is_diff { changes(&audit) } else { findings(&audit, action) };
        if self.output == ListFormat::Table {
            for Members(members) in &mut rows {
                let column = |name| COLUMNS.iter().position(|column| *column == name);
                let is_shown = |name| column(name).is_some() || ADDED.contains(&name);
                members.retain(|(name, _)| is_shown(*name));
                members.sort_by_key(|(name, _)| column(*name).unwrap_or(COLUMNS.len()));
            }
        }
        output.write(&output::table_of(&columns(action, is_diff), &rows, self.output)?)?;
        say_summary(&audit, action, self.yes, is_diff);
        let mut status = exit::DONE;
        let fails = |finding: &&Finding| {
            let reasons = if is_diff { &finding.new_reasons } else { &finding.reasons };
            !finding.done && reasons.iter().any(|reason| reason.severity() >= self.fail_on)
        };
        if audit.findings.iter().any(|finding| fails(&finding)) {
            status = exit::FINDINGS;
        }
        let errors = audit.findings.iter().filter_map(|finding| finding.error.as_ref());
        Ok(report_each(errors).unwrap_or(status))
    }
}

/// The members that an action or a comparison adds.
const ADDED: [&str; 4] = ["change", "disabled", "deleted", "kept"];

/// Returns the names of the members of every row.
fn columns(action: Option<Action>, is_diff: bool) -> Vec<&'static str> {
    let Members(members) = Gone::default().members();
    let added: &[&str] = match action {
        _ if is_diff => &["change"],
        Some(action) => &[done(action), "kept"],
        None => &[],
    };
    members.iter().map(|(name, _)| name).chain(added).copied().collect()
}

/// Returns the word for an action.
fn verb(action: Action) -> &'static str {
    if action == Action::Disable { "disable" } else { "delete" }
}

/// Returns the word for what an action has done.
fn done(action: Action) -> &'static str {
    if action == Action::Disable { "disabled" } else { "deleted" }
}

fn findings(audit: &lifecycle::Audit, action: Option<Action>) -> Vec<Members> {
    let row = |finding: &Finding| {
        let mut row = finding.members(&finding.reasons);
        if let Some(action) = action {
            row.0.extend([(done(action), json!(finding.done)), ("kept", json!(finding.kept))]);
        }
        row
    };
    audit.findings.iter().map(row).collect()
}

/// Returns the tokens with new reasons, then those with reasons that do not apply any more, each with these reasons.
fn changes(audit: &lifecycle::Audit) -> Vec<Members> {
    let changed = |Members(mut members): Members, change| {
        members.push(("change", json!(change)));
        Members(members)
    };
    let is_new = |finding: &&Finding| !finding.new_reasons.is_empty();
    let new = audit.findings.iter().filter(is_new);
    let new = new.map(|finding| changed(finding.members(&finding.new_reasons), "new"));
    new.chain(audit.gone.iter().map(|gone| changed(gone.members(), "gone"))).collect()
}

fn say_summary(audit: &lifecycle::Audit, action: Option<Action>, is_confirmed: bool, is_diff: bool) {
    for portal in &audit.portals {
        for limitation in &portal.limitations {
            warn(limitation);
        }
    }
    let checked: u64 = audit.portals.iter().map(|portal| portal.checked).sum();
    let of_severity = |severity: &Severity| {
        let count = audit.findings.iter().filter(|finding| finding.severity() == Some(*severity)).count();
        format!("{count} {severity}")
    };
    let counts: Vec<String> = Severity::ALL.iter().rev().map(of_severity).collect();
    say(&format!("{checked} tokens checked: {}", counts.join(", ")));
    if is_diff {
        let new = audit.findings.iter().filter(|finding| !finding.new_reasons.is_empty()).count();
        say(&format!("{new} tokens with new findings, {} with findings that are gone", audit.gone.len()));
    }
    if let Some(action) = action {
        for finding in &audit.findings {
            if let Some(kept) = finding.kept {
                say(&format!("token {} is kept: {kept}", finding.token.id));
            }
        }
        let (total, done) = (audit.findings.len(), done(action));
        let count = |is_counted: fn(&Finding) -> bool| {
            audit.findings.iter().filter(|finding| is_counted(finding)).count()
        };
        if is_confirmed {
            say(&format!("{} of {total} {done}", count(|finding| finding.done)));
        } else {
            let due = count(|finding| finding.kept.is_none());
            let hint = if due > 0 { format!("; pass --yes to {} them", verb(action)) } else { String::new() };
            say(&format!("{due} of {total} would be {done}{hint}"));
        }
    }
}
