//! What a caller gives.

use std::time::Duration;

use super::Credentials;
use crate::error::{Error, Result};
use crate::network;
use crate::secret::Secret;

/// What a caller may give; what is `None` is looked for elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// Bare name, host or URL of a page.
    pub company: Option<String>,
    /// The part of the host after the company.
    pub domain: Option<String>,
    /// The portal's address where it is not made of company and domain.
    pub base_url: Option<String>,
    /// The public half of a pair.
    pub access_id: Option<Secret>,
    /// The secret half of a pair, or a bearer token.
    pub access_key: Option<Secret>,
    /// A bearer token.
    pub bearer_token: Option<Secret>,
    /// Time limits.
    pub timeouts: Option<Timeouts>,
    /// How the portal is reached.
    pub network: network::Arguments,
}

impl Arguments {
    pub(super) fn credentials(&self) -> Result<Option<Credentials>> {
        match (&self.access_id, &self.access_key, &self.bearer_token) {
            (None, None, None) => Ok(None),
            (None, None, Some(token)) => Credentials::from_bearer(token.clone()).map(Some),
            (_, _, Some(_)) => Err(Error::credentials(
                "bearer_token was given together with access_id or access_key: give one kind of credentials",
            )),
            (Some(_), None, None) => {
                Err(Error::credentials("access_key is missing: access_id was given without it"))
            }
            (id, Some(key), None) => {
                Credentials::from_pair(id.as_ref().map(Secret::reveal), key.clone()).map(Some)
            }
        }
    }
}

/// How long one request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To make the connection, TLS included.
    pub connect: Duration,
    /// From the start of the request to the last byte of the answer.
    pub total: Duration,
}

impl Timeouts {
    const CONNECT_SECONDS: f64 = 10.0;
    const TOTAL_SECONDS: f64 = 30.0;
    const MAX_SECONDS: f64 = 86_400.0;

    /// Limits in seconds; to connect takes 10 s at most where nothing else is said, and never longer than the total.
    pub fn from_seconds(connect: Option<f64>, total: f64) -> Result<Self> {
        let check = |seconds: f64| {
            if seconds > 0.0 && seconds <= Self::MAX_SECONDS {
                return Ok(Duration::from_secs_f64(seconds).max(Duration::from_millis(1)));
            }
            Err(Error::argument(format!(
                "timeout {seconds} is not accepted: accepted is a number of seconds above 0 and up to {}",
                Self::MAX_SECONDS
            )))
        };
        let total = check(total)?;
        // Were the two alike, the total could strike first, and a connection that was never made look like one that was.
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
