//! Creating the new token of a rotation, up to the mark that it replaces the old one.

use std::time::Instant;

use super::finish::{Ending, Finisher, replaced_by};
use super::guarded::{GuardedClient, LAG_CHECK, MAX_LAG, Step};
use super::successors::{Role, Successor, find_successors, old_of, stub};
use super::verify::{Verdict, credentials_of, verify_delivered};
use super::wait::await_mark;
use super::{RotateToken, Rotation, RotationState, cannot_rotate, changed_by_others, wrong_state};
use crate::advice::Advice;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ids::{AdminId, Note, Status, TokenId, Type};
use crate::lifecycle::add::checked;
use crate::lifecycle::reconcile::{delete, left_pending, prove_absent, prove_visibility};
use crate::lifecycle::rounds::Rounds;
use crate::lifecycle::sweep::agreed_time;
use crate::lifecycle::two_phase::{Created, Pending, TwoPhase};
use crate::marker::Marker;
use crate::model::{Token, TokenStatus, TokenType, iso_8601};
use crate::note::normalized;
use crate::secret::Secret;
use crate::tag::{RunId, Tag};
use crate::times::Expiry;
use crate::tokens::{FindToken, ListTokens, NewToken, Target, User, is_self, refuse_self};

/// A rotation in progress.
#[derive(Clone)]
pub(super) struct Rotator<'a> {
    pub(super) settings: &'a RotateToken,
    pub(super) portal: GuardedClient,
    /// The token to replace, as it was first read.
    pub(super) old: Token,
    pub(super) old_id: TokenId,
    owner: AdminId,
    new: NewToken,
    pub(super) run: RunId,
}

/// What follows after a step.
pub(super) enum Next {
    /// Look again at what the portal has; after an attempt that failed and left no token, with its error.
    Again(Option<Error>),
    /// A token is marked as the one that replaces the old one. The client, if any, is for further requests: it withholds
    /// the new secret, and has the new credentials if it called with the old ones.
    Finish(Option<Client>),
}

/// A new token whose secret is delivered and that is enabled.
pub(super) struct Enabled {
    /// The token as it will be.
    pub(super) token: Token,
    pub(super) tag: Tag,
    /// Its secret, if the destination cannot give it back.
    pub(super) secret: Option<Secret>,
    /// Whether another process created it. Its consumers may use it.
    pub(super) is_continued: bool,
}

/// What a read shows of the old token.
enum Old {
    Enabled(Box<Token>),
    /// It was marked as replaced when it was disabled.
    Replaced,
    Deleted,
}

/// The end of one attempt to create the new token.
enum Attempt {
    Enabled(Box<Enabled>),
    /// No enabled token is left of it, because of an error, or because another process was first or its lease is over.
    Nothing(Option<Error>),
}

const MAX_ROUNDS: u32 = 6;

/// Rotates a token, as [`RotateToken::rotate`].
pub(super) async fn rotate(settings: &RotateToken, client: &Client) -> Result<Rotation> {
    let old = find_old(&settings.token, client).await?;
    if let Some(replaced) = old.replaces() {
        return Err(is_new_token(&old, replaced, client).await);
    }
    if old.note.as_deref().and_then(Tag::parse).is_some() {
        return Err(cannot_rotate(&old, "its create is not finished").suggest(Advice::Sweep));
    }
    if old.is_expired(agreed_time(client)?) {
        return Err(cannot_rotate(&old, "it has expired").suggest("create a new token"));
    }
    let r#type = match old.r#type {
        TokenType::Lmv1 => Type::Lmv1,
        TokenType::Bearer if settings.allow_bearer => Type::Bearer,
        TokenType::Bearer => {
            let problem =
                "it is a bearer token, which the portal may delete as soon as another one is created";
            return Err(cannot_rotate(&old, problem).suggest(Advice::AllowBearer));
        }
        TokenType::Other(_) => return Err(cannot_rotate(&old, "its type is not known")),
    };
    let client = if r#type == Type::Bearer {
        // The portal may delete it before the new one is enabled.
        &refuse_self(client, &old, "rotating")?
    } else {
        client
    };
    let owner = AdminId::new(old.admin_id.unwrap_or_default()).map_err(Error::of_portal)?;
    let new = NewToken {
        admin: User::Id(owner),
        note: note_of(settings, &old)?,
        status: Status::Enabled,
        r#type,
        expires: old.expires_on().map(Expiry::At),
    };
    let mut rotator = Rotator {
        settings,
        portal: GuardedClient::new(client),
        old_id: TokenId::new(old.id)?,
        old,
        owner,
        new,
        run: RunId::fresh()?,
    };
    match rotator.rotate().await {
        Ok(rotation) => Ok(rotation),
        Err(error) => {
            // Repeated authentication failures lock a token.
            let new = if error.follows_credential_rejection() {
                None
            } else {
                rotator.find_first().await.ok().flatten().map(|first| first.token)
            };
            let changes = rotator.portal.changes();
            Ok(Rotation::failed(rotator.old, new, error, changes))
        }
    }
}

