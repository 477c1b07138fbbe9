//! Sweep: deleting pending tokens that interrupted creates left behind, expired tokens and tokens of rotations that were
//! given up, and finishing rotations.

use std::collections::HashSet;
use std::str::FromStr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::json;

use super::reconcile::{LeftPending, MAX_SKEW, delete_listed, left_pending};
use super::rotation::{ListedRotations, QUARANTINE, Rotation, RotationState, finish_rotation};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::TokenId;
use crate::model::{Token, TokenStatus, TokenType, iso_8601};
use crate::operation::Operation;
use crate::tag::Tag;
use crate::token_output::{Member, Members};
use crate::tokens::{FindToken, ListTokens};

/// The minimum age of an orphan: no create or rotation is in progress for so long.
pub(super) const AGE: Duration = Duration::from_secs(3600);

/// Why a sweep deletes a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SweepReason {
    /// An interrupted create left it pending.
    Orphan,
    /// Its expiry, in the marker of its note, is over.
    Expired,
    /// The next step of its rotation is due.
    Rotation,
    /// It was to replace another token, but that rotation was cancelled, or another token replaces that one.
    Abandoned,
}

impl SweepReason {
    /// All reasons.
    pub(crate) const ALL: [Self; 4] = [Self::Orphan, Self::Expired, Self::Rotation, Self::Abandoned];

    /// Returns the word for it.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Orphan => "orphan",
            Self::Expired => "expired",
            Self::Rotation => "rotation",
            Self::Abandoned => "abandoned",
        }
    }

    /// Returns the word for all tokens with it.
    #[must_use]
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Orphan => "orphans",
            Self::Expired => "expired",
            Self::Rotation => "rotations",
            Self::Abandoned => "abandoned",
        }
    }
}

impl FromStr for SweepReason {
    type Err = Error;

    /// Reads the word for all tokens with a reason.
    fn from_str(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|reason| reason.plural() == word).ok_or_else(|| {
            let words = Self::ALL.map(|reason| format!("{:?}", reason.plural()));
            Error::invalid("only", format_args!("{word:?}"), words.join(", "))
        })
    }
}

/// Finds orphans, expired tokens and rotations that are due, and does what is due.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SweepTokens {
    /// Whether to do what is due, or only to report it.
    pub delete: bool,
    /// The only tokens to find; `None` for all.
    pub only: Option<SweepReason>,
}

/// A token that is due, or an orphan that is kept because somebody changed its note.
#[derive(Debug)]
pub(crate) struct Swept {
    /// The token.
    pub token: Token,
    /// Why it was found.
    pub reason: SweepReason,
    /// Whether it is deleted.
    pub deleted: bool,
    /// Why it is kept.
    pub kept: Option<&'static str>,
    /// The state of the rotation of the token.
    pub rotation: Option<RotationState>,
    /// Why what is due could not be done.
    pub error: Option<Error>,
}

impl Swept {
    /// Returns a token that a sweep at this time finds; `None` for any other token.
    fn found(token: &Token, now: Duration) -> Option<Self> {
        let (reason, kept) = match left_long_ago(token, now) {
            Some(left) => (SweepReason::Orphan, left.note_problem),
            None if token.is_expired(now) => (SweepReason::Expired, None),
            None if was_abandoned_long_ago(token, now) => (SweepReason::Abandoned, None),
            None => return None,
        };
        Some(Self { token: token.clone(), reason, deleted: false, kept, rotation: None, error: None })
    }

