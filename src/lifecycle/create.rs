//! One create with a destination: at no time is there a token that works and whose secret nobody holds.
//!
//! The token is born disabled under a tagged note; its secret is delivered; only then one PATCH gives it its status and
//! its note. Whatever ends this in between leaves a token that is disabled, tagged, and swept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reconcile::{Found, clear, delete};
use crate::client::{Client, Policy};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Token, TokenStatus};
use crate::ports::{Destination, Event, SystemRandom};
use crate::tag::{RunId, Tag};
use crate::tokens::{AddToken, change};

/// How long after the POST the PATCH may still be sent; sweeping waits for much longer.
const LEASE: Duration = Duration::from_secs(600);

/// How often it is begun again at most.
const ROUNDS: u32 = 6;

/// Makes one token and delivers its secret before the token works.
#[derive(Clone)]
pub struct CreateToken {
    /// What is to be made.
    pub token: AddToken,
    /// Where its secret goes.
    pub destination: Arc<dyn Destination>,
    /// What the tags of several creates have in common.
    pub run: RunId,
}

/// How a create ended that did not fail.
pub(super) enum Created {
    /// The token has its status and note, and its secret is delivered.
    Token(Box<Token>),
    /// The secret was delivered, and then the portal had no such token: the secret is worth nothing.
    Gone(Error),
}

impl CreateToken {
    /// Fails where it can never be right, before anything is sent.
    pub fn check(&self) -> Result<()> {
        self.token.admin.check()?;
        Tag::check_note(self.token.note.as_deref())?;
        self.destination.check()
    }

    /// Makes it.
    pub async fn run(self, client: &Client) -> Result<Token> {
        self.check()?;
        let admin_id = self.token.admin.id(client).await?;
        match self.create(client, admin_id).await? {
            Created::Token(token) => Ok(*token),
            Created::Gone(error) => Err(error),
        }
    }

    pub(super) async fn create(&self, client: &Client, admin_id: i64) -> Result<Created> {
        let started = Instant::now();
        let mut round = 0;
        loop {
            round += 1;
            let tag = Tag::fresh(self.run, client.now_ms())?;
            let again = match self.round(client, admin_id, &tag).await {
                Ok(Round::Done(created)) => return Ok(created),
                Ok(Round::Again(cause)) => cause,
                Err(mut error) => {
                    error.details_mut().elapsed = started.elapsed();
                    return Err(error);
                }
            };
            if round >= ROUNDS {
                let mut error = Error::new(again.kind(), format!("given up after {round} rounds: {again}"))
                    .suggest("nothing that works was left behind; try again later");
                let details = error.details_mut();
                details.status = again.details().status;
                details.code = again.details().code;
                details.elapsed = started.elapsed();
                return Err(error.caused_by(again));
            }
            tokio::time::sleep(Policy::default().pause(round, &SystemRandom)).await;
        }
    }

