//! The sandbox: an embedded fake portal on loopback, a real HTTP server with users, tokens, signatures, rate limits and
//! fault injection.
//!
//! It does not use the client, so that an error in the client's protocol code makes tests fail.
//!
//! The path of a request: `server` (HTTP) → `request` (the request as received) → `rest` → `act` (the checks in the
//! real portal's order: `auth`, `rate_limit`) → `resources` (`user`, `token`, `page`, `filter`) → `envelope` (version 3
//! or version 1) → `reply`. `hint` explains refused headers. `faults` selects the fault of a request and `apply_fault` applies it. `record` stores the requests,
//! `store` the state.
//!
//! `command` has the commands that [`Portal`], the HTTP control (`control`) and Python share; `arguments` reads them
//! from JSON.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

mod act;
mod apply_fault;
pub(crate) mod arguments;
mod audit_log;
mod auth;
mod clock;
pub(crate) mod command;
mod control;
mod envelope;
mod faults;
mod filter;
mod hint;
mod history;
mod page;
mod random;
mod rate_limit;
mod record;
mod reply;
mod request;
mod resources;
mod rest;
mod seconds;
mod server;
mod settings;
mod store;
mod token;
mod user;
mod verification;

pub use faults::{Fault, FaultKind, RandomFaults, RateHeaders};
#[cfg(any(test, fuzzing))]
pub(crate) use filter::fuzz_filter;
pub use record::Seen;
pub use seconds::Seconds;
pub use settings::{Behavior, LongNotes, Settings};
pub use token::{NewToken, StoredToken, TokenType};
pub use user::NewUser;
pub use verification::Signature;

use clock::{AdvanceArguments, Clock};
use command::{Answer, ClockArguments, Command, RateLimitArguments};
use random::Generator;
use rate_limit::Window;
use server::Server;
use store::{BuiltIn, Store};

use crate::error::Error;
use crate::lmv1::REST_PREFIX;
use crate::lock::locked;
use crate::secret::Secret;

/// The company name of every sandbox.
const COMPANY: &str = "sandbox";

/// A running sandbox on 127.0.0.1. Dropping it stops it.
pub struct Portal {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: Mutex<Option<Server>>,
}

impl Portal {
    /// Starts a sandbox in its own thread and returns when it listens.
    pub fn start(settings: Settings) -> Result<Self, Error> {
        Self::start_with(settings, None)
    }

    /// As [`Portal::start`], and passes a line to `report` for each LMv1 header that the sandbox refuses.
    pub(crate) fn start_reporting(settings: Settings, report: fn(&str)) -> Result<Self, Error> {
        Self::start_with(settings, Some(report))
    }

    fn start_with(settings: Settings, report: Option<fn(&str)>) -> Result<Self, Error> {
        let port = settings.port;
        let shared = Arc::new(Shared::new(settings, report)?);
        let (server, address) = Server::start(port, &shared)?;
        Ok(Self { address, shared, server: Mutex::new(Some(server)) })
    }

    /// Closes the listener and every connection before it returns. A second call does nothing.
    pub fn stop(&self) {
        if let Some(server) = locked(&self.server).take() {
            server.stop();
        }
    }

