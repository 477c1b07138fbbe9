//! The destination `keyring`.

mod lock;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::pending_file::Record;
use super::secure_file::failed;
use super::{Attempt, BoxFuture, Destination, Remaining, Remains, RequestedToken};
use crate::advice::Advice;
use crate::credentials::{KeyringEntry, PENDING, check_name};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::locked;
use crate::model::Token;
use crate::process;
use crate::secret::Secret;
use crate::tag::Tag;
use lock::EntryLock;

/// The keyring of the operating system, which may not be available. Its entries have the names of profiles.
pub(crate) trait Keyring: Send + Sync {
    /// Returns whether it can store secrets.
    fn is_available(&self) -> Result<bool>;
    /// Returns an entry; `None` if it does not exist.
    fn get(&self, name: &str) -> Result<Option<Secret>>;
    /// Stores an entry, in place of an existing one.
    fn set(&self, name: &str, secret: &Secret) -> Result<()>;
    /// Removes an entry, if it exists.
    fn delete(&self, name: &str) -> Result<()>;
}

/// Stores an entry and reads it back: some keyrings report success and store nothing.
pub(crate) fn store(keyring: &dyn Keyring, name: &str, secret: &Secret) -> Result<()> {
    keyring.set(name, secret)?;
    if keyring.get(name)?.as_ref() == Some(secret) {
        return Ok(());
    }
    Err(Error::credentials(format!("the keyring did not store the entry {name}"))
        .suggest("check which keyring is in use: keyring diagnose"))
}

/// Uses the keyring on another thread: it may ask the user to unlock it.
pub(crate) async fn with_keyring<T: Send + 'static>(
    keyring: &Arc<dyn Keyring>,
    work: impl FnOnce(&dyn Keyring) -> Result<T> + Send + 'static,
) -> Result<T> {
    let keyring = Arc::clone(keyring);
    let done = process::blocking(move || work(&*keyring)).await;
    done.map_err(|error| Error::credentials(format!("cannot use the keyring: {error}")))?
}

/// An entry of the keyring, from which the profile of its name reads its credentials. Until the token is enabled, its
/// record is in an entry of its own, so that an old secret is kept.
#[derive(Clone)]
pub(crate) struct ToKeyring {
    keyring: Arc<dyn Keyring>,
    name: String,
    overwrite: bool,
}

impl ToKeyring {
    /// Checks the name. An existing entry is an error unless `overwrite` is set.
    pub(crate) fn new(keyring: Arc<dyn Keyring>, name: String, overwrite: bool) -> Result<Self> {
        if check_name(&name).is_err() {
            return Err(Error::argument(
                "invalid name of a keyring entry; expected the name of a profile: 1 to 64 letters, digits, hyphens, \
                 underscores and dots, without .pending at the end",
            ));
        }
        Ok(Self { keyring, name, overwrite })
    }

    /// Returns the destination for one call. The entry stays locked until it is dropped.
    pub(crate) fn destination(self) -> Arc<dyn Destination> {
        Arc::new(KeyringDestination(Arc::new(Shared { entry: self, held: Mutex::default() })))
    }

    /// Returns a name for messages.
    pub(crate) fn describe(&self) -> String {
        format!("the keyring entry {}", self.name)
    }

    fn pending_name(&self) -> String {
        format!("{}{PENDING}", self.name)
    }

    /// Returns the record of a token whose create is not complete, with its tag.
    fn pending(&self) -> Result<Option<(Tag, Record)>> {
        let name = self.pending_name();
        let Some(text) = self.keyring.get(&name)? else { return Ok(None) };
        Record::read(text.reveal().as_bytes()).map(Some).ok_or_else(|| {
            failed(format!("the keyring entry {name} is damaged"))
                .suggest(format!("delete it: keyring del lmtokens {name}"))
        })
    }

    /// Fails if the entry exists and must not be replaced.
    fn check_new(&self) -> Result<()> {
        if self.overwrite || self.keyring.get(&self.name)?.is_none() {
            return Ok(());
        }
        Err(failed(format!("{} exists already", self.describe())).suggest(Advice::OverwriteEntry))
    }

    fn prepare(&self) -> Result<()> {
        let name = self.pending_name();
        if let Some((_, record)) = self.pending()? {
            let Record { id, admin_id: user, portal, .. } = &record;
            let note = record.note.as_deref().unwrap_or_default();
            return Err(failed(format!(
                "the keyring entry {name} holds the key of token {id} of user {user} at {portal}, note {note:?}, whose \
                 create was interrupted"
            ))
            .suggest(format!(
                "repeat that create, which finishes it, or delete the token, then the entry: keyring del lmtokens {name}"
            )));
        }
        self.check_new()?;
        if !self.keyring.is_available()? {
            return Err(failed("no keyring can store secrets")
                .suggest("set up a keyring, or deliver to another destination"));
        }
        Ok(())
    }

    fn deliver(&self, token: &Token, tag: &Tag, portal: &str) -> Result<()> {
        self.check_new()?;
        let text = serde_json::to_string(&Record::of(portal, tag, token))
            .map_err(|error| failed(format!("cannot write the record of the token: {error}")))?;
        let stored = store(&*self.keyring, &self.pending_name(), &Secret::new(text));
        if stored.is_err() {
            // The token is deleted now.
            let _ = self.discard(tag);
        }
        stored
    }

