//! Rotations at the sandbox over a real socket.

mod bearer;
mod interference;
mod killed;
mod own_token;
mod states;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lmtokens::testing::client::{Client, Method, OnLimit, Policy, Request};
use lmtokens::testing::credentials::Credentials;
use lmtokens::testing::destinations::{BoxFuture, Destination, ToFile};
use lmtokens::testing::error::{Error, ErrorKind, Result};
use lmtokens::testing::event::{Event, Observer};
use lmtokens::testing::ids::{Note, TokenId};
use lmtokens::testing::lifecycle::{
    CancelRotation, Check, FinishRotations, RotateToken, Rotation, RotationState,
};
use lmtokens::testing::model::{Token, TokenStatus};
use lmtokens::testing::operation::{Operation, call};
use lmtokens::testing::sandbox::{Behavior, NewToken, Portal, Seconds, Settings, StoredToken, TokenType};
use lmtokens::testing::secret::Secret;
use lmtokens::testing::tag::Tag;
use lmtokens::testing::token_output::Form;
use lmtokens::testing::tokens::{DeleteToken, FindToken, Target};

use crate::add::lmv1_of;
use crate::file::Folder;
use crate::support::{HANG_TIMEOUT, identity};

const DAY: Duration = Duration::from_secs(86_400);
const DISABLED: i64 = 1;
const ENABLED: i64 = 2;

/// Lets the sandbox's time pass instead of waiting.
struct Advance(Arc<Portal>);

impl Observer for Advance {
    fn observe(&self, event: Event) {
        if let Event::Waiting { remaining, .. } = event {
            self.0.advance(remaining + Duration::from_secs(1)).unwrap();
        }
    }
}

/// A portal with a token of user 32 to rotate, and a folder for secrets.
struct Fixture {
    portal: Arc<Portal>,
    old: StoredToken,
    folder: Folder,
}

impl Fixture {
    fn start() -> Self {
        Self::with(Behavior::default())
    }

    /// Starts a portal whose token is in the file that the new secret is for.
    fn in_place() -> Self {
        let fixture = Self::start();
        let members = serde_json::json!({
            "access_id": fixture.old.access_id, "access_key": fixture.old.access_key.reveal(),
        });
        std::fs::write(fixture.folder.path(), members.to_string()).unwrap();
        fixture
    }

    fn with(behavior: Behavior) -> Self {
        let portal = Arc::new(Portal::start(Settings::from(behavior)).unwrap());
        let old = portal.create_token(NewToken { note: "ci".to_owned(), ..NewToken::default() }).unwrap();
        Self { portal, old, folder: Folder::new() }
    }

    /// Returns a client of the administrator.
    fn client(&self) -> Client {
        self.client_with(lmv1_of(&self.portal))
    }

    fn client_with(&self, credentials: Credentials) -> Client {
        let policy = Policy {
            max_attempts: 3,
            deadline: None,
            on_limit: OnLimit::Raise,
            max_wait: Duration::from_secs(120),
        };
        Client::new(identity(&self.portal.base_url(), credentials), None)
            .with_policy(policy)
            .observed_by(Arc::new(Advance(Arc::clone(&self.portal))))
    }

    fn file(&self) -> Arc<dyn Destination> {
        self.file_with(Form::Json)
    }

    fn file_with(&self, form: Form) -> Arc<dyn Destination> {
        ToFile { path: self.folder.path(), form, overwrite: false, trust_folder: false }.destination()
    }

    fn rotation(&self) -> RotateToken {
        self.rotation_to(self.file())
    }

    fn rotation_to(&self, destination: Arc<dyn Destination>) -> RotateToken {
        RotateToken {
            token: target(self.old.id.into()),
            destination,
            overlap: DAY,
            quarantine: 7 * DAY,
            note: None,
            then: None,
            allow_bearer: false,
            take_over: false,
            force: false,
        }
    }

    async fn run<O: Operation>(&self, operation: O) -> Result<O::Output> {
        run(operation, &self.client()).await
    }

    async fn rotate(&self) -> Result<Rotation> {
        self.run(self.rotation()).await
    }

    async fn cancel(&self, id: i64) -> Result<Rotation> {
        self.run(CancelRotation { token: target(id) }).await
    }

    async fn finish(&self) -> Result<Vec<Rotation>> {
        self.run(Self::finish_all()).await
    }

