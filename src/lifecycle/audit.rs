//! Audit: finding the tokens of one portal or several that should be replaced, disabled or deleted.

mod act;
mod earlier;
mod reason;
mod rules;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::lifecycle::sweep::{agreed_time, portal_time};
use crate::model::Token;
use crate::operation::Operation;
use crate::process;
use crate::token_output::{Members, TOKEN_MEMBERS, token_members};
use crate::tokens::{ListTokens, ListUsers, is_self, token_disabled_days};
use rules::{Owners, SECONDS_PER_DAY, View};

pub use act::Action;
pub use earlier::{EarlierReport, Gone};
pub use reason::{AuditReason, Severity};
pub use rules::Rules;

/// Audits the tokens of all users, of both types. Only findings are kept in memory.
#[derive(Debug, Clone, Default)]
pub struct AuditTokens {
    /// What to look for.
    pub rules: Rules,
    /// The file with the report to compare with.
    pub diff: Option<PathBuf>,
    /// What to do with the tokens that are found.
    pub action: Option<Action>,
    /// Whether the action is left out: the findings only say which tokens it would keep, as far as the list shows it.
    pub dry_run: bool,
    /// Whether tokens without reasons are reported too.
    pub all: bool,
}

/// A portal to audit.
#[derive(Debug)]
pub struct Source {
    /// The client that calls it.
    pub client: Client,
    /// The profile that the client was made from.
    pub profile: Option<String>,
}

/// The report of an audit.
#[derive(Debug, Default)]
pub struct Audit {
    /// The tokens that were found, the most severe first.
    pub findings: Vec<Finding>,
    /// What was in the earlier report and does not apply any more.
    pub gone: Vec<Gone>,
    /// The portals.
    pub portals: Vec<AuditedPortal>,
}

/// What is known about one portal of an audit.
#[derive(Debug)]
pub struct AuditedPortal {
    /// Its address.
    pub portal: String,
    /// The profile.
    pub profile: Option<String>,
    /// The time by which the tokens were judged, seconds since 1970-01-01 UTC: the portal's, or with an action the
    /// earlier of the portal's and this machine's.
    pub checked_on: Option<i64>,
    /// How many tokens were checked.
    pub checked: u64,
    /// What could not be checked, and why.
    pub limitations: Vec<String>,
    /// Why the portal could not be audited.
    pub error: Option<Error>,
}

/// A token that was found.
#[derive(Debug)]
pub struct Finding {
    /// The token.
    pub token: Token,
    /// Why it was found; empty only if all tokens are reported.
    pub reasons: Vec<AuditReason>,
    /// The reasons that the earlier report did not have; empty if there is none to compare with.
    pub new_reasons: Vec<AuditReason>,
    /// When the portal disables it if it stays unused, seconds since 1970-01-01 UTC; `None` if that is not known, or if
    /// it is disabled.
    pub portal_disables_on: Option<i64>,
    /// The time by which it was judged, as [`AuditedPortal::checked_on`].
    pub checked_on: i64,
    /// The address of its portal.
    pub portal: Arc<str>,
    /// The profile.
    pub profile: Option<Arc<str>>,
    /// Whether the action was carried out.
    pub done: bool,
    /// Why it was not.
    pub kept: Option<&'static str>,
    /// The error that the action failed with.
    pub error: Option<Error>,
}

impl Finding {
    /// Returns the highest severity of its reasons.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        self.reasons.iter().map(|reason| reason.severity()).max()
    }

    /// Returns what to do about reasons: the remedy of the most severe one, and when the portal disables the token if it
    /// stays unused.
    pub(crate) fn remedy(&self, reasons: &[AuditReason]) -> Option<String> {
        // Of several equal ones, the last would win.
        let remedy = reasons.iter().rev().max_by_key(|reason| reason.severity())?.remedy();
        let is_unused =
            reasons.iter().any(|reason| matches!(reason, AuditReason::Idle | AuditReason::NeverUsed));
        let Some(disables_on) = self.portal_disables_on.filter(|_| is_unused) else {
            return Some(remedy.to_owned());
        };
        let when = match (disables_on - self.checked_on) / SECONDS_PER_DAY {
            ..=0 => "within a day".to_owned(),
            1 => "in 1 day".to_owned(),
            days => format!("in {days} days"),
        };
        Some(format!("{remedy}; the portal disables this {when}"))
    }

    /// Returns the members of the token, and those of the finding with the given reasons.
    pub(crate) fn members(&self, reasons: &[AuditReason]) -> Members {
        let token = token_members(&self.token);
        members(token, reasons, self.remedy(reasons).as_deref(), &self.portal, self.profile.as_deref())
    }
}