    /// Keeps a bearer token that is to replace one that is gone: the portal deleted that one when it created this one.
    fn keep_if_last(&mut self, ids: &HashSet<i64>) {
        let tag = self.token.note.as_deref().and_then(Tag::parse).map(|(tag, _)| tag);
        let replaces = tag.and_then(|tag| tag.replaces).filter(|_| self.reason == SweepReason::Orphan);
        let is_last = replaces.is_some_and(|old| !ids.contains(&old.get()));
        if is_last && self.token.r#type == TokenType::Bearer && self.kept.is_none() {
            self.kept = Some("the token that it replaces is gone; rotate it again");
        }
    }

    /// Its members for output, in order.
    pub(crate) const MEMBERS: [Member<Self>; 12] = [
        ("id", |swept| json!(swept.token.id)),
        ("type", |swept| json!(swept.token.r#type.as_str())),
        ("access_id", |swept| json!(swept.token.access_id)),
        ("admin_id", |swept| json!(swept.token.admin_id)),
        ("admin_name", |swept| json!(swept.token.admin_name)),
        ("created_on", |swept| json!(swept.token.created_on.map(iso_8601))),
        ("note", |swept| json!(swept.token.note)),
        ("expires_on", |swept| json!(swept.token.expires_on().map(iso_8601))),
        ("reason", |swept| json!(swept.reason.as_str())),
        ("deleted", |swept| json!(swept.deleted)),
        ("kept", |swept| json!(swept.kept)),
        ("rotation", |swept| json!(swept.rotation.map(RotationState::as_str))),
    ];

    /// Returns its members for output.
    pub(crate) fn members(&self) -> Members {
        Members::of(&Self::MEMBERS, self)
    }

    /// Returns whether the credentials were rejected.
    fn is_rejected(&self) -> bool {
        self.error.as_ref().is_some_and(Error::is_credential_rejection)
    }
}

impl Operation for SweepTokens {
    type Output = Vec<Swept>;

    /// Examines every token of both types. Each token that is due is read again before its DELETE. If the portal rejects
    /// the credentials, the rest is not deleted.
    async fn run(self, client: &Client) -> Result<Vec<Swept>> {
        let mut listing = ListTokens::default().start();
        let mut swept = Vec::new();
        let mut clock = SweepClock::start();
        let mut rotations = ListedRotations::default();
        let mut ids = HashSet::new();
        while let Some(page) = listing.next_page(client).await? {
            let now = clock.now(client)?;
            let found = page.iter().filter_map(|token| Swept::found(token, now));
            swept.extend(found.filter(|found| self.only.is_none_or(|only| found.reason == only)));
            for token in &page {
                rotations.add(token, now);
                ids.insert(token.id);
            }
        }
        if self.only.is_some_and(|only| only != SweepReason::Rotation) {
            rotations = ListedRotations::default();
        }
        for each in &mut swept {
            each.keep_if_last(&ids);
        }
        let mut is_rejected = false;
        if self.delete {
            let mut found = std::mem::take(&mut swept).into_iter();
            for each in found.by_ref() {
                if each.kept.is_some() {
                    swept.push(each);
                    continue;
                }
                swept.extend(delete(client, each, &mut clock).await);
                is_rejected = swept.last().is_some_and(Swept::is_rejected);
                if is_rejected {
                    break;
                }
            }
            swept.extend(found);
        }
        if !rotations.is_empty() && !is_rejected {
            let now = i64::try_from(clock.now(client)?.as_secs()).unwrap_or(i64::MAX);
            for old in rotations.old_tokens(Some(now)) {
                swept.push(sweep_rotation(client, old, self.delete).await);
                if swept.last().is_some_and(Swept::is_rejected) {
                    break;
                }
            }
        }
        Ok(swept)
    }
}

/// Deletes a token that is due. Returns `None` if it was deleted or changed otherwise since the list was read.
async fn delete(client: &Client, found: Swept, clock: &mut SweepClock) -> Option<Swept> {
    let mut kept = None;
    let is_due = |now: &Token| {
        let again = Swept::found(now, clock.now(client)?).filter(|again| again.reason == found.reason);
        let Some(again) = again else { return Ok(false) };
        // The user's part of a note says nothing about an expiry.
        let is_unchanged = found.reason == SweepReason::Expired || now.note == found.token.note;
        kept = Some(again).filter(|again| again.kept.is_some());
        Ok(is_unchanged && kept.is_none())
    };
    let part = client.start_part();
    let deleted = delete_listed(&part.client, &found.token, is_due).await;
    match part.complete(deleted) {
        Ok(true) => Some(Swept { deleted: true, ..found }),
        Ok(false) => kept,
        Err(error) => Some(Swept { error: Some(error), ..found }),
    }
}

/// Does what is due for the rotation of a token, or reads the token.
async fn sweep_rotation(client: &Client, old: Token, acts: bool) -> Swept {
    let part = client.start_part();
    let (reason, error) = (SweepReason::Rotation, None);
    let mut swept = Swept { token: old, reason, deleted: false, kept: None, rotation: None, error };
    let rotation = if acts {
        finish_rotation(&part.client, &swept.token).await.map(Some)
    } else {
        read(&part.client, &swept.token).await.map(|found| {
            swept.token = found.unwrap_or_else(|| swept.token.clone());
            None
        })
    };
    match part.complete(rotation) {
        Ok(Some(Rotation { old, state, deleted_old, .. })) => {
            swept.token = old;
            match state {
                Ok(state) => {
                    swept.deleted = deleted_old;
                    swept.kept =
                        matches!(state, RotationState::InUse { .. }).then_some("programs still use it");
                    swept.rotation = Some(state);
                }
                Err(error) => swept.error = Some(error),
            }
        }
        Ok(None) => {}
        Err(error) => swept.error = Some(error),
    }
    swept
}

async fn read(client: &Client, token: &Token) -> Result<Option<Token>> {
    FindToken::Id(TokenId::new(token.id)?).optional(client).await
}

/// The time during one sweep, by the earliest of all readings: a token of a create that is in progress must not look
/// old because a clock jumps forward or a proxy sends a wrong `Date`.
struct SweepClock {
    started: Instant,
    /// The time at `started`, since 1970-01-01 UTC.
    earliest: Duration,
}

impl SweepClock {
    fn start() -> Self {
        Self { started: Instant::now(), earliest: Duration::MAX }
    }

    fn now(&mut self, client: &Client) -> Result<Duration> {
        let now = agreed_time(client)?;
        let elapsed = self.started.elapsed();
        self.earliest = self.earliest.min(now.saturating_sub(elapsed));
        Ok(self.earliest.saturating_add(elapsed))
    }
}

/// Returns the portal's time since 1970-01-01 UTC.
pub(super) fn portal_time(client: &Client) -> Result<Duration> {
    client.portal_time().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).ok_or_else(|| {
        Error::new(
            ErrorKind::Response,
            "the portal sends no Date header, and the local clock is not reliable enough to tell how old tokens are",
        )
    })
}

