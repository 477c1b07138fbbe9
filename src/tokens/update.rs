//! Changing a token by PATCH. A PUT would set what it does not name: one without a status enables a disabled token.

use serde::Serialize;

use super::target::Target;
use crate::client::{Client, Method, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Answer, Token, TokenStatus, TokenType};

/// Changes the note, the status, or both.
#[derive(Debug, Clone)]
pub struct UpdateToken {
    /// Which token.
    pub target: Target,
    /// The new label.
    pub note: Option<String>,
    /// The new status.
    pub status: Option<TokenStatus>,
    /// Disable even the token that signs the call.
    pub force: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<i64>,
}

impl UpdateToken {
    /// Sends it.
    pub async fn run(self, client: &Client) -> Result<Token> {
        if self.note.is_none() && self.status.is_none() {
            return Err(Error::argument("nothing to change: give note=, status= or both"));
        }
        self.target.check()?;
        let body = Body { note: self.note.as_deref(), status: self.status.map(TokenStatus::number) };
        let body = serde_json::to_vec(&body)
            .map_err(|error| Error::argument(format!("the change cannot be written as JSON: {error}")))?;
        let asked = match &self.target {
            Target::Token(token) => token.r#type.clone(),
            Target::Find(_) => TokenType::Lmv1,
        };
        let guarded = self.status == Some(TokenStatus::Disabled) && !self.force;
        let located = if guarded {
            self.target.locate_other(client, "disable").await?
        } else {
            self.target.locate(client).await?
        };
        let request = Request {
            method: Method::Patch,
            endpoint: "/setting/admins/{adminId}/apitokens/{id}",
            resource_path: format!("/setting/admins/{}/apitokens/{}", located.admin_id, located.id),
            query: Vec::new(),
            body: Some(body),
        };
        let answer = client.send(&request).await?;
        let Some(mut token) = Token::from_json(&answer.body, Answer::Other, &asked) else {
            let mut error = Error::new(ErrorKind::Response, "the answer to the change holds no token");
            error.details_mut().maybe_applied = true;
            return Err(error);
        };
        token.admin_id = token.admin_id.or(Some(located.admin_id));
        Ok(token)
    }
}
