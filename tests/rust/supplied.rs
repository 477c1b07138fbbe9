//! Credentials that a callable supplies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lmtokens::testing::client::{Client, Method, Request};
use lmtokens::testing::clock::Clock;
use lmtokens::testing::credentials::{Arguments, Credentials, Identity, Supplied, Supplier};
use lmtokens::testing::destinations::BoxFuture;
use lmtokens::testing::error::{ErrorKind, Result};
use lmtokens::testing::times::Expiry;

use crate::support::{RawServer, bearer, identity, response, secret};

/// A clock that stands until a test moves it.
#[derive(Debug)]
struct ManualClock(AtomicU64);

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Supplies `lmb_1`, `lmb_2`, …, which expire after an hour.
struct Numbered {
    clock: Arc<ManualClock>,
    calls: AtomicU64,
}

impl Supplier for Numbered {
    fn supply<'a>(&'a self, _: Option<&'a Credentials>) -> BoxFuture<'a, Result<Supplied>> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let token = secret(&format!("lmb_{number}"));
        let arguments = Arguments { bearer_token: Some(token), ..Arguments::default() };
        let now_ms = self.clock.now_ms();
        let hour = Expiry::At(i64::try_from(now_ms / 1000).unwrap() + 3600);
        Box::pin(async move { Supplied::of_callable(&arguments, Some(hour), now_ms) })
    }
}

fn client(base_url: &str) -> (Client, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock(AtomicU64::new(1_700_000_000_000)));
    let supplier = Numbered { clock: Arc::clone(&clock), calls: AtomicU64::default() };
    let identity = Identity { credentials: None, ..identity(base_url, bearer()) };
    let client = Client::with_clock(identity, None, Arc::<ManualClock>::clone(&clock));
    (client.supplied_by(Arc::new(supplier)), clock)
}

fn request(method: Method) -> Request {
    Request {
        method,
        endpoint: "/setting/admins",
        resource_path: "/setting/admins".to_owned(),
        query: Vec::new(),
        body: None,
    }
}

/// Returns the numbers of the tokens in the requests.
fn tokens(server: &RawServer) -> Vec<u64> {
    let number = |request: &String| {
        let (_, value) =
            request.split_once("Bearer lmb_").or_else(|| request.split_once("bearer lmb_")).unwrap();
        value.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    server.requests().iter().map(number).collect()
}

#[tokio::test]
async fn credentials_are_replaced_a_minute_before_they_expire_also_after_a_sleep_of_the_machine() {
    let server = RawServer::start(|_| response(200, "{}")).await;
    let (client, clock) = client(&server.base_url);
    for advance_s in [0, 3539, 1, 0] {
        clock.0.fetch_add(advance_s * 1000, Ordering::SeqCst);
        client.send(&request(Method::Get)).await.unwrap();
    }
    assert_eq!(tokens(&server), [1, 1, 2, 2]);
}

#[tokio::test]
async fn only_what_the_portal_itself_refused_and_is_harmless_is_sent_again() {
    let rejection = r#"{"errorCode":1401,"errorMessage":"Authentication failed"}"#;
    for (method, status, body, expected) in [
        (Method::Get, 401, rejection, vec![1, 2]),
        (Method::Patch, 401, rejection, vec![1, 2]),
        (Method::Delete, 401, rejection, vec![1, 2]),
        (Method::Post, 401, rejection, vec![1]),
        (Method::Get, 200, rejection, vec![1]),
        (Method::Get, 401, "<html>Unauthorized</html>", vec![1]),
        (Method::Delete, 401, "", vec![1]),
        (Method::Patch, 401, r#"{"message":"Unauthorized"}"#, vec![1]),
    ] {
        let server = RawServer::start(move |_| response(status, body)).await;
        let (client, _) = client(&server.base_url);
        let error = client.send(&request(method)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert_eq!(tokens(&server), expected, "{method:?} {status} {body}");
    }
}