/// Returns the earlier time of the portal's clock and the local one, for changes that rely on it. It is an error if they
/// differ too much, except on loopback: a sandbox can move its clock.
pub(super) fn agreed_time(client: &Client) -> Result<Duration> {
    let portal = portal_time(client)?;
    if client.identity().portal.is_loopback() {
        return Ok(portal);
    }
    let local = Duration::from_millis(client.now_ms());
    if portal.abs_diff(local) > MAX_SKEW {
        return Err(clocks_differ(portal, local));
    }
    Ok(portal.min(local))
}

fn clocks_differ(portal: Duration, local: Duration) -> Error {
    let shown = |time: Duration| iso_8601(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    let message = format!(
        "cannot tell how old tokens are: the portal's clock shows {}, this machine's {}; expected a difference of at most \
         an hour",
        shown(portal),
        shown(local)
    );
    Error::new(ErrorKind::Response, message)
        .suggest("set this machine's clock; if it is right, the portal or a proxy sends a wrong Date header")
}

/// Returns whether a token was to replace another one, is disabled, and was cancelled or superseded long ago.
fn was_abandoned_long_ago(token: &Token, now: Duration) -> bool {
    let Some(marker) = token.marker.filter(|marker| marker.replaces.is_some()) else { return false };
    let since = marker.cancelled.or(marker.superseded).and_then(|since| u64::try_from(since).ok());
    token.status == Some(TokenStatus::Disabled)
        && since.is_some_and(|since| now.saturating_sub(Duration::from_secs(since)) > QUARANTINE)
}

/// Returns what a create left pending long enough ago that it is not in progress any more.
pub(super) fn left_long_ago(token: &Token, now: Duration) -> Option<LeftPending> {
    let left = left_pending(token)?;
    let created = u64::try_from(token.created_on?).ok()?;
    let begun = Duration::from_secs(created.max(left.tag.seconds));
    (now.saturating_sub(begun) > AGE).then_some(left)
}
