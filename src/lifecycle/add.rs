//! Creating a token, with or without a destination for its secret.

use std::sync::Arc;

use super::finish::finish_earlier;
use super::two_phase::{Finished, TwoPhase};
use crate::client::Client;
use crate::destinations::secure_file::failed;
use crate::destinations::{BoxFuture, Destination};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::model::{Token, iso_8601};
use crate::operation::Operation;
use crate::process;
use crate::tag::{RunId, Tag};
use crate::times::Expiry;
use crate::tokens::{CreateToken, LearnPortalTime, NewToken};

/// Creates one token: the operation behind `add_token`. [`CreateToken`] is the case without a destination.
///
/// Without a destination, one POST creates it and the result holds the secret. If the token expires, the result is the
/// destination, because the marker in its note needs its id. With a destination, the token is created disabled,
/// its secret is delivered, and only then is it enabled; the result holds no secret. If an interrupted create of the
/// same token left its secret at the destination, that create is finished instead.
#[derive(Clone)]
pub struct AddToken {
    /// The token to create.
    pub token: NewToken,
    /// The destination of its secret.
    pub destination: Option<Arc<dyn Destination>>,
}

impl Operation for AddToken {
    type Output = Token;

    async fn run(self, client: &Client) -> Result<Token> {
        let destination = match self.destination {
            Some(destination) => destination,
            None if self.token.expires.is_some() => Arc::new(ToResult),
            None => return CreateToken(self.token).run(client).await,
        };
        Box::pin(deliver(&self.token, &destination, client)).await
    }

    fn lost_result(token: &Token) -> Option<Event> {
        Some(Event::lost_token(token).unwrap_or(Event::DeliveredUnseen { token_id: token.id }))
    }
}

/// The result of the call as the destination.
struct ToResult;

impl Destination for ToResult {
    fn deliver<'a>(&'a self, _token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn describe(&self) -> String {
        "the result".to_owned()
    }

    fn returns_secret(&self) -> bool {
        true
    }

    fn is_result(&self) -> bool {
        true
    }
}

/// Creates a token disabled, delivers its secret and enables it.
async fn deliver(token: &NewToken, destination: &Arc<dyn Destination>, client: &Client) -> Result<Token> {
    check_expiry(token, client)?;
    if let Some(warning) = checked(destination, None).await? {
        client.report(warning);
    }
    let create = TwoPhase { token, destination: destination.as_ref(), run: RunId::fresh()? };
    let admin_id = token.admin.id(client).await?;
    if token.expires.is_some() && client.portal_time().is_none() {
        // By a local clock that is wrong, the token could have expired at its create.
        LearnPortalTime.run(client).await?;
        check_expiry(token, client)?;
    }
    if let Some(token) = finish_earlier(client, &create, admin_id).await? {
        return Ok(token);
    }
    match create.run(client, admin_id).await? {
        Finished::Token(token) => Ok(*token),
        Finished::Gone(error) => Err(error),
    }
}

/// Fails if a token would have expired already, by the portal's clock if it is known.
fn check_expiry(token: &NewToken, client: &Client) -> Result<()> {
    match token.expires {
        Some(Expiry::At(time))
            if !u64::try_from(time).is_ok_and(|time| time > client.portal_now_ms() / 1000) =>
        {
            Err(Error::invalid("expires", iso_8601(time), "a time in the future"))
        }
        _ => Ok(()),
    }
}

/// Checks a destination and returns its warning, on a thread where reading the file system may block.
pub(super) async fn checked(
    destination: &Arc<dyn Destination>,
    replaces: Option<&Token>,
) -> Result<Option<Event>> {
    let (destination, replaces) = (Arc::clone(destination), replaces.cloned());
    let check = move || destination.check(replaces.as_ref()).map(|()| destination.warning());
    process::offloaded(check)
        .await
        .unwrap_or_else(|| Err(failed("checking the destination ended unexpectedly")))
}
