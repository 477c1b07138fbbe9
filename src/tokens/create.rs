//! Creating a token with one POST.
//!
//! Source: the vendor's page "Adding API Tokens".

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::list::newest_of_owner;
use super::user::User;
use crate::client::{self, Client, Method, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ids::{AdminId, Note, Status, Type};
use crate::model::{Origin, Token, TokenType};

/// The token to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// The owner.
    pub admin: User,
    /// The note.
    pub note: Option<Note>,
    /// The status.
    pub status: Status,
    /// LMv1 or bearer.
    pub r#type: Type,
}

/// The two members that the portal lets a caller set.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    status: i64,
}

impl NewToken {
    /// Returns the text of the note.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_ref().map(Note::as_str)
    }

    /// Returns the request that creates the token as it is.
    pub fn request(&self, admin_id: AdminId) -> Result<Request> {
        self.request_with(admin_id, self.note(), self.status)
    }

    /// Returns the request that creates the token with another note and status.
    pub(crate) fn request_with(
        &self,
        admin_id: AdminId,
        note: Option<&str>,
        status: Status,
    ) -> Result<Request> {
        let body = serde_json::to_vec(&Body { note, status: status.number() })
            .map_err(|error| Error::argument(format!("cannot write the token as JSON: {error}")))?;
        Ok(Request {
            method: Method::Post,
            endpoint: "/setting/admins/{adminId}/apitokens",
            resource_path: format!("/setting/admins/{admin_id}/apitokens"),
            query: self.r#type.query_value().map(|value| ("type", value.to_owned())).into_iter().collect(),
            body: Some(body),
        })
    }

    /// Reads the response to the create. A token without its secret is reported with the error: its secret is lost.
    pub(crate) fn created(
        &self,
        client: &Client,
        admin_id: AdminId,
        response: &client::Response,
    ) -> Result<Token, Incomplete> {
        let incomplete = |message: &str, token: Option<Token>| {
            let mut error = Error::new(ErrorKind::Response, message);
            let details = error.details_mut();
            (details.status, details.attempts, details.maybe_applied) = (Some(response.status), 1, true);
            Incomplete { error, token: token.map(Box::new) }
        };
        let Some(mut token) = Token::from_json(&response.body, Origin::Create, &self.r#type.into()) else {
            return Err(incomplete("the response to the create does not contain a token", None));
        };
        token.admin_id = token.admin_id.or(Some(admin_id.get()));
        client.visibility().record_created(token.id);
        if token.access_key.is_none() {
            return Err(incomplete("the response to the create does not contain an access key", Some(token)));
        }
        if token.r#type == TokenType::Lmv1 && token.access_id.is_none() {
            token.access_key = None;
            return Err(incomplete("the response to the create does not contain an access id", Some(token)));
        }
        Ok(token)
    }
}

/// A response to a create without a complete token.
pub(crate) struct Incomplete {
    pub(crate) error: Error,
    /// The token, if the response identifies one.
    pub(crate) token: Option<Box<Token>>,
}

impl From<Error> for Incomplete {
    fn from(error: Error) -> Self {
        Self { error, token: None }
    }
}

/// Creates one token with exactly one POST.
#[derive(Debug, Clone)]
pub(crate) struct CreateToken(pub NewToken);

impl CreateToken {
    /// Sends the POST. If the response does not tell whether a token was created, the error is
    /// [`ErrorKind::OutcomeUnknown`] with the candidates found by one look at the portal.
    pub(crate) async fn run(self, client: &Client) -> Result<Token> {
        let admin_id = self.0.admin.id(client).await?;
        let request = self.0.request(admin_id)?;
        let started = Instant::now();
        let mut guard =
            InterruptedCreate { client, token: &self.0, admin_id, sent_ms: client.now_ms(), armed: true };
        let created = match client.send(&request).await {
            Ok(response) => self.0.created(client, admin_id, &response),
            Err(error) if error.details().maybe_applied => Err(error.into()),
            Err(error) => {
                guard.armed = false;
                return Err(error);
            }
        };
        let result = match created {
            Ok(token) => Ok(token),
            Err(incomplete) => Err(self.outcome_unknown(client, admin_id, incomplete, started).await),
        };
        guard.armed = false;
        result
    }

    async fn outcome_unknown(
        &self,
        client: &Client,
        admin_id: AdminId,
        incomplete: Incomplete,
        started: Instant,
    ) -> Error {
        let Incomplete { error: cause, token } = incomplete;
        let candidates = match token {
            Some(token) => Some(vec![*token]),
            None => self.candidates(client, admin_id, started).await,
        };
        let mut error = Error::new(
            ErrorKind::OutcomeUnknown,
            format!("a token for user {admin_id} may have been created: {cause}"),
        )
        .suggest(advice(candidates.as_deref()));
        let details = error.details_mut();
        details.maybe_applied = true;
        details.elapsed = started.elapsed();
        details.candidates = candidates;
        error.caused_by_response(cause)
    }

    /// Returns the owner's tokens that may be the lost one: same note, never used, and created since the call began by
    /// the portal's clock.
    async fn candidates(&self, client: &Client, admin_id: AdminId, started: Instant) -> Option<Vec<Token>> {
        const TIMEOUT: Duration = Duration::from_secs(10);
        const SLACK: Duration = Duration::from_secs(120);
        let list = newest_of_owner(client, admin_id, self.0.r#type);
        let (tokens, date) = tokio::time::timeout(TIMEOUT, list).await.ok()?.ok()?;
        let since = date
            .and_then(|date| date.checked_sub(started.elapsed() + SLACK))
            .and_then(|since| since.duration_since(SystemTime::UNIX_EPOCH).ok())
            .and_then(|since| i64::try_from(since.as_secs()).ok());
        let requested_note = self.0.note().unwrap_or_default();
        let is_candidate = |token: &Token| {
            let is_recent = match (token.created_on, since) {
                (Some(created_on), Some(since)) => created_on >= since,
                _ => true,
            };
            let has_note = token.note.as_deref().unwrap_or_default() == requested_note;
            has_note && is_recent && token.last_used_on.is_none()
        };
        Some(tokens.into_iter().filter(is_candidate).collect())
    }
}

fn advice(candidates: Option<&[Token]>) -> String {
    match candidates {
        None => "looking for the token failed too: list the user's tokens before you retry, and delete the one that this \
                 call created (its key is lost)"
            .to_owned(),
        Some([]) => "no matching token was found, but the request may still be in progress, or these credentials cannot \
                     view tokens: list the user's tokens again before you retry"
            .to_owned(),
        Some(found) => {
            let ids: Vec<String> = found.iter().map(|token| token.id.to_string()).collect();
            let (noun, ids) = (if found.len() == 1 { "token" } else { "tokens" }, ids.join(", "));
            format!(
                "the portal has {noun} {ids} that may be the result: the key is lost, so delete the token if it is yours, \
                 then retry"
            )
        }
    }
}

/// Reports that a token may exist if the create is dropped while it is in progress.
struct InterruptedCreate<'a> {
    client: &'a Client,
    token: &'a NewToken,
    admin_id: AdminId,
    sent_ms: u64,
    armed: bool,
}

impl Drop for InterruptedCreate<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.client.report(Event::CreateInterrupted {
                admin_id: self.admin_id.get(),
                note: self.token.note().map(str::to_owned),
                sent_ms: self.sent_ms,
            });
        }
    }
}
