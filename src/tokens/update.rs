//! Changing a token with PATCH. A PUT resets the members that it does not name: without a status it enables the token.

use std::time::Duration;

use serde::Serialize;

use super::expected::{Differences, ExpectedNote, ExpectedToken, Written};
use super::target::{Located, Target};
use crate::client::{Client, Method, Moment, Request};
use crate::error::{Error, Result};
use crate::ids::{AdminId, Note, Status, TokenId};
use crate::marker::Marker;
use crate::model::{Origin, Token};
use crate::operation::Operation;
use crate::tag::Tag;

/// The most time from the reading of a token to the end of a write that relies on it.
pub(crate) const MAX_READ_AGE: Duration = Duration::from_secs(60);

/// Changes the note, the status, or both.
#[derive(Debug, Clone)]
pub struct UpdateToken {
    /// The token.
    pub target: Target,
    /// The members to change.
    pub change: Change,
    /// Whether the calling token may be disabled too.
    pub force: bool,
}

/// The members to change, at least one.
#[derive(Debug, Clone)]
pub struct Change {
    note: Option<Note>,
    status: Option<Status>,
}

impl Change {
    /// Checks that there is something to change.
    pub fn new(note: Option<Note>, status: Option<Status>) -> Result<Self> {
        if note.is_none() && status.is_none() {
            return Err(Error::argument("nothing to change; expected a note, a status or both"));
        }
        Ok(Self { note, status })
    }
}

impl From<Status> for Change {
    fn from(status: Status) -> Self {
        Self { note: None, status: Some(status) }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<i64>,
}

impl Operation for UpdateToken {
    type Output = Token;

    /// Sends the change. A change of the note keeps the marker before it. Enabling a token also removes the tag of a
    /// pending token: sweep would delete it if it is disabled again. The new token of a rotation that was cancelled becomes
    /// a token like any other: sweep would disable it again. The marker of a token that a rotation disabled stays, so
    /// that the rotation stops and says so, instead of disabling the token again.
    async fn run(self, client: &Client) -> Result<Token> {
        let client = &self.target.withholding(client);
        let Change { note, status } = self.change;
        loop {
            let read = Moment::at(client.now_ms());
            let target = self.target.clone();
            let (located, changing) = if status == Some(Status::Disabled) && !self.force {
                target.locate_unless_self(client, "disabling").await?
            } else if note.is_none() && status == Some(Status::Disabled) {
                (target.locate(client).await?, client.clone())
            } else {
                (target.locate_now(client).await?, client.clone())
            };
            let Located { admin_id, token, .. } = located;
            let Some(note) = new_note(&token, note.as_ref(), status) else {
                return change(&changing, admin_id, &token, None, status).await;
            };
            // The change may wait for its rate limit, and the marker be changed meanwhile.
            let leased = changing.for_lease(read, MAX_READ_AGE, "reading the token");
            match change(&leased, admin_id, &token, Some(&note), status).await {
                Err(error) if leased.may_read_again(client, &error) => {}
                outcome => return outcome,
            }
        }
    }
}

/// Returns the whole note that a change sets; `None` if it does not change the note.
fn new_note(token: &Token, note: Option<&Note>, status: Option<Status>) -> Option<String> {
    let is_enabled = status == Some(Status::Enabled);
    let shown = token.note.as_deref().unwrap_or_default();
    let tagged = Tag::parse(shown);
    let of_tag = tagged.and_then(|(tag, _)| tag.marker(TokenId::new(token.id).ok()?));
    let marker = token.marker.or(of_tag);
    let is_out = |marker: &Marker| marker.cancelled.or(marker.superseded).is_some();
    let returns = is_enabled && marker.as_ref().is_some_and(is_out);
    let marker = marker.map(|marker| if returns { marker.without_rotation() } else { marker });
    let own = match (note, tagged) {
        (Some(note), _) => note.as_str(),
        (None, Some((_, rest))) if is_enabled => rest.unwrap_or_default(),
        (None, None) if returns => shown,
        (None, _) => return None,
    };
    Some(marker.map_or_else(|| own.to_owned(), |marker| marker.write(own)))
}

/// Sends the change of a token as a PATCH and returns the changed token, once the response confirms the change.
pub(crate) async fn change(
    client: &Client,
    admin_id: AdminId,
    token: &Token,
    note: Option<&str>,
    status: Option<Status>,
) -> Result<Token> {
    let id = TokenId::new(token.id).map_err(Error::of_portal)?;
    let (r#type, access_id) = (&token.r#type, token.access_id.as_deref());
    let body = Body { note, status: status.map(Status::number) };
    let body = serde_json::to_vec(&body)
        .map_err(|error| Error::argument(format!("cannot write the change as JSON: {error}")))?;
    let request = Request {
        method: Method::Patch,
        endpoint: "/setting/admins/{adminId}/apitokens/{id}",
        resource_path: format!("/setting/admins/{admin_id}/apitokens/{id}"),
        query: Vec::new(),
        body: Some(body),
    };
    let response = client.send(&request).await?;
    let Some(mut changed) = Token::from_json(&response.body, Origin::Other, r#type) else {
        return Err(response.unexpected("the response to the change does not contain a token"));
    };
    let note = note.map(ExpectedNote::Plain);
    let expected = ExpectedToken { id: Some(id), admin_id, r#type, access_id, note, status };
    let differences = expected.differences(&changed, &Written::of(&response.body));
    if differences != Differences::default() {
        return Err(response.unexpected(format!("the response to the change {differences}")));
    }
    changed.admin_id = changed.admin_id.or(Some(admin_id.get()));
    Ok(changed.at(&client.identity().portal))
}
