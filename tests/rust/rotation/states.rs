//! The states of a rotation, and what people read in the notes meanwhile.

use lmtokens::testing::sandbox::{Fault, FaultKind};

use super::*;

#[tokio::test]
async fn a_rotation_goes_through_overlap_and_quarantine() {
    let fixture = Fixture::start();
    let rotation = fixture.rotate().await.unwrap();
    let new = fixture.only_successor();
    assert_eq!(rotation.new.as_ref().map(|new| new.id), Some(new.id.into()));
    assert_eq!(rotation.changes, 3);
    let RotationState::Overlap { until } = state(rotation) else { panic!("no overlap") };
    assert_eq!((fixture.old().status, new.status), (ENABLED, ENABLED));
    assert_eq!(fixture.old().note, "ci");
    assert!(new.note.starts_with(&format!("[lmtokens {} replaces {} after 20", new.id, fixture.old.id)));
    assert!(new.note.ends_with("Z] ci"), "{}", new.note);
    assert_eq!(fixture.folder.names(), ["token.json"]);
    assert!(fixture.is_held(&new) && fixture.works(&new).await && fixture.works(&fixture.old()).await);

    // Called again, it does nothing.
    assert_eq!(state(fixture.rotate().await.unwrap()), RotationState::Overlap { until });
    assert_eq!(fixture.finish_one().await.unwrap(), RotationState::Overlap { until });

    fixture.advance(DAY);
    let RotationState::Quarantine { until } = state(fixture.rotate().await.unwrap()) else {
        panic!("no quarantine")
    };
    let old = fixture.old();
    assert_eq!(old.status, DISABLED);
    assert!(old.note.starts_with(&format!("[lmtokens {} replaced by {}, delete after 20", old.id, new.id)));
    assert_eq!(state(fixture.rotate().await.unwrap()), RotationState::Quarantine { until });
    assert_eq!(fixture.finish_one().await.unwrap(), RotationState::Quarantine { until });

    fixture.advance(7 * DAY);
    assert_eq!(fixture.finish_one().await.unwrap(), RotationState::Finished);
    assert!(fixture.token(fixture.old.id.into()).is_none());
    let new = fixture.only_successor();
    assert_eq!((new.note.as_str(), new.status), ("ci", ENABLED));
    assert!(fixture.finish().await.unwrap().is_empty());
    assert_eq!(fixture.rotate().await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn without_overlap_and_quarantine_one_call_is_all() {
    let fixture = Fixture::start();
    let rotation = RotateToken { overlap: Duration::ZERO, quarantine: Duration::ZERO, ..fixture.rotation() };
    let rotation = fixture.run(rotation).await.unwrap();
    assert_eq!(rotation.changes, 5);
    assert_eq!(state(rotation), RotationState::Finished);
    let new = fixture.only_successor();
    assert_eq!((new.note.as_str(), new.status), ("ci", ENABLED));
    assert!(fixture.works(&new).await && fixture.is_held(&new));
}

#[tokio::test]
async fn the_file_of_the_old_token_is_replaced_and_kept_beside() {
    let fixture = Fixture::start();
    let first = RotateToken { overlap: Duration::ZERO, quarantine: Duration::ZERO, ..fixture.rotation() };
    fixture.run(first.clone()).await.unwrap();
    let one = fixture.only_successor();
    let again = RotateToken { token: target(one.id.into()), destination: fixture.file(), ..first };
    fixture.run(RotateToken { quarantine: DAY, ..again }).await.unwrap();
    let other = fixture.successors().into_iter().find(|token| token.id > one.id).unwrap();
    let mut names = fixture.folder.names();
    names.sort();
    let previous = format!("token.json.{}.previous", one.id);
    assert_eq!(names, ["token.json", &previous]);
    let text = |name: &str| std::fs::read_to_string(fixture.folder.path().with_file_name(name)).unwrap();
    assert!(text("token.json").contains(other.access_key.reveal()));
    assert!(text(&previous).contains(one.access_key.reveal()));

    // The file of another token is not replaced.
    std::fs::write(fixture.folder.path(), "another file").unwrap();
    let third = fixture.portal.create_token(NewToken::default()).unwrap();
    let refused = RotateToken { token: target(third.id.into()), ..fixture.rotation() };
    let error = fixture.run(refused).await.unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    assert_eq!(fixture.successors().len(), 3);
}

#[tokio::test]
async fn the_secret_of_a_deleted_token_is_forgotten() {
    let fixture = Fixture::in_place();
    let rotation = RotateToken { overlap: Duration::ZERO, quarantine: Duration::ZERO, ..fixture.rotation() };
    assert_eq!(state(fixture.run(rotation).await.unwrap()), RotationState::Finished);
    assert_eq!(fixture.folder.names(), ["token.json"]);
}

#[tokio::test]
async fn a_token_in_use_is_not_disabled() {
    let fixture = Fixture::start();
    fixture.rotate().await.unwrap();
    fixture.advance(DAY);
    assert!(fixture.works(&fixture.old()).await);
    let RotationState::InUse { last_used_on, is_same_address, .. } = state(fixture.rotate().await.unwrap())
    else {
        panic!("not in use")
    };
    assert_eq!((last_used_on, is_same_address), (fixture.old().last_used_on, true));
    assert_eq!(fixture.old().status, ENABLED);
    assert!(matches!(fixture.finish_one().await.unwrap(), RotationState::InUse { .. }));
    fixture.advance(DAY);
    assert!(matches!(fixture.finish_one().await.unwrap(), RotationState::Quarantine { .. }));
}

#[tokio::test]
async fn a_disabled_token_that_is_still_tried_is_not_deleted() {
    let fixture = Fixture::start();
    let rotation = RotateToken { overlap: Duration::ZERO, quarantine: DAY, ..fixture.rotation() };
    fixture.run(rotation).await.unwrap();
    fixture.advance(DAY);
    assert!(!fixture.works(&fixture.old()).await);
    let RotationState::InUse { address, .. } = fixture.finish_one().await.unwrap() else { panic!("deleted") };
    assert_eq!(address, Some(std::net::Ipv4Addr::LOCALHOST.into()));
    fixture.advance(DAY);
    assert_eq!(fixture.finish_one().await.unwrap(), RotationState::Finished);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_keeps_nothing() {
    let fixture = Fixture::start();
    let path = Some("/setting/accesslogs".to_owned());
    let fault = Fault { path, status: Some(403), times: None, ..FaultKind::StatusBeforeActing.into() };
    fixture.portal.add_fault(fault).unwrap();
    let rotation = RotateToken { overlap: Duration::ZERO, quarantine: Duration::ZERO, ..fixture.rotation() };
    assert_eq!(state(fixture.run(rotation).await.unwrap()), RotationState::Finished);
}

#[tokio::test]
async fn force_disables_a_token_in_use() {
    let fixture = Fixture::start();
    fixture.rotate().await.unwrap();
    fixture.advance(DAY);
    assert!(fixture.works(&fixture.old()).await);
    let forced = fixture.run(RotateToken { force: true, ..fixture.rotation() }).await.unwrap();
    assert!(matches!(state(forced), RotationState::Quarantine { .. }));
}

#[tokio::test]
async fn a_rotation_is_cancelled_at_any_time_before_the_old_token_is_deleted() {
    for advances in [0, 1] {
        let fixture = Fixture::start();
        fixture.rotate().await.unwrap();
        let new = fixture.only_successor();
        if advances > 0 {
            fixture.advance(DAY);
            assert!(matches!(fixture.finish_one().await.unwrap(), RotationState::Quarantine { .. }));
        }
        let id = if advances > 0 { new.id } else { fixture.old.id };
        assert_eq!(state(fixture.cancel(id.into()).await.unwrap()), RotationState::Cancelled);
        assert_eq!((fixture.old().status, fixture.old().note.as_str()), (ENABLED, "ci"));
        let new = fixture.only_successor();
        assert_eq!(new.status, DISABLED);
        assert!(new.note.contains("; cancelled 20"), "{}", new.note);
        // Another rotation does not see the cancelled one.
        std::fs::remove_file(fixture.folder.path()).unwrap();
        assert!(matches!(state(fixture.rotate().await.unwrap()), RotationState::Overlap { .. }));
        assert_eq!(fixture.successors().len(), 2);
    }
}

#[tokio::test]
async fn cancelling_too_late_keeps_the_new_token() {
    let fixture = Fixture::start();
    let rotation = RotateToken { overlap: Duration::ZERO, ..fixture.rotation() };
    fixture.run(rotation).await.unwrap();
    let new = fixture.only_successor();
    // The old token is deleted before the marker is removed.
    let old = target(fixture.old.id.into());
    fixture.delete(old).await;
    assert_eq!(state(fixture.cancel(new.id.into()).await.unwrap()), RotationState::TooLate);
    let new = fixture.only_successor();
    assert_eq!((new.note.as_str(), new.status), ("ci", ENABLED));
}

#[tokio::test]
async fn the_old_token_is_restored_if_the_new_one_is_gone() {
    let fixture = Fixture::start();
    let rotation = RotateToken { overlap: Duration::ZERO, ..fixture.rotation() };
    fixture.run(rotation).await.unwrap();
    fixture.delete(target(fixture.only_successor().id.into())).await;
    assert_eq!(fixture.finish_one().await.unwrap(), RotationState::Restored);
    assert_eq!((fixture.old().status, fixture.old().note.as_str()), (ENABLED, "ci"));
}

#[tokio::test]
async fn an_old_token_that_others_enable_is_left_alone() {
    let fixture = Fixture::start();
    let rotation = RotateToken { overlap: Duration::ZERO, ..fixture.rotation() };
    fixture.run(rotation.clone()).await.unwrap();
    // In the user interface: the note is kept.
    fixture.patch(fixture.old.id, serde_json::json!({"status": ENABLED})).await;
    let error = fixture.finish_one().await.unwrap_err();
    assert!(error.to_string().contains("enabled by others"), "{error}");
    let again = RotateToken { destination: fixture.file(), ..rotation };
    assert_eq!(fixture.run(again).await.unwrap_err().kind(), ErrorKind::Rotation);
    assert_eq!(fixture.old().status, ENABLED);
    assert_eq!(state(fixture.cancel(fixture.old.id.into()).await.unwrap()), RotationState::Cancelled);
    assert_eq!((fixture.old().status, fixture.old().note.as_str()), (ENABLED, "ci"));
    assert_eq!(fixture.only_successor().status, DISABLED);
}

#[tokio::test]
async fn a_new_token_that_others_disable_stops_the_rotation() {
    let fixture = Fixture::start();
    fixture.rotate().await.unwrap();
    let new = fixture.only_successor().id;
    fixture.patch(new, serde_json::json!({"status": DISABLED})).await;
    fixture.advance(DAY);
    assert_eq!(fixture.finish_one().await.unwrap_err().kind(), ErrorKind::Rotation);
    assert_eq!(fixture.old().status, ENABLED);
    fixture.patch(new, serde_json::json!({"status": ENABLED})).await;
    assert!(matches!(fixture.finish_one().await.unwrap(), RotationState::Quarantine { .. }));
}

#[tokio::test]
async fn a_portal_that_cuts_notes_is_noticed_before_anything_is_delivered() {
    let long_notes = lmtokens::testing::sandbox::LongNotes::Cut;
    for limit in [5, 20, 90, 97] {
        let behavior = Behavior { note_limit: Some(limit), long_notes, ..Behavior::default() };
        let fixture = Fixture::with(behavior);
        let (client, count) = (fixture.client(), fixture.portal.tokens().len());
        let rotation = RotateToken { note: Some(Note::new("a long note").unwrap()), ..fixture.rotation() };
        let rotation = tokio::time::timeout(3 * HANG_TIMEOUT, call(rotation, &client)).await.unwrap();
        let error = rotation.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rotation, "{limit}: {error}");
        assert_eq!(fixture.portal.tokens().len(), count, "{limit}: {:?}", fixture.portal.tokens());
        assert_eq!(fixture.old().status, ENABLED);
    }
}

#[tokio::test]
async fn a_list_that_lags_delays_a_rotation() {
    let fixture = Fixture::with(Behavior { list_lag: Seconds::new(2.0).unwrap(), ..Behavior::default() });
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let rotation = RotateToken { overlap: Duration::ZERO, ..fixture.rotation() };
    let rotation = tokio::time::timeout(2 * HANG_TIMEOUT, call(rotation, &fixture.client())).await.unwrap();
    assert!(matches!(state(rotation.unwrap()), RotationState::Quarantine { .. }));
    assert_eq!((fixture.only_successor().status, fixture.old().status), (ENABLED, DISABLED));
}

#[tokio::test]
async fn a_rejected_secret_leaves_the_old_token() {
    // It takes longer than all attempts until an enabled token works.
    let fixture =
        Fixture::with(Behavior { enable_delay: Seconds::new(3600.0).unwrap(), ..Behavior::default() });
    let client = fixture.client();
    let error = tokio::time::timeout(2 * HANG_TIMEOUT, call(fixture.rotation(), &client)).await.unwrap();
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rotation, "{error}");
    assert!(
        fixture.successors().is_empty() && fixture.folder.names().is_empty(),
        "{:?}",
        fixture.successors()
    );
    assert_eq!(fixture.old().status, ENABLED);
}

#[tokio::test]
async fn a_token_that_works_a_moment_later_is_accepted() {
    let fixture = Fixture::with(Behavior { enable_delay: Seconds::new(2.0).unwrap(), ..Behavior::default() });
    assert!(matches!(state(fixture.rotate().await.unwrap()), RotationState::Overlap { .. }));
}

#[tokio::test]
async fn a_failed_check_leaves_both_tokens_and_is_repeated() {
    let fixture = Fixture::start();
    let check: Arc<dyn Check> = Arc::new(FailingCheck(Mutex::new(1)));
    let rotation = || RotateToken { then: Some(Arc::clone(&check)), ..fixture.rotation() };
    let error = fixture.run(rotation()).await.unwrap_err();
    assert!(error.to_string().contains("does not start"), "{error}");
    let new = fixture.only_successor();
    assert!(fixture.works(&new).await && fixture.works(&fixture.old()).await);
    assert_eq!(new.note, format!("[lmtokens {} replaces {}] ci", new.id, fixture.old.id));
    let error =
        fixture.run(FinishRotations { token: Some(target(new.id.into())), ..Fixture::finish_all() }).await;
    assert!(error.unwrap_err().to_string().contains("has not succeeded"));
    assert!(matches!(state(fixture.run(rotation()).await.unwrap()), RotationState::Overlap { .. }));
    assert_eq!(fixture.only_successor().id, new.id);
    assert_eq!(fixture.folder.names(), ["token.json"]);
}

#[tokio::test]
async fn a_failed_check_is_repeated_at_once_for_any_destination() {
    let fixture = Fixture::start();
    let check: Arc<dyn Check> = Arc::new(FailingCheck(Mutex::new(2)));
    let rotation = || RotateToken {
        then: Some(Arc::clone(&check)),
        overlap: Duration::ZERO,
        ..fixture.rotation_to(Arc::new(Memory::default()))
    };
    for _ in 0..2 {
        fixture.run(rotation()).await.unwrap_err();
        assert_eq!(fixture.old().status, ENABLED);
    }
    assert!(matches!(state(fixture.run(rotation()).await.unwrap()), RotationState::Quarantine { .. }));
    assert_eq!(fixture.only_successor().status, ENABLED);
}

#[tokio::test]
async fn an_old_token_is_restored_by_cancelling_if_the_new_one_is_gone() {
    let fixture = Fixture::start();
    let rotation = RotateToken { overlap: Duration::ZERO, ..fixture.rotation() };
    fixture.run(rotation).await.unwrap();
    fixture.delete(target(fixture.only_successor().id.into())).await;
    let cancelled = fixture.cancel(fixture.old.id.into()).await.unwrap();
    assert_eq!((cancelled.old.status, cancelled.new), (Some(TokenStatus::Enabled), None));
    assert_eq!((fixture.old().status, fixture.old().note.as_str()), (ENABLED, "ci"));
}

#[tokio::test]
async fn a_bearer_token_does_not_rotate_itself() {
    let fixture = Fixture::start();
    let bearer = NewToken { admin_id: 1, r#type: TokenType::Bearer, ..NewToken::default() };
    let bearer = fixture.portal.create_token(bearer).unwrap();
    let client = fixture.client_with(Credentials::from_bearer(bearer.access_key.clone()).unwrap());
    let rotation = RotateToken { token: target(bearer.id.into()), allow_bearer: true, ..fixture.rotation() };
    assert_eq!(run(rotation, &client).await.unwrap_err().kind(), ErrorKind::SelfLockout);
}

#[tokio::test]
async fn a_client_that_rotates_its_own_token_uses_the_new_one() {
    let fixture = Fixture::start();
    // A token of the administrator, which may list and change tokens.
    let own = fixture.portal.create_token(NewToken { admin_id: 1, ..NewToken::default() }).unwrap();
    let credentials = Credentials::from_pair(Some(&own.access_id), own.access_key.clone()).unwrap();
    let client = fixture.client_with(credentials);
    let rotation = RotateToken {
        token: target(own.id.into()),
        overlap: Duration::ZERO,
        quarantine: Duration::ZERO,
        ..fixture.rotation()
    };
    let rotation = run(rotation, &client).await.unwrap();
    let new = rotation.new.as_ref().unwrap().id;
    assert_eq!(state(rotation), RotationState::Finished);
    let found = run(FindToken::Id(TokenId::new(new).unwrap()), &client).await.unwrap();
    assert_eq!(found.id, new);
    assert!(!fixture.works(&own).await);
}

#[tokio::test]
async fn a_bearer_token_is_rotated_on_request_only() {
    let fixture = Fixture::start();
    let bearer = NewToken { r#type: TokenType::Bearer, ..NewToken::default() };
    let bearer = fixture.portal.create_token(bearer).unwrap();
    let rotation = RotateToken { token: target(bearer.id.into()), ..fixture.rotation() };
    let error = fixture.run(rotation.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rotation, "{error}");
    let rotation = RotateToken { allow_bearer: true, ..rotation };
    assert!(matches!(state(fixture.run(rotation).await.unwrap()), RotationState::Overlap { .. }));
}

#[tokio::test]
async fn a_bearer_token_that_the_portal_deletes_at_once_is_replaced() {
    let fixture = Fixture::with(Behavior { one_bearer_per_user: true, ..Behavior::default() });
    let bearer = NewToken { r#type: TokenType::Bearer, note: "ci".to_owned(), ..NewToken::default() };
    let bearer = fixture.portal.create_token(bearer).unwrap();
    let rotation = RotateToken { token: target(bearer.id.into()), allow_bearer: true, ..fixture.rotation() };
    assert_eq!(state(fixture.run(rotation).await.unwrap()), RotationState::Finished);
    let new = fixture.only_successor();
    assert_eq!((new.r#type, new.status, new.note.as_str()), (TokenType::Bearer, ENABLED, "ci"));
    assert!(fixture.is_held(&new));
}

#[tokio::test]
async fn a_rotation_sends_at_most_five_mails() {
    let fixture = Fixture::with(Behavior { email_notifications: true, ..Behavior::default() });
    let rotation = RotateToken { overlap: Duration::ZERO, quarantine: Duration::ZERO, ..fixture.rotation() };
    let before = fixture.portal.email_count();
    let rotation = fixture.run(rotation).await.unwrap();
    assert_eq!((fixture.portal.email_count() - before, rotation.changes), (5, 5));
}

#[tokio::test]
async fn the_new_token_of_a_rotation_is_not_rotated_before_its_end() {
    let fixture = Fixture::start();
    fixture.rotate().await.unwrap();
    let new = fixture.only_successor();
    let rotation = RotateToken { token: target(new.id.into()), ..fixture.rotation() };
    let error = fixture.run(rotation).await.unwrap_err();
    assert!(error.to_string().contains(&format!("of the rotation of token {}", fixture.old.id)), "{error}");
    assert_eq!(fixture.only_successor().note, new.note);
}

#[tokio::test]
async fn a_disabled_token_is_not_rotated() {
    let fixture = Fixture::start();
    let disabled = fixture.portal.create_token(NewToken { status: DISABLED, ..NewToken::default() }).unwrap();
    let rotation = RotateToken { token: target(disabled.id.into()), ..fixture.rotation() };
    let error = fixture.run(rotation).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rotation, "{error}");
    assert!(fixture.folder.names().is_empty());
}

#[tokio::test]
async fn a_new_token_that_was_not_checked_is_kept_if_others_delete_the_old_one() {
    for finishes in [false, true] {
        let fixture = Fixture::start();
        let check: Arc<dyn Check> = Arc::new(FailingCheck(Mutex::new(2)));
        let rotation = || RotateToken { then: Some(Arc::clone(&check)), ..fixture.rotation() };
        fixture.run(rotation()).await.unwrap_err();
        let error = fixture.finish_one().await.unwrap_err();
        assert!(error.to_string().contains("has not succeeded"), "{error}");
        fixture.delete(target(fixture.old.id.into())).await;
        let ended =
            if finishes { fixture.finish_one().await } else { fixture.run(rotation()).await.unwrap().state };
        assert_eq!(ended.unwrap(), RotationState::Finished);
        let new = fixture.only_successor();
        assert_eq!((new.note.as_str(), new.status), ("ci", ENABLED));
        assert!(fixture.is_held(&new));
    }
}

#[tokio::test]
async fn a_rotation_without_overlap_does_not_check_the_use_of_the_old_token() {
    let fixture = Fixture::start();
    let path = Some(format!("/setting/admins/32/apitokens/{}", fixture.old.id));
    let method = Some("PATCH".to_owned());
    let fault =
        Fault { method, path, status: Some(403), times: None, ..FaultKind::StatusBeforeActing.into() };
    fixture.portal.add_fault(fault).unwrap();
    let rotation = RotateToken { overlap: Duration::ZERO, ..fixture.rotation() };
    assert_eq!(fixture.run(rotation).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    fixture.portal.clear_faults();
    assert!(fixture.works(&fixture.old()).await);
    assert!(matches!(fixture.finish_one().await.unwrap(), RotationState::Quarantine { .. }));
}

#[tokio::test]
async fn the_old_secret_is_kept_beside_until_the_rotation_ends() {
    let fixture = Fixture::in_place();
    let rotation = |overwrite| {
        let (path, form) = (fixture.folder.path(), Form::Json);
        let file = ToFile { path, form, overwrite, trust_folder: false };
        RotateToken { overlap: Duration::ZERO, ..fixture.rotation_to(file.destination()) }
    };
    // After a cancellation, the file has the secret of the cancelled token, which is replaced.
    for overwrite in [false, true, false] {
        fixture.run(rotation(overwrite)).await.unwrap();
        fixture.cancel(fixture.old.id.into()).await.unwrap();
        assert!(fixture.works(&fixture.old()).await && fixture.is_held(&fixture.old()));
    }
    // The file has the secret of the cancelled token only, so that it may be replaced.
    fixture.run(rotation(false)).await.unwrap();
    assert!(fixture.is_held(&fixture.old()));
}
