//! Helpers for several subjects: identities, observers, and raw servers that respond as the sandbox never does.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lmtokens::testing::client::Client;
use lmtokens::testing::credentials::{self, Credentials, Identity};
use lmtokens::testing::event::{Event, Observer};
use lmtokens::testing::portal::PortalAddress;
use lmtokens::testing::secret::Secret;
use proptest::test_runner::Config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Longer than any test takes: only a hang reaches it.
pub(crate) const HANG_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) const ACCESS_ID: &str = "exampleAccessId00001";
pub(crate) const ACCESS_KEY: &str = "unit+test(key)";
pub(crate) const BEARER: &str = "lmb_unit-test-bearer-that-opens-nothing";

/// Returns the settings of a property test of so many cases, or of the number in `PROPTEST_CASES` if that is less.
pub(crate) fn cases(most: u32) -> Config {
    let default = Config::default();
    Config { cases: most.min(default.cases), failure_persistence: None, ..default }
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

pub(crate) fn pair() -> Credentials {
    Credentials::from_pair(Some(ACCESS_ID), secret(ACCESS_KEY)).unwrap()
}

pub(crate) fn bearer() -> Credentials {
    Credentials::from_bearer(secret(BEARER)).unwrap()
}

pub(crate) fn identity(base_url: &str, credentials: Credentials) -> Identity {
    credentials::identity(PortalAddress::at(base_url, None).unwrap(), credentials)
}

pub(crate) fn client(base_url: &str, credentials: Credentials) -> Client {
    Client::new(identity(base_url, credentials), None)
}

/// An observer that records every event.
#[derive(Default)]
pub(crate) struct RecordingObserver(Mutex<Vec<Event>>);

impl RecordingObserver {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    /// Returns the reports of interrupted creates.
    pub(crate) fn interruptions(&self) -> Vec<Event> {
        self.events().into_iter().filter(|event| matches!(event, Event::CreateInterrupted { .. })).collect()
    }
}

impl Observer for RecordingObserver {
    fn observe(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// A server that reads one request per connection, sends a given response, and closes.
pub(crate) struct RawServer {
    pub(crate) base_url: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl RawServer {
    /// Starts a server; `respond` maps a whole request to the bytes of the response.
    pub(crate) async fn start(respond: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/santaba/rest", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read_request(&mut stream).await;
                let bytes = respond(&request);
                seen.lock().unwrap().push(request);
                drop(stream.write_all(bytes.as_bytes()).await);
                drop(stream.shutdown().await);
            }
        });
        Self { base_url, requests, task }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns an HTTP response with a JSON body.
pub(crate) fn response(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Returns a local port without a listener.
pub(crate) async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// Reads headers and body, as far as they arrive.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while !is_whole(&bytes) {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let announced = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    bytes.len() >= head.len() + 4 + announced.unwrap_or(0_usize)
}

/// Asserts that `text` contains no eight consecutive characters of `credential`.
pub(crate) fn assert_contains_no_part(text: &str, credential: &str, context: &str) {
    let characters: Vec<char> = credential.chars().collect();
    assert!(characters.len() >= 8, "too short to look for");
    for window in characters.windows(8) {
        let part: String = window.iter().collect();
        assert!(!text.to_lowercase().contains(&part.to_lowercase()), "{context}: {part:?} is in {text:?}");
    }
}
