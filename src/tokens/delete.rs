//! Deleting a token.

use super::target::Target;
use crate::client::{Client, Method, Request};
use crate::error::Result;
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
        client.send(&request).await.map(|_| Deleted)
    }
}
