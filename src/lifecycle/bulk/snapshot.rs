//! The portal's tokens at the start of a resumed run. The journal says what the run did; the portal decides.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::AdminId;
use crate::lifecycle::journal::{Journal, Journaled, RowKey, States};
use crate::lifecycle::reconcile::{MAX_SKEW, is_near, prove_visibility};
use crate::lifecycle::rounds::Rounds;
use crate::model::{Token, TokenType};
use crate::tag::{RunId, Tag};
use crate::tokens::{ExpectedNote, ListTokens};

/// How far back a run without its journal looks for the tokens of an earlier one.
const LOST_JOURNAL_SECONDS: i64 = 3600;

pub(super) struct Snapshot {
    tokens: HashMap<i64, Token>,
    /// The ids in the journal, and how many lines name each.
    journaled: HashMap<i64, u32>,
    run: RunId,
    /// When the run began, by the local clock; `None` if its journal is new.
    begun: Option<i64>,
    /// From when on a token can be one that the journal has lost, by the portal's clock.
    lost_since: i64,
    /// Whether these credentials see the tokens that they create, once a row needs to know.
    sees_own: OnceCell<bool>,
}

/// Where a token of the journal is at the portal.
pub(super) enum Place<'a> {
    Visible(&'a Token),
    /// The portal does not show it: it is deleted, or these credentials cannot see it.
    NotVisible,
}

/// Lists all tokens of both types. A page is requested again after a passing failure: without the list, no row starts.
async fn list(client: &Client) -> Result<Vec<Token>> {
    let mut listing = ListTokens::default().start();
    let mut rounds = Rounds::at_most(5);
    let mut tokens = Vec::new();
    loop {
        match listing.next_page(client).await {
            Ok(Some(page)) => tokens.extend(page),
            Ok(None) => return Ok(tokens),
            Err(error) => {
                let may_pass = matches!(
                    error.kind(),
                    ErrorKind::Response
                        | ErrorKind::Server
                        | ErrorKind::Transport
                        | ErrorKind::RequestTimeout
                );
                if !(may_pass && rounds.next_after_pause(client).await) {
                    return Err(error);
                }
            }
        }
    }
}

impl Snapshot {
    /// Lists the portal's tokens of both types.
    pub(super) async fn take(client: &Client, journal: &Journal, states: &States) -> Result<Self> {
        let call = client.start_call(Duration::ZERO);
        let tokens = call.complete(list(&call.client).await)?;
        let seconds = |ms: u64| i64::try_from(ms / 1000).unwrap_or_default();
        let local_now = seconds(client.now_ms());
        let portal_now = seconds(client.portal_now_ms());
        let mut journaled = HashMap::new();
        for token in states.tokens() {
            *journaled.entry(token.journaled.id).or_default() += 1;
        }
        let lost_since = match journal.begun {
            // `Date` has whole seconds, and may be one behind.
            Some(begun) => begun + (portal_now - local_now) - 2,
            None => portal_now - LOST_JOURNAL_SECONDS,
        };
        let tokens: HashMap<i64, Token> = tokens.into_iter().map(|token| (token.id, token)).collect();
        for token in states.tokens().map(|token| &token.journaled) {
            if tokens.get(&token.id).is_some_and(|found| token.difference(found).is_none()) {
                client.visibility().record_created(token.id);
                client.visibility().record_listed([token.id]);
            }
        }
        Ok(Self {
            tokens,
            journaled,
            run: journal.run,
            begun: journal.begun,
            lost_since,
            sees_own: OnceCell::new(),
        })
    }

    /// Returns whether a token that the portal does not show is deleted. One probe decides for the run.
    pub(super) async fn sees_own(&self, client: &Client, admin_id: AdminId) -> Result<bool> {
        self.sees_own.get_or_try_init(|| prove_visibility(client, admin_id, self.run)).await.copied()
    }

    /// Returns the portal's token for one in the journal. Fails if the journal contradicts itself or the portal: then
    /// nothing that it says about the row is believed.
    pub(super) fn find(&self, row: &RowKey, admin_id: AdminId, token: &Journaled) -> Result<Place<'_>> {
        let id = token.id;
        let contradiction = |problem: &str| {
            Error::new(
                ErrorKind::OutcomeUnknown,
                format!("the journal names token {id} for this row, but {problem}; nothing was changed"),
            )
            .suggest(
                "the journal was damaged or changed by others: compare it with the user's tokens, and create the row in a \
                 new run if it has none",
            )
        };
        if self.journaled.get(&id) != Some(&1) {
            return Err(contradiction("other lines name it too"));
        }
        if token.admin_id != admin_id.get() {
            return Err(contradiction("for another user"));
        }
        if token.r#type != row.type_word() {
            return Err(contradiction("with another type"));
        }
        let tag = Tag::parse(&token.tag).filter(|(tag, note)| tag.run == self.run && note.is_none());
        let Some((tag, _)) = tag else {
            return Err(contradiction("with the tag of another run"));
        };
        let Some(found) = self.tokens.get(&id) else { return Ok(Place::NotVisible) };
        if let Some(member) = token.difference(found) {
            return Err(contradiction(&format!("the {member} of this token at the portal is another")));
        }
        if let Some(created_on) = found.created_on
            && !(is_near(created_on, tag.seconds)
                && self
                    .begun
                    .is_none_or(|begun| created_on.saturating_add_unsigned(MAX_SKEW.as_secs()) >= begun))
        {
            return Err(contradiction("this token was not created at the time of the run"));
        }
        Ok(Place::Visible(found))
    }

    /// Fails if a token that is not in the journal looks like one of this row. The end of the journal may be lost, or
    /// another run may be creating the same tokens.
    pub(super) fn check_unclaimed(&self, row: &RowKey, admin_id: AdminId) -> Result<()> {
        let note = ExpectedNote::Plain(row.note().unwrap_or_default());
        let looks_alike = |token: &&Token| {
            let is_recent = token.created_on.is_none_or(|created_on| created_on >= self.lost_since);
            let shown = token.note.as_deref().unwrap_or_default();
            let has_note = match Tag::parse(shown) {
                Some((tag, last)) => tag.run != self.run && note.agrees(last.unwrap_or_default()),
                None => {
                    note.agrees(shown) && token.status.is_none_or(|status| status.number() == row.status())
                }
            };
            is_recent
                && has_note
                && token.admin_id.is_none_or(|owner| owner == admin_id.get())
                && token.r#type.agrees(&TokenType::from_word(row.type_word()))
                && !self.journaled.contains_key(&token.id)
        };
        let Some(found) = self.tokens.values().find(looks_alike) else { return Ok(()) };
        let mut error = Error::new(
            ErrorKind::OutcomeUnknown,
            format!(
                "token {} has the user, type and note of this row and is not in the journal: its line may be lost, or \
                 another run is creating the same tokens; nothing was changed",
                found.id
            ),
        )
        .suggest(
            "if it is the token of this row, delete it (its key is not in this journal) and resume; otherwise create the row \
             in a new run that does not resume",
        );
        error.details_mut().candidates = Some(vec![found.without_secret()]);
        Err(error)
    }
}
