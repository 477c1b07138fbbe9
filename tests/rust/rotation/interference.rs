//! Rotations whose tokens others change, whose lists lag, and whose secrets are lost.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lmtokens::testing::clock::{Clock, SystemClock};
use lmtokens::testing::sandbox::{Fault, FaultKind};

use super::*;

/// A destination like [`Memory`], whose process ends in a step.
struct Dying {
    memory: Arc<Memory>,
    in_commit: bool,
}

impl Destination for Dying {
    fn deliver<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        if self.in_commit { self.memory.deliver(token, tag) } else { Box::pin(std::future::pending()) }
    }

    fn commit<'a>(&'a self, _token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(std::future::pending())
    }

    fn describe(&self) -> String {
        "the test".to_owned()
    }
}

/// Rotates until the process ends in the commit: the new token is enabled.
async fn die_in_commit(fixture: &Fixture) -> StoredToken {
    let before = fixture.successors().len();
    let destination = Dying { memory: Fixture::memory(), in_commit: true };
    die(fixture, fixture.rotation_to(Arc::new(destination)), |fixture| {
        fixture.successors().iter().skip(before).any(|new| new.status == ENABLED && new.last_used_on > 0)
    })
    .await;
    fixture.successors().pop().unwrap()
}

/// Drops a rotation a moment after the portal is in a state.
async fn die(fixture: &Fixture, rotation: RotateToken, is_reached: impl Fn(&Fixture) -> bool) {
    let client = fixture.client();
    let reached = async {
        while !is_reached(fixture) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    tokio::select! {
        ended = call(rotation, &client) => panic!("it ended: {ended:?}"),
        ended = tokio::time::timeout(HANG_TIMEOUT, reached) => ended.unwrap(),
    }
}

/// Leaves two enabled tokens of rotations that were interrupted: the first superseded, the second as it was enabled.
async fn two_lost(fixture: &Fixture) -> [StoredToken; 2] {
    let first = die_in_commit(fixture).await;
    fixture.advance(Duration::from_secs(2 * 3600));
    let second = die_in_commit(fixture).await;
    let first = fixture.token(first.id.into()).unwrap();
    assert!(first.status == ENABLED && first.note.contains("; superseded 20"), "{first:?}");
    assert!(second.id != first.id && second.status == ENABLED);
    [first, second]
}

#[tokio::test]
async fn cancelling_disables_every_token_of_the_rotation() {
    for named in 0..3 {
        let fixture = Fixture::start();
        let [first, second] = two_lost(&fixture).await;
        let id = [fixture.old.id, first.id, second.id][named];
        assert_eq!(state(fixture.cancel(id.into()).await.unwrap()), RotationState::Cancelled);
        assert!(fixture.successors().iter().all(|new| new.status == DISABLED), "{:?}", fixture.successors());
        assert!(fixture.works(&fixture.old()).await);
    }
}

#[tokio::test]
async fn a_superseded_token_without_a_rotation_is_disabled() {
    let fixture = Fixture::start();
    let [first, second] = two_lost(&fixture).await;
    fixture.delete(target(second.id.into())).await;
    fixture.advance(Duration::from_secs(120));
    assert_eq!(fixture.finish_one().await.unwrap(), RotationState::Cancelled);
    assert_eq!(fixture.token(first.id.into()).unwrap().status, DISABLED);
    assert!(fixture.works(&fixture.old()).await);
    assert!(fixture.finish().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_superseded_token_that_is_in_use_is_reported() {
    let fixture = Fixture::start();
    let [first, second] = two_lost(&fixture).await;
    fixture.delete(target(second.id.into())).await;
    fixture.advance(Duration::from_secs(120));
    assert!(fixture.works(&first).await);
    assert!(matches!(fixture.finish_one().await.unwrap(), RotationState::InUse { .. }));
    assert_eq!(fixture.token(first.id.into()).unwrap().status, ENABLED);
}

#[tokio::test]
async fn a_superseded_token_is_disabled_during_the_overlap() {
    let fixture = Fixture::start();
    let [first, _] = two_lost(&fixture).await;
    fixture.advance(Duration::from_secs(2 * 3600));
    fixture.run(fixture.rotation_to(Fixture::memory())).await.unwrap();
    fixture.patch(first.id, serde_json::json!({"status": ENABLED})).await;
    assert!(matches!(fixture.finish_one().await.unwrap(), RotationState::Overlap { .. }));
    assert_eq!(fixture.token(first.id.into()).unwrap().status, DISABLED);
}

#[tokio::test]
async fn cancelling_stops_if_others_disabled_the_old_token() {
    let fixture = Fixture::start();
    fixture.rotate().await.unwrap();
    let new = fixture.only_successor();
    fixture.patch(fixture.old.id, serde_json::json!({"status": DISABLED})).await;
    let error = fixture.cancel(new.id.into()).await.unwrap_err();
    assert!(error.to_string().contains("it is disabled"), "{error}");
    assert_eq!((fixture.only_successor().status, fixture.only_successor().note), (ENABLED, new.note));
}

#[tokio::test]
async fn cancelling_says_that_no_token_is_left() {
    let fixture = Fixture::start();
    fixture.rotate().await.unwrap();
    let new = fixture.only_successor();
    fixture.patch(new.id, serde_json::json!({"status": DISABLED})).await;
    fixture.delete(target(fixture.old.id.into())).await;
    let error = fixture.cancel(new.id.into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rotation, "{error}");
    assert_eq!(fixture.only_successor().note, new.note);
    let error = fixture.finish_one().await.unwrap_err();
    assert!(error.to_string().contains("it is deleted"), "{error}");
}

/// Changes a token when the first request with a method is answered.
struct OnMark<F>(F, AtomicU32);

impl<F: Fn() + Send + Sync> Observer for OnMark<F> {
    fn observe(&self, event: Event) {
        if matches!(event, Event::Attempt { method: "PATCH", .. })
            && self.1.fetch_add(1, Ordering::SeqCst) == 0
        {
            (self.0)();
        }
    }
}

#[tokio::test]
async fn the_mark_of_a_future_time_is_written_again() {
    let fixture = Fixture::start();
    fixture.rotate().await.unwrap();
    let new = fixture.only_successor();
    let note = format!("[lmtokens {} replaces {}; cancelled 9999-01-01T00:00Z] ci", new.id, fixture.old.id);
    fixture.patch(new.id, serde_json::json!({"note": note})).await;
    let other = RotateToken { destination: Fixture::memory(), ..fixture.rotation() };
    let error = fixture.run(other).await.unwrap_err();
    assert!(error.to_string().contains("was changed by others"), "{error}");
    assert_eq!(state(fixture.cancel(new.id.into()).await.unwrap()), RotationState::Cancelled);
    let new = fixture.only_successor();
    assert!(new.status == DISABLED && new.note.contains("; cancelled 20"), "{}", new.note);
}

#[tokio::test]
async fn a_restored_token_is_returned_as_it_is() {
    let fixture = Fixture::start();
    let rotation = RotateToken { overlap: Duration::ZERO, ..fixture.rotation() };
    fixture.run(rotation).await.unwrap();
    fixture.patch(fixture.only_successor().id, serde_json::json!({"status": DISABLED})).await;
    let restored = fixture.finish().await.unwrap().remove(0);
    assert_eq!(restored.old.status, Some(TokenStatus::Enabled));
    assert_eq!((restored.old.note.as_deref(), restored.old.marker), (Some("ci"), None));
    assert_eq!(state(restored), RotationState::Restored);
    assert_eq!(fixture.old().status, ENABLED);
}

#[tokio::test]
async fn only_a_log_that_is_not_available_allows_the_deletion() {
    for (status, is_allowed) in [(403, true), (404, true), (500, false), (429, false)] {
        let fixture = Fixture::start();
        let path = Some("/setting/accesslogs".to_owned());
        let fault = if status == 429 {
            Fault { path, times: None, ..FaultKind::RateLimited.into() }
        } else {
            Fault { path, status: Some(status), times: None, ..FaultKind::StatusBeforeActing.into() }
        };
        fixture.portal.add_fault(fault).unwrap();
        let observer = Arc::new(Recording::default());
        let client = fixture.client().observed_by(observer.clone());
        let rotation =
            RotateToken { overlap: Duration::ZERO, quarantine: Duration::ZERO, ..fixture.rotation() };
        let ended = run(rotation, &client).await;
        assert_eq!(fixture.token(fixture.old.id.into()).is_none(), is_allowed, "{status}");
        let is_reported =
            observer.0.lock().unwrap().iter().any(|event| matches!(event, Event::AuditLogUnreadable { .. }));
        assert_eq!(is_reported, is_allowed, "{status}");
        assert_eq!(ended.is_ok(), is_allowed, "{status}: {ended:?}");
    }
}

#[derive(Default)]
struct Recording(Mutex<Vec<Event>>);

impl Observer for Recording {
    fn observe(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// A portal that keeps the history of its tokens, so that its lists can begin to lag.
fn lagging() -> (Fixture, impl Fn(&Portal, f64)) {
    let lag = |list_lag| Behavior {
        list_lag: Seconds::new(list_lag).unwrap(),
        last_used_lag: Seconds::new(100.0).unwrap(),
        ..Behavior::default()
    };
    let fixture = Fixture::with(lag(0.0));
    std::fs::write(fixture.folder.path(), "").unwrap();
    std::fs::remove_file(fixture.folder.path()).unwrap();
    fixture.advance(Duration::from_secs(200));
    (fixture, move |portal: &Portal, list_lag| portal.set_behavior(lag(list_lag)))
}

/// Lets the next reads after the first PATCH show the state before.
struct StaleReads<F> {
    portal: Arc<Portal>,
    set_lag: F,
    requests: AtomicU32,
}

impl<F: Fn(&Portal, f64) + Send + Sync> Observer for StaleReads<F> {
    fn observe(&self, event: Event) {
        let Event::Attempt { method, .. } = event else { return };
        match (method, self.requests.load(Ordering::SeqCst)) {
            ("PATCH", 0) => {
                (self.set_lag)(&self.portal, 90.0);
                self.requests.store(1, Ordering::SeqCst);
            }
            // Both types of tokens are listed.
            ("GET", 1) => self.requests.store(2, Ordering::SeqCst),
            ("GET", 2) => {
                (self.set_lag)(&self.portal, 0.0);
                self.requests.store(3, Ordering::SeqCst);
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn an_enabled_token_that_a_list_does_not_show_keeps_its_secret() {
    let (fixture, set_lag) = lagging();
    let portal = Arc::clone(&fixture.portal);
    let observer = StaleReads { portal, set_lag, requests: AtomicU32::new(0) };
    let client = fixture.client().observed_by(Arc::new(observer));
    run(fixture.rotation(), &client).await.unwrap_err();
    let new = fixture.only_successor();
    assert_eq!(new.status, ENABLED);
    assert!(fixture.is_held(&new));
    assert!(matches!(state(fixture.rotate().await.unwrap()), RotationState::Overlap { .. }));
    assert_eq!(fixture.only_successor().id, new.id);
}

#[tokio::test]
async fn a_new_token_that_is_not_listed_is_deleted() {
    let (fixture, set_lag) = lagging();
    set_lag(&fixture.portal, 45.0);
    let client = fixture.client();
    let ended = tokio::time::timeout(3 * HANG_TIMEOUT, call(fixture.rotation(), &client)).await.unwrap();
    let error = ended.unwrap_err();
    assert!(error.to_string().contains("does not list"), "{error}");
    assert!(fixture.successors().is_empty() && fixture.folder.names().is_empty());
    set_lag(&fixture.portal, 0.0);
    assert!(matches!(state(fixture.rotate().await.unwrap()), RotationState::Overlap { .. }));
}

#[tokio::test]
async fn a_pending_token_whose_note_was_changed_is_kept() {
    let fixture = Fixture::start();
    let destination = Dying { memory: Fixture::memory(), in_commit: false };
    die(&fixture, fixture.rotation_to(Arc::new(destination)), |fixture| !fixture.successors().is_empty())
        .await;
    let new = fixture.only_successor();
    fixture.patch(new.id, serde_json::json!({"note": format!("{} keep this", new.note)})).await;
    fixture.advance(Duration::from_secs(2 * 3600));
    let error = fixture.run(fixture.rotation_to(Fixture::memory())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rotation, "{error}");
    assert_eq!(fixture.only_successor().id, new.id);
}

/// Edits the note of a new token, or deletes the old one, while it is checked.
struct Meddling<F>(F);

impl<F: Fn(i64) -> BoxFuture<'static, ()> + Send + Sync> Check for Meddling<F> {
    fn run<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<()>> {
        let meddling = (self.0)(token.id);
        Box::pin(async move {
            meddling.await;
            Ok(())
        })
    }
}

#[tokio::test]
async fn an_edit_of_the_note_during_the_check_is_kept() {
    let fixture = Arc::new(Fixture::start());
    let editing = Arc::clone(&fixture);
    let check: Arc<dyn Check> = Arc::new(Meddling(move |id| -> BoxFuture<'static, ()> {
        let fixture = Arc::clone(&editing);
        Box::pin(async move {
            let id = u32::try_from(id).unwrap();
            let note = fixture.token(id.into()).unwrap().note.replace(" ci", " ci of team 7");
            fixture.patch(id, serde_json::json!({ "note": note })).await;
        })
    }));
    fixture.run(RotateToken { then: Some(check), ..fixture.rotation() }).await.unwrap();
    let new = fixture.only_successor();
    assert!(new.note.starts_with("[lmtokens ") && new.note.ends_with("] ci of team 7"), "{}", new.note);
}

#[tokio::test]
async fn the_expiry_is_kept_if_the_old_token_is_deleted_meanwhile() {
    let fixture = Arc::new(Fixture::start());
    let expires = "2099-01-01T00:00Z";
    let note = format!("[lmtokens {} expires {expires}] ci", fixture.old.id);
    fixture.patch(fixture.old.id, serde_json::json!({ "note": note })).await;
    let deleting = Arc::clone(&fixture);
    let check: Arc<dyn Check> = Arc::new(Meddling(move |_| -> BoxFuture<'static, ()> {
        let fixture = Arc::clone(&deleting);
        Box::pin(async move { fixture.delete(target(fixture.old.id.into())).await })
    }));
    let ended = fixture.run(RotateToken { then: Some(check), ..fixture.rotation() }).await.unwrap();
    assert_eq!(state(ended), RotationState::Finished);
    let new = fixture.only_successor();
    assert_eq!(new.note, format!("[lmtokens {} expires {expires}] ci", new.id));
}

#[tokio::test]
async fn answers_without_a_verdict_are_no_attempts_to_verify() {
    let fixture =
        Fixture::with(Behavior { enable_delay: Seconds::new(10.0).unwrap(), ..Behavior::default() });
    // The first list after the change shows that it is done, and the next ones verify.
    let fault = Fault {
        skip: 1,
        method: Some("GET".to_owned()),
        path: Some("/setting/admins/apitokens".to_owned()),
        times: Some(4),
        status: Some(503),
        ..FaultKind::StatusBeforeActing.into()
    };
    let portal = Arc::clone(&fixture.portal);
    let observer = OnMark(move || portal.add_fault(fault.clone()).unwrap(), AtomicU32::new(0));
    let client = fixture.client().observed_by(Arc::new(observer));
    let rotation = tokio::time::timeout(3 * HANG_TIMEOUT, call(fixture.rotation(), &client)).await.unwrap();
    assert!(matches!(state(rotation.unwrap()), RotationState::Overlap { .. }));
    assert!(fixture.works(&fixture.only_successor()).await);
}

/// A clock that jumps ahead by 55 s at the first reading of a token after a request.
#[derive(Debug)]
struct Jumping(AtomicU64);

impl Clock for Jumping {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms() + self.0.load(Ordering::SeqCst)
    }
}

struct JumpAt {
    clock: Arc<Jumping>,
    left: AtomicU32,
}

impl Observer for JumpAt {
    fn observe(&self, event: Event) {
        if matches!(event, Event::Attempt { method: "GET", .. })
            && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) == Ok(1)
        {
            self.clock.0.fetch_add(55_000, Ordering::SeqCst);
        }
    }
}

#[tokio::test]
async fn a_reading_that_is_too_old_is_repeated() {
    let mut reads = 0;
    for jump_at in 1..60 {
        let fixture = Fixture::start();
        let clock = Arc::new(Jumping(AtomicU64::new(0)));
        let observer = Arc::new(JumpAt { clock: clock.clone(), left: AtomicU32::new(jump_at) });
        let identity = identity(&fixture.portal.base_url(), lmv1_of(&fixture.portal));
        let client = Client::with_clock(identity, None, clock).observed_by(observer.clone());
        let rotation = RotateToken { overlap: Duration::ZERO, ..fixture.rotation() };
        let rotation = run(rotation, &client).await.unwrap_or_else(|error| panic!("{jump_at}: {error}"));
        assert!(matches!(state(rotation), RotationState::Quarantine { .. }), "{jump_at}");
        if observer.left.load(Ordering::SeqCst) > 0 {
            break;
        }
        reads = jump_at;
    }
    assert!(reads > 15, "{reads}");
}

#[tokio::test]
async fn force_deletes_a_token_whose_calls_are_refused() {
    let fixture = Fixture::start();
    let rotation = RotateToken { overlap: Duration::ZERO, quarantine: DAY, ..fixture.rotation() };
    fixture.run(rotation).await.unwrap();
    fixture.advance(DAY);
    assert!(!fixture.works(&fixture.old()).await);
    assert!(matches!(fixture.finish_one().await.unwrap(), RotationState::InUse { .. }));
    let forced = fixture.run(FinishRotations { force: true, ..Fixture::finish_all() }).await.unwrap();
    assert_eq!(forced[0].state.as_ref().ok(), Some(&RotationState::Finished));
    assert!(forced[0].deleted_old);
}

#[tokio::test]
async fn a_rotation_that_is_too_long_is_refused() {
    let fixture = Fixture::start();
    let years = Duration::from_secs(11 * 365 * 86_400);
    for rotation in [
        RotateToken { overlap: years, ..fixture.rotation() },
        RotateToken { quarantine: years, ..fixture.rotation() },
    ] {
        assert_eq!(fixture.run(rotation).await.unwrap_err().kind(), ErrorKind::Argument);
    }
    let finish = FinishRotations { quarantine: years, ..Fixture::finish_all() };
    assert_eq!(fixture.run(finish).await.unwrap_err().kind(), ErrorKind::Argument);
    assert!(fixture.successors().is_empty());
}

#[tokio::test]
async fn a_mark_takes_effect_after_a_minute_of_the_portal() {
    let fixture = Fixture::start();
    fixture.rotate().await.unwrap();
    let new = fixture.only_successor();
    let observer = Arc::new(Recording::default());
    let client =
        fixture.client().observed_by(Arc::new(Both(Advance(fixture.portal.clone()), observer.clone())));
    run(CancelRotation { token: target(new.id.into()) }, &client).await.unwrap();
    let events = observer.0.lock().unwrap();
    let waited: Duration = events
        .iter()
        .map(|event| if let Event::Waiting { remaining, .. } = event { *remaining } else { Duration::ZERO })
        .sum();
    assert!(waited >= Duration::from_secs(59), "{waited:?}");
    // The portal's time passed before the token was disabled.
    let waiting = events.iter().position(|event| matches!(event, Event::Waiting { .. })).unwrap();
    let patches =
        events[..waiting].iter().filter(|event| matches!(event, Event::Attempt { method: "PATCH", .. }));
    assert_eq!(patches.count(), 1);
}

struct Both(Advance, Arc<Recording>);

impl Observer for Both {
    fn observe(&self, event: Event) {
        self.0.observe(event.clone());
        self.1.observe(event);
    }
}

#[tokio::test]
async fn an_interrupted_rotation_is_reported() {
    let fixture = Fixture::start();
    let observer = Arc::new(Recording::default());
    let client = fixture.client().observed_by(observer.clone());
    let destination = Dying { memory: Fixture::memory(), in_commit: true };
    let rotation = fixture.rotation_to(Arc::new(destination));
    let dropped = tokio::time::timeout(Duration::from_secs(3), call(rotation, &client)).await;
    assert!(dropped.is_err(), "{dropped:?}");
    let (old, new) = (i64::from(fixture.old.id), i64::from(fixture.only_successor().id));
    assert!(observer.0.lock().unwrap().contains(&Event::RotationInterrupted { old, new }));
}

/// A destination whose first delivery takes longer than the lease of its token.
struct Slow {
    clock: Arc<Jumping>,
    portal: Arc<Portal>,
    memory: Arc<Memory>,
    deliveries: AtomicU32,
}

impl Destination for Slow {
    fn deliver<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        if self.deliveries.fetch_add(1, Ordering::SeqCst) == 0 {
            self.clock.0.fetch_add(700_000, Ordering::SeqCst);
            self.portal.advance(Duration::from_secs(700)).unwrap();
        }
        self.memory.deliver(token, tag)
    }

    fn describe(&self) -> String {
        "the test".to_owned()
    }
}

#[tokio::test]
async fn an_own_token_is_not_that_of_another_process() {
    let fixture = Fixture::start();
    let clock = Arc::new(Jumping(AtomicU64::new(0)));
    let memory = Fixture::memory();
    let destination = Slow {
        clock: clock.clone(),
        portal: Arc::clone(&fixture.portal),
        memory: memory.clone(),
        deliveries: AtomicU32::new(0),
    };
    let identity = identity(&fixture.portal.base_url(), lmv1_of(&fixture.portal));
    let client =
        Client::with_clock(identity, None, clock).observed_by(Arc::new(Advance(fixture.portal.clone())));
    let rotation = run(fixture.rotation_to(Arc::new(destination)), &client).await.unwrap();
    assert!(matches!(state(rotation), RotationState::Overlap { .. }));
    assert!(memory.holds(&fixture.only_successor()));
}

#[tokio::test]
async fn an_error_does_not_repeat_the_new_secret() {
    let fixture = Arc::new(Fixture::start());
    let secret = Arc::new(Mutex::new(String::new()));
    let (portal, seen) = (Arc::clone(&fixture.portal), Arc::clone(&secret));
    // The next change of the new token is refused with a message that repeats its secret.
    let observer = OnMark(
        move || {
            let new = portal.tokens().pop().unwrap();
            seen.lock().unwrap().push_str(new.access_key.reveal());
            let fault = Fault {
                method: Some("PATCH".to_owned()),
                times: None,
                code: Some(1400),
                message: Some(format!("the key {} is not wanted", new.access_key.reveal())),
                ..FaultKind::ErrorIn200.into()
            };
            portal.add_fault(fault).unwrap();
        },
        AtomicU32::new(0),
    );
    let client = fixture.client().observed_by(Arc::new(observer));
    let error = run(fixture.rotation(), &client).await.unwrap_err();
    let secret = secret.lock().unwrap();
    assert!(!secret.is_empty() && fixture.only_successor().status == ENABLED);
    assert!(error.to_string().contains("message is withheld"), "{error}");
    assert!(!format!("{error} {:?}", error.details()).contains(secret.as_str()), "{error}");
}
