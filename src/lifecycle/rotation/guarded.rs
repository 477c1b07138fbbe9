//! Writes that follow a fresh read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, Moment};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{AdminId, Status, TokenId};
use crate::lifecycle::rounds::Rounds;
use crate::lifecycle::sweep::{agreed_time, portal_time};
use crate::model::Token;
use crate::operation::Operation as _;
use crate::tokens::{DeleteToken, FindToken, Target, change, is_same_token, refuse_self};

/// The time after which a mark (cancelled, superseded) takes effect.
pub(super) const SETTLES: i64 = 60;

/// The most time from a read to the end of the write that it allows. What was read may be [`MAX_LAG`] old already: both
/// together are shorter than [`SETTLES`], so that a write that was allowed before a mark has landed when the mark takes
/// effect.
const MAX_READ_AGE: Duration = Duration::from_secs(25);

/// How long the portal's lists may be out of date, and how often they are read meanwhile.
pub(super) const MAX_LAG: Duration = Duration::from_secs(30);
pub(super) const LAG_CHECK: Duration = Duration::from_millis(500);

const MAX_ROUNDS: u32 = 6;

/// What a fresh read allows.
pub(super) enum Step<T> {
    /// Change the note, the status or both.
    Change {
        note: Option<String>,
        status: Option<Status>,
    },
    Delete,
    /// Nothing is left to do.
    Done(T),
}

impl<T> Step<T> {
    pub(super) fn note(note: String) -> Self {
        Self::Change { note: Some(note), status: None }
    }

    pub(super) fn status(status: Status) -> Self {
        Self::Change { note: None, status: Some(status) }
    }
}

/// A client whose changes of tokens each follow a fresh read.
#[derive(Clone)]
pub(super) struct GuardedClient {
    client: Client,
    changes: Arc<AtomicU32>,
}

