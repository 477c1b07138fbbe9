//! Calls end, whatever the other side does.

use std::time::Duration;

use lmtokens::client::Client;
use lmtokens::credentials::{Identity, Timeouts};
use lmtokens::error::{Error, ErrorKind};
use lmtokens::operation::Operation as _;
use lmtokens::sandbox::{Fault, FaultKind};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::{Setting, add, assert_unknown, candidates, operation};
use crate::support::{HANGING, identity, pair};

const SHORT: Timeouts = Timeouts { connect: Duration::from_millis(250), total: Duration::from_millis(500) };

impl Setting {
    fn in_a_hurry(self) -> Self {
        let identity = Identity { timeouts: SHORT, ..self.client.identity().clone() };
        Self { client: Client::new(identity, None), ..self }
    }
}

#[tokio::test]
async fn a_portal_that_takes_too_long_leaves_the_outcome_unknown() {
    for (kind, acts) in [(FaultKind::Delay, false), (FaultKind::ActThenDelay, true)] {
        let setting = Setting::struck(Fault { seconds: Some(3600.0), ..kind.into() }).in_a_hurry();
        let error = setting.add().await.unwrap_err();
        assert_unknown(&setting, &error, ErrorKind::RequestTimeout, None);
        let made: Vec<i64> = setting.made().iter().map(|token| token.id.into()).collect();
        assert_eq!((candidates(&error), setting.made().len()), (Some(made), usize::from(acts)));
        assert!(error.details().elapsed >= SHORT.total, "{:?}", error.details().elapsed);
    }
}

/// Each byte is in time; together they are not.
#[tokio::test]
async fn an_answer_that_trickles_does_not_outlast_the_limit() {
    let setting = Setting::struck(Fault { seconds: Some(0.2), ..FaultKind::Trickle.into() }).in_a_hurry();
    let error = setting.add().await.unwrap_err();
    assert_unknown(&setting, &error, ErrorKind::RequestTimeout, Some(200));
    assert_eq!(candidates(&error), Some(vec![setting.made()[0].id.into()]));
}

/// Adds a token at a listener that accepts, reads, and says nothing.
async fn add_at_a_silent_server(scheme: &str) -> Error {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("{scheme}://{}/santaba/rest", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move { stream.read_to_end(&mut Vec::new()).await });
        }
    });
    let client = Client::new(Identity { timeouts: SHORT, ..identity(&base_url, pair()) }, None);
    let result = tokio::time::timeout(HANGING, operation(add("ci")).run(&client)).await;
    server.abort();
    result.expect("the call hangs").unwrap_err()
}

#[tokio::test]
async fn a_server_that_says_nothing_leaves_the_outcome_unknown() {
    let error = add_at_a_silent_server("http").await;
    assert_eq!((error.kind(), candidates(&error)), (ErrorKind::OutcomeUnknown, None), "{error:?}");
    let cause = error.details().cause.as_ref().unwrap();
    assert_eq!((cause.kind(), cause.details().maybe_applied), (ErrorKind::RequestTimeout, true), "{error:?}");
    assert!(cause.to_string().contains("0.5 s"), "{cause}");
}

/// TLS is part of the connection: before it stands, nothing was sent.
#[tokio::test]
async fn a_server_that_never_answers_a_handshake_was_sent_nothing() {
    let error = add_at_a_silent_server("https").await;
    assert_eq!(
        (error.kind(), error.details().maybe_applied),
        (ErrorKind::RequestTimeout, false),
        "{error:?}"
    );
    assert!(error.to_string().contains("0.25 s"), "{error}");
}
