//! What a server sees before it has proved its identity: a `ClientHello` and nothing else.

mod client_hello;

use std::net::TcpListener;
use std::time::Duration;

use lmtokens::testing::client::Client;
use lmtokens::testing::credentials::{Identity, Timeouts};
use lmtokens::testing::error::{Error, ErrorKind};
use lmtokens::testing::ids::{AdminId, Note, Status, Type};
use lmtokens::testing::lifecycle::AddToken;

use lmtokens::testing::operation::Operation as _;
use lmtokens::testing::tokens::{NewToken, User};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use self::client_hello::ClientHello;
use crate::support::{BEARER, HANG_TIMEOUT, bearer, identity};

/// The hybrid of ML-KEM-768 and X25519.
const X25519MLKEM768: u16 = 0x11ec;

/// An alert that the handshake failed.
const REFUSAL: &[u8] = b"\x15\x03\x03\x00\x02\x02\x28";

const NOTE: &str = "a note that must not be sent in plain text";

/// Adds a token at a listener that answers the first record with `answer` and then reads on. Returns the bytes of each
/// connection and the error of the call.
async fn call(answer: &'static [u8], timeouts: Timeouts) -> (Vec<Vec<u8>>, Error) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let base_url = format!("https://{}/santaba/rest", listener.local_addr().unwrap());
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let arrived = arrived.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                while !client_hello::is_whole(&bytes)
                    && stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0)
                {}
                drop(stream.write_all(answer).await);
                drop(stream.read_to_end(&mut bytes).await);
                drop(arrived.send(bytes));
            });
        }
    });
    let client = Client::new(Identity { timeouts, ..identity(&base_url, bearer()) }, None);
    let add = AddToken {
        token: NewToken {
            admin: User::Id(AdminId::new(32).unwrap()),
            note: Some(Note::new(NOTE).unwrap()),
            status: Status::Enabled,
            r#type: Type::Lmv1,
            expires: None,
        },
        destination: None,
    };
    let error = tokio::time::timeout(HANG_TIMEOUT, add.run(&client)).await.expect("it hangs").unwrap_err();
    drop(client);
    // The failed connection may not have been read to its end yet.
    let mut connections = vec![arrivals.recv().await.unwrap()];
    while let Ok(Some(bytes)) = tokio::time::timeout(Duration::from_millis(200), arrivals.recv()).await {
        connections.push(bytes);
    }
    server.abort();
    (connections, error)
}

fn timeouts(connect: f64, total: f64) -> Timeouts {
    Timeouts::from_seconds(Some(connect), total).unwrap()
}

#[tokio::test]
async fn hybrid_key_exchange_is_offered_first_and_at_once() {
    let (connections, _) = call(REFUSAL, timeouts(5.0, 10.0)).await;
    let hello = ClientHello::parse(&connections[0]);
    assert_eq!(hello.supported_groups.first(), Some(&X25519MLKEM768), "{:x?}", hello.supported_groups);
    assert!(hello.key_shares.contains(&X25519MLKEM768), "{:x?}", hello.key_shares);
    // The hybrid key exchange needs TLS 1.3.
    assert_eq!(hello.supported_versions.first(), Some(&0x0304), "{:x?}", hello.supported_versions);
    assert!(
        hello.supported_versions.iter().all(|version| *version >= 0x0303),
        "{:x?}",
        hello.supported_versions
    );
}

fn assert_only_a_hello(connections: &[Vec<u8>]) {
    for bytes in connections {
        let rest = ClientHello::parse(bytes).rest;
        // The client may send an alert before it closes the connection.
        let is_alert = rest.len() == 7 && rest.starts_with(&[0x15, 0x03]);
        assert!(rest.is_empty() || is_alert, "{rest:x?} came after the ClientHello");
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        for hidden in [BEARER, NOTE, "authorization", "bearer", "santaba", "post "] {
            assert!(!text.contains(&hidden.to_lowercase()), "{hidden:?} was sent in plain text");
        }
    }
}

#[tokio::test]
async fn a_portal_without_tls_gets_a_hello_and_nothing_else() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"220 mail.example.com ESMTP\r\n",
        REFUSAL,
        b"\x16\x03\x03\xff\xff",
        b"\0",
    ] {
        let (connections, error) = call(answer, timeouts(0.3, 10.0)).await;
        assert_only_a_hello(&connections);
        assert!(!error.details().maybe_applied, "{answer:?}: {error:?}");
        assert!(
            matches!(error.kind(), ErrorKind::Tls | ErrorKind::Connect | ErrorKind::RequestTimeout),
            "{answer:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_error() {
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], REFUSAL] {
        let (connections, error) = call(answer, timeouts(5.0, 10.0)).await;
        assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
        assert_eq!(connections.len(), 1, "it came again for the same refusal");
    }
}

/// An alert is an answer: the server uses TLS, and it refuses every further attempt too.
#[tokio::test]
async fn an_alert_is_told_with_advice_that_fits_it() {
    let alerts: [(&[u8], &str, &str); 5] = [
        (b"\x15\x03\x03\x00\x02\x02\x46", "neither TLS 1.2 nor TLS 1.3", "must enable TLS 1.2"),
        (b"\x15\x03\x03\x00\x02\x02\x74", "requires a client certificate", "SupplyClientCertificate"),
        (b"\x15\x03\x03\x00\x02\x02\x30", "UnknownCA", "such as a client certificate"),
        (b"\x15\x03\x03\x00\x02\x02\x50", "InternalError", "such as a client certificate"),
        (REFUSAL, "HandshakeFailure", "such as a client certificate"),
    ];
    for (alert, problem, remedy) in alerts {
        let (connections, error) = call(alert, timeouts(5.0, 10.0)).await;
        assert_only_a_hello(&connections);
        assert_eq!(connections.len(), 1, "it came again after {problem}");
        assert_eq!((error.kind(), error.details().maybe_applied), (ErrorKind::Tls, false), "{error:?}");
        assert!(error.to_string().contains(problem), "{error}");
        // This client has no certificate that could be rejected.
        assert!(!error.to_string().contains("rejected"), "{error}");
        let advice = format!("{:?}", error.details().advice);
        assert!(advice.contains(remedy) && !advice.contains("may not use TLS"), "{problem}: {advice}");
    }
}

/// Nothing was sent, so nothing can have been created, even if the connect timeout equals the total timeout.
#[tokio::test]
async fn a_handshake_that_never_ends_is_not_an_unknown_outcome() {
    for timeouts in [timeouts(0.5, 10.0), Timeouts::from_seconds(None, 0.5).unwrap()] {
        let (connections, error) = call(b"", timeouts).await;
        assert_only_a_hello(&connections);
        assert_eq!(error.kind(), ErrorKind::RequestTimeout, "{timeouts:?}: {error:?}");
        assert!(!error.details().maybe_applied, "{timeouts:?}: {error:?}");
    }
}
