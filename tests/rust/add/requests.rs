//! The request of a create: its bytes, headers and query.

use lmtokens::testing::client::Client;
use lmtokens::testing::error::ErrorKind;
use lmtokens::testing::ids::{AdminId, Note, Status, Type};
use lmtokens::testing::lmv1::{Authorization, Request, SigningKey};
use lmtokens::testing::model::{TokenStatus, TokenType};
use lmtokens::testing::operation::Operation as _;
use lmtokens::testing::sandbox::{FaultKind, Signature};
use lmtokens::testing::tokens::NewToken;

use super::{Fixture, add, operation};
use crate::support::{ACCESS_ID, ACCESS_KEY, BEARER, RawServer, bearer, identity, pair, response};

#[tokio::test]
async fn the_body_has_only_the_given_members() {
    for (note, status, expected) in [
        (None, Status::Enabled, r#"{"status":2}"#),
        (None, Status::Disabled, r#"{"status":1}"#),
        (Some("ci"), Status::Enabled, r#"{"note":"ci","status":2}"#),
        (Some(""), Status::Enabled, r#"{"note":"","status":2}"#),
        (Some("caf\u{e9}"), Status::Enabled, "{\"note\":\"caf\u{e9}\",\"status\":2}"),
        (
            Some("\u{65e5}\u{672c} \u{1f511}"),
            Status::Enabled,
            "{\"note\":\"\u{65e5}\u{672c} \u{1f511}\",\"status\":2}",
        ),
        (Some("a \"b\" \\ / \n\t\0"), Status::Enabled, r#"{"note":"a \"b\" \\ / \n\t\u0000","status":2}"#),
        (Some("</script>&'?#%"), Status::Enabled, r#"{"note":"</script>&'?#%","status":2}"#),
    ] {
        let fixture = Fixture::start();
        let given = NewToken { note: note.map(|note| Note::new(note).unwrap()), status, ..add("") };
        let token = fixture.run(given).await.unwrap();
        let seen = fixture.posts().remove(0);
        assert_eq!((seen.body.as_str(), seen.signature), (expected, Signature::Valid));
        assert_eq!(
            (seen.path.as_str(), seen.query.as_str()),
            ("/santaba/rest/setting/admins/32/apitokens", "")
        );
        assert_eq!(
            (token.note.as_deref(), token.status),
            (Some(note.unwrap_or_default()), Some(TokenStatus::from(status)))
        );
        assert_eq!(token.admin_id, Some(32));
    }
}

#[tokio::test]
async fn a_bearer_token_is_requested_in_the_query() {
    let fixture = Fixture::start();
    let token = fixture.run(NewToken { r#type: Type::Bearer, ..add("ci") }).await.unwrap();
    let seen = fixture.posts().remove(0);
    assert_eq!((seen.query.as_str(), seen.body.as_str()), ("type=bearer", r#"{"note":"ci","status":2}"#));
    assert_eq!((seen.signature, token.r#type), (Signature::Valid, TokenType::Bearer));
    assert!(token.access_key.unwrap().reveal().starts_with("lmb_"));
    assert_eq!(token.access_id, None);
}

#[tokio::test]
async fn bearer_credentials_create_a_token() {
    let fixture = Fixture::with_bearer();
    let token = fixture.add().await.unwrap();
    assert_eq!(fixture.posts()[0].signature, Signature::BearerValid);
    assert_eq!(token.access_key.as_ref(), Some(&fixture.created_tokens()[0].access_key));

    let fixture = Fixture::with_bearer();
    fixture.add_post_fault(FaultKind::ActThenClose);
    let error = fixture.add().await.unwrap_err();
    assert_eq!((error.kind(), fixture.posts().len()), (ErrorKind::OutcomeUnknown, 1));
    assert_eq!(super::candidate_ids(&error), Some(vec![fixture.created_tokens()[0].id.into()]));
}

#[tokio::test]
async fn only_these_headers_are_sent() {
    let fixture = Fixture::start();
    let identity = (*fixture.client.identity()).clone();
    let fixture = Fixture { client: Client::new(identity, Some("Embedder/1.2")), ..fixture };
    fixture.add().await.unwrap();
    let seen = fixture.posts().remove(0);
    let expected = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-version",
    ];
    assert_eq!(seen.headers, expected);
    let user_agent = format!("lmtokens/{} Embedder/1.2", lmtokens::VERSION);
    assert_eq!(seen.user_agent, Some(user_agent));
}

const CREATED: &str = r#"{"id":248,"accessId":"exampleAccessId00002","accessKey":"other+test(key)"}"#;

/// Returns the header lines and the body of a create.
async fn sent_request(credentials: lmtokens::testing::credentials::Credentials) -> (Vec<String>, String) {
    let server = RawServer::start(|_| response(200, CREATED)).await;
    let client = Client::new(identity(&server.base_url, credentials), None);
    operation(add("caf\u{e9}")).run(&client).await.unwrap();
    let requests = server.requests();
    let [request] = &requests[..] else { panic!("{} requests", requests.len()) };
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    (head.lines().map(str::to_owned).collect(), body.to_owned())
}

fn value<'a>(head: &'a [String], name: &str) -> &'a str {
    let values: Vec<_> = head.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect();
    assert_eq!(values.len(), 1, "{name} in {head:?}");
    values[0]
}

#[tokio::test]
async fn the_sent_bytes_are_the_signed_bytes() {
    let (head, body) = sent_request(pair()).await;
    assert_eq!(head[0], "POST /santaba/rest/setting/admins/32/apitokens HTTP/1.1");
    assert_eq!(value(&head, "x-version"), "3");
    assert_eq!(value(&head, "accept"), "application/json");
    assert_eq!(value(&head, "content-type"), "application/json");
    assert_eq!(value(&head, "content-length"), body.len().to_string());
    assert_eq!(value(&head, "user-agent"), format!("lmtokens/{}", lmtokens::VERSION));
    let authorization = Authorization::parse(value(&head, "authorization")).unwrap();
    assert_eq!(authorization.access_id, ACCESS_ID);
    let signed = Request {
        method: "POST",
        timestamp_ms: authorization.timestamp_ms,
        body: body.as_bytes(),
        resource_path: "/setting/admins/32/apitokens",
    };
    assert_eq!(authorization.signature, signed.signature(&SigningKey::new(ACCESS_KEY.as_bytes())));
    assert_eq!(body, "{\"note\":\"caf\u{e9}\",\"status\":2}");
    assert!(!head.concat().contains(ACCESS_KEY));
}

#[tokio::test]
async fn a_bearer_token_is_sent_unchanged() {
    let (head, _) = sent_request(bearer()).await;
    assert_eq!(value(&head, "authorization"), format!("Bearer {BEARER}"));
    assert_eq!(head.iter().filter(|line| line.contains(BEARER)).count(), 1);
}

#[tokio::test]
async fn every_create_has_its_own_signature() {
    let fixture = Fixture::start();
    let first = fixture.client.now_ms();
    fixture.add().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    assert!(fixture.client.now_ms() > first);
    fixture.add().await.unwrap();
    assert!(fixture.posts().iter().all(|seen| seen.signature == Signature::Valid));
    assert_eq!((fixture.posts().len(), fixture.created_tokens().len()), (2, 2));
    let keys: Vec<_> = fixture.created_tokens().into_iter().map(|token| token.access_key).collect();
    assert!(keys[0] != keys[1]);
}

#[tokio::test]
async fn a_portal_is_reached_as_localhost() {
    let fixture = Fixture::start();
    let base_url = fixture.portal.base_url().replace("127.0.0.1", "localhost");
    let client = Client::new(identity(&base_url, super::lmv1_of(&fixture.portal)), None);
    let fixture = Fixture { client, ..fixture };
    fixture.add().await.unwrap();
    assert_eq!((fixture.posts().len(), fixture.created_tokens().len()), (1, 1));
}

#[tokio::test]
async fn invalid_arguments_are_not_sent() {
    let fixture = Fixture::start();
    for admin_id in [0, -1, i64::MIN, i64::from(i32::MAX) + 1, i64::MAX] {
        let error = AdminId::new(admin_id).unwrap_err();
        assert_eq!((error.kind(), error.details().maybe_applied), (ErrorKind::Argument, false));
        assert!(error.to_string().contains(&admin_id.to_string()), "{error}");
    }
    assert_eq!(fixture.portal.record(), []);
}
