//! Creating a token, with or without a destination for its secret.

use std::sync::Arc;

use super::finish::finish_earlier;
use super::two_phase::{Finished, TwoPhase};
use crate::client::Client;
use crate::destinations::Destination;
use crate::destinations::secure_file::failed;
use crate::error::Result;
use crate::event::Event;
use crate::model::Token;
use crate::operation::Operation;
use crate::process;
use crate::tag::RunId;
use crate::tokens::{CreateToken, NewToken};

/// Creates one token: the operation behind `add_token`. [`CreateToken`] is the case without a destination.
///
/// Without a destination, one POST creates it and the result holds the secret. With one, the token is created disabled,
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
        match self.destination {
            None => CreateToken(self.token).run(client).await,
            Some(destination) => Box::pin(deliver(&self.token, &destination, client)).await,
        }
    }

    fn lost_result(token: &Token) -> Option<Event> {
        Some(Event::lost_token(token).unwrap_or(Event::DeliveredUnseen { token_id: token.id }))
    }
}

/// Creates a token disabled, delivers its secret and enables it.
async fn deliver(token: &NewToken, destination: &Arc<dyn Destination>, client: &Client) -> Result<Token> {
    if let Some(warning) = checked(destination).await? {
        client.report(warning);
    }
    let create = TwoPhase { token, destination: destination.as_ref(), run: RunId::fresh()? };
    let admin_id = token.admin.id(client).await?;
    if let Some(token) = finish_earlier(client, &create, admin_id).await? {
        return Ok(token);
    }
    match create.run(client, admin_id).await? {
        Finished::Token(token) => Ok(*token),
        Finished::Gone(error) => Err(error),
    }
}

/// Checks a destination and returns its warning, on a thread where reading the file system may block.
async fn checked(destination: &Arc<dyn Destination>) -> Result<Option<Event>> {
    let destination = Arc::clone(destination);
    let check = move || destination.check().map(|()| destination.warning());
    process::offloaded(check)
        .await
        .unwrap_or_else(|| Err(failed("checking the destination ended unexpectedly")))
}