impl Gone {
    /// As [`Finding::members`], with the reasons that do not apply any more.
    pub(crate) fn members(&self) -> Members {
        let value = |name| self.token.get(name).cloned().unwrap_or_default();
        let token = Members(TOKEN_MEMBERS.iter().map(|(name, _)| (*name, value(*name))).collect());
        members(token, &self.reasons, None, &self.portal, self.profile.as_deref())
    }
}

fn members(
    Members(mut members): Members,
    reasons: &[AuditReason],
    remedy: Option<&str>,
    portal: &str,
    profile: Option<&str>,
) -> Members {
    let words: Vec<&str> = reasons.iter().map(|reason| reason.as_str()).collect();
    let severity = reasons.iter().map(|reason| reason.severity()).max();
    members.extend([
        ("reasons", json!(words)),
        ("severity", json!(severity.map(Severity::as_str))),
        ("remedy", json!(remedy)),
        ("portal", json!(portal)),
        ("profile", json!(profile)),
    ]);
    Members(members)
}

impl AuditTokens {
    /// Fails if the audit cannot find anything.
    fn check(&self) -> Result<()> {
        let needs_report =
            |reason: &AuditReason| *reason == AuditReason::AddressChanged && self.diff.is_none();
        if !self.rules.reasons.iter().all(needs_report) {
            return Ok(());
        }
        Err(match self.rules.reasons.first() {
            None => {
                Error::argument(format!("no reasons given; expected at least {}", AuditReason::expected()))
            }
            Some(_) => Error::argument("the reason address_changed needs an earlier report to compare with"),
        })
    }
}

impl Operation for AuditTokens {
    type Output = Audit;

    async fn run(self, client: &Client) -> Result<Audit> {
        let mut audit = audit_portals(vec![Source { client: client.clone(), profile: None }], self).await?;
        match audit.portals.iter_mut().find_map(|portal| portal.error.take()) {
            Some(error) => Err(error),
            None => Ok(audit),
        }
    }
}

/// Audits several portals at once. One that cannot be audited is reported and does not stop the others.
pub async fn audit_portals(sources: Vec<Source>, settings: AuditTokens) -> Result<Audit> {
    settings.check()?;
    let earlier = match settings.diff.clone() {
        Some(path) => {
            let read = process::offloaded(move || EarlierReport::read(&path)).await;
            Some(read.unwrap_or_else(|| Err(Error::internal()))?)
        }
        None => None,
    };
    let settings = Arc::new((settings, earlier));
    let names: Vec<_> = sources.iter().map(|source| (portal_of(source), source.profile.clone())).collect();
    let mut running = JoinSet::new();
    for (number, source) in sources.into_iter().enumerate() {
        let settings = Arc::clone(&settings);
        running.spawn(async move { (number, audit_portal(&source, &settings.0, settings.1.as_ref()).await) });
    }
    let mut results = HashMap::new();
    while let Some(ended) = running.join_next().await {
        // One that panicked has no result.
        results.extend(ended.ok());
    }
    let mut audit = Audit::default();
    for (number, (portal, profile)) in names.into_iter().enumerate() {
        match results.remove(&number).unwrap_or_else(|| Err(Error::internal())) {
            Ok(of_portal) => {
                audit.findings.extend(of_portal.findings);
                audit.gone.extend(of_portal.gone);
                audit.portals.extend(of_portal.portals);
            }
            Err(error) => audit.portals.push(AuditedPortal {
                portal,
                profile,
                checked_on: None,
                checked: 0,
                limitations: Vec::new(),
                error: Some(error),
            }),
        }
    }
    audit.findings.sort_by_key(|finding| Reverse(finding.severity()));
    Ok(audit)
}