/// Returns the error for a token that replaces another one, which says how to end that rotation.
async fn is_new_token(new: &Token, old: i64, client: &Client) -> Error {
    let problem = format!("it is the new token of the rotation of token {old}");
    let replaced = match TokenId::new(old) {
        Ok(id) => FindToken::Id(id).optional(client).await.ok().flatten(),
        Err(_) => None,
    };
    match replaced.as_ref().and_then(replaced_by) {
        Some((_, delete_after)) => {
            let problem =
                format!("{problem}, which is disabled and is deleted after {}", iso_8601(delete_after));
            cannot_rotate(new, &problem).suggest(Advice::EndRotation { old, new: new.id })
        }
        None => cannot_rotate(new, &problem).suggest("finish that rotation first"),
    }
}

/// Reads the token to replace. If it does not exist, but a token is to replace it, that one tells what it was; the
/// caller may also name that one.
async fn find_old(token: &Target, client: &Client) -> Result<Token> {
    let missing = match token.clone().read(client).await {
        Err(error) if error.kind() == ErrorKind::NotFound => error,
        Err(error) => return Err(error),
        Ok(found) => {
            let old = old_of(&found);
            let is_left = old.id != found.id
                && is_left(&found, TokenId::new(old.id)?)
                && GuardedClient::new(client).read(&old).await?.is_none();
            return Ok(if is_left { as_old(&found, TokenId::new(old.id)?) } else { found });
        }
    };
    let old_id = match token {
        Target::Token(copy) => TokenId::new(copy.id)?,
        Target::Find(FindToken::Id(id)) => *id,
        Target::Find(FindToken::AccessId(_)) => return Err(missing),
    };
    let tokens = ListTokens::default().collect(client).await?;
    tokens.iter().find(|new| is_left(new, old_id)).map(|new| as_old(new, old_id)).ok_or(missing)
}

