//! Attempts without a complete response: kind of the error, and whether the portal may have acted.

use lmtokens::testing::client::TransportFailure;
use lmtokens::testing::error::ErrorKind;

use super::{METHODS, failed};

/// Kinds of failures, and whether any byte of the request may have been sent.
pub(super) const FAILURES: [(ErrorKind, bool); 8] = [
    (ErrorKind::Connect, false),
    (ErrorKind::Tls, false),
    (ErrorKind::Tls, true),
    (ErrorKind::RequestTimeout, false),
    (ErrorKind::RequestTimeout, true),
    (ErrorKind::Transport, false),
    (ErrorKind::Transport, true),
    (ErrorKind::Response, true),
];

#[test]
fn only_a_write_that_may_have_been_sent_may_have_been_applied() {
    for (kind, maybe_sent) in FAILURES {
        for status in [None, Some(200), Some(503)] {
            for method in METHODS {
                let mut failure = TransportFailure::new(kind, "the words", maybe_sent);
                failure.advice = vec!["the advice".into()];
                failure.status = status;
                let error = failed(method, Err(failure));
                let details = error.details();
                assert_eq!(
                    (details.kind, details.code, details.status, details.maybe_applied),
                    (kind, None, status, maybe_sent && method.is_write()),
                    "{method:?} {kind:?}"
                );
                assert_eq!(details.message, "the words");
                assert_eq!(details.advice, ["the advice".into()]);
            }
        }
    }
}