impl GuardedClient {
    pub(super) fn new(client: &Client) -> Self {
        Self { client: client.clone(), changes: Arc::default() }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Returns this client with another one for its requests.
    pub(super) fn with(&self, client: &Client) -> Self {
        Self { client: client.clone(), changes: Arc::clone(&self.changes) }
    }

    /// Counts a create that another part of the package sent.
    pub(super) fn count_create(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of creates and changes. The portal may send an e-mail for each.
    pub(super) fn changes(&self) -> u32 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Returns the earlier time of the portal's clock and the local one, which judges whether a time has come, seconds
    /// since 1970-01-01 UTC.
    pub(super) fn now(&self) -> Result<i64> {
        agreed_time(&self.client).map(seconds)
    }

    /// Returns the time by the portal's clock, which all processes share. Notes are written with it.
    pub(super) fn portal_now(&self) -> Result<i64> {
        portal_time(&self.client).map(seconds)
    }

    /// Reads a token; `None` if it does not exist. Another token with its id is an error.
    pub(super) async fn read(&self, token: &Token) -> Result<Option<Token>> {
        read(&self.client, token).await
    }

    /// Reads a token, and writes what `decide` makes of it, until that is `Done`. `None` if the token does not exist,
    /// or not any more. If the outcome of a write is unknown, the token is read again.
    pub(super) async fn write<T>(
        &self,
        token: &Token,
        mut decide: impl FnMut(&Token) -> Result<Step<T>>,
    ) -> Result<Option<T>> {
        self.write_rounds(None, token, |_, now| decide(now)).await
    }

    /// As `write`, of a write that a read of another token allows too: `decide` gets that one first.
    pub(super) async fn write_with<T>(
        &self,
        witness: &Token,
        token: &Token,
        decide: impl FnMut(Option<&Token>, &Token) -> Result<Step<T>>,
    ) -> Result<Option<T>> {
        self.write_rounds(Some(witness), token, decide).await
    }

    async fn write_rounds<T>(
        &self,
        witness: Option<&Token>,
        token: &Token,
        mut decide: impl FnMut(Option<&Token>, &Token) -> Result<Step<T>>,
    ) -> Result<Option<T>> {
        let mut rounds = Rounds::at_most(MAX_ROUNDS);
        loop {
            let read_at = self.moment();
            let witness = match witness {
                Some(witness) => self.read(witness).await?,
                None => None,
            };
            let Some(now) = self.read(token).await? else { return Ok(None) };
            let leased = self.leased(read_at);
            let written = match decide(witness.as_ref(), &now)? {
                Step::Done(done) => return Ok(Some(done)),
                Step::Delete => self.delete(&leased, &now).await,
                Step::Change { note, status } => self.change(&leased, &now, note, status).await,
            };
            let error = match written {
                Ok(()) => match self.await_change(&now).await? {
                    None => return Ok(None),
                    // Unless another process was faster, nothing is left to do.
                    Some(changed) => match decide(witness.as_ref(), &changed)? {
                        Step::Done(done) => return Ok(Some(done)),
                        _ => unchanged(&changed),
                    },
                },
                Err(error) => error,
            };
            // A token that is not found is read again: a proxy can answer 404 too.
            let is_open = error.details().maybe_applied
                || error.kind() == ErrorKind::NotFound
                || leased.may_read_again(&self.client, &error);
            if !is_open || !rounds.next_after_pause(&self.client).await {
                return Err(error);
            }
        }
    }

    /// Reads a token until it is not as before a change, because what follows relies on reads. `None` if it does not
    /// exist.
    async fn await_change(&self, before: &Token) -> Result<Option<Token>> {
        let started = Instant::now();
        loop {
            let Some(now) = self.read(before).await? else { return Ok(None) };
            let state = |token: &Token| (token.status, token.marker, token.note.clone());
            if state(&now) != state(before) || started.elapsed() > MAX_LAG {
                return Ok(Some(now));
            }
            tokio::time::sleep(LAG_CHECK).await;
        }
    }

    /// Runs an action that relies on a fresh read of a token. `None` if the token does not exist, or is not as
    /// expected.
    pub(super) async fn act<T>(
        &self,
        token: &Token,
        is_as_expected: impl Fn(&Token) -> bool,
        action: impl Future<Output = Result<T>>,
    ) -> Result<Option<T>> {
        let mut rounds = Rounds::at_most(MAX_ROUNDS);
        loop {
            let read_at = self.moment();
            match self.read(token).await? {
                Some(now) if is_as_expected(&now) => {}
                _ => return Ok(None),
            }
            if !self.leased(read_at).is_over() {
                return action.await.map(Some);
            }
            if !rounds.next() {
                let message = format!("reading token {} took too long to rely on it", token.id);
                return Err(Error::new(ErrorKind::RequestTimeout, message));
            }
        }
    }

    fn moment(&self) -> Moment {
        Moment::at(self.client.now_ms())
    }

    /// Returns the client for the writes that a read allows, which began at a moment.
    fn leased(&self, read_at: Moment) -> Client {
        self.client.for_lease(read_at, MAX_READ_AGE, "reading the token")
    }

    async fn change(
        &self,
        client: &Client,
        token: &Token,
        note: Option<String>,
        status: Option<Status>,
    ) -> Result<()> {
        let client =
            if status == Some(Status::Disabled) { &refuse_self(client, token, "disabling")? } else { client };
        let admin_id = AdminId::new(token.admin_id.unwrap_or_default()).map_err(Error::of_portal)?;
        self.changes.fetch_add(1, Ordering::Relaxed);
        change(client, admin_id, token, note.as_deref(), status).await.map(drop)
    }

    async fn delete(&self, client: &Client, token: &Token) -> Result<()> {
        let client = &refuse_self(client, token, "deleting")?;
        // `write` reads the token again if the outcome is unknown, which also waits for a list that lags.
        let target = Target::Token(Box::new(token.clone()));
        DeleteToken { target, force: true }.run(client).await.map(drop)
    }
}

async fn read(client: &Client, token: &Token) -> Result<Option<Token>> {
    match FindToken::Id(TokenId::new(token.id)?).optional(client).await? {
        Some(now) if !is_same_token(&now, token) => Err(Error::new(
            ErrorKind::Response,
            format!("the portal has another token with the id {}", token.id),
        )),
        found => Ok(found),
    }
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn unchanged(token: &Token) -> Error {
    let mut error = Error::new(
        ErrorKind::Response,
        format!("the portal accepted a change of token {}, but does not show it", token.id),
    );
    error.details_mut().maybe_applied = true;
    error
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::clock::{Clock, SystemClock};
    use crate::credentials::Credentials;
    use crate::portal::PortalAddress;
    use crate::secret::Secret;
    use crate::testing::credentials::identity;

    #[derive(Debug)]
    struct Slow;

    impl Clock for Slow {
        fn now_ms(&self) -> u64 {
            SystemClock.now_ms() - 600_000
        }
    }

    #[test]
    fn a_slow_clock_delays_and_does_not_change_what_is_written() {
        let portal = PortalAddress::at("https://portal.example.com/santaba/rest", None).unwrap();
        let credentials = Credentials::from_bearer(Secret::new("lmb_test".to_owned())).unwrap();
        let identity = identity(portal, credentials);
        let client = Client::with_clock(identity, None, Arc::new(Slow));
        let (now, portal) = (SystemTime::now(), GuardedClient::new(&client));
        client.set_portal_time(now);
        let written = seconds(now.duration_since(UNIX_EPOCH).unwrap());
        assert!(portal.portal_now().unwrap().abs_diff(written) <= 1);
        assert!(portal.now().unwrap().abs_diff(written - 600) <= 1);
    }
}