    fn finish_all() -> FinishRotations {
        FinishRotations { token: None, quarantine: 7 * DAY, force: false }
    }

    /// Returns the state of the only rotation, after what is due was done.
    async fn finish_one(&self) -> Result<RotationState> {
        let mut rotations = self.finish().await?;
        assert_eq!(rotations.len(), 1, "{rotations:?}");
        rotations.remove(0).state
    }

    fn token(&self, id: i64) -> Option<StoredToken> {
        self.portal.tokens().into_iter().find(|token| i64::from(token.id) == id)
    }

    fn old(&self) -> StoredToken {
        self.token(self.old.id.into()).expect("the old token is gone")
    }

    /// Returns the tokens that were created after the old one.
    fn successors(&self) -> Vec<StoredToken> {
        let tokens = self.portal.tokens().into_iter();
        tokens.filter(|token| token.admin_id == 32 && token.id > self.old.id).collect()
    }

    fn only_successor(&self) -> StoredToken {
        let mut successors = self.successors();
        assert_eq!(successors.len(), 1, "{successors:?}");
        successors.remove(0)
    }

    fn memory() -> Arc<Memory> {
        Arc::default()
    }

    /// Deletes a token, as an administrator may do.
    async fn delete(&self, token: Target) {
        self.run(DeleteToken { target: token, force: false }).await.unwrap();
    }

    /// Changes a token, as an administrator may do.
    async fn patch(&self, id: u32, members: serde_json::Value) {
        let request = Request {
            method: Method::Patch,
            endpoint: "/setting/admins/{adminId}/apitokens/{id}",
            resource_path: format!("/setting/admins/32/apitokens/{id}"),
            query: Vec::new(),
            body: Some(members.to_string().into_bytes()),
        };
        self.client().send(&request).await.unwrap();
    }

    fn advance(&self, by: Duration) {
        self.portal.advance(by).unwrap();
    }

    /// Returns whether the secret of a token is in a file of the folder.
    fn is_held(&self, token: &StoredToken) -> bool {
        self.folder.names().iter().any(|name| {
            let text = std::fs::read_to_string(self.folder.path().with_file_name(name)).unwrap();
            text.contains(token.access_key.reveal())
        })
    }

    /// Returns whether a token works.
    async fn works(&self, token: &StoredToken) -> bool {
        let credentials = Credentials::from_pair(Some(&token.access_id), token.access_key.clone()).unwrap();
        let client = self.client_with(credentials);
        match run(FindToken::Id(TokenId::new(token.id.into()).unwrap()), &client).await {
            Ok(_) => true,
            Err(error) => error.kind() != ErrorKind::Authentication,
        }
    }
}

async fn run<O: Operation>(operation: O, client: &Client) -> Result<O::Output> {
    tokio::time::timeout(HANG_TIMEOUT, call(operation, client)).await.expect("the call hangs")
}

fn target(id: i64) -> Target {
    Target::Find(FindToken::Id(TokenId::new(id).unwrap()))
}

fn state(rotation: Rotation) -> RotationState {
    rotation.state.unwrap()
}

/// A destination that remembers the secrets, and gives none back.
#[derive(Default)]
struct Memory(Mutex<Vec<(i64, Secret)>>);

impl Memory {
    fn holds(&self, token: &StoredToken) -> bool {
        self.0
            .lock()
            .unwrap()
            .iter()
            .any(|(id, secret)| *id == i64::from(token.id) && secret.reveal() == token.access_key.reveal())
    }
}

impl Destination for Memory {
    fn deliver<'a>(&'a self, token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        self.0.lock().unwrap().push((token.id, token.access_key.clone().unwrap()));
        Box::pin(async { Ok(()) })
    }

    fn describe(&self) -> String {
        "the test".to_owned()
    }
}

/// A check that fails a number of times.
struct FailingCheck(Mutex<u32>);

impl Check for FailingCheck {
    fn run<'a>(&'a self, _token: &'a Token) -> BoxFuture<'a, Result<()>> {
        let mut failures = self.0.lock().unwrap();
        let fails = *failures > 0;
        *failures = failures.saturating_sub(1);
        Box::pin(async move {
            if fails { Err(Error::new(ErrorKind::Delivery, "the consumer does not start")) } else { Ok(()) }
        })
    }
}
