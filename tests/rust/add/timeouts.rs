//! Every call ends, whatever the server does.

use std::time::Duration;

use lmtokens::testing::client::Client;
use lmtokens::testing::credentials::{Identity, Timeouts};
use lmtokens::testing::error::{Error, ErrorKind};
use lmtokens::testing::operation::Operation as _;
use lmtokens::testing::sandbox::{Fault, FaultKind};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::{Fixture, add, assert_outcome_unknown, candidate_ids, operation};
use crate::support::{HANG_TIMEOUT, identity, pair};

const SHORT: Timeouts = Timeouts { connect: Duration::from_millis(250), total: Duration::from_millis(500) };

impl Fixture {
    fn with_short_timeouts(self) -> Self {
        let identity = Identity { timeouts: SHORT, ..(*self.client.identity()).clone() };
        Self { client: Client::new(identity, None), ..self }
    }
}

#[tokio::test]
async fn a_slow_portal_leaves_the_outcome_unknown() {
    for (kind, acts) in [(FaultKind::Delay, false), (FaultKind::ActThenDelay, true)] {
        let fixture =
            Fixture::with_post_fault(Fault { seconds: Some(3600.0), ..kind.into() }).with_short_timeouts();
        let error = fixture.add().await.unwrap_err();
        assert_outcome_unknown(&fixture, &error, ErrorKind::RequestTimeout, None);
        let created: Vec<i64> = fixture.created_tokens().iter().map(|token| token.id.into()).collect();
        assert_eq!(
            (candidate_ids(&error), fixture.created_tokens().len()),
            (Some(created), usize::from(acts))
        );
        assert!(error.details().elapsed >= SHORT.total, "{:?}", error.details().elapsed);
    }
}

/// The timeout covers the whole response, not each read.
#[tokio::test]
async fn a_trickling_response_times_out() {
    let fixture = Fixture::with_post_fault(Fault { seconds: Some(0.2), ..FaultKind::Trickle.into() })
        .with_short_timeouts();
    let error = fixture.add().await.unwrap_err();
    assert_outcome_unknown(&fixture, &error, ErrorKind::RequestTimeout, Some(200));
    assert_eq!(candidate_ids(&error), Some(vec![fixture.created_tokens()[0].id.into()]));
}

/// Creates a token at a server that accepts, reads, and never responds.
async fn add_at_a_silent_server(scheme: &str) -> Error {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("{scheme}://{}/santaba/rest", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move { stream.read_to_end(&mut Vec::new()).await });
        }
    });
    let client = Client::new(Identity { timeouts: SHORT, ..identity(&base_url, pair()) }, None);
    let result = tokio::time::timeout(HANG_TIMEOUT, operation(add("ci")).run(&client)).await;
    server.abort();
    result.expect("the call hangs").unwrap_err()
}

#[tokio::test]
async fn a_silent_server_leaves_the_outcome_unknown() {
    let error = add_at_a_silent_server("http").await;
    assert_eq!((error.kind(), candidate_ids(&error)), (ErrorKind::OutcomeUnknown, None), "{error:?}");
    let cause = error.details().cause.as_ref().unwrap();
    assert_eq!((cause.kind(), cause.details().maybe_applied), (ErrorKind::RequestTimeout, true), "{error:?}");
    assert!(cause.to_string().contains("0.5 s"), "{cause}");
}

/// No request is sent before the TLS handshake is complete.
#[tokio::test]
async fn an_incomplete_handshake_is_not_an_unknown_outcome() {
    let error = add_at_a_silent_server("https").await;
    assert_eq!(
        (error.kind(), error.details().maybe_applied),
        (ErrorKind::RequestTimeout, false),
        "{error:?}"
    );
    assert!(error.to_string().contains("0.25 s"), "{error}");
}
