//! Deleting a token. The portal has no way to get one back.

use super::target::Target;
use crate::client::{Client, Method, Request};
use crate::error::Result;

/// Deletes one token for good.
#[derive(Debug, Clone)]
pub struct DeleteToken {
    /// Which token.
    pub target: Target,
    /// Delete even the token that signs the call.
    pub force: bool,
}

impl DeleteToken {
    /// Sends it. A token that an earlier attempt of this very call may have deleted counts as deleted.
    pub async fn run(self, client: &Client) -> Result<()> {
        self.target.check()?;
        let located = if self.force {
            self.target.locate(client).await?
        } else {
            self.target.locate_unless_self(client, "delete").await?
        };
        let request = Request {
            method: Method::Delete,
            endpoint: "/setting/admins/{adminId}/apitokens/{id}",
            resource_path: format!("/setting/admins/{}/apitokens/{}", located.admin_id, located.id),
            query: Vec::new(),
            body: None,
        };
        client.send(&request).await.map(drop)
    }
}
