//! Finding out at the portal what became of an attempt whose response was lost.

use std::time::Duration;

use super::rounds::Rounds;
use super::two_phase::other_note;
use crate::client::{Client, Moment};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{AdminId, Status, TokenId, Type};
use crate::model::{Token, TokenStatus};
use crate::operation::Operation as _;
use crate::tag::{RunId, Tag};
use crate::tokens::{
    DeleteToken, ExpectedNote, FindToken, ListTokens, NewToken, ReportedToken, Target, Unusable, User,
    is_listed, is_same_token, is_self, refuse_self,
};

pub(super) use crate::tokens::MAX_READ_AGE;

/// What the portal shows of an attempt.
pub(super) enum Found {
    /// A token of the attempt was found and deleted.
    Cleared,
    /// No token of the attempt is visible. A request that is still in progress can only create a disabled, tagged one.
    Nothing,
    /// These credentials may not be able to view tokens, so that an empty list proves nothing.
    NotVisible,
}

/// Returns all tokens of a user, of one type.
pub(super) async fn tokens_of(client: &Client, admin_id: AdminId, r#type: Type) -> Result<Vec<Token>> {
    let list = ListTokens { admin: Some(User::Id(admin_id)), r#type: Some(r#type), ..ListTokens::default() };
    list.collect(client).await
}

/// Deletes the token of one attempt, whose final note is `last`, if it exists. The tag is compared here and not by the
/// portal's filter: an escaping mistake there would read as "not found". A token whose note somebody has changed is kept,
/// and is an error. `reported` is the token that the response named, under another note: the portal may have cut it.
pub(super) async fn clear(
    client: &Client,
    admin_id: AdminId,
    r#type: Type,
    tag: &Tag,
    last: Option<&str>,
    reported: Option<&Token>,
) -> Result<Found> {
    let sent = tag.note(last);
    let is_cut = |token: &Token| {
        let note = token.note.as_deref().unwrap_or_default();
        let is_reported = reported.is_some_and(|reported| is_same_token(token, reported));
        let is_unused = token.status == Some(TokenStatus::Disabled) && !token.was_used;
        tag.is_cut_to(note) || is_reported && is_unused && !note.is_empty() && sent.starts_with(note)
    };
    let is_of_attempt = |token: &Token| {
        let has_tag = token.note.as_deref().is_some_and(|note| ExpectedNote::Tagged(tag).agrees(note));
        (has_tag || is_cut(token)) && token.admin_id == Some(admin_id.get())
    };
    let mut found = Found::Nothing;
    for token in tokens_of(client, admin_id, r#type).await?.into_iter().filter(is_of_attempt) {
        // This proves that these credentials see the tokens that they create.
        client.visibility().record_created(token.id);
        client.visibility().record_listed([token.id]);
        let shown = token.note.as_deref().and_then(Tag::parse).and_then(|(_, shown)| shown);
        // The token is seconds old, so that a shorter note is one that the portal has cut.
        if !is_cut(&token) && !ExpectedNote::Plain(last.unwrap_or_default()).agrees(shown.unwrap_or_default())
        {
            return Err(Error::new(
                ErrorKind::OutcomeUnknown,
                format!("token {} is kept, because its note was changed after its create", token.id),
            ));
        }
        delete(client, token).await?;
        found = Found::Cleared;
    }
    if matches!(found, Found::Nothing) && !sees_own(client).await? {
        return Ok(Found::NotVisible);
    }
    Ok(found)
}

/// Returns whether an empty list proves anything: credentials that can create but not view get one too.
async fn sees_own(client: &Client) -> Result<bool> {
    if !client.visibility().sees_own()
        && let Some(id) = client.visibility().last_created()
        && let Ok(id) = TokenId::new(id)
    {
        // The list records what it shows.
        FindToken::Id(id).optional(client).await?;
    }
    Ok(client.visibility().sees_own())
}

/// Returns whether these credentials see the tokens that they create, so that a list without a token proves that it does
/// not exist. If no list has shown one yet, a disabled probe decides.
pub(super) async fn prove_visibility(client: &Client, admin_id: AdminId, run: RunId) -> Result<bool> {
    if !client.visibility().sees_own() {
        tokens_of(client, admin_id, PROBE_TYPE).await?;
    }
    Ok(client.visibility().sees_own() || is_probe_listed(client, admin_id, run).await?)
}

/// Returns whether a token does not exist although it may have existed a moment ago: lists may lag, so that only one that
/// shows a newer token, a disabled probe, proves it.
pub(super) async fn prove_absent(
    client: &Client,
    admin_id: AdminId,
    id: TokenId,
    run: RunId,
) -> Result<bool> {
    Ok(is_probe_listed(client, admin_id, run).await? && FindToken::Id(id).optional(client).await?.is_none())
}

/// The portal may replace a user's bearer token by the next, so that a probe is never one.
const PROBE_TYPE: Type = Type::Lmv1;

/// Creates a disabled probe, reads a list, and deletes the probe. Returns whether the list showed it.
async fn is_probe_listed(client: &Client, admin_id: AdminId, run: RunId) -> Result<bool> {
    let tag = Tag::fresh(run, client.portal_now_ms(), None, None)?;
    let probe = NewToken {
        admin: User::Id(admin_id),
        note: None,
        status: Status::Disabled,
        r#type: PROBE_TYPE,
        expires: None,
    };
    let request = probe.request_with(admin_id, Some(&tag.note(None)), Status::Disabled)?;
    let created = match client.for_pending_create().send(&request).await {
        Ok(response) => probe.created(client, admin_id, ExpectedNote::Tagged(&tag), &response),
        Err(error) => Err(error.into()),
    };
    let token = match created {
        Ok(token) => token,
        Err(Unusable { token: ReportedToken::WithoutSecret(token), .. }) => *token,
        Err(Unusable { error, token }) => {
            if error.details().maybe_applied {
                let reported = token.with_other_note();
                match (clear(client, admin_id, PROBE_TYPE, &tag, None, reported).await, reported) {
                    (Ok(Found::Cleared), _) | (Ok(_), None) => {}
                    (_, Some(reported)) => return Err(other_note(reported, error)),
                    (Err(lookup_error), None) => return Err(lookup_error),
                }
            }
            return Err(error);
        }
    };
    let listed = tokens_of(client, admin_id, PROBE_TYPE).await;
    let is_listed = listed.map(|listed| listed.iter().any(|found| found.id == token.id));
    delete(client, token).await?;
    is_listed
}

/// The largest difference between two clocks that should agree, such as this machine's and the portal's.
pub(super) const MAX_SKEW: Duration = Duration::from_secs(3600);

/// A token that a create left pending.
pub(super) struct LeftPending {
    pub(super) tag: Tag,
    /// Why its note is not known to be the one that its create wrote. Such a token is kept: an administrator keeps a
    /// token by adding to its note.
    pub(super) note_problem: Option<&'static str>,
}

/// Returns what a create left pending: a disabled token that was never used, with a tag of the time of its creation.
/// `None` for any other token.
pub(super) fn left_pending(token: &Token) -> Option<LeftPending> {
    let (tag, rest) = token.note.as_deref().and_then(Tag::parse)?;
    let is_pending = token.status == Some(TokenStatus::Disabled)
        && !token.was_used
        && token.created_on.is_none_or(|created_on| is_near(created_on, tag.seconds));
    is_pending.then(|| LeftPending { tag, note_problem: tag.note_problem(rest) })
}

/// Returns whether a tag and its token agree on the time.
pub(super) fn is_near(created_on: i64, tag_seconds: u64) -> bool {
    i64::try_from(tag_seconds).is_ok_and(|tag| created_on.abs_diff(tag) <= MAX_SKEW.as_secs())
}

/// Reads a listed token again, and deletes it if it is still due. Returns whether it is deleted.
pub(super) async fn delete_listed(
    client: &Client,
    listed: &Token,
    mut is_due: impl FnMut(&Token) -> Result<bool>,
) -> Result<bool> {
    loop {
        let read = Moment::at(client.now_ms());
        let Some(now) = FindToken::Id(TokenId::new(listed.id)?).optional(client).await? else {
            return Ok(false);
        };
        if !is_same_token(&now, listed) || !is_due(&now)? {
            return Ok(false);
        }
        match delete_read(client, read, now).await {
            // It waited for its rate limit.
            Err(error) if since_read(client, read).may_read_again(client, &error) => {}
            outcome => return outcome.map(|()| true),
        }
    }
}

/// Deletes a token of another process as it was read at a moment, unless it may sign these calls.
pub(super) async fn delete_read(client: &Client, read: Moment, token: Token) -> Result<()> {
    let deleting = refuse_self(client, &token, "deleting")?;
    // The deletion may wait for its rate limit, and the token be enabled meanwhile.
    delete(&since_read(&deleting, read), token).await
}

/// Returns a client for writes that rely on the reading of a token.
fn since_read(client: &Client, read: Moment) -> Client {
    client.for_lease(read, MAX_READ_AGE, "reading the token")
}

/// Deletes a token of this package. A token that no longer exists counts as deleted.
///
/// The caller has checked that it is such a token: the response that named it agreed with the request, or its note is the
/// one that its create wrote. The calling token is refused.
pub(super) async fn delete(client: &Client, token: Token) -> Result<()> {
    // Other credentials could be those of the token.
    let client = &client.with_fixed_credentials();
    if is_self(client, &token) == Some(true) {
        return Err(Error::new(
            ErrorKind::SelfLockout,
            format!("token {} signs this call and is not deleted", token.id),
        ));
    }
    let mut rounds = Rounds::at_most(4);
    loop {
        let delete = DeleteToken { target: Target::Token(Box::new(token.clone())), force: true };
        match delete.run(client).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return confirm_deleted(client, &token, error).await;
            }
            // The token may be deleted already: a second DELETE is harmless.
            Err(error) if error.details().maybe_applied && rounds.next_after_pause(client).await => {}
            outcome => return outcome.map(drop),
        }
    }
}

/// Fails if the portal still lists a token whose deletion was answered 404. A proxy can answer so too.
async fn confirm_deleted(client: &Client, token: &Token, cause: Error) -> Result<()> {
    if !is_listed(client, token).await? {
        return Ok(());
    }
    let message = format!("the deletion of token {} was answered 404, but the portal lists it", token.id);
    Err(Error::new(ErrorKind::Response, message).caused_by_response(cause))
}
