//! The destination `file`, across the calls and processes that share a path.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lmtokens::testing::destinations::{Attempt, Destination, RequestedToken, ToFile};
use lmtokens::testing::error::ErrorKind;
use lmtokens::testing::ids::{AdminId, Status, Type};
use lmtokens::testing::model::{Token, TokenStatus, TokenType};
use lmtokens::testing::portal::PortalAddress;
use lmtokens::testing::tag::{RunId, Tag};
use lmtokens::testing::token_output::Form;

use crate::support::secret;

const PORTAL: &str = "https://acme.logicmonitor.com/santaba/rest";

/// A folder that is removed at the end of a test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("lmtokens-{}", tag()));
        std::fs::create_dir(&path).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        Self(path)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.join("token.json")
    }

    fn destination(&self, form: Form) -> Arc<dyn Destination> {
        ToFile { path: self.path(), form, overwrite: false, trust_folder: false }.destination()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn tag() -> Tag {
    Tag::fresh(RunId::fresh().unwrap(), 1_700_000_000_000, None, None).unwrap()
}

fn requested() -> RequestedToken {
    RequestedToken {
        portal: PORTAL.to_owned(),
        admin_id: AdminId::new(32).unwrap(),
        r#type: Type::Lmv1,
        status: Status::Enabled,
        note: String::new(),
        expires: None,
    }
}

fn token() -> Token {
    Token {
        portal: Some(PORTAL.into()),
        id: 5,
        r#type: TokenType::Lmv1,
        access_id: Some("exampleAccessId00005".to_owned()),
        access_key: Some(secret("a-key-that-opens-nothing")),
        masked_bearer: None,
        admin_id: Some(32),
        admin_name: None,
        status: Some(TokenStatus::Enabled),
        marker: None,
        note: None,
        roles: vec!["readonly".to_owned()],
        created_by: None,
        created_on: Some(1_700_000_000),
        last_used_on: None,
        was_used: false,
        last_auth_ip: None,
        user_permission: None,
    }
}

async fn prepare(destination: &dyn Destination, tag: &Tag) -> Result<(), String> {
    destination
        .prepare(&Attempt { token: &requested(), tag, replaces: None })
        .await
        .map_err(|error| error.to_string())
}

/// Delivers a token with a destination that is dropped, as when its process ends.
async fn deliver(folder: &Folder) -> Tag {
    let (tag, destination) = (tag(), folder.destination(Form::Json));
    prepare(&*destination, &tag).await.unwrap();
    destination.deliver(&token(), &tag).await.unwrap();
    tag
}

fn has_key(path: &Path) -> bool {
    std::fs::read_to_string(path).unwrap().contains("a-key-that-opens-nothing")
}

#[tokio::test]
async fn a_delivery_is_committed_by_another_destination_in_its_own_format() {
    for form in [Form::Json, Form::Env, Form::EnvFile, Form::Key] {
        let folder = Folder::new();
        let tag = deliver(&folder).await;
        assert_eq!(folder.names(), [format!("token.json.{tag}.pending")]);
        // The journal of a run that has a destination holds no key.
        let known = token().without_secret();
        folder.destination(form).commit(&known, &tag).await.unwrap();
        assert_eq!(folder.names(), ["token.json"]);
        assert_eq!(
            std::fs::read_to_string(folder.path()).unwrap(),
            *form.write(&token(), &PortalAddress::at(&requested().portal, None).unwrap()).unwrap()
        );
    }
}

#[tokio::test]
async fn a_commit_is_repeated_if_it_is_not_known_to_have_happened() {
    let folder = Folder::new();
    let tag = deliver(&folder).await;
    let destination = folder.destination(Form::Json);
    for _ in 0..2 {
        destination.commit(&token(), &tag).await.unwrap();
    }
    std::fs::write(folder.path(), "another file").unwrap();
    let error = destination.commit(&token(), &tag).await.unwrap_err();
    assert!(error.to_string().contains("neither"), "{error}");
    std::fs::remove_file(folder.path()).unwrap();
    assert_eq!(destination.commit(&token(), &tag).await.unwrap_err().kind(), ErrorKind::Delivery);
}

#[tokio::test]
async fn a_delivery_is_discarded_by_another_destination() {
    let folder = Folder::new();
    let tag = deliver(&folder).await;
    let destination = folder.destination(Form::Json);
    for _ in 0..2 {
        destination.discard(&token(), &tag).await.unwrap();
        assert!(folder.names().is_empty());
    }
}

#[tokio::test]
async fn a_delivery_in_progress_is_neither_committed_nor_discarded_by_another_destination() {
    let folder = Folder::new();
    let (tag, first) = (tag(), folder.destination(Form::Json));
    prepare(&*first, &tag).await.unwrap();
    first.deliver(&token(), &tag).await.unwrap();
    let second = folder.destination(Form::Json);
    for outcome in [second.commit(&token(), &tag).await, second.discard(&token(), &tag).await] {
        let error = outcome.unwrap_err();
        assert!(error.to_string().contains("another create is writing"), "{error}");
    }
    first.commit(&token(), &tag).await.unwrap();
    assert!(has_key(&folder.path()));
}

#[tokio::test]
async fn one_create_at_a_time_uses_a_path() {
    let folder = Folder::new();
    let (first, second) = (folder.destination(Form::Json), folder.destination(Form::Json));
    let (one, other) = (tag(), tag());
    prepare(&*first, &one).await.unwrap();
    let refused = prepare(&*second, &other).await.unwrap_err();
    assert!(refused.contains("another create is writing"), "{refused}");
    assert_eq!(folder.names(), [format!("token.json.{one}.pending")]);
    first.abandon(&one).await.unwrap();
    prepare(&*second, &other).await.unwrap();
}

#[tokio::test]
async fn creates_that_begin_at_once_leave_one() {
    let folder = Folder::new();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let destination = folder.destination(Form::Json);
        tasks.spawn(async move {
            let tag = tag();
            let is_prepared = prepare(&*destination, &tag).await.is_ok();
            is_prepared.then_some(destination)
        });
    }
    let prepared: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!((prepared.len(), folder.names().len()), (1, 1));
}

