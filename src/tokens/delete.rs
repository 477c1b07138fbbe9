//! Deleting a token.

use crate::client::{Client, Method, Request};
use crate::error::Result;
use crate::model::check_admin_id;

/// Deletes one token for good.
#[derive(Debug, Clone, Copy)]
pub struct DeleteToken {
    /// The owner's user id.
    pub admin_id: i64,
    /// The token's id.
    pub id: i64,
}

impl DeleteToken {
    /// Sends it, once.
    pub async fn run(self, client: &Client) -> Result<()> {
        check_admin_id(self.admin_id)?;
        let request = Request {
            method: Method::Delete,
            endpoint: "/setting/admins/{adminId}/apitokens/{id}",
            resource_path: format!("/setting/admins/{}/apitokens/{}", self.admin_id, self.id),
            query: Vec::new(),
            body: None,
        };
        client.send(&request).await.map(drop)
    }
}
