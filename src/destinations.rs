//! Destinations of a new token's secret: a file, a keyring, or the standard input of a command.

mod command;
mod file;
mod keyring;
mod pending_file;
pub(crate) mod secure_file;
mod secure_folder;

use std::pin::Pin;

use crate::error::Result;
use crate::event::Event;
use crate::ids::{AdminId, Status, TokenId, Type};
use crate::model::Token;
use crate::secret::Secret;
use crate::tag::Tag;
use crate::times::Expiry;

pub(crate) use command::ToCommand;
pub use file::ToFile;
pub(crate) use keyring::{Keyring, ToKeyring, store, with_keyring};

/// A boxed future, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A token as it is requested. A create that was interrupted is finished by the next one that requests the same token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedToken {
    /// The base URL of the portal.
    pub portal: String,
    /// The owner's user id.
    pub admin_id: AdminId,
    /// LMv1 or bearer.
    pub r#type: Type,
    /// The status.
    pub status: Status,
    /// The note, or an empty text.
    pub note: String,
    /// When the token expires.
    pub expires: Option<Expiry>,
}

/// The create that a delivery is for.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The token as it was requested.
    pub token: &'a RequestedToken,
    /// The tag of this attempt.
    pub tag: &'a Tag,
    /// The token that this one replaces, whose secret the destination may hold.
    pub replaces: Option<&'a Token>,
}

/// What interrupted creates left at a destination.
#[derive(Default)]
pub struct Remains {
    /// Delivered secrets of tokens as they are requested now, the newest first. Each stays reserved for this call until
    /// it is committed or discarded.
    pub deliveries: Vec<Remaining>,
    /// The tags of creates that ended before they delivered a secret. Their tokens may exist, disabled.
    pub undelivered: Vec<Tag>,
    /// Everything else, in words.
    pub others: Vec<String>,
}

/// A secret that an interrupted create delivered.
pub struct Remaining {
    /// The token as it was delivered, with its secret.
    pub token: Token,
    /// The tag of the attempt.
    pub tag: Tag,
    /// The path of the secret, for messages.
    pub path: String,
}

/// A place that a new token's secret is delivered to before the token is enabled.
///
/// Each method receives the token as it will be, its secret included, and the tag of the attempt that created it.
pub trait Destination: Send + Sync {
    /// Fails if a delivery cannot succeed, before anything is created. `replaces` is the token whose secret the
    /// destination may hold. It may block.
    fn check(&self, _replaces: Option<&Token>) -> Result<()> {
        Ok(())
    }

    /// Fails if a rotation cannot deliver here, before any request.
    fn check_rotation(&self) -> Result<()> {
        Ok(())
    }

    /// Returns what the user should know about the destination. It may block.
    fn warning(&self) -> Option<Event> {
        None
    }

    /// Finds what interrupted creates left, and fails if a create to the same destination is in progress. `token` is
    /// the token that will be created.
    fn remains<'a>(&'a self, _token: &'a RequestedToken) -> BoxFuture<'a, Result<Remains>> {
        Box::pin(async { Ok(Remains::default()) })
    }

    /// Prepares a delivery, before the token is created. If this fails, nothing is sent.
    fn prepare<'a>(&'a self, _attempt: &'a Attempt<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Ends an attempt that created no token, or whose secret was not delivered. A delivered secret is kept.
    fn abandon<'a>(&'a self, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Ends this process's part in an attempt, which another process, or this one, can take over.
    fn release<'a>(&'a self, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Stores the secret. It is durable when this returns.
    fn deliver<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>>;

    /// Completes the delivery: the token is enabled. It may be that of another process that has ended.
    fn commit<'a>(&'a self, _token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// As `commit`, of a token that replaces `old`: the secret of that one is kept as well until
    /// [`Destination::remove_previous`], and the delivery can be recovered until [`Destination::remove_pending`].
    fn replace<'a>(&'a self, _old: &'a Token, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        self.commit(token, tag)
    }

    /// Removes the pending delivery of a token that replaces `old`: its note says so. It may be that of another process
    /// that has ended.
    fn remove_pending<'a>(&'a self, _old: TokenId, _token: &'a Token) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Removes the secret of a token that was replaced and is deleted, if it was kept.
    fn remove_previous<'a>(&'a self, _old: &'a Token) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Takes over the delivery of another process. Fails if that process has not ended; `false` if the destination
    /// cannot tell, or has no such delivery.
    fn take_over<'a>(&'a self, _tag: &'a Tag) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async { Ok(false) })
    }

    /// Reads a delivered secret back; `None` if the destination cannot, or has no such secret.
    fn recover<'a>(&'a self, _tag: &'a Tag) -> BoxFuture<'a, Result<Option<Secret>>> {
        Box::pin(async { Ok(None) })
    }

    /// As `recover`, of a token that is marked as the one that replaces `old`, until [`Destination::remove_pending`].
    fn recover_placed<'a>(
        &'a self,
        _old: TokenId,
        _token: &'a Token,
    ) -> BoxFuture<'a, Result<Option<Secret>>> {
        Box::pin(async { Ok(None) })
    }

    /// Returns whether a secret that was delivered and committed may be here; `true` if the destination cannot tell.
    fn may_have<'a>(&'a self, _token: &'a Token) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async { Ok(true) })
    }

    /// Removes what was delivered: the token will never be enabled. It may be that of another process that has ended.
    fn discard<'a>(&'a self, _token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Returns where a delivered secret is until it is committed, for messages.
    fn location(&self, _tag: &Tag) -> String {
        self.describe()
    }

    /// Returns whether the next create of the same token finishes a create whose last request is unknown.
    fn finishes_on_repeat(&self) -> bool {
        false
    }

    /// Returns a name for messages, such as a path.
    fn describe(&self) -> String;

    /// Returns what is different for each destination that holds the secret of one token only; `None` if the
    /// destination holds those of many.
    fn exclusive_location(&self) -> Option<String> {
        None
    }

    /// Returns whether a delivery fails rather than replace the secret of another token.
    fn refuses_to_replace(&self) -> bool {
        false
    }

    /// Returns whether the caller gets the secret as well, in the result.
    fn returns_secret(&self) -> bool {
        false
    }

    /// Returns whether the result is the only place of the secret.
    fn is_result(&self) -> bool {
        false
    }
}