    async fn round(&self, client: &Client, admin_id: i64, tag: &Tag) -> Result<Round> {
        let born = AddToken {
            note: Some(tag.note(self.token.note.as_deref())),
            status: TokenStatus::Disabled,
            ..self.token.clone()
        };
        let request = born.request(admin_id)?;
        let posted = Posted { at: Instant::now(), ms: client.now_ms() };
        let mut unfinished = Unfinished { client, admin_id, id: None, tag, delivered: false, armed: true };
        let outcome = client.send(&request).await;

        let made = match outcome {
            Ok(answer) => born.made(client, admin_id, &answer),
            Err(error) if error.details().maybe_applied => Err(Box::new((error, None))),
            Err(error) => {
                unfinished.armed = false;
                return Err(error);
            }
        };
        let mut token = match made {
            Ok(token) => token,
            Err(lost) => {
                let cleared = match lost.1 {
                    // An answer without a key: nobody will ever hold it.
                    Some(token) => delete(client, token).await.map(|()| Found::Cleared),
                    None => clear(client, admin_id, &self.token.r#type, tag).await,
                };
                unfinished.armed = false;
                return match cleared {
                    Ok(Found::Cleared | Found::Nothing) => Ok(Round::Again(lost.0)),
                    Ok(Found::NotVisible) => Err(unknown(admin_id, tag, lost.0, None)),
                    Err(look) => Err(unknown(admin_id, tag, lost.0, Some(&look))),
                };
            }
        };
        unfinished.id = Some(token.id);
        if token.status != Some(TokenStatus::Disabled) {
            // A portal that took no notice of the status: it must not work before its secret is delivered.
            let disabled =
                change(client, admin_id, token.id, None, Some(TokenStatus::Disabled), &token.r#type).await;
            if let Err(error) = disabled {
                unfinished.armed = false;
                return Err(give_up(client, token, error).await.0);
            }
        }
        token.status = Some(self.token.status);
        token.note = self.token.note.clone();

        if let Err(error) = self.destination.deliver(&token, tag).await {
            unfinished.armed = false;
            return Err(give_up(client, token, error).await.0);
        }
        unfinished.delivered = true;
        if posted.age(client) >= LEASE {
            let late =
                Error::new(ErrorKind::Delivery, "the delivery took so long that the token may be swept");
            unfinished.armed = false;
            delete(client, token.clone()).await?;
            let _ = self.destination.discard(&token, tag).await;
            return Ok(Round::Again(late));
        }
        let finished = self.finish(client, &token, tag).await;
        unfinished.armed = false;
        finished.map(Round::Done)
    }

    /// The one PATCH, repeated while it is unknown whether it was carried out, and the destination told.
    async fn finish(&self, client: &Client, token: &Token, tag: &Tag) -> Result<Created> {
        let admin_id = token.admin_id.unwrap_or_default();
        let note = self.token.note.as_deref().unwrap_or_default();
        let mut round = 0;
        let mut may_work = false;
        let error = loop {
            round += 1;
            let outcome =
                change(client, admin_id, token.id, Some(note), Some(self.token.status), &token.r#type).await;
            let error = match outcome {
                Ok(changed) if changed.status.is_none_or(|status| status == self.token.status) => {
                    let done = with_what_is_new(token, changed);
                    if let Err(error) = self.destination.commit(&done, tag).await {
                        return Err(self.not_committed(&done, error));
                    }
                    return Ok(Created::Token(Box::new(done)));
                }
                Ok(_) => {
                    let mut error =
                        Error::new(ErrorKind::Response, "the portal answered the change with the old status");
                    error.details_mut().maybe_applied = true;
                    error
                }
                Err(error) => error,
            };
            if error.kind() == ErrorKind::NotFound {
                let _ = self.destination.discard(token, tag).await;
                let message = format!(
                    "token {} was deleted by someone while it was being made: the key that was delivered to {} is worth \
                     nothing",
                    token.id,
                    self.destination.describe()
                );
                return Ok(Created::Gone(Error::new(ErrorKind::NotFound, message).caused_by(error)));
            }
            may_work |= error.details().maybe_applied;
            let is_refused = !error.details().maybe_applied && !is_unreachable(&error);
            if is_refused && !may_work {
                return Err(self.take_back(client, token, tag, error).await);
            }
            if is_refused || round >= ROUNDS {
                break error;
            }
            tokio::time::sleep(Policy::default().pause(round, &SystemRandom)).await;
        };
        Err(self.unconfirmed(token, error))
    }

    /// The token works and its secret is delivered; only its destination did not get to the end.
    fn not_committed(&self, token: &Token, cause: Error) -> Error {
        let mut error = Error::new(
            ErrorKind::Delivery,
            format!(
                "token {} works, and its key was delivered to {}, but: {cause}",
                token.id,
                self.destination.describe()
            ),
        );
        let details = error.details_mut();
        details.maybe_applied = true;
        details.suggestion.clone_from(&cause.details().suggestion);
        details.candidates = Some(vec![without_key(token)]);
        error.caused_by(cause)
    }

    /// The secret is delivered, and whether the token works is not known. Nothing is deleted: it may work.
    fn unconfirmed(&self, token: &Token, cause: Error) -> Error {
        let mut error = Error::new(
            ErrorKind::OutcomeUnknown,
            format!(
                "token {} was made and its key delivered to {}; whether it got its status and note is not known: {cause}",
                token.id,
                self.destination.describe()
            ),
        )
        .suggest(format!(
            "finish it with lmtokens.update_token({}, note={:?}, status={}), or delete the token and the key",
            token.id,
            self.token.note.as_deref().unwrap_or_default(),
            self.token.status.number()
        ));
        let details = error.details_mut();
        details.maybe_applied = true;
        details.candidates = Some(vec![without_key(token)]);
        error.because_of(cause)
    }

    /// Gives up a token whose key was delivered: the token goes first, so that no key ever goes before its token.
    async fn take_back(&self, client: &Client, token: &Token, tag: &Tag, cause: Error) -> Error {
        let (error, is_gone) = give_up(client, token.clone(), cause).await;
        if is_gone {
            let _ = self.destination.discard(token, tag).await;
        }
        error
    }
}

/// Deletes a token that will not be finished; where that fails too, the error says what is left.
async fn give_up(client: &Client, token: Token, mut cause: Error) -> (Error, bool) {
    let id = token.id;
    let deleted = delete(client, token).await;
    let is_gone = deleted.is_ok();
    match deleted {
        Ok(()) => {
            let hint = format!("token {id}, which was not finished, has been deleted");
            let details = cause.details_mut();
            details.suggestion = Some(match details.suggestion.take() {
                Some(suggestion) => format!("{suggestion}; {hint}"),
                None => hint,
            });
        }
        Err(deletion) => {
            cause.details_mut().suggestion = Some(format!(
                "token {id} is left behind, disabled, and deleting it failed ({deletion}); delete it, or call \
                     sweep_tokens (lmtokens sweep) in an hour"
            ));
        }
    }
    (cause, is_gone)
}

enum Round {
    Done(Created),
    /// Nothing that works is left of it.
    Again(Error),
}

/// When the POST was sent, by both clocks: either may stand still, while a machine sleeps or is being set right.
struct Posted {
    at: Instant,
    ms: u64,
}

impl Posted {
    fn age(&self, client: &Client) -> Duration {
        self.at.elapsed().max(Duration::from_millis(client.now_ms().saturating_sub(self.ms)))
    }
}

fn is_unreachable(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Connect | ErrorKind::Transport | ErrorKind::RequestTimeout | ErrorKind::Tls
    )
}

/// The token as made, with what the answer to the change says of it.
fn with_what_is_new(token: &Token, changed: Token) -> Token {
    Token {
        note: changed.note,
        status: changed.status.or(token.status),
        last_used_on: changed.last_used_on,
        ..token.clone()
    }
}

fn without_key(token: &Token) -> Token {
    Token { access_key: None, ..token.clone() }
}

/// The answer to the POST was lost, and the portal could not be asked what became of it.
fn unknown(admin_id: i64, tag: &Tag, cause: Error, look: Option<&Error>) -> Error {
    let why = match look {
        Some(look) => format!("and the look at the portal failed: {look}"),
        None => "and these credentials have not been shown a token that they made, so that an empty list is no evidence"
            .to_owned(),
    };
    let mut error = Error::new(
        ErrorKind::OutcomeUnknown,
        format!("a disabled token for user {admin_id} may have been made: {cause}; {why}"),
    )
    .suggest(format!(
        "it can do no harm: it is disabled, and its note begins with {tag}; sweep_tokens (lmtokens sweep) deletes it when it \
         is an hour old"
    ));
    let details = error.details_mut();
    details.maybe_applied = true;
    details.candidates = look.is_none().then(Vec::new);
    error.because_of(cause)
}

/// Tells what is left when the create is dropped while it is under way.
struct Unfinished<'a> {
    client: &'a Client,
    admin_id: i64,
    id: Option<i64>,
    tag: &'a Tag,
    delivered: bool,
    armed: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.client.emit(Event::LeftUnfinished {
                admin_id: self.admin_id,
                id: self.id,
                tag: self.tag.to_string(),
                delivered: self.delivered,
            });
        }
    }
}