fn portal_of(source: &Source) -> String {
    source.client.identity().portal.base_url().to_owned()
}

async fn audit_portal(
    source: &Source,
    settings: &AuditTokens,
    earlier: Option<&EarlierReport>,
) -> Result<Audit> {
    let Source { client, profile } = source;
    let portal: Arc<str> = portal_of(source).into();
    let of_profile: Option<Arc<str>> = profile.as_deref().map(Arc::from);
    let mut limitations = Vec::new();
    let owners = if settings.rules.need_owners() {
        match ListUsers.run(client).await {
            Ok(users) => Some(users.into_iter().map(|user| (user.id, user)).collect()),
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) => {
                limitations
                    .push(format!("owners were not checked, because the users cannot be listed: {error}"));
                None
            }
            Err(error) => return Err(error),
        }
    } else {
        None
    };
    let token_disabled_days = token_disabled_days(client).await?;
    let now = if settings.action.is_some() { agreed_time(client)? } else { portal_time(client)? };
    let checked_on = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let view = View { rules: &settings.rules, portal: &portal, now, owners, token_disabled_days, earlier };

    let mut findings = Vec::new();
    let mut checked = 0;
    let mut without_owner: u64 = 0;
    let mut shows_self = false;
    let mut listing = ListTokens::default().start();
    while let Some(page) = listing.next_page(client).await? {
        for token in page {
            checked += 1;
            shows_self |= is_self(client, &token) != Some(false);
            let is_owned =
                |owners: &Owners| token.admin_id.is_some_and(|admin_id| owners.contains_key(&admin_id));
            without_owner += u64::from(view.owners.as_ref().is_some_and(|owners| !is_owned(owners)));
            let reasons = view.reasons(&token);
            if reasons.is_empty() && !settings.all {
                continue;
            }
            findings.push(Finding {
                new_reasons: earlier
                    .map(|earlier| earlier.new_reasons(&portal, token.id, &reasons))
                    .unwrap_or_default(),
                portal_disables_on: view.portal_disables_on(&token),
                checked_on,
                token,
                reasons,
                portal: Arc::clone(&portal),
                profile: of_profile.clone(),
                done: false,
                kept: None,
                error: None,
            });
        }
    }
    if without_owner > 0 {
        limitations.push(format!(
            "the owners of some tokens were not checked, because the list of users does not show them: {without_owner} of \
             {checked}"
        ));
    }
    if !shows_self {
        limitations.push(
            "the list of tokens does not show the calling one: these credentials may not be permitted to view all \
             tokens"
                .to_owned(),
        );
    }
    match settings.action {
        Some(action) if settings.dry_run => act::preview(client, action, &mut findings),
        Some(action) => act::act(client, action, &view, &mut findings).await,
        None => {}
    }
    // What is not shown may still be there.
    let gone = match earlier.filter(|_| shows_self) {
        Some(earlier) => gone(earlier, &view, profile.as_deref(), &findings, without_owner == 0),
        None => Vec::new(),
    };
    let portal = AuditedPortal {
        portal: portal.to_string(),
        profile: profile.clone(),
        checked_on: Some(checked_on),
        checked,
        limitations,
        error: None,
    };
    Ok(Audit { findings, gone, portals: vec![portal] })
}

/// Returns what applied earlier and does not any more. A reason that this audit does not look for, or whose owners the
/// portal does not show, may still apply.
fn gone(
    earlier: &EarlierReport,
    view: &View<'_>,
    profile: Option<&str>,
    findings: &[Finding],
    shows_owners: bool,
) -> Vec<Gone> {
    let shows_owners = shows_owners && view.owners.is_some();
    let now: HashMap<i64, &[AuditReason]> =
        findings.iter().map(|finding| (finding.token.id, finding.reasons.as_slice())).collect();
    earlier.gone(view.portal, profile, |id, reason| {
        let is_checked = view.looks_for(reason) && (shows_owners || !reason.depends_on_owner());
        !is_checked || now.get(&id).is_some_and(|reasons| reasons.contains(&reason))
    })
}