/// Returns whether a token is to replace one that does not exist, and can. A bearer token that is not enabled yet may
/// have taken the place of the old one when it was created.
fn is_left(new: &Token, old_id: TokenId) -> bool {
    let takes_part = Role::of(new, old_id).is_some_and(|role| role.out_since().is_none());
    takes_part && (new.status == Some(TokenStatus::Enabled) || new.r#type == TokenType::Bearer)
}

/// Returns an old token that does not exist any more, as far as its new token tells what it was.
fn as_old(new: &Token, old_id: TokenId) -> Token {
    let tagged = new.note.as_deref().and_then(Tag::parse);
    let note = tagged.map_or(new.note.as_deref(), |(_, last)| last).map(str::to_owned);
    let expires = tagged.and_then(|(tag, _)| tag.expires).or(new.expires_on());
    let marker = expires.map(|time| Marker { expires: Some(time), ..Marker::of(old_id) });
    Token { marker, note, ..stub(old_id, new) }
}

/// Returns the note of the new token.
fn note_of(settings: &RotateToken, old: &Token) -> Result<Option<Note>> {
    if settings.note.is_some() {
        return Ok(settings.note.clone());
    }
    let shown = old.note.as_deref().filter(|note| !note.is_empty());
    shown.map(Note::new).transpose().map_err(|error| error.suggest("pass another note for the new token"))
}

impl Rotator<'_> {
    async fn rotate(&mut self) -> Result<Rotation> {
        let mut rounds = Rounds::at_most(MAX_ROUNDS);
        loop {
            let first = self.find_first().await?;
            let old = match self.read_old().await? {
                Old::Enabled(old) => {
                    if let Some(Successor { token, role: Role::Replaces { after } }) = &first {
                        self.check_delivered(token, *after).await?;
                    }
                    Some(old)
                }
                Old::Replaced => break,
                Old::Deleted => None,
            };
            let next = match first {
                // Nothing is left to replace, or to take its place.
                first
                    if old.is_none()
                        && !first.as_ref().is_some_and(|first| is_left(&first.token, self.old_id)) =>
                {
                    let message = format!("token {} does not exist any more", self.old.id);
                    return Err(Error::new(ErrorKind::NotFound, message));
                }
                None => self.create_successor(old.as_deref().unwrap_or(&self.old)).await?,
                Some(Successor { token, role: Role::Pending(tag) }) => {
                    self.continue_successor(old.as_deref().unwrap_or(&self.old), token, tag).await?
                }
                Some(Successor { token, role: Role::Replaces { after: None } }) if old.is_some() => {
                    let secret = self.secret_for_own_calls(&token).await?;
                    self.check_and_mark(&token, None).await?;
                    Next::Finish(self.switched(&token, secret)?)
                }
                Some(Successor { token, role: Role::Replaces { after } }) => {
                    if self.settings.then.is_some() {
                        self.portal.client().report(Event::CheckNotRun { new: token.id });
                    }
                    let secret = self.secret_for_own_calls(&token).await?;
                    let end = self.overlap_end(&token)?;
                    if let Some(old) = old.as_deref().filter(|_| after > Some(end)) {
                        // The old token would be due at once, but these credentials cannot disable it.
                        if self.settings.overlap.is_zero() && secret.is_none() {
                            refuse_self(self.portal.client(), old, "disabling")?;
                        }
                        self.mark_replaces(&token, None, Some(end)).await?;
                    }
                    self.conclude(&token).await;
                    Next::Finish(self.switched(&token, secret)?)
                }
                Some(Successor { token, role }) => {
                    let since = role.out_since().unwrap_or_default();
                    await_mark(&self.portal, &self.old, &token, since).await?;
                    Next::Again(None)
                }
            };
            match next {
                Next::Finish(switched) => {
                    if let Some(client) = switched {
                        self.portal = self.portal.with(&client);
                    }
                    break;
                }
                // A portal that changes notes beyond recognition would get a token in each round.
                Next::Again(cause) => {
                    let may_repeat = rounds.number() < 2 || !is_unreadable(cause.as_ref());
                    if !may_repeat || !rounds.next_after_pause(self.portal.client()).await {
                        return Err(self.gave_up(&rounds, cause));
                    }
                }
            }
        }
        let rotation = self.finisher().finish().await?;
        if matches!(rotation.state, Ok(RotationState::Finished)) {
            // The rotation is complete even if the void secret cannot be removed.
            let _ = self.settings.destination.remove_previous(&self.old).await;
        }
        Ok(rotation)
    }

    /// Fails if the caller asks for another destination or note than those of the marked token: its secret is not
    /// delivered again. After the overlap, nothing but the old token is left to change.
    async fn check_delivered(&self, new: &Token, after: Option<i64>) -> Result<()> {
        if after <= Some(self.portal.portal_now()?) && after.is_some() {
            return Ok(());
        }
        let RotateToken { destination, note, .. } = self.settings;
        let (problem, remedy) = if !destination.may_have(new).await? {
            let problem = format!("was delivered before, and is not in {}", destination.describe());
            (
                format!("the key of token {}, which replaces it, {problem}", new.id),
                "pass the first destination; if the key was moved from there, a sweep finishes the rotation",
            )
        } else if let Some(note) = note
            && normalized(note.as_str()) != normalized(new.note.as_deref().unwrap_or_default())
        {
            let problem = format!("token {}, which replaces it, has another note than the given one", new.id);
            (problem, "leave the note out, and update that of the new token")
        } else {
            return Ok(());
        };
        let error = wrong_state(&self.old, &problem).suggest(remedy);
        Err(error.suggest(Advice::CancelRotation { id: self.old.id }))
    }

    fn gave_up(&self, rounds: &Rounds, cause: Option<Error>) -> Error {
        match cause {
            None => changed_by_others(&self.old, rounds.number()),
            Some(cause) => {
                let problem = format!("gave up after {} attempts: {cause}", rounds.number());
                wrong_state(&self.old, &problem).caused_by(cause)
            }
        }
    }

    pub(super) fn finisher(&self) -> Finisher<'_> {
        let RotateToken { quarantine, overlap, force, .. } = *self.settings;
        let checks_use = !force && !overlap.is_zero();
        let ends_quarantine = quarantine.is_zero();
        let ending = Ending { quarantine, ends_quarantine, checks_use, checks_refused_calls: !force };
        Finisher { portal: &self.portal, old: &self.old, ending }
    }

    /// Returns the token with the lowest id of those that take part.
    async fn find_first(&self) -> Result<Option<Successor>> {
        let successors = find_successors(&self.portal, &self.old).await?;
        let now = self.portal.portal_now()?;
        Ok(successors.into_iter().find(|successor| successor.role.takes_part(now)))
    }

    async fn read_old(&self) -> Result<Old> {
        let Some(old) = self.portal.read(&self.old).await? else { return Ok(Old::Deleted) };
        if replaced_by(&old).is_some() {
            return Ok(Old::Replaced);
        }
        if old.status != Some(TokenStatus::Enabled) {
            return Err(
                cannot_rotate(&old, "it is disabled, but not by a rotation").suggest("enable it first")
            );
        }
        Ok(Old::Enabled(Box::new(old)))
    }

    pub(super) async fn create_successor(&self, old: &Token) -> Result<Next> {
        let client = self.portal.client().clone();
        if let Some(warning) = checked(&self.settings.destination, Some(old)).await? {
            client.report(warning);
        }
        let (now_ms, expires) = (client.portal_now_ms(), old.expires_on());
        let tag = Tag::fresh_replacing(Some(self.old_id), self.run, now_ms, expires, self.new.note())?;
        match self.create_enabled(&client, old, &tag).await? {
            Attempt::Enabled(enabled) => self.complete(old, *enabled).await,
            Attempt::Nothing(cause) => Ok(Next::Again(cause)),
        }
    }

    /// Creates the new token, delivers its secret and enables it.
    async fn create_enabled(&self, client: &Client, old: &Token, tag: &Tag) -> Result<Attempt> {
        let destination = &self.settings.destination;
        let create = TwoPhase { token: &self.new, destination: destination.as_ref(), run: self.run };
        let created = create.create_pending(client, self.owner, tag, Some(old)).await;
        self.portal.count_create();
        let Pending { token, leased, mut guard } = match created {
            Ok(Created::Pending(pending)) => *pending,
            // The create may still be on its way. With its pending file, its token can be deleted at once.
            Ok(Created::Nothing(cause)) => {
                destination.release(tag).await?;
                return Ok(Attempt::Nothing(Some(cause)));
            }
            // Where a list shows what these credentials create, one without the token is as good as a response.
            Err(error)
                if error.kind() == ErrorKind::OutcomeUnknown
                    && !names_token(&error)
                    && !error.follows_credential_rejection() =>
            {
                return match prove_visibility(client, self.owner, self.run).await {
                    Ok(true) => {
                        destination.release(tag).await?;
                        Ok(Attempt::Nothing(Some(error)))
                    }
                    _ => Err(error),
                };
            }
            Err(error) => {
                if !error.details().maybe_applied {
                    let _ = destination.abandon(tag).await;
                }
                return Err(error);
            }
        };
        let this = self.withholding_secret_of(&token);
        let mut is_enabling = false;
        let delivered = || guard.is_delivered = true;
        let ended = this.enable_if_first(&token, tag, &leased, delivered, &mut is_enabling).await;
        guard.disarm();
        match ended {
            Ok(true) => {
                let secret = token.access_key.clone();
                Ok(Attempt::Enabled(Box::new(Enabled { token, tag: *tag, secret, is_continued: false })))
            }
            Ok(false) => {
                if this.withdraw(&token, tag, is_enabling).await? {
                    destination.discard(&token, tag).await?;
                }
                Ok(Attempt::Nothing(None))
            }
            Err(error) => Err(this.give_up(&token, tag, is_enabling, error).await),
        }
    }

    /// Returns this rotation with messages that do not repeat the secret of the new token.
    fn withholding_secret_of(&self, token: &Token) -> Self {
        let client = self.portal.client().withholding_secret_of(token);
        Self { portal: self.portal.with(&client), ..self.clone() }
    }

    /// Returns whether the new token is enabled; `false` if it must be withdrawn. `is_enabling` becomes true before the
    /// first request that may enable it.
    async fn enable_if_first(
        &self,
        token: &Token,
        tag: &Tag,
        leased: &Client,
        delivered: impl FnOnce(),
        is_enabling: &mut bool,
    ) -> Result<bool> {
        if !self.elect(token, tag).await? {
            return Ok(false);
        }
        self.settings.destination.deliver(token, tag).await?;
        delivered();
        match self.enable_successor(token, tag, leased, is_enabling).await {
            // The lease is over.
            Err(_) if leased.is_over() => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    /// Waits until the list shows the new token, and with it all older ones. Returns whether it is the first that takes
    /// part, and the old one has not been replaced meanwhile.
    async fn elect(&self, token: &Token, tag: &Tag) -> Result<bool> {
        let started = Instant::now();
        let successors = loop {
            let successors = find_successors(&self.portal, &self.old).await?;
            if successors.iter().any(|successor| successor.token.id == token.id) {
                break successors;
            }
            if started.elapsed() > MAX_LAG {
                return Err(wrong_state(
                    &self.old,
                    "the portal does not list the new token, or has changed its note",
                ));
            }
            tokio::time::sleep(LAG_CHECK).await;
        };
        let own = successors.iter().find(|successor| successor.token.id == token.id);
        let shown = own.and_then(|own| own.token.note.as_deref()).and_then(Tag::parse);
        match shown {
            Some((shown, last)) if shown == *tag => {
                if let Some(problem) = tag.note_problem(last) {
                    let problem = format!("the portal changed the note of the new token: {problem}");
                    return Err(wrong_state(&self.old, &problem));
                }
            }
            _ => return Err(self.taken_away(token)),
        }
        let now = self.portal.portal_now()?;
        let first = successors.iter().find(|successor| successor.role.takes_part(now));
        let is_first = first.is_some_and(|first| first.token.id == token.id);
        Ok(is_first && self.confirm_old().await?)
    }

    /// Returns whether the old token still works.
    async fn confirm_old(&self) -> Result<bool> {
        Ok(match self.portal.read(&self.old).await? {
            Some(old) => old.status == Some(TokenStatus::Enabled),
            // Another bearer token may have replaced it at once: the new one is all there is.
            None => self.old.r#type == TokenType::Bearer,
        })
    }

    /// Deletes the new token, unless it has taken the place of the old one. Returns whether it is surely gone.
    /// `may_be_enabled`: whether this process, or another one, may have enabled it.
    pub(super) async fn withdraw(&self, token: &Token, tag: &Tag, may_be_enabled: bool) -> Result<bool> {
        if self.old.r#type == TokenType::Bearer && self.portal.read(&self.old).await?.is_none() {
            return Ok(false);
        }
        self.delete_pending(token, tag, may_be_enabled).await
    }

    /// Deletes a pending token that was never used and whose note is unchanged. Returns whether it is surely gone.
    pub(super) async fn delete_pending(
        &self,
        token: &Token,
        tag: &Tag,
        may_be_enabled: bool,
    ) -> Result<bool> {
        let mut is_sent = false;
        // Of a token that was created a moment ago, a shorter note is one that the portal has cut.
        let is_cut = |now: &Token| {
            let shown = now.note.as_deref().and_then(Tag::parse).and_then(|(_, last)| last);
            let given = token.note.as_deref().unwrap_or_default();
            !may_be_enabled && given.starts_with(shown.unwrap_or_default())
        };
        let kept = self.portal.write(token, |now| {
            let left = left_pending(now).filter(|left| left.tag == *tag);
            is_sent = left.is_some_and(|left| left.note_problem.is_none() || is_cut(now));
            Ok(if is_sent { Step::Delete } else { Step::Done(()) })
        });
        match kept.await? {
            Some(()) => Ok(false),
            None if is_sent => Ok(true),
            None if may_be_enabled => self.is_absent(token).await,
            // A list that lags: the response to the create says whose it is.
            None => delete(self.portal.client(), token.clone()).await.map(|()| true),
        }
    }

    /// Returns whether a token that is not shown does not exist. A list may be out of date.
    async fn is_absent(&self, token: &Token) -> Result<bool> {
        prove_absent(self.portal.client(), self.owner, TokenId::new(token.id)?, self.run).await
    }

    /// Removes what was delivered of a token that is not shown, if it does not exist.
    pub(super) async fn discard_if_gone(&self, token: &Token, tag: &Tag) -> Result<()> {
        if self.is_absent(token).await? {
            self.settings.destination.discard(token, tag).await?;
        }
        Ok(())
    }

    /// Withdraws a token that is not enabled because of an error, and returns the error.
    async fn give_up(&self, token: &Token, tag: &Tag, may_be_enabled: bool, error: Error) -> Error {
        let id = token.id;
        if error.follows_credential_rejection() {
            return error.suggest(format!("token {id} may remain")).suggest(Advice::RotateAgain);
        }
        match self.withdraw(token, tag, may_be_enabled).await {
            Ok(true) => {
                let _ = self.settings.destination.discard(token, tag).await;
                error.suggest(format!("token {} still works; the new token {id} is deleted", self.old.id))
            }
            Ok(false) => error.suggest(Advice::RotateAgain),
            Err(deletion) => error
                .suggest(format!("token {id} may remain, because deleting it failed ({deletion})"))
                .suggest(Advice::RotateAgain),
        }
    }

    /// Enables the new token. `is_enabling` becomes true before the first request that does so.
    pub(super) async fn enable_successor(
        &self,
        token: &Token,
        tag: &Tag,
        leased: &Client,
        is_enabling: &mut bool,
    ) -> Result<()> {
        let portal = self.portal.with(&leased.withholding_secret_of(token));
        let enabled = portal.write(token, |now| {
            Ok(match now.status {
                _ if !has_tag(now, tag) => Step::Done(false),
                Some(TokenStatus::Enabled) => Step::Done(true),
                // Somebody disabled it.
                _ if now.was_used => Step::Done(false),
                _ => {
                    *is_enabling = true;
                    Step::status(Status::Enabled)
                }
            })
        });
        if enabled.await? == Some(true) { Ok(()) } else { Err(self.taken_away(token)) }
    }

    /// Verifies the delivered secret, puts it in place and marks the token.
    pub(super) async fn complete(&self, old: &Token, enabled: Enabled) -> Result<Next> {
        let mut guard = UnfinishedGuard {
            client: self.portal.client(),
            old: old.id,
            new: enabled.token.id,
            is_armed: true,
        };
        let ended = self.complete_guarded(old, enabled).await;
        guard.is_armed = false;
        ended
    }

    async fn complete_guarded(&self, old: &Token, enabled: Enabled) -> Result<Next> {
        let Enabled { token, tag, secret, is_continued } = enabled;
        let destination = &self.settings.destination;
        let Some(secret) = destination.recover(&tag).await?.or(secret) else {
            return Err(wrong_state(old, "the destination has lost the new secret"));
        };
        let token = Token { access_key: Some(secret.clone()), ..token };
        let this = self.withholding_secret_of(&token);
        match verify_delivered(this.portal.client(), &token, secret.clone()).await? {
            Verdict::Accepted => {}
            Verdict::Rejected(cause) => {
                let message = format!("the portal rejects the delivered secret of token {}", token.id);
                let error = wrong_state(old, &message);
                return Err(if is_continued {
                    error.suggest(Advice::CancelRotation { id: token.id })
                } else {
                    this.delete_rejected(&token, &tag).await?;
                    error
                }
                .caused_by(cause));
            }
        }
        this.commit(old, &token, &tag).await?;
        let marked = this.check_and_mark(&token, Some(&tag)).await?;
        let switched = this.switched(&token, Some(secret))?;
        for leftover in find_successors(&this.portal, old).await? {
            if leftover.token.id != marked.id {
                this.finisher().disable_leftover(&marked, &leftover).await?;
            }
        }
        Ok(Next::Finish(Some(switched.unwrap_or_else(|| this.portal.client().clone()))))
    }

    /// Returns the secret of a marked token, if this client calls with the credentials of the old one.
    async fn secret_for_own_calls(&self, new: &Token) -> Result<Option<Secret>> {
        match is_self(self.portal.client(), &self.old) {
            Some(true) => self.settings.destination.recover_placed(self.old_id, new).await,
            _ => Ok(None),
        }
    }

    /// Lets a client that calls with the credentials of the old token call with those of the new one from now on.
    fn switched(&self, new: &Token, secret: Option<Secret>) -> Result<Option<Client>> {
        let client = self.portal.client();
        let Some(secret) = secret.filter(|_| is_self(client, &self.old) == Some(true)) else {
            return Ok(None);
        };
        let client = client.with_credentials(credentials_of(new, secret)?);
        client.share_credentials();
        Ok(Some(client))
    }

    /// Disables and deletes a token whose secret does not work.
    async fn delete_rejected(&self, token: &Token, tag: &Tag) -> Result<()> {
        let disabled = self.portal.write(token, |now| {
            Ok(match now.status {
                _ if !has_tag(now, tag) => Step::Done(false),
                Some(TokenStatus::Disabled) => Step::Done(true),
                _ => Step::status(Status::Disabled),
            })
        });
        if disabled.await? == Some(false) || !self.withdraw(token, tag, true).await? {
            return Err(self.taken_away(token));
        }
        self.settings.destination.discard(token, tag).await
    }

    /// Puts the delivered secret in place.
    async fn commit(&self, old: &Token, token: &Token, tag: &Tag) -> Result<()> {
        let destination = &self.settings.destination;
        let committed = self.portal.act(
            token,
            |now| has_tag(now, tag) && now.status == Some(TokenStatus::Enabled),
            destination.replace(old, token, tag),
        );
        if committed.await?.is_some() {
            return Ok(());
        }
        match self.portal.read(token).await? {
            None => self.discard_if_gone(token, tag).await?,
            Some(now) if now.status == Some(TokenStatus::Disabled) => destination.discard(token, tag).await?,
            Some(_) => {
                let kept = format!("its key is kept at {}", destination.location(tag));
                return Err(self.taken_away(token).suggest(kept));
            }
        }
        Err(self.taken_away(token))
    }

    /// Lets the caller check the new token, marks it and ends the delivery. `tag` is that of its create, if it is not
    /// marked yet. If the check fails, the token is marked without a time, so that any process can repeat the check.
    async fn check_and_mark(&self, token: &Token, tag: Option<&Tag>) -> Result<Token> {
        if let Some(check) = &self.settings.then
            && let Err(error) = check.run(token).await
        {
            return Err(match self.mark_replaces(token, tag, None).await {
                Ok(_) => error,
                Err(unmarked) => error.suggest(format!("its state could not be noted either: {unmarked}")),
            });
        }
        let after = self.overlap_end(token)?;
        let marked = self.mark_replaces(token, tag, Some(after)).await?;
        self.conclude(&marked).await;
        Ok(marked)
    }

    /// Returns the end of an overlap that begins now. Every process takes the overlap from the creation of the new token
    /// to this time.
    fn overlap_end(&self, new: &Token) -> Result<i64> {
        let now = self.portal.portal_now()?;
        Ok(match i64::try_from(self.settings.overlap.as_secs()) {
            Ok(0) => new.created_on.unwrap_or(now),
            overlap => now.saturating_add(overlap.unwrap_or(i64::MAX)),
        })
    }

    /// Ends the delivery of a marked token. What remains of it is reported: the secret is in place.
    async fn conclude(&self, token: &Token) {
        if let Err(error) = self.settings.destination.remove_pending(self.old_id, token).await {
            let shown = vec![error.to_string()];
            self.portal.client().report(Event::PendingFilesRemain { shown, more: 0 });
        }
    }

    /// Marks the new token as the one that replaces the old one, at the earlier of two times if it is marked already. It
    /// expires when that one would have.
    pub(super) async fn mark_replaces(
        &self,
        token: &Token,
        tag: Option<&Tag>,
        after: Option<i64>,
    ) -> Result<Token> {
        let id = TokenId::new(token.id)?;
        let marked = self.portal.write_with(&self.old, token, |old, now| {
            if now.status != Some(TokenStatus::Enabled) {
                return Ok(Step::Done(None));
            }
            let is_ours = match Role::of(now, self.old_id) {
                Some(Role::Replaces { after: shown })
                    if after.is_none() || shown.is_some_and(|shown| Some(shown) <= after) =>
                {
                    return Ok(Step::Done(Some(now.clone())));
                }
                Some(Role::Replaces { .. }) => true,
                _ => tag.is_some_and(|tag| has_tag(now, tag)),
            };
            if !is_ours {
                return Ok(Step::Done(None));
            }
            let replaces = Some((self.old_id, after));
            let own = tag.and_then(|tag| tag.expires).or(now.expires_on());
            let expires = old.map_or(own, Token::expires_on);
            let marker = Marker { replaces, expires, ..Marker::of(id) };
            let shown = now.note.as_deref();
            let own = match Tag::parse(shown.unwrap_or_default()) {
                // The portal may have changed white space and the like.
                Some((tag, last)) if tag.note_problem(last).is_none() => token.note.as_deref(),
                // Somebody has edited it since.
                Some((_, last)) if self.settings.note.is_none() => last,
                Some(_) => token.note.as_deref(),
                None => shown,
            };
            Ok(Step::note(marker.write(own.unwrap_or_default())))
        });
        marked.await?.flatten().ok_or_else(|| self.taken_away(token))
    }

    pub(super) fn taken_away(&self, token: &Token) -> Error {
        let problem =
            format!("token {}, which was to replace it, was changed or deleted by others", token.id);
        wrong_state(&self.old, &problem).suggest(Advice::RotateAgain)
    }
}

/// Returns whether an error names tokens that may be the created one.
fn names_token(error: &Error) -> bool {
    error.details().candidates.as_ref().is_some_and(|candidates| !candidates.is_empty())
}

/// Returns whether an attempt failed because of a response that does not show the new token.
fn is_unreadable(cause: Option<&Error>) -> bool {
    cause.is_some_and(|cause| cause.kind() == ErrorKind::Response)
}

/// Reports the rotation if it is dropped between enabling the new token and marking it.
struct UnfinishedGuard<'a> {
    client: &'a Client,
    old: i64,
    new: i64,
    is_armed: bool,
}

impl Drop for UnfinishedGuard<'_> {
    fn drop(&mut self) {
        if self.is_armed {
            self.client.report(Event::RotationInterrupted { old: self.old, new: self.new });
        }
    }
}

/// Returns whether a token still has the tag of its create.
pub(super) fn has_tag(token: &Token, tag: &Tag) -> bool {
    token.note.as_deref().and_then(Tag::parse).is_some_and(|(shown, _)| shown == *tag)
}
