//! Rotations whose process dies at each of its requests, and that another process continues or cancels.

use std::time::Instant;

use lmtokens::testing::sandbox::{Fault, FaultKind};

use super::*;

/// How the process that dies meets the portal.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// Its last request is lost.
    BeforeActing,
    /// Its last request is carried out.
    AfterActing,
}

/// Every operation sends more requests.
const LEAST_REQUESTS: u32 = 8;

/// Drops an operation at its request with this number. Returns whether it sent so many.
async fn kill_at<O: Operation>(fixture: &Fixture, operation: O, request: u32, death: Death) -> bool
where
    O::Output: std::fmt::Debug,
{
    fixture.portal.clear_record();
    let kind = match death {
        Death::BeforeActing => FaultKind::Delay,
        Death::AfterActing => FaultKind::ActThenDelay,
    };
    let fault = Fault { skip: request, times: None, seconds: Some(3600.0), ..kind.into() };
    fixture.portal.add_fault(fault).unwrap();
    let client = fixture.client();
    let dies = async {
        let started = Instant::now();
        while fixture.portal.record().len() <= request as usize {
            assert!(started.elapsed() < HANG_TIMEOUT, "the portal saw too few requests");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let is_killed = tokio::select! {
        ended = call(operation, &client) => {
            ended.unwrap();
            false
        }
        () = dies => true,
    };
    fixture.portal.clear_faults();
    is_killed
}

/// Asserts that a token works whose secret somebody holds.
fn assert_working_token(fixture: &Fixture, context: &str) {
    let old = fixture.token(fixture.old.id.into());
    let works = old.is_some_and(|old| old.status == ENABLED && fixture.is_held(&old))
        || fixture.successors().iter().any(|new| new.status == ENABLED && fixture.is_held(new));
    assert!(works, "{context}: no working token: {:?}", fixture.portal.tokens());
    for new in fixture.successors() {
        assert!(new.status == DISABLED || fixture.is_held(&new), "{context}: no holder of {new:?}");
    }
}

/// Asserts that the rotation is over, or waits for the end of the quarantine.
async fn assert_rotated(fixture: &Fixture, context: &str) {
    let enabled: Vec<_> = fixture.successors().into_iter().filter(|new| new.status == ENABLED).collect();
    let [new] = &enabled[..] else { panic!("{context}: {:?}", fixture.successors()) };
    assert!(fixture.token(fixture.old.id.into()).is_none_or(|old| old.status == DISABLED), "{context}");
    assert!(Tag::parse(&new.note).is_none(), "{context}: {}", new.note);
    let mut names = fixture.folder.names();
    names.sort();
    let previous = format!("token.json.{}.previous", fixture.old.id);
    assert_eq!(names, ["token.json", &previous], "{context}");
    assert!(fixture.is_held(new) && fixture.works(new).await, "{context}");
    let tagged = fixture.successors().into_iter().filter(|new| Tag::parse(&new.note).is_some());
    assert_eq!(tagged.count(), 0, "{context}: {:?}", fixture.successors());
}

fn at_once(fixture: &Fixture) -> RotateToken {
    RotateToken { overlap: Duration::ZERO, ..fixture.rotation() }
}

#[tokio::test]
async fn a_killed_rotation_is_continued_by_another_process() {
    for death in [Death::BeforeActing, Death::AfterActing] {
        for request in 1.. {
            let context = format!("{death:?} {request}");
            let fixture = Fixture::in_place();
            let is_killed = kill_at(&fixture, at_once(&fixture), request, death).await;
            assert_working_token(&fixture, &context);
            let rotation =
                fixture.run(at_once(&fixture)).await.unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(
                matches!(rotation.state, Ok(RotationState::Quarantine { .. })),
                "{context}: {rotation:?}"
            );
            assert_rotated(&fixture, &context).await;
            if !is_killed {
                assert!(request > LEAST_REQUESTS, "{context}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_killed_rotation_is_cancelled_by_another_process() {
    for death in [Death::BeforeActing, Death::AfterActing] {
        for request in 1.. {
            let context = format!("{death:?} {request}");
            let fixture = Fixture::in_place();
            let is_killed = kill_at(&fixture, at_once(&fixture), request, death).await;
            match fixture.cancel(fixture.old.id.into()).await {
                Ok(rotation) => {
                    assert!(matches!(rotation.state, Ok(RotationState::Cancelled)), "{rotation:?}");
                }
                // Nothing was created.
                Err(error) => {
                    assert!(fixture.successors().is_empty(), "{context}: {error}");
                }
            }
            assert_eq!(fixture.old().status, ENABLED, "{context}");
            assert!(fixture.successors().iter().all(|new| new.status == DISABLED), "{context}");
            if !is_killed {
                assert!(request > LEAST_REQUESTS, "{context}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_killed_cancellation_is_continued() {
    for death in [Death::BeforeActing, Death::AfterActing] {
        for request in 1.. {
            let context = format!("{death:?} {request}");
            let fixture = Fixture::in_place();
            fixture.run(at_once(&fixture)).await.unwrap();
            let cancel = CancelRotation { token: target(fixture.old.id.into()) };
            let is_killed = kill_at(&fixture, cancel.clone(), request, death).await;
            assert_working_token(&fixture, &context);
            if is_killed {
                let cancelled =
                    fixture.run(cancel).await.unwrap_or_else(|error| panic!("{context}: {error}"));
                assert!(matches!(cancelled.state, Ok(RotationState::Cancelled)), "{cancelled:?}");
            }
            assert_eq!(fixture.old().status, ENABLED, "{context}");
            assert!(fixture.successors().iter().all(|new| new.status == DISABLED), "{context}");
            if !is_killed {
                assert!(request > LEAST_REQUESTS, "{context}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_killed_end_is_continued() {
    for death in [Death::BeforeActing, Death::AfterActing] {
        for request in 1.. {
            let context = format!("{death:?} {request}");
            let fixture = Fixture::in_place();
            fixture.run(at_once(&fixture)).await.unwrap();
            fixture.advance(7 * DAY);
            let finish = FinishRotations { token: None, quarantine: DAY, force: false };
            let is_killed = kill_at(&fixture, finish, request, death).await;
            assert_working_token(&fixture, &context);
            fixture.finish().await.unwrap();
            assert!(fixture.token(fixture.old.id.into()).is_none(), "{context}");
            let new = fixture.only_successor();
            assert_eq!((new.note.as_str(), new.status), ("ci", ENABLED), "{context}");
            if !is_killed {
                assert!(request > LEAST_REQUESTS, "{context}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_rotation_without_a_file_is_continued_once_it_is_old_enough() {
    let fixture = Fixture::start();
    let rotation = |take_over| RotateToken {
        overlap: Duration::ZERO,
        take_over,
        ..fixture.rotation_to(Arc::new(Memory::default()))
    };
    // Until the new token is enabled.
    let is_enabled = || fixture.successors().iter().any(|new| new.status == ENABLED);
    let mut request = 1;
    while !is_enabled() {
        assert!(fixture.successors().is_empty(), "{:?}", fixture.successors());
        request += 1;
        let before = fixture.successors().len();
        kill_at(&fixture, rotation(false), request, Death::AfterActing).await;
        if fixture.successors().len() > before && !is_enabled() {
            fixture.advance(Duration::from_secs(2 * 3600));
            fixture.delete(target(fixture.only_successor().id.into())).await;
        }
    }
    let lost = fixture.only_successor();
    let error = fixture.run(rotation(false)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rotation, "{error}");
    assert!(error.to_string().contains("may still be running"), "{error}");
    fixture.advance(Duration::from_secs(13 * 60));
    fixture.run(rotation(false)).await.unwrap_err();
    fixture.run(rotation(true)).await.unwrap();
    let enabled: Vec<_> = fixture.successors().into_iter().filter(|new| new.status == ENABLED).collect();
    assert_eq!(enabled.len(), 1, "{:?}", fixture.successors());
    assert_ne!(enabled[0].id, lost.id);
    let lost = fixture.token(lost.id.into()).unwrap();
    assert_eq!(lost.status, DISABLED);
    assert!(lost.note.contains("; superseded 20"), "{}", lost.note);
}

#[tokio::test]
async fn a_create_whose_response_is_lost_is_repeated() {
    for kind in [FaultKind::ActThenClose, FaultKind::CloseBeforeActing, FaultKind::Late, FaultKind::NoKey] {
        let fixture = Fixture::in_place();
        let seconds = (kind == FaultKind::Late).then_some(0.3);
        let fault = Fault { method: Some("POST".to_owned()), seconds, ..kind.into() };
        fixture.portal.add_fault(fault).unwrap();
        let rotation =
            fixture.run(at_once(&fixture)).await.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        assert!(matches!(rotation.state, Ok(RotationState::Quarantine { .. })), "{kind:?}: {rotation:?}");
        tokio::time::sleep(Duration::from_millis(400)).await;
        let enabled = fixture.successors().into_iter().filter(|new| new.status == ENABLED);
        assert_eq!(enabled.count(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn of_two_rotations_at_once_one_replaces_the_token() {
    for _ in 0..10 {
        let fixture = Fixture::start();
        let (one, other) = (Fixture::memory(), Fixture::memory());
        let (client, other_client) = (fixture.client(), fixture.client());
        let run = |destination: &Arc<Memory>| RotateToken {
            overlap: Duration::ZERO,
            ..fixture.rotation_to(destination.clone())
        };
        let both = tokio::join!(call(run(&one), &client), call(run(&other), &other_client));
        assert!(both.0.is_ok() || both.1.is_ok(), "{both:?}");
        let new = fixture.only_successor();
        assert_eq!((new.status, fixture.old().status), (ENABLED, DISABLED));
        let holders = [one, other].iter().filter(|memory| memory.holds(&new)).count();
        assert_eq!(holders, 1);
    }
}

/// Drops rotations to a destination, each at a later request, until the new token is enabled.
async fn kill_after_enabling(fixture: &Fixture, destination: impl Fn() -> Arc<dyn Destination>) {
    for request in 1.. {
        kill_at(fixture, at_once_to(fixture, destination()), request, Death::AfterActing).await;
        if fixture.successors().iter().any(|new| new.status == ENABLED) {
            break;
        }
        for new in fixture.successors() {
            fixture.delete(target(new.id.into())).await;
        }
    }
    assert!(Tag::parse(&fixture.only_successor().note).is_some());
}

/// As `kill_after_enabling`, and deletes the old token.
async fn lose_old_token(fixture: &Fixture, destination: impl Fn() -> Arc<dyn Destination>) {
    kill_after_enabling(fixture, destination).await;
    fixture.delete(target(fixture.old.id.into())).await;
}

fn at_once_to(fixture: &Fixture, destination: Arc<dyn Destination>) -> RotateToken {
    RotateToken { overlap: Duration::ZERO, ..fixture.rotation_to(destination) }
}

#[tokio::test]
async fn a_new_token_whose_predecessor_others_deleted_is_completed() {
    let fixture = Fixture::start();
    lose_old_token(&fixture, || fixture.file()).await;
    assert_eq!(state(fixture.run(at_once(&fixture)).await.unwrap()), RotationState::Finished);
    let new = fixture.only_successor();
    assert_eq!((new.note.as_str(), new.status), ("ci", ENABLED));
    let text = std::fs::read_to_string(fixture.folder.path()).unwrap();
    assert!(text.contains(new.access_key.reveal()) && fixture.works(&new).await);
    // Now it is a token like any other.
    assert_eq!(fixture.rotate().await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_new_token_whose_predecessor_others_deleted_is_kept_without_its_secret() {
    for finishes in [false, true] {
        let fixture = Fixture::start();
        let memory = Fixture::memory();
        lose_old_token(&fixture, || memory.clone()).await;
        let new = fixture.only_successor();
        let finish = || FinishRotations { token: Some(target(new.id.into())), ..Fixture::finish_all() };
        for error in [
            fixture.run(at_once_to(&fixture, memory.clone())).await.unwrap_err(),
            fixture.run(finish()).await.unwrap_err(),
        ] {
            assert!(error.to_string().contains("may still be running"), "{error}");
        }
        assert!(fixture.finish().await.unwrap().is_empty());
        fixture.advance(Duration::from_secs(3700));
        if finishes {
            assert_eq!(fixture.finish_one().await.unwrap(), RotationState::Finished);
        } else {
            let rotation = fixture.run(at_once_to(&fixture, memory.clone())).await.unwrap();
            assert_eq!(state(rotation), RotationState::Finished);
        }
        let kept = fixture.only_successor();
        assert_eq!((kept.note.as_str(), kept.status, kept.id), ("ci", ENABLED, new.id));
        assert!(memory.holds(&kept));
    }
}

#[tokio::test]
async fn an_interrupted_rotation_is_reported_once_it_is_old_enough() {
    let fixture = Fixture::start();
    kill_after_enabling(&fixture, || fixture.file()).await;
    assert!(fixture.finish().await.unwrap().is_empty());
    fixture.advance(Duration::from_secs(3700));
    let error = fixture.finish_one().await.unwrap_err();
    assert!(error.to_string().contains("no token is marked"), "{error}");
    assert_eq!(fixture.old().status, ENABLED);
}
