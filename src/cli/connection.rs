//! The options of every command that calls a portal.

use std::sync::Arc;

use clap::Args;

use super::host::Host;
use super::report::{Failure, StderrObserver, say};
use super::signals::Signal;
use crate::client::{Client, OnLimit, Policy};
use crate::credentials::{self, Identity, ProcessEnvironment, Timeouts};
use crate::portal::PortalAddress;

#[derive(Args)]
#[command(next_help_heading = "Portal options")]
pub(super) struct Connection {
    /// Select the portal by its company: a name (acme), host or URL [env: LM_COMPANY]
    #[arg(long, allow_hyphen_values = true)]
    company: Option<String>,
    /// Set the portal's domain [env: LM_DOMAIN_NAME] [default: logicmonitor.com]
    #[arg(long, allow_hyphen_values = true, conflicts_with = "base_url")]
    domain: Option<String>,
    /// Set the URL of the REST API, if it is not https://COMPANY.DOMAIN/santaba/rest [env: LM_BASE_URL]
    #[arg(long, value_name = "URL", allow_hyphen_values = true)]
    base_url: Option<String>,
    /// Limit the time of each request [env: LM_TIMEOUT] [default: 30]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<f64>,
    /// Limit the time that a request waits for the rate limit [default: 120]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    max_wait: Option<f64>,
}

/// Returns the option of an argument of the core.
pub(super) fn option_of(argument: &str) -> String {
    format!("--{argument}")
}

impl Connection {
    /// Checks the values without reading credentials.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.timeouts()?;
        self.policy()?;
        let domain = self.domain.as_deref();
        if let Some(company) = &self.company {
            PortalAddress::of_company(company, domain)?;
        }
        if let Some(base_url) = &self.base_url {
            PortalAddress::at(base_url, None)?;
        }
        Ok(())
    }

    fn timeouts(&self) -> crate::error::Result<Option<Timeouts>> {
        self.timeout.map(|seconds| Timeouts::from_seconds(None, seconds)).transpose()
    }

    fn policy(&self) -> crate::error::Result<Policy> {
        Policy::new(None, None, OnLimit::Wait, self.max_wait)
    }

    /// Returns the client. It prompts for missing credentials if a prompt is available.
    pub(super) fn client(&self, host: &Host) -> Result<Client, Failure> {
        let arguments = credentials::Arguments {
            company: self.company.clone(),
            domain: self.domain.clone(),
            base_url: self.base_url.clone(),
            timeouts: self.timeouts()?,
            ..credentials::Arguments::default()
        };
        let identity = Identity::resolve(&arguments, &ProcessEnvironment, host.prompt.as_ref());
        if host.prompt.is_interrupted() {
            return Err(Failure::Signal(Signal::INTERRUPT));
        }
        let identity = identity?;
        if let Some(warning) = identity.override_warning(option_of) {
            say(&format!("warning: {warning}"));
        }
        let client = Client::new(identity, Some(&host.user_agent_suffix)).with_policy(self.policy()?);
        Ok(client.observed_by(Arc::new(StderrObserver::default())))
    }
}
