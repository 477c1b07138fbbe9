//! Creating a token with one POST.
//!
//! Source: the vendor's page "Adding API Tokens".

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::expected::{Differences, ExpectedNote, ExpectedToken, Written, is_same_token};
use super::find::FindToken;
use super::list::newest_of_owner;
use super::target::is_self;
use super::update::change;
use super::user::User;
use crate::advice::Advice;
use crate::client::{self, Client, Method, Request};
use crate::destinations::RequestedToken;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ids::{AdminId, Note, Status, TokenId, Type};
use crate::model::{Origin, Token, TokenStatus, TokenType, is_whole};
use crate::times::Expiry;

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
    /// When the token expires.
    pub expires: Option<Expiry>,
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

    /// Returns the token as a destination recognizes it.
    pub(crate) fn requested(&self, client: &Client, admin_id: AdminId) -> RequestedToken {
        RequestedToken {
            portal: client.identity().portal.base_url().to_owned(),
            admin_id,
            r#type: self.r#type,
            status: self.status,
            note: self.note().unwrap_or_default().to_owned(),
            expires: self.expires,
        }
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

    /// Reads the response to a create with this note. The token in it is the created one, of which only the status may
    /// differ from what was sent.
    pub(crate) fn created(
        &self,
        client: &Client,
        admin_id: AdminId,
        note: ExpectedNote<'_>,
        response: &client::Response,
    ) -> Result<Token, Unusable> {
        let unusable = |message: String, token| Unusable { error: response.unexpected(message), token };
        let r#type = self.r#type.into();
        let Some(token) = Token::from_json(&response.body, Origin::Create, &r#type) else {
            let message = "the response to the create does not contain a token".to_owned();
            return Err(unusable(message, ReportedToken::None));
        };
        let mut token = token.at(&client.identity().portal);
        let written = Written::of(&response.body);
        if written.note.is_given() && matches!(note, ExpectedNote::Tagged(_)) {
            // A missing note proves nothing, but null is an empty note, without the tag.
            token.note.get_or_insert_default();
        }
        let expected = ExpectedToken {
            id: None,
            admin_id,
            r#type: &r#type,
            access_id: None,
            note: Some(note),
            status: None,
        };
        let differences = expected.differences(&token, &written);
        token.admin_id = token.admin_id.or(Some(admin_id.get()));
        if matches!(token.r#type, TokenType::Other(_)) {
            token.r#type = r#type;
        }
        if token.status.is_none() && !written.status.is_null() {
            // It cannot be read, and is set right as any other status.
            token.status = Some(TokenStatus::Other(0));
        }
        if differences != Differences::default() {
            let message = format!("the response to the create {differences}");
            let reported = if differences.identity.is_empty() {
                ReportedToken::WithOtherNote(Box::new(token))
            } else {
                ReportedToken::None
            };
            return Err(unusable(message, reported));
        }
        if token.note.is_some() {
            client.visibility().record_created(token.id);
        }
        let missing = if token.access_key.is_none() {
            "an access key"
        } else if token.r#type == TokenType::Lmv1 && !token.access_id.as_deref().is_some_and(is_whole) {
            "an access id"
        } else {
            return Ok(token);
        };
        token.access_key = None;
        let message = format!("the response to the create does not contain {missing}");
        // Without the note, the id alone proves nothing.
        let reported = match token.note {
            Some(_) => ReportedToken::WithoutSecret(Box::new(token)),
            None => ReportedToken::None,
        };
        Err(unusable(message, reported))
    }
}

/// Reads a created token again, before it is changed, unless the response showed its unique tag. Fails if the response
/// shows the calling token, or the list another token with this id. If the list shows none, the response is all there is:
/// credentials may create tokens that they cannot view.
pub(crate) async fn confirm_created(client: &Client, token: &Token, note: ExpectedNote<'_>) -> Result<()> {
    if is_self(client, token) == Some(true) {
        return Err(not_shown());
    }
    if matches!(note, ExpectedNote::Tagged(_)) && token.note.is_some() {
        return Ok(());
    }
    let is_other = |found: &Token| {
        let has_note = found.whole_note().is_none_or(|found| note.agrees(&found));
        !is_same_token(found, token) || !has_note || is_self(client, found) == Some(true)
    };
    match FindToken::Id(TokenId::new(token.id)?).optional(client).await {
        Ok(Some(found)) if is_other(&found) => Err(not_shown()),
        _ => Ok(()),
    }
}

fn not_shown() -> Error {
    let message = "the response to the create does not show that its token is the created one";
    let mut error = Error::new(ErrorKind::Response, message);
    error.details_mut().maybe_applied = true;
    error
}

/// A create whose response was lost, or does not contain the created token with its secret.
pub(crate) struct Unusable {
    pub(crate) error: Error,
    pub(crate) token: ReportedToken,
}

/// The token of an unusable response.
pub(crate) enum ReportedToken {
    /// There is none, or one that nothing must be done with.
    None,
    /// The created token, whose secret is lost.
    WithoutSecret(Box<Token>),
    /// A token that may be the created one, with its secret, but under another note.
    WithOtherNote(Box<Token>),
}

impl ReportedToken {
    /// Returns the token that may be the created one, under another note.
    pub(crate) fn with_other_note(&self) -> Option<&Token> {
        match self {
            Self::WithOtherNote(token) => Some(token),
            Self::None | Self::WithoutSecret(_) => None,
        }
    }
}

