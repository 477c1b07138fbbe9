//! The sandbox's state, behind one lock.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use axum::http::Method;

use super::audit_log::AuditLog;
use super::clock::Clock;
use super::faults::Faults;
use super::history::History;
use super::random::Generator;
use super::rate_limit::{RateLimit, RateLimits, Window};
use super::record::Record;
use super::settings::{Behavior, Settings};
use super::token::{DISABLED, ENABLED, NewToken, StoredToken, TokenType};
use super::user::{NewUser, User};
use crate::error::{Error, ErrorKind};
use crate::lmv1::check_method;
use crate::secret::Secret;

/// The user who owns the built-in tokens.
const ADMINISTRATOR: u32 = 1;
const FIRST_TOKEN_ID: u32 = 101;
/// The first id that is not of a built-in token.
const FIRST_NEW_TOKEN_ID: u32 = 103;

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
    history: History,
    by_handle: HashMap<String, u32>,
    next_token_id: u32,
    generator: Generator,
    pub(super) clock: Clock,
    pub(super) rate_limits: RateLimits,
    pub(super) faults: Faults,
    pub(super) record: Record,
    pub(super) audit_log: AuditLog,
    /// How many e-mails would have been sent.
    pub(super) emails: u64,
    pub(super) behavior: Behavior,
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
            history: History::default(),
            by_handle: HashMap::new(),
            next_token_id: FIRST_TOKEN_ID,
            generator,
            clock: Clock::new(settings.clock_offset_seconds),
            rate_limits: RateLimits::new(settings.rate_limit, window),
            faults: Faults::default(),
            record: Record::new(usize::try_from(settings.record_limit).unwrap_or(usize::MAX)),
            audit_log: AuditLog::default(),
            emails: 0,
            // Until the built-in tokens exist: they were there before any lag.
            behavior: Behavior::default(),
            generation: 0,
        };
        let new = |r#type, note: &str| NewToken {
            admin_id: ADMINISTRATOR,
            note: note.to_owned(),
            r#type,
            ..NewToken::default()
        };
        let lmv1 = new(TokenType::Lmv1, "built-in");
        store.insert(lmv1, "admin", built_in.access_id.clone(), built_in.access_key.clone(), None);
        let bearer = new(TokenType::Bearer, "built-in bearer");
        store.insert(bearer, "admin", String::new(), built_in.bearer.clone(), None);
        store.behavior = settings.behavior.clone();
        store
    }

    /// Replaces the state by a fresh one; requests received before can neither act nor write to the record.
    pub(super) fn reset(&mut self, fresh: Self) {
        let mut record = std::mem::replace(&mut self.record, Record::new(0));
        record.clear();
        *self = Self { generation: self.generation + 1, record, ..fresh };
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
        if self.behavior.one_bearer_per_user && new.r#type == TokenType::Bearer {
            self.remove_bearers_of(new.admin_id);
        }
        let is_enabled_now = new.status == ENABLED && new.created_on.is_none();
        let enabled_at = is_enabled_now.then(|| self.clock.instant());
        Ok(self.insert(new, created_by, access_id, secret, enabled_at))
    }

    fn insert(
        &mut self,
        new: NewToken,
        created_by: &str,
        access_id: String,
        access_key: Secret,
        enabled_at: Option<Instant>,
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
            enabled_at,
        };
        self.next_token_id += 1;
        self.history.record(self.clock.instant(), self.longest_lag(), token.id, None);
        self.by_handle.insert(token.handle().to_owned(), token.id);
        self.tokens.insert(token.id, token.clone());
        token
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<StoredToken> {
        let token = self.tokens.remove(&id)?;
        self.by_handle.remove(token.handle());
        self.history.record(self.clock.instant(), self.longest_lag(), id, Some(token.clone()));
        Some(token)
    }

    pub(super) fn token(&self, id: u32) -> Option<&StoredToken> {
        self.tokens.get(&id)
    }

    /// Changes a token; `None` if it does not exist.
    pub(super) fn change<T>(&mut self, id: u32, change: impl FnOnce(&mut StoredToken) -> T) -> Option<T> {
        let lag = self.longest_lag();
        let token = self.tokens.get_mut(&id)?;
        let before = (!lag.is_zero()).then(|| token.clone());
        let result = change(token);
        if before.as_ref().is_some_and(|before| before != token) {
            self.history.record(self.clock.instant(), lag, id, before);
        }
        Some(result)
    }

    /// Returns the token with this [`StoredToken::handle`].
    pub(super) fn by_handle(&self, handle: &str) -> Option<&StoredToken> {
        self.tokens.get(self.by_handle.get(handle)?)
    }

    fn longest_lag(&self) -> Duration {
        self.behavior.list_lag.max(self.behavior.last_used_lag).length()
    }

    /// Returns the tokens as lists show them, by id.
    pub(super) fn listed_tokens(&self) -> Cow<'_, BTreeMap<u32, StoredToken>> {
        if self.longest_lag().is_zero() {
            return Cow::Borrowed(&self.tokens);
        }
        let mut tokens = self.tokens.clone();
        for change in self.history.hidden(self.clock.instant(), self.behavior.list_lag.length()) {
            match &change.before {
                Some(before) => tokens.insert(change.id, before.clone()),
                None => tokens.remove(&change.id),
            };
        }
        self.hide_recent_uses(&mut tokens);
        Cow::Owned(tokens)
    }

    /// Replaces uses of the tokens that do not show yet by the ones before them.
    pub(super) fn hide_recent_uses(&self, tokens: &mut BTreeMap<u32, StoredToken>) {
        for change in self.history.hidden(self.clock.instant(), self.behavior.last_used_lag.length()) {
            if let (Some(token), Some(before)) = (tokens.get_mut(&change.id), &change.before)
                && before.last_used_on < token.last_used_on
            {
                token.last_used_on = before.last_used_on;
                token.last_auth_ip.clone_from(&before.last_auth_ip);
            }
        }
    }

    /// Disables the tokens that have been idle for too long, if the portal does that.
    pub(super) fn disable_idle_tokens(&mut self) {
        let days = self.behavior.token_disabled_days;
        if days == 0 {
            return;
        }
        let (now, now_seconds) = (self.clock.instant(), self.clock.now_seconds());
        let limit = i64::from(days) * 86_400;
        let is_idle = |token: &&StoredToken| {
            let since = token.created_on.max(token.last_used_on);
            let enabled_recently =
                token.enabled_for(now).is_some_and(|time| time.as_secs() < limit.unsigned_abs());
            token.status == ENABLED && now_seconds.saturating_sub(since) >= limit && !enabled_recently
        };
        let new = self.tokens.range(FIRST_NEW_TOKEN_ID..).map(|(_, token)| token);
        let idle: Vec<u32> = new.filter(is_idle).map(|token| token.id).collect();
        for id in idle {
            self.change(id, |token| token.set_status(DISABLED, now));
        }
    }

    fn remove_bearers_of(&mut self, admin_id: u32) {
        let bearers =
            self.tokens().filter(|token| token.admin_id == admin_id && token.r#type == TokenType::Bearer);
        for id in bearers.map(|token| token.id).collect::<Vec<_>>() {
            self.remove(id);
        }
    }

    /// Counts the e-mail about a create or change of a token, if the portal sends them.
    pub(super) fn count_email(&mut self, r#type: TokenType) {
        if self.behavior.email_notifications && r#type == TokenType::Lmv1 {
            self.emails += 1;
        }
    }

    /// Returns every token, by id.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &StoredToken> {
        self.tokens.values()
    }
}
