//! The options of every command that calls a portal.

use std::sync::Arc;

use clap::Args;

use super::host::Host;
use super::report::{Failure, StderrObserver, say, warn};
use crate::client::{Client, OnLimit, Policy};
use crate::credentials::{self, Identity, ProcessEnvironment, Timeouts};
use crate::portal::PortalAddress;

#[derive(Args)]
#[command(next_help_heading = "Portal options")]
pub(super) struct Connection {
    /// Use a profile for the portal and the credentials [env: LM_PROFILE] [default: the default profile, if the
    /// environment has no credentials]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Select the portal by its company: a name (acme), host or URL [env: LM_COMPANY]
    #[arg(long)]
    company: Option<String>,
    /// Set the portal's domain [env: LM_DOMAIN_NAME] [default: logicmonitor.com]
    #[arg(long, conflicts_with = "base_url")]
    domain: Option<String>,
    /// Set the URL of the REST API, if it is not https://COMPANY.DOMAIN/santaba/rest [env: LM_BASE_URL]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Limit the time of each request [env: LM_TIMEOUT] [default: 30]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<f64>,
    /// Limit the time that a request waits for the rate limit [default: 120]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    max_wait: Option<f64>,
}

/// Warns of options that do not select the portal. A dry run also tells if it is a sandbox on this machine.
fn say_override(portal: &PortalAddress, overridden: &[&str], dry_run: bool) {
    let option = |argument: &str| format!("--{argument}");
    if let Some(warning) = credentials::override_warning(portal, overridden, option) {
        warn(&warning);
    } else if let Some(notice) = credentials::override_notice(overridden, option).filter(|_| dry_run) {
        say(&notice);
    }
}

impl Connection {
    /// Returns the portal for a dry run that needs no credentials; `None` if the prompt would ask for it.
    pub(super) fn portal(&self) -> Result<Option<PortalAddress>, Failure> {
        self.policy()?;
        let found = credentials::portal(&self.arguments()?, &ProcessEnvironment)?;
        Ok(found.map(|(portal, _, overridden)| {
            say_override(&portal, &overridden, true);
            portal
        }))
    }

    pub(super) fn arguments(&self) -> crate::error::Result<credentials::Arguments> {
        Ok(credentials::Arguments {
            company: self.company.clone(),
            domain: self.domain.clone(),
            base_url: self.base_url.clone(),
            profile: self.profile.clone(),
            timeouts: self.timeout.map(|seconds| Timeouts::from_seconds(None, seconds)).transpose()?,
            ..credentials::Arguments::default()
        })
    }

    pub(super) fn policy(&self) -> crate::error::Result<Policy> {
        Policy::new(None, None, OnLimit::Wait, self.max_wait)
    }

    /// Returns the client. It prompts for missing credentials if a prompt is available.
    pub(super) fn client(&self, host: &Host, dry_run: bool) -> Result<Client, Failure> {
        let identity = Identity::resolve(&self.arguments()?, host, host.prompt.as_ref());
        let identity = host.unless_interrupted(identity)??;
        say_override(&identity.portal, &identity.overridden, dry_run);
        let client = Client::new(identity, Some(&host.user_agent_suffix)).with_policy(self.policy()?);
        Ok(client.observed_by(Arc::new(StderrObserver)))
    }
}
