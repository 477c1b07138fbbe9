//! Deleting a temporary token at the end of its use.

use crate::advice::Advice;
use crate::client::Client;
use crate::error::{ErrorKind, Result};
use crate::event::Event;
use crate::ids::TokenId;
use crate::model::Token;
use crate::operation::Operation;
use crate::tokens::{DeleteToken, Deleted, FindToken, Target, is_same_token};

/// Deletes a temporary token. A token that no longer exists counts as deleted. If the deletion fails or is cancelled, a
/// warning names the token.
pub(crate) struct DeleteTemporary {
    /// The token as it was created.
    pub token: Token,
}

impl Operation for DeleteTemporary {
    type Output = Deleted;

    const OUTLASTS_INTERRUPT: bool = true;

    async fn run(self, client: &Client) -> Result<Deleted> {
        let mut guard = UndeletedGuard { client, token: &self.token, is_armed: true };
        let deleted = delete(client, &self.token).await;
        guard.is_armed = deleted.is_err();
        deleted.map_err(|error| error.suggest(Advice::Delete { id: self.token.id }))
    }
}

async fn delete(client: &Client, token: &Token) -> Result<Deleted> {
    // The portal may have given the id to another token.
    match FindToken::Id(TokenId::new(token.id)?).optional(client).await {
        Ok(Some(found)) if !is_same_token(&found, token) => return Ok(Deleted),
        // Credentials that create tokens may not view them.
        Err(error) if error.kind() != ErrorKind::PermissionDenied => return Err(error),
        _ => {}
    }
    // The client created the token, so that the token does not sign the client's calls.
    let delete = DeleteToken { target: Target::Token(Box::new(token.clone())), force: true };
    match delete.run(client).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Deleted),
        outcome => outcome,
    }
}

/// Reports the token if its deletion fails or is dropped while it is in progress.
struct UndeletedGuard<'a> {
    client: &'a Client,
    token: &'a Token,
    is_armed: bool,
}

impl Drop for UndeletedGuard<'_> {
    fn drop(&mut self) {
        if self.is_armed {
            self.client.report(Event::TemporaryUndeleted {
                token_id: self.token.id,
                expires_on: self.token.expires_on(),
            });
        }
    }
}
