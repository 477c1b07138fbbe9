//! Deleting a token.

use super::target::Target;
use crate::client::{Client, Method, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::TokenId;
use crate::json::members;
use crate::operation::Operation;

/// Deletes one token permanently.
#[derive(Debug, Clone)]
pub(crate) struct DeleteToken {
    /// The token.
    pub target: Target,
    /// Whether the calling token may be deleted too.
    pub force: bool,
}

/// The confirmation that a token no longer exists.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deleted;

impl Operation for DeleteToken {
    type Output = Deleted;

    async fn run(self, client: &Client) -> Result<Deleted> {
        let located = if self.force {
            self.target.locate(client).await?
        } else {
            self.target.locate_unless_self(client, "deleting").await?
        };
        let request = Request {
            method: Method::Delete,
            endpoint: "/setting/admins/{adminId}/apitokens/{id}",
            resource_path: format!("/setting/admins/{}/apitokens/{}", located.admin_id, located.id),
            query: Vec::new(),
            body: None,
        };
        let response = client.send(&request).await?;
        if is_of_another_request(&response.body, located.id) {
            let message = "the response to the deletion belongs to another request";
            let mut error = Error::new(ErrorKind::Response, message);
            let details = error.details_mut();
            (details.status, details.attempts, details.maybe_applied) = (Some(response.status), 1, true);
            return Err(error);
        }
        Ok(Deleted)
    }
}

/// Returns whether a response shows a list or another token. Usually it shows nothing.
fn is_of_another_request(body: &[u8], id: TokenId) -> bool {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let Ok(Some([items, shown])) = members(text, ["items", "id"]) else { return false };
    items.is_given() || shown.integer().is_some_and(|shown| shown != id.get())
}
