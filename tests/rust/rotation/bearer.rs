//! Rotations of a bearer token that the portal deletes as soon as another one is created.

use super::*;

/// A destination that fails a number of times.
struct Failing(Arc<Memory>, Mutex<u32>);

impl Destination for Failing {
    fn deliver<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let mut left = self.1.lock().unwrap();
        if *left > 0 {
            *left -= 1;
            return Box::pin(async { Err(Error::new(ErrorKind::Delivery, "the vault is sealed")) });
        }
        self.0.deliver(token, tag)
    }

    fn describe(&self) -> String {
        "the test".to_owned()
    }
}

fn start() -> (Fixture, StoredToken) {
    let fixture = Fixture::with(Behavior { one_bearer_per_user: true, ..Behavior::default() });
    let bearer = NewToken { r#type: TokenType::Bearer, note: "ci".to_owned(), ..NewToken::default() };
    let bearer = fixture.portal.create_token(bearer).unwrap();
    (fixture, bearer)
}

fn rotation(fixture: &Fixture, id: u32, destination: Arc<dyn Destination>) -> RotateToken {
    RotateToken { token: target(id.into()), allow_bearer: true, ..fixture.rotation_to(destination) }
}

#[tokio::test]
async fn a_failed_delivery_is_repeated_by_either_id() {
    for by_new in [false, true] {
        let (fixture, old) = start();
        let memory = Fixture::memory();
        let destination: Arc<dyn Destination> = Arc::new(Failing(Arc::clone(&memory), Mutex::new(1)));
        fixture.run(rotation(&fixture, old.id, destination.clone())).await.unwrap_err();
        assert!(fixture.token(old.id.into()).is_none());
        let new = fixture.only_successor();
        assert_eq!(new.status, DISABLED);
        // Nothing is kept that does not work.
        let error = fixture.cancel(new.id.into()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rotation, "{error}");
        assert_eq!(fixture.only_successor().note, new.note);
        fixture.advance(Duration::from_secs(2 * 3600));
        let id = if by_new { new.id } else { old.id };
        let rotated = fixture.run(rotation(&fixture, id, destination)).await.unwrap();
        assert_eq!(state(rotated), RotationState::Finished);
        let new = fixture.only_successor();
        assert_eq!((new.status, new.note.as_str()), (ENABLED, "ci"));
        assert!(memory.holds(&new));
    }
}

/// A destination whose secrets can be read back, and whose first call never ends.
#[derive(Default)]
struct Recovering(Mutex<Vec<(Tag, Secret)>>, Mutex<bool>);

impl Destination for Recovering {
    fn deliver<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        self.0.lock().unwrap().push((*tag, token.access_key.clone().unwrap()));
        let is_first = !std::mem::replace(&mut *self.1.lock().unwrap(), true);
        if is_first { Box::pin(std::future::pending()) } else { Box::pin(async { Ok(()) }) }
    }

    fn recover<'a>(&'a self, tag: &'a Tag) -> BoxFuture<'a, Result<Option<Secret>>> {
        let secret =
            self.0.lock().unwrap().iter().find(|(of, _)| of == tag).map(|(_, secret)| secret.clone());
        Box::pin(async { Ok(secret) })
    }

    fn describe(&self) -> String {
        "the test".to_owned()
    }
}

#[tokio::test]
async fn a_delivered_secret_is_used() {
    let (fixture, old) = start();
    let destination = Arc::new(Recovering::default());
    let client = fixture.client();
    let dies = call(rotation(&fixture, old.id, destination.clone()), &client);
    assert!(tokio::time::timeout(Duration::from_secs(3), dies).await.is_err());
    let new = fixture.only_successor();
    assert_eq!(new.status, DISABLED);
    fixture.advance(Duration::from_secs(2 * 3600));
    let rotated = fixture.run(rotation(&fixture, old.id, destination)).await.unwrap();
    assert_eq!(state(rotated), RotationState::Finished);
    let kept = fixture.only_successor();
    assert_eq!((kept.id, kept.status, kept.note.as_str()), (new.id, ENABLED, "ci"));
}

#[tokio::test]
async fn a_failed_check_is_repeated() {
    let (fixture, old) = start();
    let check: Arc<dyn Check> = Arc::new(FailingCheck(Mutex::new(1)));
    let memory = Fixture::memory();
    let rotation =
        || RotateToken { then: Some(Arc::clone(&check)), ..rotation(&fixture, old.id, memory.clone()) };
    fixture.run(rotation()).await.unwrap_err();
    assert_eq!(state(fixture.run(rotation()).await.unwrap()), RotationState::Finished);
    let new = fixture.only_successor();
    assert_eq!((new.status, new.note.as_str()), (ENABLED, "ci"));
}
