//! Disabling or deleting the tokens that an audit found.

use super::Finding;
use super::rules::{View, is_disabled};
use crate::client::{Client, Moment};
use crate::error::{Error, Result};
use crate::ids::{AdminId, Status, TokenId};
use crate::lifecycle::reconcile::{MAX_READ_AGE, delete_read, left_pending};
use crate::model::Token;
use crate::tokens::{FindToken, change, is_same_token, is_self};

/// What to do with the tokens that an audit finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Disable them.
    Disable,
    /// Delete those that are disabled.
    Delete,
}

/// Notes in each finding why the action would keep its token.
pub(super) fn preview(client: &Client, action: Action, findings: &mut [Finding]) {
    for finding in findings {
        finding.kept = keeps(client, action, &finding.token);
    }
}

/// Carries out the action on each finding, and notes in it what was done. If the portal rejects the credentials, the rest
/// is left as it is.
pub(super) async fn act(client: &Client, action: Action, view: &View<'_>, findings: &mut [Finding]) {
    for finding in findings {
        let part = client.start_part();
        match part.complete(act_on(&part.client, action, view, &finding.token).await) {
            Ok(None) => finding.done = true,
            Ok(kept) => finding.kept = kept,
            Err(error) => {
                let is_rejected = error.is_credential_rejection();
                finding.error = Some(error);
                if is_rejected {
                    // Repeated authentication failures lock a token.
                    break;
                }
            }
        }
    }
}

/// Reads a token again and changes it if it is still found. Returns why it was kept.
async fn act_on(
    client: &Client,
    action: Action,
    view: &View<'_>,
    listed: &Token,
) -> Result<Option<&'static str>> {
    if let Some(kept) = keeps(client, action, listed) {
        return Ok(Some(kept));
    }
    let read = Moment::at(client.now_ms());
    let id = TokenId::new(listed.id).map_err(Error::of_portal)?;
    let Some(token) = FindToken::Id(id).optional(client).await? else {
        return Ok(Some("it does not exist any more"));
    };
    if !is_same_token(&token, listed) {
        return Ok(Some("it is another token now"));
    }
    if let Some(kept) = keeps(client, action, &token) {
        return Ok(Some(kept));
    }
    if view.reasons(&token).is_empty() {
        return Ok(Some("it has changed, and is not found any more"));
    }
    match action {
        Action::Delete => delete_read(client, read, token).await?,
        Action::Disable => {
            let admin_id = AdminId::new(token.admin_id.unwrap_or_default()).map_err(Error::of_portal)?;
            let client = client.for_lease(read, MAX_READ_AGE, "reading the token");
            change(&client, admin_id, &token, None, Some(Status::Disabled)).await?;
        }
    }
    Ok(None)
}

/// Returns why a token is kept, by its members alone.
fn keeps(client: &Client, action: Action, token: &Token) -> Option<&'static str> {
    match (is_self(client, token), action, is_disabled(token)) {
        (Some(true), ..) => Some("it signs these calls"),
        (None, ..) => Some("it may sign these calls, which the portal does not show"),
        (_, Action::Disable, true) => Some("it is disabled already"),
        (_, Action::Disable, false) => None,
        (_, Action::Delete, false) => Some("it is enabled, and only disabled tokens are deleted"),
        (_, Action::Delete, true) => match left_pending(token) {
            Some(left) if left.note_problem.is_none() => {
                Some("it is pending, and only a sweep deletes pending tokens")
            }
            Some(_) => Some("it is pending, and its note may have been changed; delete it yourself"),
            None => token
                .replaced_by()
                .map(|_| "a rotation replaced it; lmtokens rotate --finish deletes it, lmtokens rotate --cancel enables it"),
        },
    }
}
