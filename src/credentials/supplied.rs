//! Credentials that a callable or a command supplies when they are needed, and again before they expire.

use std::fmt;
use std::time::Duration;

use super::{Arguments, Credentials, Provenance};
use crate::clock::Moment;
use crate::destinations::BoxFuture;
use crate::error::{Error, Result};
use crate::times::Expiry;

/// A callable or a command that supplies credentials.
pub trait Supplier: Send + Sync {
    /// Returns credentials for requests that are sent from now on, if possible others than the `refused` ones.
    fn supply<'a>(&'a self, refused: Option<&'a Credentials>) -> BoxFuture<'a, Result<Supplied>>;

    /// Returns the number of the event loop that runs it; 0 if there is none. A call waits only for suppliers of calls
    /// with the same number.
    fn runner(&self) -> usize {
        0
    }
}

impl fmt::Debug for dyn Supplier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Supplier")
    }
}

/// Credentials and their source.
pub struct Supplied {
    /// The credentials.
    pub credentials: Credentials,
    /// Their source.
    pub from: Provenance,
    /// How long they are used; `None` if they do not expire.
    pub validity: Option<Validity>,
}

impl Supplied {
    /// Returns credentials that do not expire.
    pub(super) fn fixed(credentials: Credentials, from: Provenance) -> Self {
        Self { credentials, from, validity: None }
    }

    /// Checks what a callable returned.
    pub fn of_callable(arguments: &Arguments, expires: Option<Expiry>, now_ms: u64) -> Result<Self> {
        let credentials = arguments
            .credentials()?
            .ok_or_else(|| Error::credentials("the callable for credentials returned none"))?;
        let validity = expires.map(|expiry| Validity::until(expiry, now_ms)).transpose()?;
        Ok(Self { credentials, from: Provenance::Callable, validity })
    }
}

/// How long credentials are used before others are requested.
#[derive(Debug, Clone, Copy)]
pub struct Validity {
    since: Moment,
    length: Duration,
}

impl Validity {
    /// Returns how long credentials are used that expire after `lifetime`. They are replaced a minute earlier, so that
    /// they do not expire during a request; those with a short lifetime, when a tenth of it is left.
    fn of(lifetime: Duration, now_ms: u64) -> Self {
        const MARGIN: Duration = Duration::from_secs(60);
        let margin = MARGIN.min(lifetime / 10);
        Self { since: Moment::at(now_ms), length: lifetime.saturating_sub(margin) }
    }

    /// Returns how long credentials are used that expire then.
    pub(super) fn until(expiry: Expiry, now_ms: u64) -> Result<Self> {
        let lifetime = match expiry {
            Expiry::After(lifetime) => lifetime,
            Expiry::At(seconds) => {
                let end = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
                end.saturating_sub(Duration::from_millis(now_ms))
            }
        };
        if lifetime.is_zero() {
            return Err(Error::credentials("the supplied credentials have expired")
                .suggest("correct expires, or this machine's clock"));
        }
        Ok(Self::of(lifetime, now_ms))
    }

    /// Returns whether the credentials must be replaced.
    pub(crate) fn is_over(&self, now_ms: u64) -> bool {
        self.since.elapsed(now_ms) >= self.length
    }
}