    fn commit(&self, token: &Token, tag: &Tag) -> Result<()> {
        let before = self.keyring.get(&self.name)?;
        let is_placed = before.as_ref().and_then(KeyringEntry::read).is_some_and(|entry| entry.is_of(token));
        let pending = self.pending()?.filter(|(own, _)| own == tag);
        let Some((_, record)) = pending else {
            // An earlier process committed it, and was killed before it could say so.
            return if is_placed { Ok(()) } else { Err(self.missing(token)) };
        };
        if before.is_some() && !is_placed && !self.overwrite {
            let exists = failed(format!("{} exists already", self.describe()));
            return Err(exists.suggest(Advice::OverwriteEntry).suggest(Advice::PutInPlace));
        }
        let entry = KeyringEntry::of_token(&record.portal, &record.token()).write();
        let entry = entry.map_err(|error| failed(format!("cannot write the credentials: {error}")))?;
        store(&*self.keyring, &self.name, &entry).map_err(|error| error.suggest(Advice::PutInPlace))?;
        self.keyring.delete(&self.pending_name()).map_err(|error| error.suggest(Advice::PutInPlace))
    }

    fn missing(&self, token: &Token) -> Error {
        let (entry, pending) = (self.describe(), self.pending_name());
        failed(format!("the key of token {} is neither in {entry} nor in {pending}", token.id))
            .suggest(Advice::Delete { id: token.id })
    }

    fn discard(&self, tag: &Tag) -> Result<()> {
        match self.pending()? {
            Some((own, _)) if own == *tag => self.keyring.delete(&self.pending_name()),
            _ => Ok(()),
        }
    }
}

/// An entry of the keyring as the destination of one call.
struct KeyringDestination(Arc<Shared>);

struct Shared {
    entry: ToKeyring,
    /// What this call holds, by the tag of its attempt.
    held: Mutex<HashMap<Tag, Held>>,
}

struct Held {
    /// Shows that the process of the attempt has not ended.
    _lock: EntryLock,
    portal: String,
}

impl Shared {
    fn lock(&self, tag: &Tag, portal: &str) -> Result<()> {
        let lock = EntryLock::acquire(&self.entry.name)?;
        locked(&self.held).insert(*tag, Held { _lock: lock, portal: portal.to_owned() });
        Ok(())
    }

    fn remains(&self, requested: &RequestedToken) -> Result<Remains> {
        let lock = EntryLock::acquire(&self.entry.name)?;
        let mut remains = Remains::default();
        // Another token is reported when the delivery is prepared.
        if let Some((tag, record)) = self.entry.pending()?
            && record.is(requested, &tag)
        {
            let path = format!("the keyring entry {}", self.entry.pending_name());
            locked(&self.held).insert(tag, Held { _lock: lock, portal: record.portal.clone() });
            remains.deliveries.push(Remaining { token: record.token(), tag, path });
        }
        Ok(remains)
    }

    fn deliver(&self, token: &Token, tag: &Tag) -> Result<()> {
        let portal = locked(&self.held).get(tag).map(|held| held.portal.clone());
        let portal = portal.ok_or_else(|| failed("the delivery was not prepared"))?;
        self.entry.deliver(token, tag, &portal)
    }

    fn release(&self, tag: &Tag) {
        drop(locked(&self.held).remove(tag));
    }

    /// Ends an attempt, which may be that of a process that has ended, with its last step.
    fn end(&self, tag: &Tag, last: impl FnOnce(&ToKeyring) -> Result<()>) -> Result<()> {
        let is_held = locked(&self.held).contains_key(tag);
        let lock = if is_held { None } else { Some(EntryLock::acquire(&self.entry.name)?) };
        let ended = last(&self.entry);
        drop(lock);
        self.release(tag);
        ended
    }
}

impl KeyringDestination {
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.0);
        // The lock is held until the keyring returns, even if the call is cancelled meanwhile.
        let done = with_keyring(&self.0.entry.keyring, move |_| work(&shared)).await;
        done.map_err(|mut error| {
            error.details_mut().kind = ErrorKind::Delivery;
            error
        })
    }
}

impl Destination for KeyringDestination {
    fn check_rotation(&self) -> Result<()> {
        // An entry holds one secret, but the old one is needed if the rotation is cancelled.
        Err(Error::argument(
            "a rotation cannot deliver to the keyring: its entry would not keep the old secret",
        )
        .suggest(
            "rotate to a file or a command, or create a new token for the keyring, then disable the old one",
        ))
    }

    fn remains<'a>(&'a self, token: &'a RequestedToken) -> BoxFuture<'a, Result<Remains>> {
        let token = token.clone();
        Box::pin(self.with(move |shared| shared.remains(&token)))
    }

    fn prepare<'a>(&'a self, attempt: &'a Attempt<'a>) -> BoxFuture<'a, Result<()>> {
        let (tag, portal) = (*attempt.tag, attempt.token.portal.clone());
        Box::pin(self.with(move |shared| {
            shared.lock(&tag, &portal)?;
            shared.entry.prepare().inspect_err(|_| shared.release(&tag))
        }))
    }

    fn abandon<'a>(&'a self, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        self.0.release(tag);
        Box::pin(async { Ok(()) })
    }

    fn deliver<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let (token, tag) = (token.clone(), *tag);
        Box::pin(self.with(move |shared| shared.deliver(&token, &tag)))
    }

    fn commit<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let (token, tag) = (token.clone(), *tag);
        Box::pin(self.with(move |shared| shared.end(&tag, |entry| entry.commit(&token, &tag))))
    }

    fn discard<'a>(&'a self, _token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let tag = *tag;
        Box::pin(self.with(move |shared| shared.end(&tag, |entry| entry.discard(&tag))))
    }

    fn location(&self, _tag: &Tag) -> String {
        format!("the keyring entry {}", self.0.entry.pending_name())
    }

    fn finishes_on_repeat(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        self.0.entry.describe()
    }

    fn exclusive_location(&self) -> Option<String> {
        Some(self.describe())
    }

    fn refuses_to_replace(&self) -> bool {
        !self.0.entry.overwrite
    }
}
