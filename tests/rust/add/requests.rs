//! What travels: one request, with these bytes, headers and query.

use lmtokens::client::Client;
use lmtokens::error::ErrorKind;
use lmtokens::ids::{AdminId, Note};
use lmtokens::lmv1::{Authorization, Request};
use lmtokens::model::{Status, TokenStatus, TokenType, Type};
use lmtokens::operation::Operation as _;
use lmtokens::sandbox::{FaultKind, Signature};
use lmtokens::tokens::NewToken;

use super::{Setting, add, operation};
use crate::support::{ACCESS_ID, ACCESS_KEY, BEARER, RawServer, answer, bearer, identity, pair};

#[tokio::test]
async fn the_body_holds_what_was_given_and_nothing_else() {
    for (note, status, wanted) in [
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
        let setting = Setting::start();
        let given = NewToken { note: note.map(|note| Note::new(note).unwrap()), status, ..add("") };
        let token = setting.run(given).await.unwrap();
        let seen = setting.posts().remove(0);
        assert_eq!((seen.body.as_str(), seen.signature), (wanted, Signature::Valid));
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
async fn a_bearer_is_asked_for_in_the_query() {
    let setting = Setting::start();
    let token = setting.run(NewToken { r#type: Type::Bearer, ..add("ci") }).await.unwrap();
    let seen = setting.posts().remove(0);
    assert_eq!((seen.query.as_str(), seen.body.as_str()), ("type=bearer", r#"{"note":"ci","status":2}"#));
    assert_eq!((seen.signature, token.r#type), (Signature::Valid, TokenType::Bearer));
    assert!(token.access_key.unwrap().reveal().starts_with("lmb_"));
    assert_eq!(token.access_id, None);
}

#[tokio::test]
async fn bearer_credentials_make_a_token_too() {
    let setting = Setting::with_bearer();
    let token = setting.add().await.unwrap();
    assert_eq!(setting.posts()[0].signature, Signature::BearerValid);
    assert_eq!(token.access_key.as_ref(), Some(&setting.made()[0].access_key));

    let setting = Setting::with_bearer();
    setting.strike(FaultKind::ActThenClose);
    let error = setting.add().await.unwrap_err();
    assert_eq!((error.kind(), setting.posts().len()), (ErrorKind::OutcomeUnknown, 1));
    assert_eq!(super::candidates(&error), Some(vec![setting.made()[0].id.into()]));
}

#[tokio::test]
async fn these_headers_travel_and_no_others() {
    let setting = Setting::start();
    let identity = setting.client.identity().clone();
    let setting = Setting { client: Client::new(identity, Some("Embedder/1.2")), ..setting };
    setting.add().await.unwrap();
    let seen = setting.posts().remove(0);
    let wanted =
        ["accept", "authorization", "content-length", "content-type", "host", "user-agent", "x-version"];
    assert_eq!(seen.headers, wanted);
    let user_agent = format!("lmtokens/{} Embedder/1.2", lmtokens::VERSION);
    assert_eq!(seen.user_agent, Some(user_agent));
}

const CREATED: &str = r#"{"id":248,"accessId":"exampleAccessId00002","accessKey":"other+test(key)"}"#;

/// Head and body of what a create sends.
async fn sent(credentials: lmtokens::credentials::Credentials) -> (Vec<String>, String) {
    let server = RawServer::start(|_| answer(200, CREATED)).await;
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
async fn the_bytes_that_travel_are_the_bytes_that_were_signed() {
    let (head, body) = sent(pair()).await;
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
    assert_eq!(authorization.signature, signed.signature(ACCESS_KEY.as_bytes()));
    assert_eq!(body, "{\"note\":\"caf\u{e9}\",\"status\":2}");
    assert!(!head.concat().contains(ACCESS_KEY));
}

#[tokio::test]
async fn a_bearer_travels_as_it_is() {
    let (head, _) = sent(bearer()).await;
    assert_eq!(value(&head, "authorization"), format!("Bearer {BEARER}"));
    assert_eq!(head.iter().filter(|line| line.contains(BEARER)).count(), 1);
}

#[tokio::test]
async fn every_create_is_signed_afresh() {
    let setting = Setting::start();
    let first = setting.client.now_ms();
    setting.add().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    assert!(setting.client.now_ms() > first);
    setting.add().await.unwrap();
    assert!(setting.posts().iter().all(|seen| seen.signature == Signature::Valid));
    assert_eq!((setting.posts().len(), setting.made().len()), (2, 2));
    let keys: Vec<_> = setting.made().into_iter().map(|token| token.access_key).collect();
    assert!(keys[0] != keys[1]);
}

#[tokio::test]
async fn localhost_is_called_by_its_name() {
    let setting = Setting::start();
    let base_url = setting.portal.base_url().replace("127.0.0.1", "localhost");
    let client = Client::new(identity(&base_url, super::lmv1_of(&setting.portal)), None);
    let setting = Setting { client, ..setting };
    setting.add().await.unwrap();
    assert_eq!((setting.posts().len(), setting.made().len()), (1, 1));
}

#[tokio::test]
async fn what_can_never_be_right_is_not_sent() {
    let setting = Setting::start();
    for admin_id in [0, -1, i64::MIN, i64::from(i32::MAX) + 1, i64::MAX] {
        let error = AdminId::new(admin_id).unwrap_err();
        assert_eq!((error.kind(), error.details().maybe_applied), (ErrorKind::Argument, false));
        assert!(error.to_string().contains(&admin_id.to_string()), "{error}");
    }
    assert_eq!(setting.portal.record(), []);
}
