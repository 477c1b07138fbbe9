//! Outside 2xx the status decides, regardless of the body.

use lmtokens::testing::error::ErrorKind;

use super::{METHODS, assert_refused, done, failed, received};

/// The vendor's page "REST API Status Codes", what gateways add, and whether the portal may have acted.
pub(super) const STATUSES: [(u16, ErrorKind, bool); 28] = [
    (300, ErrorKind::Api, false),
    (301, ErrorKind::Api, false),
    (302, ErrorKind::Api, false),
    (303, ErrorKind::Api, false),
    (304, ErrorKind::Api, false),
    (307, ErrorKind::Api, false),
    (308, ErrorKind::Api, false),
    (400, ErrorKind::BadRequest, false),
    (401, ErrorKind::Authentication, false),
    (402, ErrorKind::Api, false),
    (403, ErrorKind::PermissionDenied, false),
    (404, ErrorKind::NotFound, false),
    (405, ErrorKind::Api, false),
    (408, ErrorKind::Api, false),
    (409, ErrorKind::Conflict, false),
    (410, ErrorKind::Api, false),
    (412, ErrorKind::TwoFactorRequired, false),
    (413, ErrorKind::BadRequest, false),
    (415, ErrorKind::Api, false),
    (422, ErrorKind::Api, false),
    (429, ErrorKind::RateLimit, false),
    (431, ErrorKind::Api, false),
    (500, ErrorKind::Server, true),
    (501, ErrorKind::Server, true),
    (502, ErrorKind::Server, true),
    (503, ErrorKind::Server, true),
    (504, ErrorKind::Server, true),
    (599, ErrorKind::Server, true),
];

const HTML: &str = "<html><body>Service Temporarily Unavailable: sentinel</body></html>";

#[test]
fn the_status_decides_and_the_body_only_adds_a_message() {
    for (status, kind, unknown) in STATUSES {
        let code = 1000 + i64::from(status);
        let body = format!(r#"{{"errorMessage":"the words","errorCode":{code},"errorDetail":null}}"#);
        assert_refused(status, &body, kind, Some(code), unknown);
        // A code with another meaning does not override the status.
        for code in [1401, 1404, 1429, 1500, 1202, 200, -1] {
            let body = format!(r#"{{"errorMessage":"the words","errorCode":{code}}}"#);
            let unknown = unknown || code == 1202;
            assert_refused(status, &body, kind, Some(code), unknown);
        }
        for body in [
            "",
            " \r\n",
            "null",
            "true",
            "\"sentinel\"",
            "[1]",
            "{}",
            r#"{"errorMessage":null,"errorCode":null}"#,
            r#"{"id":248,"status":2}"#,
            HTML,
            "sentinel: no JSON",
            r#"{"errorMessage":"sentinel","errorCo"#,
        ] {
            assert_refused(status, body, kind, None, unknown);
        }
    }
}

#[test]
fn a_body_that_is_not_json_is_described_and_never_repeated() {
    for (status, body) in STATUSES.iter().flat_map(|(status, ..)| {
        [HTML, "sentinel: no JSON", r#"{"errorMessage":"sentinel","errorCo"#, "\"sentinel\""]
            .map(|body| (*status, body))
    }) {
        for method in METHODS {
            let error = failed(method, Ok(received(status, body)));
            let message = error.to_string();
            assert!(!format!("{error:?}").contains("sentinel"), "{error:?}");
            assert!(
                message.contains(&status.to_string()) || message.contains("redirect"),
                "{status}: {message}"
            );
        }
    }
    let bytes: &[u8] = b"\xff\xfe\x00{";
    let error = failed(METHODS[1], Ok(received(502, bytes)));
    assert_eq!((error.kind(), error.details().maybe_applied), (ErrorKind::Server, true));
}

#[test]
fn any_2xx_is_a_success() {
    for method in METHODS {
        for status in [200, 201, 202, 203, 204, 207, 299] {
            let body = done(method, received(status, r#"{"id":248,"status":2,"note":null}"#));
            assert_eq!(body["id"], 248, "{status}");
        }
        for empty in ["", "\r\n", " \t\n"] {
            assert!(done(method, received(204, empty)).is_null());
            assert!(done(method, received(200, empty)).is_null());
        }
        assert_eq!(done(method, received(200, "{}\r\n")), serde_json::json!({}));
    }
}
