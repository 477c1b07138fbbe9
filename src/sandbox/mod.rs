//! A small LogicMonitor on loopback: a real HTTP server with users, tokens, signatures, rate limits and faults.
//!
//! It uses only the vocabulary of this crate and never the client, so that it can contradict the client.
//!
//! A request's way: `server` (HTTP) → `exchange` (what was received) → `rest` (the checks in the real portal's order:
//! `auth`, `rate limit`) → `resources` (`user`, `token`, `page`, `filter`) → `envelope` (version 3 or 1) → `reply` (bytes).
//! `faults` says which request is struck and `apply_fault` how; `record` keeps what was seen; `store` holds everything;
//! `control` is the same over HTTP as the methods of [`Portal`].

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

mod apply_fault;
mod auth;
mod clock;
mod control;
mod envelope;
mod exchange;
mod faults;
mod filter;
mod filter_parser;
mod page;
mod random;
mod rate_limit;
mod record;
mod reply;
mod resources;
mod rest;
mod server;
mod settings;
mod store;
mod token;
mod user;

pub use auth::Signature;
pub use faults::{Fault, FaultKind, RandomFaults, RateHeaders};
pub use record::Seen;
pub use settings::Settings;
pub use token::{NewToken, StoredToken, TokenType};
pub use user::NewUser;

use clock::Clock;
use random::Generator;
use server::Server;
use store::{ADMINISTRATOR, BuiltIn, Store};

use crate::error::Error;
use crate::lmv1::REST_PREFIX;
use crate::lock::locked;
use crate::secret::Secret;

/// The company name that stands for the portal.
const COMPANY: &str = "sandbox";

/// A running portal on 127.0.0.1; it stops when dropped.
pub struct Portal {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: Mutex<Option<Server>>,
}

impl Portal {
    /// Starts a portal in a thread of its own and returns when it listens.
    pub fn start(settings: Settings) -> Result<Self, Error> {
        let port = settings.port;
        let shared = Arc::new(Shared::new(settings)?);
        let (server, address) = Server::start(port, &shared)?;
        Ok(Self { address, shared, server: Mutex::new(Some(server)) })
    }

    /// Closes the listener and every connection, and returns when that is done. A second call does nothing.
    pub fn stop(&self) {
        if let Some(server) = locked(&self.server).take() {
            server.stop();
        }
    }

    /// What stands for `https://company.logicmonitor.com/santaba/rest`: `http://127.0.0.1:PORT/santaba/rest`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}{REST_PREFIX}", self.address)
    }

    /// The company name that stands for the portal: `sandbox`.
    #[must_use]
    pub fn company(&self) -> &str {
        COMPANY
    }

    /// The access id of a token of user 1, the administrator.
    #[must_use]
    pub fn access_id(&self) -> &str {
        &self.shared.built_in.access_id
    }

    /// The access key to [`Portal::access_id`].
    #[must_use]
    pub fn access_key(&self) -> Secret {
        self.shared.built_in.access_key.clone()
    }

    /// A bearer token of user 1, the administrator.
    #[must_use]
    pub fn bearer_token(&self) -> Secret {
        self.shared.built_in.bearer.clone()
    }

    /// The requests under `/santaba/rest` that the portal saw, oldest first.
    #[must_use]
    pub fn record(&self) -> Vec<Seen> {
        self.shared.store().record.to_vec()
    }

    /// Forgets what the portal saw.
    pub fn clear_record(&self) {
        self.shared.store().record.clear();
    }

    /// Asks for a fault. Of several that match a request, the one asked for first strikes.
    ///
    /// Fails with [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) where the fault could never be applied.
    pub fn add_fault(&self, fault: Fault) -> Result<(), Error> {
        self.shared.store().faults.add(fault)
    }

    /// Asks for faults by chance, beside those of [`Portal::add_fault`]; `None` ends them.
    ///
    /// Fails with [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) where they could never be applied.
    pub fn set_random_faults(&self, faults: Option<RandomFaults>) -> Result<(), Error> {
        self.shared.store().faults.set_random(faults)
    }

    /// Ends every fault, scripted and by chance.
    pub fn clear_faults(&self) {
        self.shared.store().faults.clear();
    }

    /// Allows `limit` requests per rolling window at each endpoint, for one method or for every one.
    ///
    /// Fails with [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) where the window has no length.
    pub fn set_rate_limit(&self, method: Option<&str>, limit: u32, window_seconds: f64) -> Result<(), Error> {
        self.shared.store().set_rate_limit(method, limit, window_seconds)
    }

    /// Sets how far the portal's clock runs ahead of the real one; negative is behind.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.shared.store().set_clock_offset(seconds);
    }

    /// Adds a user, or replaces the one of the same id, and returns the id.
    pub fn add_user(&self, user: NewUser) -> u32 {
        self.shared.store().add_user(user)
    }

    /// Puts a token on the portal without a request.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::error::ErrorKind::NotFound) where there is no such user.
    pub fn create_token(&self, token: NewToken) -> Result<StoredToken, Error> {
        self.shared.create_token(token)
    }

    /// Every token that the portal keeps, the built-in ones included, by id.
    #[must_use]
    pub fn tokens(&self) -> Vec<StoredToken> {
        self.shared.store().tokens().cloned().collect()
    }

    /// Puts users, tokens, record, faults, rate limits and clock back to the start; the built-in credentials stay good.
    pub fn reset(&self) {
        self.shared.reset();
    }
}

impl fmt::Debug for Portal {
    /// Where it is, and nothing that it keeps.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portal").field("base_url", &self.base_url()).finish_non_exhaustive()
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the server's thread and the [`Portal`] share.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    built_in: BuiltIn,
    /// The generator as it was after the built-in credentials, so that a reset repeats what a seed gave.
    generator: Generator,
    store: Mutex<Store>,
}

impl Shared {
    fn new(settings: Settings) -> Result<Self, Error> {
        let mut generator = Generator::new(settings.seed);
        let built_in = BuiltIn::new(&mut generator)?;
        let store = Mutex::new(Store::new(&settings, &built_in, generator.clone())?);
        Ok(Self { settings, built_in, generator, store })
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        locked(&self.store)
    }

    fn clock(&self) -> Clock {
        self.store().clock
    }

    fn create_token(&self, token: NewToken) -> Result<StoredToken, Error> {
        let mut store = self.store();
        let name = |id| store.users.get(&id).map(|user| user.username.clone());
        if name(token.admin_id).is_none() {
            let message = format!("the sandbox has no user {}", token.admin_id);
            return Err(Error::new(crate::error::ErrorKind::NotFound, message));
        }
        let created_by = name(ADMINISTRATOR).unwrap_or_default();
        store.create(token, &created_by)
    }

    fn reset(&self) {
        let reset = self.store().reset(&self.settings, &self.built_in, self.generator.clone());
        // The settings were good at the start, so they are now.
        debug_assert!(reset.is_ok());
    }
}
