//! Which portal, and as whom: what every command that calls one shares.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Args;

use super::signals::Signal;
use super::{Failure, Host, say};
use crate::client::{Client, OnLimit, Policy};
use crate::credentials::{self, Identity, Timeouts};
use crate::lock::locked;
use crate::model::iso_8601;
use crate::ports::{Event, Observer, ProcessEnvironment};

#[derive(Args)]
#[command(next_help_heading = "Portal")]
pub(super) struct Connection {
    /// Company: acme, acme.logicmonitor.com or a URL of the portal [env: LM_COMPANY]
    #[arg(long)]
    company: Option<String>,
    /// What follows the company in the portal's host [env: LM_DOMAIN_NAME] [default: logicmonitor.com]
    #[arg(long)]
    domain: Option<String>,
    /// Address of the portal where it is not made of company and domain [env: LM_BASE_URL]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Seconds that one request may take [env: LM_TIMEOUT] [default: 30]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,
    /// Seconds that a request may wait where the portal's budget is spent [default: 120]
    #[arg(long, value_name = "SECONDS")]
    max_wait: Option<f64>,
}

impl Connection {
    pub(super) fn client(&self, host: &Host) -> Result<Client, Failure> {
        let arguments = credentials::Arguments {
            company: self.company.clone(),
            domain: self.domain.clone(),
            base_url: self.base_url.clone(),
            timeouts: self.timeout.map(|seconds| Timeouts::from_seconds(None, seconds)).transpose()?,
            ..credentials::Arguments::default()
        };
        let identity = Identity::resolve(&arguments, &ProcessEnvironment, host.prompt.as_ref());
        if host.prompt.is_interrupted() {
            return Err(Failure::Stopped(Signal::INTERRUPT));
        }
        let identity = identity?;
        let policy = Policy::new(None, None, OnLimit::Wait, self.max_wait)?;
        let client = Client::new(identity, Some(&host.embedder)).with_policy(policy);
        Ok(client.observed_by(Arc::new(OnStandardError::default())))
    }
}

/// Says what a person must know even though the command ended.
#[derive(Default)]
struct OnStandardError {
    last_wait: Mutex<Option<Instant>>,
}

impl OnStandardError {
    /// Many rows wait for the same budget; one line is enough.
    fn says_wait_again(&self) -> bool {
        const QUIET: Duration = Duration::from_secs(10);
        let mut last = locked(&self.last_wait);
        let again = last.is_none_or(|last| last.elapsed() >= QUIET);
        if again {
            *last = Some(Instant::now());
        }
        again
    }
}

impl Observer for OnStandardError {
    fn observe(&self, event: Event) {
        match event {
            // The shell hands results over itself.
            Event::Attempt { .. } | Event::ResultLost { .. } | Event::OutcomeLost { .. } => {}
            Event::LongWait { .. } if !self.says_wait_again() => {}
            Event::LongWait { method, endpoint, wait } => say(&format!(
                "the portal's budget for {method} {endpoint} is spent: waiting, {:.0} s in all",
                wait.as_secs_f64()
            )),
            Event::LeftOvers { count, .. } => {
                let count = count.map_or_else(|| "some".to_owned(), |count| count.to_string());
                say(&format!(
                    "warning: {count} unfinished tokens of this run may be left behind, disabled: --resume removes them, or \
                     `lmtokens sweep` when they are an hour old"
                ));
            }
            Event::LeftUnfinished { admin_id, id, tag, delivered } => {
                let token = id.map_or_else(|| "a token".to_owned(), |id| format!("token {id}"));
                let key = if delivered {
                    "its key was handed over, and it may be enabled"
                } else {
                    "it is disabled"
                };
                say(&format!(
                    "warning: {token} of user {admin_id} may be left behind: {key}; its note begins with {tag}, and \
                     `lmtokens sweep` deletes it when it is an hour old and still disabled"
                ));
            }
            Event::CreateInterrupted { admin_id, note, sent_ms } => {
                let note = note.map_or_else(|| "no note".to_owned(), |note| format!("note {note:?}"));
                say(&format!(
                    "warning: the create had been sent (at {}): a token of user {admin_id} with {note} may exist, and \
                     nobody holds its key",
                    iso_8601(i64::try_from(sent_ms / 1000).unwrap_or_default())
                ));
            }
        }
    }
}
