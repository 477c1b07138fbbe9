//! Changing a token by PATCH. A PUT would set what it does not name: one without a status enables a disabled token.

use serde::Serialize;

use super::target::Target;
use crate::client::{Client, Method, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Answer, Token, TokenStatus, TokenType};
use crate::tag::Tag;

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
    /// Sends it. A token whose making was never finished loses its tag when it is enabled: nothing that works may look as
    /// if it could be swept.
    pub async fn run(self, client: &Client) -> Result<Token> {
        if self.note.is_none() && self.status.is_none() {
            return Err(Error::argument("nothing to change: give note=, status= or both"));
        }
        self.target.check()?;
        Tag::check_note(self.note.as_deref())?;
        let guarded = self.status == Some(TokenStatus::Disabled) && !self.force;
        let located = if guarded {
            self.target.locate_unless_self(client, "disable").await?
        } else {
            self.target.locate(client).await?
        };
        let untagged = match (&self.note, self.status, located.note.as_deref().and_then(Tag::parse)) {
            (None, Some(TokenStatus::Enabled), Some((_, last))) => Some(last.unwrap_or_default()),
            _ => None,
        };
        let note = self.note.as_deref().or(untagged);
        change(client, located.admin_id, located.id, note, self.status, &located.r#type).await
    }
}

/// One PATCH, whatever it says; `asked` is the token's type.
pub(crate) async fn change(
    client: &Client,
    admin_id: i64,
    id: i64,
    note: Option<&str>,
    status: Option<TokenStatus>,
    asked: &TokenType,
) -> Result<Token> {
    let body = Body { note, status: status.map(TokenStatus::number) };
    let body = serde_json::to_vec(&body)
        .map_err(|error| Error::argument(format!("the change cannot be written as JSON: {error}")))?;
    let request = Request {
        method: Method::Patch,
        endpoint: "/setting/admins/{adminId}/apitokens/{id}",
        resource_path: format!("/setting/admins/{admin_id}/apitokens/{id}"),
        query: Vec::new(),
        body: Some(body),
    };
    let answer = client.send(&request).await?;
    let Some(mut token) = Token::from_json(&answer.body, Answer::Other, asked) else {
        let mut error = Error::new(ErrorKind::Response, "the answer to the change holds no token");
        error.details_mut().maybe_applied = true;
        return Err(error);
    };
    token.admin_id = token.admin_id.or(Some(admin_id));
    Ok(token)
}
