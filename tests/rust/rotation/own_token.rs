//! Clients that rotate the token that signs their calls.

use super::*;

fn own_token(fixture: &Fixture) -> (StoredToken, Client) {
    let own = fixture.portal.create_token(NewToken { admin_id: 1, ..NewToken::default() }).unwrap();
    let credentials = Credentials::from_pair(Some(&own.access_id), own.access_key.clone()).unwrap();
    let client = fixture.client_with(credentials);
    (own, client)
}

#[tokio::test]
async fn a_client_switches_after_a_check_that_failed_once() {
    let fixture = Fixture::start();
    let (own, client) = own_token(&fixture);
    let check: Arc<dyn Check> = Arc::new(FailingCheck(Mutex::new(1)));
    let rotation = || RotateToken {
        token: target(own.id.into()),
        overlap: Duration::ZERO,
        quarantine: Duration::ZERO,
        then: Some(Arc::clone(&check)),
        ..fixture.rotation()
    };
    run(rotation(), &client).await.unwrap_err();
    assert_eq!(state(run(rotation(), &client).await.unwrap()), RotationState::Finished);
    assert!(fixture.token(own.id.into()).is_none());
    run(FinishRotations { token: None, quarantine: DAY, force: false }, &client).await.unwrap();
}

#[tokio::test]
async fn a_client_does_not_cancel_the_rotation_to_its_own_token() {
    let fixture = Fixture::start();
    let (own, client) = own_token(&fixture);
    let rotation = RotateToken { token: target(own.id.into()), ..fixture.rotation() };
    let new = run(rotation, &client).await.unwrap().new.unwrap();
    let before = fixture.token(new.id).unwrap();
    let error = run(CancelRotation { token: target(own.id.into()) }, &client).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SelfLockout);
    let advice = format!("{:?}", error.details().advice);
    assert!(advice.contains("credentials of another token") && !advice.contains("Force"), "{advice}");
    let after = fixture.token(new.id).unwrap();
    assert_eq!((after.status, after.note), (ENABLED, before.note));
}
