//! Checks of everything that a request depends on: the settings, each step of the connection, the credentials, the
//! permission. Each check has a finding of its own, so that one problem does not hide the others.
//!
//! No message repeats any part of a credential. One signed request is sent in total: repeated failures lock a token.

mod access;
mod connection;
mod settings;

use std::sync::Arc;

use crate::advice::Advice;
use crate::client::Client;
use crate::clock::Clock;
use crate::credentials::{Arguments, Environment, Identity, NoPrompt, Parts, Timeouts};
use crate::error::{Error, Result};
use crate::event::Observer;
use crate::network::Network;
use crate::portal::PortalAddress;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing is wrong.
    Ok,
    /// Requests may work, but something is unusual.
    Warning,
    /// Requests cannot work.
    Problem,
    /// The check does not apply, or an earlier one failed.
    Skipped,
}

impl Status {
    /// Returns the word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
            Self::Skipped => "skipped",
        }
    }
}

/// What a check found.
#[derive(Debug)]
pub struct Finding {
    /// The name of the check.
    pub name: &'static str,
    /// The result.
    pub status: Status,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub advice: Vec<Advice>,
}

/// Returns a number of things in words.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

impl Finding {
    fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, message: message.into(), advice: Vec::new() }
    }

    fn skipped(name: &'static str, message: impl Into<String>) -> Self {
        Self { status: Status::Skipped, ..Self::ok(name, message) }
    }

    /// Returns the finding of a check that depends on another.
    fn skipped_after(name: &'static str, other: &str) -> Self {
        Self::skipped(name, format!("not checked, because the check {other} did not succeed"))
    }

    fn warning(name: &'static str, message: impl Into<String>, advice: impl Into<Advice>) -> Self {
        Self { status: Status::Warning, advice: vec![advice.into()], ..Self::ok(name, message) }
    }

    fn problem(name: &'static str, error: Error) -> Self {
        let message = error.to_string();
        let mut advice = error.into_details().advice;
        if advice.is_empty() {
            // The message says what is expected.
            advice.push("correct this setting".into());
        }
        Self { status: Status::Problem, advice, ..Self::ok(name, message) }
    }
}

/// The findings of the checks that need no network, and what the others need.
pub struct Examination {
    findings: Vec<Finding>,
    endpoint: Option<Endpoint>,
    identity: Option<Result<Identity>>,
    timeout_problem: Option<Error>,
}

/// What a connection needs.
struct Endpoint {
    portal: PortalAddress,
    network: Network,
    /// Why the proxy or the trusted certificates are not known.
    route_problem: Option<Error>,
    trust_problem: Option<Error>,
    timeouts: Timeouts,
    is_signing: bool,
}

impl Examination {
    /// Checks the settings. The user is not asked for missing ones.
    #[must_use]
    pub fn begin(arguments: &Arguments, environment: &dyn Environment) -> Self {
        let parts = Parts::read(arguments, environment);
        let findings = vec![
            settings::profile(&parts, environment),
            settings::portal(&parts),
            settings::credentials(&parts),
        ];
        let is_usable = findings.iter().all(|finding| finding.status != Status::Problem);
        // Without a supplier of other credentials, the request is not repeated after a 401.
        let identity = is_usable.then(|| {
            let found = Identity::resolve(arguments, environment, &NoPrompt)?;
            Ok(Identity { supplier: None, ..found })
        });
        let timeout_problem = parts.timeouts.as_ref().err().map(Error::repeated);
        let portal = match parts.portal.as_ref() {
            Some(Ok(Some((portal, ..)))) if !parts.is_credential(portal.host()) => Some(portal.clone()),
            _ => None,
        };
        let is_signing = match &parts.credentials {
            Some(Ok(Some(given))) => given.credentials.access_id().is_some(),
            _ => false,
        };
        let endpoint = portal.map(|portal| {
            let (mut network, problem) = match Network::of_arguments(&arguments.network) {
                Ok(network) => (network, None),
                Err(error) => (Network::default(), Some(error)),
            };
            let route_problem = network.complete_route(&portal, environment).err();
            let trust_problem = problem.or(network.complete_trust(&portal, environment).err());
            let timeouts = parts.timeouts.unwrap_or_default();
            Endpoint { portal, network, route_problem, trust_problem, timeouts, is_signing }
        });
        Self { findings, endpoint, identity, timeout_problem }
    }

    /// Checks the rest, and returns all findings in the order of the checks. `clock` is this machine's.
    pub async fn finish(
        self,
        user_agent_suffix: &str,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Vec<Finding> {
        let Self { mut findings, endpoint, identity, timeout_problem } = self;
        let is_reachable = if let Some(endpoint) = endpoint {
            connection::check(endpoint, &*clock, &mut findings).await
        } else {
            findings.extend(connection::NAMES.map(|name| Finding::skipped_after(name, settings::PORTAL)));
            false
        };
        if let Some(error) = timeout_problem {
            access::skip(Finding::problem(access::REQUEST, error), &mut findings);
            return findings;
        }
        match identity {
            Some(Ok(identity)) if is_reachable => {
                let client =
                    Client::with_clock(identity, Some(user_agent_suffix), clock).observed_by(observer);
                access::check(&client, &mut findings).await;
            }
            Some(Err(error)) if is_reachable => {
                access::skip(Finding::problem(access::REQUEST, error), &mut findings);
            }
            _ => {
                let message = "no request was sent, because of the problems above";
                access::skip(Finding::skipped(access::REQUEST, message), &mut findings);
            }
        }
        findings
    }
}
