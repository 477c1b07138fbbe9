//! A connection is not used again after a pause that only the wall clock shows: the monotonic clock stops while a machine
//! sleeps, and the portal has closed the connection since.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use lmtokens::testing::client::{Client, Method, Request};
use lmtokens::testing::clock::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{identity, pair};

/// A clock that stands until a test moves it.
#[derive(Debug)]
struct ManualClock(AtomicU64);

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Starts a server that keeps connections open, and returns its URL and the number of its connections.
async fn server(head: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/santaba/rest", listener.local_addr().unwrap());
    let connections = Arc::<AtomicUsize>::default();
    let accepted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            accepted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                    let response = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 2\r\n\r\n{{}}");
                    drop(stream.write_all(response.as_bytes()).await);
                }
            });
        }
    });
    (base_url, connections)
}

#[tokio::test]
async fn a_connection_does_not_outlive_a_sleep_of_the_machine() {
    for (head, limit_ms) in [("", 20_000), ("Keep-Alive: timeout=6\r\n", 5_000)] {
        let (base_url, connections) = server(head).await;
        let clock = Arc::new(ManualClock(AtomicU64::new(1_700_000_000_000)));
        let client = Client::with_clock(identity(&base_url, pair()), None, Arc::<ManualClock>::clone(&clock));
        let send = || async {
            let request = Request {
                method: Method::Get,
                endpoint: "/setting/admins",
                resource_path: "/setting/admins".to_owned(),
                query: Vec::new(),
                body: None,
            };
            client.send(&request).await.unwrap();
            // The pool takes the connection back in a task of its own.
            tokio::task::yield_now().await;
            connections.load(Ordering::SeqCst)
        };
        send().await;
        let before = send().await;
        for (pause, more) in [(0, 0), (limit_ms, 0), (limit_ms + 1, 1), (0, 1), (3_600_000, 2)] {
            clock.0.fetch_add(pause, Ordering::SeqCst);
            assert_eq!(send().await, before + more, "{head:?} {pause}");
        }
        // A clock that is set back proves nothing.
        clock.0.fetch_sub(3_600_000, Ordering::SeqCst);
        assert_eq!(send().await, before + 2);
    }
}