impl From<Error> for Unusable {
    fn from(error: Error) -> Self {
        Self { error, token: ReportedToken::None }
    }
}

/// Creates one token without an expiry, with exactly one POST.
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
        let note = ExpectedNote::Plain(self.0.note().unwrap_or_default());
        let created = match client.send(&request).await {
            Ok(response) => self.0.created(client, admin_id, note, &response),
            Err(error) if error.details().maybe_applied => Err(error.into()),
            Err(error) => {
                guard.armed = false;
                return Err(error);
            }
        };
        let result = match created {
            Ok(token) => self.with_status(client, admin_id, token, note, started).await,
            Err(unusable) => Err(self.outcome_unknown(client, admin_id, unusable, started).await),
        };
        guard.armed = false;
        result
    }

    /// Returns the created token; sets its status if the portal did not.
    async fn with_status(
        &self,
        client: &Client,
        admin_id: AdminId,
        mut token: Token,
        note: ExpectedNote<'_>,
        started: Instant,
    ) -> Result<Token> {
        let status = self.0.status;
        let requested = TokenStatus::from(status);
        let Some(reported) = token.status.filter(|reported| *reported != requested) else {
            return Ok(token);
        };
        if let Err(error) = confirm_created(client, &token, note).await {
            return Err(self.outcome_unknown(client, admin_id, error.into(), started).await);
        }
        client.report(Event::StatusCorrected { token_id: token.id, reported, requested });
        let id = TokenId::new(token.id)?;
        match change(&client.withholding_secret_of(&token), admin_id, &token, None, Some(status)).await {
            Ok(changed) => {
                token.status = changed.status.or(Some(requested));
                Ok(token)
            }
            Err(cause) => {
                let message = format!(
                    "token {id} was created with status {reported} instead of {requested}, and changing it failed: {cause}"
                );
                let mut error = Error::new(ErrorKind::OutcomeUnknown, message)
                    .suggest(Advice::UseReported { id: token.id })
                    .suggest("set its status, or delete it");
                let details = error.details_mut();
                details.maybe_applied = true;
                details.elapsed = started.elapsed();
                details.candidates = Some(vec![token.without_secret()]);
                details.token = Some(token);
                Err(error.caused_by_response(cause))
            }
        }
    }

    async fn outcome_unknown(
        &self,
        client: &Client,
        admin_id: AdminId,
        unusable: Unusable,
        started: Instant,
    ) -> Error {
        let Unusable { error: cause, token: reported } = unusable;
        let (mut candidates, token) = match reported {
            ReportedToken::None => (self.candidates(client, admin_id, started).await, None),
            ReportedToken::WithoutSecret(token) => (Some(vec![*token]), None),
            ReportedToken::WithOtherNote(token) => (Some(vec![token.without_secret()]), Some(*token)),
        };
        // Candidates are shown with the error, and a hostile proxy may have put the credentials there.
        for candidate in candidates.iter_mut().flatten() {
            let Token { access_id, note, admin_name, created_by, last_auth_ip, .. } = candidate;
            for member in [access_id, note, admin_name, created_by, last_auth_ip] {
                *member = member.take().filter(|text| !client.is_repeated_in(text));
            }
        }
        let mut error = Error::new(
            ErrorKind::OutcomeUnknown,
            format!("a token for user {admin_id} may have been created: {cause}"),
        )
        .suggest(match &token {
            Some(token) => Advice::UseReported { id: token.id },
            None => advice(candidates.as_deref()).into(),
        });
        let details = error.details_mut();
        details.maybe_applied = true;
        details.elapsed = started.elapsed();
        details.candidates = candidates;
        details.token = token;
        error.caused_by_response(cause)
    }

    /// Returns the owner's tokens that may be the lost one: same note, never used, and created since the call began by
    /// the portal's clock.
    async fn candidates(&self, client: &Client, admin_id: AdminId, started: Instant) -> Option<Vec<Token>> {
        const MAX_TIME: Duration = Duration::from_secs(10);
        const SLACK: Duration = Duration::from_secs(120);
        let list = newest_of_owner(client, admin_id, self.0.r#type);
        // The caller's timeout bounds this look with its retries: the create has taken as long already.
        let limit = client.identity().timeouts.total.min(MAX_TIME);
        let (tokens, date) = tokio::time::timeout(limit, list).await.ok()?.ok()?;
        let since = date
            .and_then(|date| date.checked_sub(started.elapsed() + SLACK))
            .and_then(|since| since.duration_since(SystemTime::UNIX_EPOCH).ok())
            .and_then(|since| i64::try_from(since.as_secs()).ok());
        let requested_note = ExpectedNote::Plain(self.0.note().unwrap_or_default());
        let is_candidate = |token: &Token| {
            let is_recent = match (token.created_on, since) {
                (Some(created_on), Some(since)) => created_on >= since,
                _ => true,
            };
            let has_note = requested_note.agrees(&token.whole_note().unwrap_or_default());
            let is_owned = token.admin_id == Some(admin_id.get());
            has_note && is_owned && is_recent && !token.was_used
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
        if self.armed && self.client.may_have_written() {
            self.client.report(Event::CreateInterrupted {
                admin_id: self.admin_id.get(),
                note: self.token.note().map(str::to_owned),
                sent_ms: self.sent_ms,
            });
        }
    }
}
