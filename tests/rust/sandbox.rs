//! The sandbox over plain HTTP, with requests signed here: these tests do not use the client.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test helpers")]

mod attacks;
mod behavior;
mod checks;
mod clock;
mod control;
mod faults;
mod filters;
mod lists;
mod rate_limits;
mod record;
mod tokens;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lmtokens::testing::lmv1::{Request, SigningKey};
use lmtokens::testing::sandbox::{Behavior, Fault, NewToken, NewUser, Portal, Seen, Settings, StoredToken};
use lmtokens::testing::secret::Secret;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The tokens of user 32.
const TOKENS: &str = "/setting/admins/32/apitokens";

/// A sandbox and an HTTP client.
struct Api {
    portal: Portal,
    client: reqwest::Client,
}

/// A complete response.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    text: String,
}

/// An LMv1 pair that signs requests.
#[derive(Clone)]
struct Pair {
    access_id: String,
    access_key: Secret,
}

impl Api {
    fn start() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { portal: Portal::start(settings).unwrap(), client }
    }

    fn behaving(behavior: Behavior) -> Self {
        Self::with(behavior.into())
    }

    fn advance_hours(&self, hours: u64) {
        self.portal.advance(Duration::from_secs(hours * 3600)).unwrap();
    }

    fn admin(&self) -> Pair {
        Pair { access_id: self.portal.access_id().to_owned(), access_key: self.portal.access_key() }
    }

    /// Adds a user with a token.
    fn user(&self, new: NewUser) -> (u32, Pair) {
        let admin_id = self.portal.add_user(new);
        (admin_id, self.token(NewToken { admin_id, ..NewToken::default() }).pair())
    }

    fn token(&self, new: NewToken) -> StoredToken {
        self.portal.create_token(new).unwrap()
    }

    fn fault(&self, fault: impl Into<Fault>) {
        self.portal.add_fault(fault.into()).unwrap();
    }

    fn last_seen(&self) -> Seen {
        self.portal.record().pop().unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.portal.base_url())
    }

    /// Builds a request without credentials or a version.
    fn bare(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method.parse().unwrap(), self.url(path))
    }

    /// Builds a request of version 3, signed with `pair`. One with `GET` has no body.
    fn signed(&self, pair: &Pair, method: &str, path: &str, body: &str) -> reqwest::RequestBuilder {
        let body = if method == "GET" { "" } else { body };
        let authorization = sign(pair, method, path, body, now_ms());
        self.bare(method, path)
            .header("X-Version", "3")
            .header("Authorization", authorization)
            .body(body.to_owned())
    }

    async fn call_as(&self, pair: &Pair, method: &str, path: &str, body: &str) -> Reply {
        send(self.signed(pair, method, path, body)).await.unwrap()
    }

    /// Sends a request as the administrator.
    async fn call(&self, method: &str, path: &str, body: &str) -> Reply {
        self.call_as(&self.admin(), method, path, body).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, "").await
    }

    async fn try_call(&self, method: &str, path: &str, body: &str) -> reqwest::Result<Reply> {
        send(self.signed(&self.admin(), method, path, body)).await
    }

    /// Writes bytes to a new connection and reads until the sandbox closes it, for at most half a second.
    async fn raw(&self, bytes: &[u8]) -> String {
        let address = self.portal.base_url();
        let address = address.trim_start_matches("http://").split('/').next().unwrap().to_owned();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut response = Vec::new();
        let reading = stream.read_to_end(&mut response);
        drop(tokio::time::timeout(Duration::from_millis(500), reading).await);
        String::from_utf8_lossy(&response).into_owned()
    }

    async fn assert_responsive(&self) {
        assert_eq!(self.get("/setting/admins").await.status, 200);
    }
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Returns the status and the error code.
    fn error(&self) -> (u16, i64) {
        let body = self.json();
        assert!(body["errorMessage"].is_string() && body["errorDetail"].is_null(), "{self:?}");
        (self.status, body["errorCode"].as_i64().unwrap())
    }

    fn ids(&self) -> Vec<u64> {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["items"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()).collect()
    }
}

trait ToPair {
    fn pair(&self) -> Pair;
}

impl ToPair for StoredToken {
    fn pair(&self) -> Pair {
        Pair { access_id: self.access_id.clone(), access_key: self.access_key.clone() }
    }
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Signs a request; the path may contain a query, which is not signed.
fn sign(pair: &Pair, method: &str, path: &str, body: &str, timestamp_ms: u64) -> String {
    let resource_path = path.split('?').next().unwrap();
    Request { method, timestamp_ms, body: body.as_bytes(), resource_path }
        .authorization(&pair.access_id, &SigningKey::new(pair.access_key.reveal().as_bytes()))
}

/// Encodes a query parameter.
fn query(name: &str, value: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

async fn send(request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Reply { status, headers, text: response.text().await? })
}
