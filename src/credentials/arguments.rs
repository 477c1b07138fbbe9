//! Credentials and settings passed by a caller.

use std::time::Duration;

use super::Credentials;
use super::validate::check_copied;
use crate::copied;
use crate::error::{Error, Result};
use crate::network;
use crate::secret::Secret;

/// Settings of a caller, or of a profile. A setting that is `None` is read from the next source.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// Company name, host of its portal, or URL of a page of the portal.
    pub company: Option<String>,
    /// The part of the portal's host after the company.
    pub domain: Option<String>,
    /// The portal's URL, if it does not consist of company and domain.
    pub base_url: Option<String>,
    /// The access id. Kept secret, since users swap id and key.
    pub access_id: Option<Secret>,
    /// The access key, or a bearer token.
    pub access_key: Option<Secret>,
    /// A bearer token.
    pub bearer_token: Option<Secret>,
    /// Whether a callable supplies the credentials.
    pub callable: bool,
    /// The name of a profile with other settings.
    pub profile: Option<String>,
    /// Timeouts.
    pub timeouts: Option<Timeouts>,
    /// CA bundle, client certificate and proxy.
    pub network: network::Arguments,
}

impl Arguments {
    pub(super) fn has_address(&self) -> bool {
        self.company.is_some() || self.base_url.is_some()
    }

    pub(super) fn has_credentials(&self) -> bool {
        self.callable || self.access_id.is_some() || self.access_key.is_some() || self.bearer_token.is_some()
    }

    /// Checks the settings for traces of copying, except credentials and paths, which are checked as such.
    pub(super) fn check_copied(&self) -> Result<()> {
        let settings = [
            ("company", self.company.as_deref()),
            ("domain", self.domain.as_deref()),
            ("base_url", self.base_url.as_deref()),
            ("proxy", self.network.proxy.as_ref().map(Secret::reveal)),
        ];
        settings
            .into_iter()
            .try_for_each(|(name, value)| value.map_or(Ok(()), |value| copied::check(name, value)))
    }

    /// Checks the credentials, and that there is one source of them.
    pub(super) fn check_credentials(&self) -> Result<()> {
        if self.credentials()?.is_some() && self.callable {
            return Err(Error::credentials(
                "both credentials and access_id, access_key or bearer_token were given; expected one of them",
            ));
        }
        Ok(())
    }

    pub(super) fn credentials(&self) -> Result<Option<Credentials>> {
        match (&self.access_id, &self.access_key, &self.bearer_token) {
            (None, None, None) => Ok(None),
            (None, None, Some(token)) => Credentials::from_bearer(token.clone()).map(Some),
            (_, _, Some(_)) => Err(Error::credentials(
                "both bearer_token and access_id or access_key were given; expected one kind of credentials",
            )),
            (Some(id), None, None) => {
                check_copied("access_id", id)?;
                Err(Error::credentials("access_key is missing: access_id was given without it"))
            }
            (id, Some(key), None) => {
                Credentials::from_pair(id.as_ref().map(Secret::reveal), key.clone()).map(Some)
            }
        }
    }
}

/// The timeouts of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect, including TLS.
    pub connect: Duration,
    /// From the start of the attempt to the last byte of the response.
    pub total: Duration,
}

impl Timeouts {
    const CONNECT_SECONDS: f64 = 10.0;
    const TOTAL_SECONDS: f64 = 30.0;
    const MAX_SECONDS: f64 = 86_400.0;

    /// Creates timeouts from seconds. `connect` defaults to 10 s and is always shorter than the total.
    pub fn from_seconds(connect: Option<f64>, total: f64) -> Result<Self> {
        let check = |seconds: f64| {
            if seconds > 0.0 && seconds <= Self::MAX_SECONDS {
                return Ok(Duration::from_secs_f64(seconds).max(Duration::from_millis(1)));
            }
            let expected = format_args!("a number of seconds above 0 and up to {}", Self::MAX_SECONDS);
            Err(Error::invalid("timeout", seconds, expected))
        };
        let total = check(total)?;
        // If both were equal, the total could expire first and hide that the connection was never made.
        let connect = check(connect.unwrap_or(Self::CONNECT_SECONDS))?.min(total.mul_f64(0.9));
        Ok(Self { connect, total })
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs_f64(Self::CONNECT_SECONDS),
            total: Duration::from_secs_f64(Self::TOTAL_SECONDS),
        }
    }
}