#[tokio::test]
async fn only_a_delivered_secret_outlives_its_destination() {
    let folder = Folder::new();
    let (tag, destination) = (tag(), folder.destination(Form::Json));
    prepare(&*destination, &tag).await.unwrap();
    assert_eq!(folder.names().len(), 1);
    drop(destination);
    assert!(folder.names().is_empty());
    let tag = deliver(&folder).await;
    folder.destination(Form::Json).abandon(&tag).await.unwrap();
    assert!(has_key(&folder.0.join(format!("token.json.{tag}.pending"))));
}

#[cfg(unix)]
#[test]
fn the_path_in_messages_is_read_once() {
    let folder = Folder::new();
    let link = folder.0.join("link");
    for name in ["first", "second"] {
        std::fs::create_dir(folder.0.join(name)).unwrap();
    }
    std::os::unix::fs::symlink("first", &link).unwrap();
    let file =
        ToFile { path: link.join("token.json"), form: Form::Json, overwrite: false, trust_folder: true };
    let destination = file.destination();
    destination.check(None).unwrap();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("second", &link).unwrap();
    assert!(destination.describe().ends_with("/first/token.json"), "{}", destination.describe());
}

#[tokio::test]
async fn a_file_that_cannot_be_created_fails_before_the_token_is() {
    let folder = Folder::new();
    std::fs::write(folder.path(), "the old key").unwrap();
    let refused = prepare(&*folder.destination(Form::Json), &tag()).await.unwrap_err();
    assert!(refused.contains("exists already"), "{refused}");
    assert_eq!(folder.names(), ["token.json"]);
}

/// Occupies the name under which the final file is written, as a full disk would keep it from being written.
fn block(folder: &Folder, tag: &Tag) -> PathBuf {
    let path = folder.0.join(format!("token.json.{tag}.new"));
    std::fs::create_dir(&path).unwrap();
    path
}