    /// Returns the replacement for `https://company.logicmonitor.com/santaba/rest`:
    /// `http://127.0.0.1:PORT/santaba/rest`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}{REST_PREFIX}", self.address)
    }

    /// Returns the company name of the sandbox: `sandbox`.
    #[must_use]
    pub fn company(&self) -> &str {
        COMPANY
    }

    /// Returns the access id of a token of user 1, the administrator.
    #[must_use]
    pub fn access_id(&self) -> &str {
        &self.shared.built_in.access_id
    }

    /// Returns the access key of [`Portal::access_id`].
    #[must_use]
    pub fn access_key(&self) -> Secret {
        self.shared.built_in.access_key.clone()
    }

    /// Returns a bearer token of user 1, the administrator.
    #[must_use]
    pub fn bearer_token(&self) -> Secret {
        self.shared.built_in.bearer.clone()
    }

    /// Carries out a command. Most methods below are typed commands.
    pub(crate) fn apply(&self, command: Command) -> Result<Answer, Error> {
        self.shared.apply(command)
    }

    /// Returns the recorded requests under `/santaba/rest`, oldest first.
    #[must_use]
    pub fn record(&self) -> Vec<Seen> {
        let Ok(Answer::Record(requests)) = self.apply(Command::GetRecord) else {
            unreachable!("the record can always be read")
        };
        requests
    }

    /// Deletes the recorded requests.
    pub fn clear_record(&self) {
        self.apply_infallible(Command::ClearRecord);
    }

    /// Injects a fault into matching requests. If several faults match a request, the one added first applies.
    ///
    /// Fails with [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) if the fault could never apply.
    pub fn add_fault(&self, fault: Fault) -> Result<(), Error> {
        self.apply(Command::AddFault(fault)).map(drop)
    }

    /// Injects random faults in addition to those of [`Portal::add_fault`]; `None` ends random faults.
    ///
    /// Fails with [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) if a setting is out of range.
    pub fn set_random_faults(&self, faults: Option<RandomFaults>) -> Result<(), Error> {
        self.apply(Command::SetRandomFaults(faults)).map(drop)
    }

    /// Ends every fault, random faults included.
    pub fn clear_faults(&self) {
        self.apply_infallible(Command::ClearFaults);
    }

    /// Allows `limit` requests per rolling window at each endpoint, for one method or for all.
    ///
    /// Fails with [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) if the method or the window is invalid.
    pub fn set_rate_limit(&self, method: Option<&str>, limit: u32, window_seconds: f64) -> Result<(), Error> {
        let window_seconds = Window::from_seconds("window_seconds", window_seconds)?;
        let method = method.map(str::to_owned);
        self.apply(Command::SetRateLimit(RateLimitArguments { method, limit, window_seconds })).map(drop)
    }

    /// Sets how many seconds the portal's clock is ahead of the real one; a negative number sets it behind.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.apply_infallible(Command::SetClock(ClockArguments { offset_seconds: seconds }));
    }

    /// Lets time pass: the portal's clock advances, in addition to the offset. It never goes back.
    ///
    /// Windows of rate limits, lags and delays see the time that passed. Signatures are compared with the clock as it
    /// would be without advances, because the clocks of clients do not advance.
    ///
    /// Fails with [`ErrorKind::Argument`](crate::error::ErrorKind::Argument) if the time span is longer than 100 years.
    pub fn advance(&self, by: Duration) -> Result<(), Error> {
        let by = AdvanceArguments { seconds: by.as_secs_f64(), ..AdvanceArguments::default() };
        self.apply(Command::Advance(by)).map(drop)
    }

    /// Replaces the settings of the portal's behavior.
    pub fn set_behavior(&self, behavior: Behavior) {
        self.shared.store().behavior = behavior;
    }

    /// Returns how many e-mails the portal would have sent, while [`Behavior::email_notifications`] was set.
    #[must_use]
    pub fn email_count(&self) -> u64 {
        self.shared.store().emails
    }

    /// Adds a user, or replaces the user with the same id, and returns the id.
    #[allow(clippy::must_use_candidate, reason = "the id may be known to the caller")]
    pub fn add_user(&self, user: NewUser) -> u32 {
        let Ok(Answer::User { id }) = self.apply(Command::AddUser(user)) else {
            unreachable!("a user can always be added")
        };
        id
    }

    /// Creates a token without a request.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::error::ErrorKind::NotFound) if the user does not exist.
    pub fn create_token(&self, token: NewToken) -> Result<StoredToken, Error> {
        match self.apply(Command::CreateToken(token))? {
            Answer::Token(token) => Ok(token),
            _ => unreachable!("a new token is the answer"),
        }
    }

    /// Returns every token by id, including the built-in ones.
    #[must_use]
    pub fn tokens(&self) -> Vec<StoredToken> {
        let Ok(Answer::Tokens(tokens)) = self.apply(Command::ListTokens) else {
            unreachable!("the tokens can always be listed")
        };
        tokens
    }

    /// Restores users, tokens, logs, faults, rate limits, settings and clock to their initial state; the built-in
    /// credentials remain valid.
    pub fn reset(&self) {
        self.apply_infallible(Command::Reset);
    }

    fn apply_infallible(&self, command: Command) {
        let answer = self.apply(command);
        debug_assert!(answer.is_ok(), "{answer:?}");
    }
}

impl fmt::Debug for Portal {
    /// Shows the address but none of the state, which contains secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portal").field("base_url", &self.base_url()).finish_non_exhaustive()
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The state that the server's thread and the [`Portal`] share.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    window: Option<Duration>,
    built_in: BuiltIn,
    /// The generator after it made the built-in credentials: a reset repeats the later ones of a seed.
    generator: Generator,
    store: Mutex<Store>,
    /// Receives a line for each refused header.
    report: Option<fn(&str)>,
}

impl Shared {
    fn new(settings: Settings, report: Option<fn(&str)>) -> Result<Self, Error> {
        let window = settings.window()?;
        let mut generator = Generator::new(settings.seed);
        let built_in = BuiltIn::new(&mut generator)?;
        let store = Mutex::new(Store::new(&settings, window, &built_in, generator.clone()));
        Ok(Self { settings, window, built_in, generator, store, report })
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        locked(&self.store)
    }

    fn clock(&self) -> Clock {
        self.store().clock
    }

    fn reset(&self, store: &mut Store) {
        store.reset(Store::new(&self.settings, self.window, &self.built_in, self.generator.clone()));
    }
}
