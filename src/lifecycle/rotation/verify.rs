//! Signing with a delivered secret.

use std::time::Duration;

use crate::client::{Client, Method, Request};
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Token, TokenType};
use crate::secret::Secret;

/// Whether the portal accepts a delivered secret.
pub(super) enum Verdict {
    Accepted,
    /// The error of the last attempt.
    Rejected(Error),
}

/// Returns the credentials that a token is, with its secret.
pub(super) fn credentials_of(token: &Token, secret: Secret) -> Result<Credentials> {
    match token.r#type {
        TokenType::Bearer => Credentials::from_bearer(secret),
        _ => Credentials::from_pair(token.access_id.as_deref(), secret),
    }
}

/// Sends a harmless request with a token. A token that was just enabled may be rejected for a moment, and repeated
/// failures lock it, so there are few attempts. Fails if the portal cannot be asked.
pub(super) async fn verify_delivered(client: &Client, token: &Token, secret: Secret) -> Result<Verdict> {
    const PAUSES: [u64; 5] = [1, 2, 4, 8, 0];
    const MAX_TIME: Duration = Duration::from_secs(120);
    let request = Request {
        method: Method::Get,
        endpoint: "/setting/admins/apitokens",
        resource_path: "/setting/admins/apitokens".to_owned(),
        query: vec![("size", "1".to_owned()), ("filter", format!("id:{}", token.id))],
        body: None,
    };
    let client = client.with_credentials(credentials_of(token, secret)?).without_retries();
    let attempts = async {
        let mut outcome = Ok(Verdict::Accepted);
        for pause in PAUSES {
            outcome = match client.send(&request).await {
                Ok(_) => return Ok(Verdict::Accepted),
                Err(error) => match error.kind() {
                    // The credentials are valid, even if their user may not list tokens.
                    ErrorKind::PermissionDenied | ErrorKind::NotFound => return Ok(Verdict::Accepted),
                    ErrorKind::Authentication => Ok(Verdict::Rejected(error)),
                    _ => Err(error),
                },
            };
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
        outcome
    };
    tokio::time::timeout(MAX_TIME, attempts).await.unwrap_or_else(|_| {
        let message = format!("whether the portal accepts token {} was not clear within 2 minutes", token.id);
        Err(Error::new(ErrorKind::RequestTimeout, message))
    })
}
