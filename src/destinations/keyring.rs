//! The destination `keyring`.

use std::sync::Arc;

use serde_json::json;

use super::secure_file::failed;
use super::{Attempt, BoxFuture, Destination};
use crate::advice::Advice;
use crate::credentials::check_name;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Token, TokenType};
use crate::process;
use crate::secret::Secret;
use crate::tag::Tag;

/// The keyring of the operating system, which may not be available. Its entries have the names of profiles.
pub(crate) trait Keyring: Send + Sync {
    /// Returns whether it can store secrets.
    fn is_available(&self) -> bool;
    /// Returns an entry; `None` if it does not exist.
    fn get(&self, name: &str) -> Result<Option<Secret>>;
    /// Stores an entry, in place of an existing one.
    fn set(&self, name: &str, secret: &Secret) -> Result<()>;
    /// Removes an entry, if it exists.
    fn delete(&self, name: &str) -> Result<()>;
}

/// An entry of the keyring, from which the profile of its name reads its credentials. Until the token is enabled, they
/// are in an entry of their own, so that an old secret is kept.
pub(crate) struct ToKeyring {
    keyring: Arc<dyn Keyring>,
    name: String,
    overwrite: bool,
}

impl ToKeyring {
    /// Creates the destination. An existing entry is an error unless `overwrite` is set.
    pub(crate) fn new(keyring: Arc<dyn Keyring>, name: String, overwrite: bool) -> Result<Self> {
        if check_name(&name).is_err() {
            return Err(Error::argument(
                "invalid name of a keyring entry; expected the name of a profile: 1 to 64 letters, digits, hyphens, \
                 underscores and dots",
            ));
        }
        Ok(Self { keyring, name, overwrite })
    }

    fn pending_name(&self, tag: &Tag) -> String {
        format!("{}.{tag}.pending", self.name)
    }

    /// Runs `work` on another thread: the keyring may ask the user to unlock it.
    async fn with(&self, work: impl FnOnce(&dyn Keyring) -> Result<()> + Send + 'static) -> Result<()> {
        let keyring = Arc::clone(&self.keyring);
        let done = process::blocking(move || work(&*keyring)).await;
        done.map_err(|error| failed(format!("cannot use the keyring: {error}")))?.map_err(|mut error| {
            error.details_mut().kind = ErrorKind::Delivery;
            error
        })
    }
}

/// Returns the entry of a token, as a profile reads it.
fn entry(token: &Token) -> Secret {
    let secret = token.access_key.as_ref().map(Secret::reveal);
    let entry = match token.r#type {
        TokenType::Bearer => json!({ "bearer_token": secret }),
        _ => json!({ "access_id": token.access_id, "access_key": secret }),
    };
    Secret::new(entry.to_string())
}

impl Destination for ToKeyring {
    fn prepare<'a>(&'a self, attempt: &'a Attempt<'a>) -> BoxFuture<'a, Result<()>> {
        let (name, overwrite, shown) = (self.name.clone(), self.overwrite, self.describe());
        let old_id = attempt.replaces.and_then(|old| old.access_id.clone());
        Box::pin(self.with(move |keyring| {
            let entry = keyring.get(&name)?;
            if !keyring.is_available() {
                return Err(failed("no keyring can store secrets"));
            }
            // The entry of the token that is replaced may be replaced as well.
            let is_old =
                |entry: &Secret| old_id.as_ref().is_some_and(|id| entry.reveal().contains(id.as_str()));
            if entry.is_some_and(|entry| !overwrite && !is_old(&entry)) {
                return Err(failed(format!("{shown} exists already")).suggest(Advice::Overwrite));
            }
            Ok(())
        }))
    }

    fn deliver<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let (name, entry) = (self.pending_name(tag), entry(token));
        Box::pin(self.with(move |keyring| keyring.set(&name, &entry)))
    }

    fn commit<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let (name, pending, entry) = (self.name.clone(), self.pending_name(tag), entry(token));
        Box::pin(self.with(move |keyring| {
            keyring.set(&name, &entry)?;
            keyring.delete(&pending)
        }))
    }

    fn discard<'a>(&'a self, _token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let pending = self.pending_name(tag);
        Box::pin(self.with(move |keyring| keyring.delete(&pending)))
    }

    fn location(&self, tag: &Tag) -> String {
        format!("the keyring entry {}", self.pending_name(tag))
    }

    fn describe(&self) -> String {
        format!("the keyring entry {}", self.name)
    }

    fn holds_one(&self) -> bool {
        true
    }
}
