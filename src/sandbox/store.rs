//! The sandbox's state, behind one lock.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::http::Method;

use super::clock::Clock;
use super::faults::Faults;
use super::random::Generator;
use super::rate_limit::{RateLimit, RateLimits, Window};
use super::record::Record;
use super::settings::Settings;
use super::token::{NewToken, StoredToken, TokenType};
use super::user::{NewUser, User};
use crate::error::{Error, ErrorKind};
use crate::lmv1::check_method;
use crate::secret::Secret;

/// The user who owns the built-in tokens.
const ADMINISTRATOR: u32 = 1;
const FIRST_TOKEN_ID: u32 = 101;

/// The credentials that the sandbox starts with; they survive a reset.
#[derive(Debug, Clone)]
pub(super) struct BuiltIn {
    pub(super) access_id: String,
    pub(super) access_key: Secret,
    pub(super) bearer: Secret,
}

impl BuiltIn {
    pub(super) fn new(generator: &mut Generator) -> Result<Self, Error> {
        Ok(Self {
            access_id: generator.access_id()?,
            access_key: generator.access_key()?,
            bearer: generator.bearer()?,
        })
    }
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) users: BTreeMap<u32, User>,
    tokens: BTreeMap<u32, StoredToken>,
    by_handle: HashMap<String, u32>,
    next_token_id: u32,
    generator: Generator,
    pub(super) clock: Clock,
    pub(super) rate_limits: RateLimits,
    pub(super) faults: Faults,
    pub(super) record: Record,
    pub(super) lock_out_after: u32,
    pub(super) negative_totals: bool,
    /// Changes with every reset, so that a request received before a reset cannot act after it.
    pub(super) generation: u64,
}

impl Store {
    pub(super) fn new(
        settings: &Settings,
        window: Option<Duration>,
        built_in: &BuiltIn,
        generator: Generator,
    ) -> Self {
        let mut store = Self {
            users: User::built_in().map(|user| (user.id, user)).into(),
            tokens: BTreeMap::new(),
            by_handle: HashMap::new(),
            next_token_id: FIRST_TOKEN_ID,
            generator,
            clock: Clock::new(settings.clock_offset_seconds),
            rate_limits: RateLimits::new(settings.rate_limit, window),
            faults: Faults::default(),
            record: Record::new(usize::try_from(settings.record_limit).unwrap_or(usize::MAX)),
            lock_out_after: settings.lock_out_after,
            negative_totals: settings.negative_totals,
            generation: 0,
        };
        let new = |r#type, note: &str| NewToken {
            admin_id: ADMINISTRATOR,
            note: note.to_owned(),
            r#type,
            ..NewToken::default()
        };
        let lmv1 = new(TokenType::Lmv1, "built-in");
        store.insert(lmv1, "admin", built_in.access_id.clone(), built_in.access_key.clone());
        let bearer = new(TokenType::Bearer, "built-in bearer");
        store.insert(bearer, "admin", String::new(), built_in.bearer.clone());
        store
    }

    /// Replaces the state by a fresh one; requests received before can neither act nor write to the record.
    pub(super) fn reset(&mut self, fresh: Self) {
        let mut record = std::mem::replace(&mut self.record, Record::new(0));
        record.clear();
        *self = Self { generation: self.generation + 1, record, ..fresh };
    }

    pub(super) fn set_clock_offset(&mut self, seconds: i64) {
        self.clock = Clock::new(seconds);
    }

    pub(super) fn set_rate_limit(
        &mut self,
        method: Option<&str>,
        limit: u32,
        window: Window,
    ) -> Result<(), Error> {
        let method = match method {
            None => None,
            Some(method) => {
                let accepted = Method::from_bytes(check_method(method)?.as_bytes());
                Some(accepted.map_err(|_| Error::invalid("method", method, "the name of an HTTP method"))?)
            }
        };
        self.rate_limits.set(method, RateLimit { limit, window: window.length() });
        Ok(())
    }

    pub(super) fn add_user(&mut self, new: NewUser) -> u32 {
        let next = self.users.last_key_value().map_or(1, |(id, _)| id.saturating_add(1));
        let id = new.id.unwrap_or(next);
        self.users.insert(id, User::new(id, new));
        id
    }

    /// Creates a token as the administrator.
    pub(super) fn create_as_administrator(&mut self, new: NewToken) -> Result<StoredToken, Error> {
        if !self.users.contains_key(&new.admin_id) {
            let message = format!("the sandbox has no user {}", new.admin_id);
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let created_by = self.users.get(&ADMINISTRATOR).map(|user| user.username.clone());
        self.create(new, &created_by.unwrap_or_default())
    }

    /// Creates a token with new credentials.
    pub(super) fn create(&mut self, new: NewToken, created_by: &str) -> Result<StoredToken, Error> {
        let (access_id, secret) = match new.r#type {
            TokenType::Lmv1 => (self.generator.access_id()?, self.generator.access_key()?),
            TokenType::Bearer => (String::new(), self.generator.bearer()?),
        };
        Ok(self.insert(new, created_by, access_id, secret))
    }

    fn insert(
        &mut self,
        new: NewToken,
        created_by: &str,
        access_id: String,
        access_key: Secret,
    ) -> StoredToken {
        let token = StoredToken {
            id: self.next_token_id,
            r#type: new.r#type,
            access_id,
            access_key,
            admin_id: new.admin_id,
            status: new.status,
            note: new.note,
            created_by: created_by.to_owned(),
            created_on: new.created_on.unwrap_or_else(|| self.clock.now_seconds()),
            last_used_on: new.last_used_on,
            last_auth_ip: String::new(),
            failures: 0,
            locked: false,
        };
        self.next_token_id += 1;
        self.by_handle.insert(token.handle().to_owned(), token.id);
        self.tokens.insert(token.id, token.clone());
        token
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<StoredToken> {
        let token = self.tokens.remove(&id)?;
        self.by_handle.remove(token.handle());
        Some(token)
    }

    pub(super) fn token(&self, id: u32) -> Option<&StoredToken> {
        self.tokens.get(&id)
    }

    pub(super) fn token_mut(&mut self, id: u32) -> Option<&mut StoredToken> {
        self.tokens.get_mut(&id)
    }

    /// Returns the token with this [`StoredToken::handle`].
    pub(super) fn by_handle(&self, handle: &str) -> Option<&StoredToken> {
        self.tokens.get(self.by_handle.get(handle)?)
    }

    /// Returns every token, by id.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &StoredToken> {
        self.tokens.values()
    }
}
