//! Deleting a token.

use super::find::is_listed;
use super::target::Target;
use crate::client::{Client, Method, Request};
use crate::error::Result;
use crate::ids::TokenId;
use crate::json::members;
use crate::model::Token;
use crate::operation::Operation;

const NOT_FOUND: u16 = 404;

/// Deletes one token permanently.
#[derive(Debug, Clone)]
pub struct DeleteToken {
    /// The token.
    pub target: Target,
    /// Whether the calling token may be deleted too.
    pub force: bool,
}

/// The confirmation that a token no longer exists.
#[derive(Debug, Clone, Copy)]
pub struct Deleted;

impl Operation for DeleteToken {
    type Output = Deleted;

    async fn run(self, client: &Client) -> Result<Deleted> {
        let client = &self.target.withholding(client);
        let (located, deleting) = if self.force {
            (self.target.locate(client).await?, client.clone())
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
        let response = deleting.send(&request).await?;
        let message = if is_of_another_request(&response.body, located.id) {
            "the response to the deletion belongs to another request"
        } else if response.status == NOT_FOUND && is_still_listed(client, &located.token).await? {
            "the deletion was answered 404, but the portal lists the token"
        } else {
            return Ok(Deleted);
        };
        Err(response.unexpected(message))
    }
}

/// Returns whether a response shows a list or another token. Usually it shows nothing.
fn is_of_another_request(body: &[u8], id: TokenId) -> bool {
    let text = std::str::from_utf8(body).unwrap_or_default();
    match members(text, ["items", "total", "id"]) {
        Ok(Some([items, total, shown])) => {
            items.is_given()
                || total.is_given()
                || (!shown.is_null() && shown.whole_number() != Some(id.get()))
        }
        _ => text.starts_with('['),
    }
}

/// As [`is_listed`], after a 404 that followed a lost response: an error leaves open whether the token is deleted.
async fn is_still_listed(client: &Client, token: &Token) -> Result<bool> {
    is_listed(client, token).await.map_err(|mut error| {
        error.details_mut().maybe_applied = true;
        error
    })
}
