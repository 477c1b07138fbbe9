//! Making a token with one POST.
//!
//! Source: the vendor's page "Adding API Tokens".

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::admin::Admin;
use super::list::newest_of_owner;
use crate::client::{Client, Method, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Answer, Token, TokenStatus, TokenType, check_admin_id};
use crate::ports::Event;
use crate::tag::Tag;

/// Makes one token for a user, by exactly one POST.
#[derive(Debug, Clone)]
pub struct AddToken {
    /// The owner.
    pub admin: Admin,
    /// A label.
    pub note: Option<String>,
    /// Born enabled or disabled.
    pub status: TokenStatus,
    /// LMv1 or bearer.
    pub r#type: TokenType,
}

/// The two members that the portal lets a caller write.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    status: i64,
}

impl AddToken {
    /// Sends it. Where the answer does not tell whether a token was made, the error is
    /// [`ErrorKind::OutcomeUnknown`] with the tokens that one look at the portal found; nothing is sent twice.
    pub async fn run(self, client: &Client) -> Result<Token> {
        self.admin.check()?;
        Tag::check_note(self.note.as_deref())?;
        let admin_id = self.admin.id(client).await?;
        let request = self.request(admin_id)?;
        let started = Instant::now();
        let mut under_way = UnderWay { client, token: Some((admin_id, &self)), sent_ms: client.now_ms() };
        let outcome = match client.send(&request).await {
            Ok(answer) => self.made(client, admin_id, &answer),
            Err(error) if error.details().maybe_applied => Err(Box::new((error, None))),
            Err(error) => {
                under_way.token = None;
                return Err(error);
            }
        };
        let result = match outcome {
            Ok(token) => Ok(token),
            Err(lost) => {
                let (cause, found) = *lost;
                Err(self.outcome_unknown(client, admin_id, cause, found, started).await)
            }
        };
        under_way.token = None;
        result
    }

    /// The request that makes it.
    pub fn request(&self, admin_id: i64) -> Result<Request> {
        check_admin_id(admin_id)?;
        let body = Body { note: self.note.as_deref(), status: self.status.number() };
        let body = serde_json::to_vec(&body)
            .map_err(|error| Error::argument(format!("the token cannot be written as JSON: {error}")))?;
        Ok(Request {
            method: Method::Post,
            endpoint: "/setting/admins/{adminId}/apitokens",
            resource_path: format!("/setting/admins/{admin_id}/apitokens"),
            query: self.r#type.query_value().map(|value| ("type", value.to_owned())).into_iter().collect(),
            body: Some(body),
        })
    }

    /// The token of an answer, if it is whole: one without its secret is a credential that nobody holds.
    pub(crate) fn made(
        &self,
        client: &Client,
        admin_id: i64,
        answer: &crate::client::Response,
    ) -> Result<Token, Box<(Error, Option<Token>)>> {
        let unreadable = |message: &str| {
            let mut error = Error::new(ErrorKind::Response, message);
            error.details_mut().status = Some(answer.status);
            error.details_mut().attempts = 1;
            error.details_mut().maybe_applied = true;
            error
        };
        let Some(mut token) = Token::from_json(&answer.body, Answer::Create, &self.r#type) else {
            return Err(Box::new((unreadable("the answer to the create holds no token"), None)));
        };
        token.admin_id = token.admin_id.or(Some(admin_id));
        client.visibility().record_created(token.id);
        if token.access_key.is_none() {
            return Err(Box::new((unreadable("the answer to the create holds no access key"), Some(token))));
        }
        if token.r#type == TokenType::Lmv1 && token.access_id.is_none() {
            token.access_key = None;
            return Err(Box::new((unreadable("the answer to the create holds no access id"), Some(token))));
        }
        Ok(token)
    }

    async fn outcome_unknown(
        &self,
        client: &Client,
        admin_id: i64,
        cause: Error,
        found: Option<Token>,
        started: Instant,
    ) -> Error {
        let candidates = match found {
            Some(token) => Some(vec![token]),
            None => self.candidates(client, admin_id, started).await,
        };
        let mut error = Error::new(
            ErrorKind::OutcomeUnknown,
            format!("a token for user {admin_id} may have been made: {cause}"),
        );
        let details = error.details_mut();
        details.suggestion = Some(advice(candidates.as_deref()));
        details.maybe_applied = true;
        details.elapsed = started.elapsed();
        details.candidates = candidates;
        error.because_of(cause)
    }

    /// The owner's tokens that may be the lost one: same note, made since the call began by the portal's own clock.
    async fn candidates(&self, client: &Client, admin_id: i64, started: Instant) -> Option<Vec<Token>> {
        const LOOK: Duration = Duration::from_secs(10);
        const SLACK: Duration = Duration::from_secs(120);
        let look = newest_of_owner(client, admin_id, &self.r#type);
        let (tokens, date) = tokio::time::timeout(LOOK, look).await.ok()?.ok()?;
        let since = date
            .and_then(|date| date.checked_sub(started.elapsed() + SLACK))
            .and_then(|since| since.duration_since(SystemTime::UNIX_EPOCH).ok())
            .and_then(|since| i64::try_from(since.as_secs()).ok());
        let wanted_note = self.note.as_deref().unwrap_or_default();
        let matches = |token: &Token| {
            let same_note = token.note.as_deref().unwrap_or_default() == wanted_note;
            let young = match (token.created_on, since) {
                (Some(created_on), Some(since)) => created_on >= since,
                _ => true,
            };
            same_note && young && token.last_used_on.is_none()
        };
        Some(tokens.into_iter().filter(matches).collect())
    }
}

fn advice(candidates: Option<&[Token]>) -> String {
    match candidates {
        None => "the look at the portal failed too: list the user's tokens before calling again, and delete what this \
                 call made (its key is lost)"
            .to_owned(),
        Some([]) => "the look at the portal found no such token, which is no proof: the request may still be under \
                     way, or these credentials may not view tokens; list the user's tokens again before calling again"
            .to_owned(),
        Some(found) => {
            let ids: Vec<String> = found.iter().map(|token| token.id.to_string()).collect();
            format!(
                "the portal has {} that may be it (id {}); its key is lost, so delete it if it is yours, then call again",
                if found.len() == 1 { "a token" } else { "tokens" },
                ids.join(", ")
            )
        }
    }
}

/// Tells that a token may exist when the create is dropped while it is under way.
struct UnderWay<'a> {
    client: &'a Client,
    token: Option<(i64, &'a AddToken)>,
    sent_ms: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some((admin_id, token)) = self.token {
            self.client.emit(Event::CreateInterrupted {
                admin_id,
                note: token.note.clone(),
                sent_ms: self.sent_ms,
            });
        }
    }
}
