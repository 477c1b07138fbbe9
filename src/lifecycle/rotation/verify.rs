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
/// failures lock it, so there are few attempts. A response that says nothing about the token does not count as one.
/// Fails if the portal cannot be asked.
pub(super) async fn verify_delivered(client: &Client, token: &Token, secret: Secret) -> Result<Verdict> {
    const PAUSES: [u64; 5] = [1, 2, 4, 8, 0];
    const PAUSE: u64 = 2;
    const MAX_TIME: Duration = Duration::from_secs(120);
    let request = Request {
        method: Method::Get,
        endpoint: "/setting/admins/apitokens",
        resource_path: "/setting/admins/apitokens".to_owned(),
        query: vec![("size", "1".to_owned()), ("filter", format!("id:{}", token.id))],
        body: None,
    };
    let client = client.with_credentials(credentials_of(token, secret)?).without_retries();
    let mut unanswered = None;
    let attempts = async {
        let mut pauses = PAUSES.into_iter();
        loop {
            let Err(error) = client.send(&request).await else { return Ok(Verdict::Accepted) };
            let pause = match error.kind() {
                // The credentials are valid, even if their user may not list tokens.
                ErrorKind::PermissionDenied | ErrorKind::NotFound => return Ok(Verdict::Accepted),
                ErrorKind::Authentication => match pauses.next() {
                    Some(pause) if pause > 0 => pause,
                    _ => return Ok(Verdict::Rejected(error)),
                },
                ErrorKind::RateLimit
                | ErrorKind::Server
                | ErrorKind::Transport
                | ErrorKind::RequestTimeout
                    if !client.is_over() =>
                {
                    unanswered = Some(error);
                    PAUSE
                }
                _ => return Err(error),
            };
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
    };
    let verdict = tokio::time::timeout(MAX_TIME, attempts).await;
    verdict.unwrap_or_else(|_| {
        let message = format!("whether the portal accepts token {} was not clear within 2 minutes", token.id);
        let error = Error::new(ErrorKind::RequestTimeout, message);
        Err(match unanswered {
            Some(cause) => error.caused_by(cause),
            None => error,
        })
    })
}
