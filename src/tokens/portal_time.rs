//! Learning the portal's time.

use crate::client::{Client, Method, Request};
use crate::error::Result;
use crate::operation::Operation;

/// Sends a harmless request, so that the client knows the portal's time.
pub(crate) struct LearnPortalTime;

impl Operation for LearnPortalTime {
    type Output = ();

    /// Any response with a Date header tells the time, also one to a caller who may not view tokens. An error without
    /// one is returned, such as that of a gateway, and so are rejected credentials.
    async fn run(self, client: &Client) -> Result<()> {
        let request = Request {
            method: Method::Get,
            endpoint: "/setting/admins/apitokens",
            resource_path: "/setting/admins/apitokens".to_owned(),
            query: vec![("size", "1".to_owned())],
            body: None,
        };
        match client.send(&request).await {
            Err(error)
                if error.is_credential_rejection()
                    || error.details().status.is_none()
                    || client.portal_time().is_none() =>
            {
                Err(error)
            }
            _ => Ok(()),
        }
    }
}