#[tokio::test]
async fn a_secret_that_cannot_be_put_in_place_is_kept_for_the_next_call() {
    let folder = Folder::new();
    let tag = deliver(&folder).await;
    let blocked = block(&folder, &tag);
    let pending = folder.0.join(format!("token.json.{tag}.pending"));
    for _ in 0..2 {
        let error = folder.destination(Form::Json).commit(&token(), &tag).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Delivery);
        assert!(error.to_string().contains("cannot move the secret from"), "{error}");
        let advice = format!("{:?}", error.details().advice);
        assert!(advice.contains("PutInPlace"), "{advice}");
        assert!(!format!("{error:?}").contains("a-key-that-opens-nothing"), "{error:?}");
        assert!(has_key(&pending) && !folder.path().exists());
    }
    std::fs::remove_dir(blocked).unwrap();
    folder.destination(Form::Json).commit(&token(), &tag).await.unwrap();
    assert!(has_key(&folder.path()));
    assert_eq!(folder.names(), ["token.json"]);
}

#[tokio::test]
async fn a_secret_that_cannot_be_discarded_is_named() {
    let folder = Folder::new();
    let tag = deliver(&folder).await;
    let blocked = block(&folder, &tag);
    let error = folder.destination(Form::Json).discard(&token(), &tag).await.unwrap_err();
    let pending = format!("token.json.{tag}.pending");
    assert!(error.to_string().contains("cannot remove") && error.to_string().contains(&pending), "{error}");
    std::fs::remove_dir(blocked).unwrap();
    folder.destination(Form::Json).discard(&token(), &tag).await.unwrap();
    assert!(folder.names().is_empty());
}

#[tokio::test]
async fn a_pending_file_without_a_usable_record_is_not_taken_over() {
    let folder = Folder::new();
    let tag = deliver(&folder).await;
    let pending = folder.0.join(format!("token.json.{tag}.pending"));
    let whole = std::fs::read_to_string(&pending).unwrap();
    let other_tag = whole.replace(&tag.to_string(), &self::tag().to_string());
    for text in [&whole[..whole.len() / 2], &other_tag] {
        std::fs::write(&pending, text).unwrap();
        let destination = folder.destination(Form::Json);
        for outcome in [destination.commit(&token(), &tag).await, destination.discard(&token(), &tag).await] {
            let error = outcome.unwrap_err();
            assert!(error.to_string().contains("cannot take over"), "{error}");
            assert!(
                format!("{:?}", error.details().advice).contains("delete the token with this tag"),
                "{error:?}"
            );
            assert!(!format!("{error:?}").contains("a-key-that-opens-nothing"), "{error:?}");
        }
        assert_eq!(std::fs::read_to_string(&pending).unwrap(), text);
    }
    std::fs::remove_file(&pending).unwrap();
    std::fs::create_dir(&pending).unwrap();
    let error = folder.destination(Form::Json).commit(&token(), &tag).await.unwrap_err();
    assert!(error.to_string().contains("not a regular file of this user"), "{error}");
    assert!(!folder.path().exists());
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_changed_since_the_request_gets_no_secret() {
    use std::os::unix::fs::PermissionsExt as _;
    for (change, expected) in [
        ("removed", "cannot read the folder"),
        ("moved", "cannot read the folder"),
        ("opened to others", "other users can write to the folder"),
    ] {
        let folder = Folder::new();
        let moved = folder.0.with_extension("moved");
        let (tag, destination) = (tag(), folder.destination(Form::Json));
        prepare(&*destination, &tag).await.unwrap();
        match change {
            "removed" => std::fs::remove_dir_all(&folder.0),
            "moved" => std::fs::rename(&folder.0, &moved),
            _ => std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o777)),
        }
        .unwrap();
        let error = destination.deliver(&token(), &tag).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{change}: {error}");
        drop(destination);
        for place in [&folder.0, &moved] {
            let left = std::fs::read_dir(place).into_iter().flatten().count();
            assert_eq!(left, 0, "{change}: a file is left");
        }
        drop(std::fs::remove_dir(&moved));
    }
}
