//! Within 2xx the body decides: errors of both API versions, and unreadable bodies.

use lmtokens::testing::client::{Method, outcome};
use lmtokens::testing::error::ErrorKind;
use serde_json::json;

use super::{METHODS, assert_refused, done, failed, received};

/// The vendor's page "REST API Status Codes", with the detailed codes of each.
const CODES: [(i64, ErrorKind, bool); 30] = [
    (1400, ErrorKind::BadRequest, false),
    (14001, ErrorKind::BadRequest, false),
    (14003, ErrorKind::BadRequest, false),
    (14004, ErrorKind::BadRequest, false),
    (1413, ErrorKind::BadRequest, false),
    (1401, ErrorKind::Authentication, false),
    (1403, ErrorKind::PermissionDenied, false),
    (1404, ErrorKind::NotFound, false),
    (14042, ErrorKind::NotFound, false),
    (1065, ErrorKind::NotFound, false),
    (1069, ErrorKind::NotFound, false),
    (1409, ErrorKind::Conflict, false),
    (1412, ErrorKind::TwoFactorRequired, false),
    (1429, ErrorKind::RateLimit, false),
    (1091, ErrorKind::RateLimit, false),
    (1100, ErrorKind::RateLimit, false),
    (1500, ErrorKind::Server, true),
    (1000, ErrorKind::Server, true),
    (1001, ErrorKind::Server, true),
    (1301, ErrorKind::Server, true),
    (500, ErrorKind::Server, true),
    (503, ErrorKind::Server, true),
    (599, ErrorKind::Server, true),
    (1202, ErrorKind::Api, true),
    (1201, ErrorKind::Api, true),
    (-1, ErrorKind::Api, true),
    (401, ErrorKind::Api, true),
    (4711, ErrorKind::Api, true),
    (i64::MAX, ErrorKind::Api, true),
    (i64::MIN, ErrorKind::Api, true),
];

#[test]
fn an_error_of_version_3_in_a_success_is_an_error() {
    for (code, kind, unknown) in CODES {
        for status in [200, 202, 207] {
            let body = json!({ "errorMessage": "the words", "errorCode": code, "errorDetail": null });
            assert_refused(status, &body.to_string(), kind, Some(code), unknown);
            let error = failed(Method::Post, Ok(received(status, body.to_string())));
            assert_eq!(error.to_string(), "the words");
        }
    }
}

/// A proxy may add the code of a success to the portal's answer.
#[test]
fn the_code_of_a_success_is_no_error() {
    for code in
        [json!(0), json!(null), json!(200), json!("200"), json!(200.0), json!(204), json!(1200), json!(1204)]
    {
        for method in METHODS {
            let body = json!({ "id": 248, "status": 2, "errorCode": code, "errorMessage": "OK" });
            assert_eq!(done(method, received(200, body.to_string())), body);
            let v1 = json!({ "status": code, "errmsg": null, "data": { "id": 248, "status": 1 } });
            assert_eq!(done(method, received(200, v1.to_string())), json!({ "id": 248, "status": 1 }));
        }
    }
}

/// The key is shown only here: read as an error, it would be lost, and the token would stay enabled.
#[test]
fn a_key_in_the_answer_to_a_create_is_a_success_whatever_the_code() {
    let token = json!({ "id": 248, "status": 2, "accessKey": "key" });
    for code in [json!(4711), json!(1409), json!(1500), json!("x"), json!(1201)] {
        let mut body = token.clone();
        body["errorCode"] = code.clone();
        body["errorMessage"] = json!("the words");
        let v1 = json!({ "status": code, "errmsg": "the words", "data": token });
        assert_eq!(done(Method::Post, received(200, body.to_string())), body);
        assert_eq!(done(Method::Post, received(200, v1.to_string())), token);
        for body in [body, v1] {
            for method in [Method::Get, Method::Patch, Method::Delete] {
                failed(method, Ok(received(200, body.to_string())));
            }
        }
    }
    for unusable in
        [json!({ "accessKey": "key" }), json!({ "id": 248, "accessKey": "" }), json!({ "id": 248 })]
    {
        let mut body = unusable;
        body["errorCode"] = json!(4711);
        body["errorMessage"] = json!("the words");
        assert!(failed(Method::Post, Ok(received(200, body.to_string()))).details().maybe_applied);
    }
}

/// The page lists them under 400, next to 14001, 14003 and 14004.
#[test]
fn detailed_codes_of_a_bad_request_are_bad_requests() {
    for code in [1104, 1031, 1077] {
        let body = json!({ "errorMessage": "the words", "errorCode": code });
        assert_refused(200, &body.to_string(), ErrorKind::BadRequest, Some(code), false);
    }
}

/// The portal writes an exception without a message as null. Read as a success, it would report a token as deleted that
/// still exists.
#[test]
fn an_error_without_a_message_in_a_success_is_an_error() {
    for message in [json!(null), json!(""), json!(" ")] {
        let body = json!({ "errorMessage": message, "errorCode": 1403, "errorDetail": null });
        assert_refused(200, &body.to_string(), ErrorKind::PermissionDenied, Some(1403), false);
    }
}

/// Version 1 uses some of the same numbers with other meanings.
const V1_STATUSES: [(i64, ErrorKind, bool); 17] = [
    (403, ErrorKind::Authentication, false),
    (401, ErrorKind::Authentication, false),
    (1401, ErrorKind::Authentication, false),
    (1403, ErrorKind::TwoFactorRequired, false),
    (2403, ErrorKind::TwoFactorRequired, false),
    (3403, ErrorKind::TwoFactorRequired, false),
    (1041, ErrorKind::PermissionDenied, false),
    (1069, ErrorKind::NotFound, false),
    (404, ErrorKind::NotFound, false),
    (600, ErrorKind::Conflict, false),
    (1400, ErrorKind::BadRequest, false),
    (1100, ErrorKind::RateLimit, false),
    (500, ErrorKind::Server, true),
    (1001, ErrorKind::Server, true),
    (1007, ErrorKind::Server, true),
    (1101, ErrorKind::Server, true),
    (1202, ErrorKind::Api, true),
];

#[test]
fn an_error_of_version_1_in_a_success_is_an_error() {
    for (status, kind, unknown) in V1_STATUSES {
        for body in [
            json!({ "status": status, "errmsg": "the words", "data": null }),
            json!({ "status": status, "errmsg": "the words", "data": { "id": 248 } }),
            json!({ "status": status, "errmsg": "the words" }),
        ] {
            assert_refused(200, &body.to_string(), kind, Some(status), unknown);
        }
        let wordless = json!({ "status": status, "errmsg": null, "data": null });
        assert_refused(200, &wordless.to_string(), kind, Some(status), unknown);
    }
}

/// A partial success may include the requested change.
#[test]
fn a_partial_success_of_version_1_is_unknown() {
    let body = json!({ "status": 1201, "errmsg": "partial", "data": null });
    assert_refused(200, &body.to_string(), ErrorKind::Api, Some(1201), true);
}

#[test]
fn the_envelope_of_version_1_is_removed() {
    for method in METHODS {
        let wrapped = json!({ "status": 200, "errmsg": "OK", "data": { "id": 248, "status": 1 } });
        assert_eq!(done(method, received(200, wrapped.to_string())), json!({ "id": 248, "status": 1 }));
        let empty = json!({ "status": 200, "errmsg": "OK", "data": null });
        assert!(done(method, received(200, empty.to_string())).is_null());
    }
}

#[test]
fn members_of_a_token_are_never_read_as_an_error() {
    for body in [
        json!({ "id": 248, "status": 1 }),
        json!({ "id": 248, "status": 2, "data": null }),
        json!({ "id": 248, "status": 403 }),
        json!({ "id": 248, "status": 500, "data": {} }),
        json!({ "id": 248, "status": 2, "errmsg": null }),
        json!({ "id": 248, "status": 1, "errmsg": null, "data": null }),
        json!({ "id": 248, "errorMessage": "a new member" }),
        json!({ "id": 248, "message": "a new member", "error": "another" }),
        json!({ "total": -1, "items": [], "searchId": null }),
        json!([{ "errorCode": 1401, "errorMessage": "inside" }]),
        json!({ "items": [{ "errorCode": 1401, "errorMessage": "inside", "status": 403, "errmsg": "x" }] }),
    ] {
        for method in METHODS {
            assert_eq!(done(method, received(200, body.to_string())), body);
        }
    }
}

#[test]
fn an_unreadable_success_is_an_error() {
    let deep = "[".repeat(10_000);
    let bodies: [&[u8]; 10] = [
        b"<html><body>login: sentinel</body></html>",
        b"sentinel",
        b"{\"id\":248,\"accessKey\":\"sentinel",
        b"{\"id\":248}}",
        b"{\"id\":248}{\"id\":249}",
        b"{'id':248}",
        b"\xff\xfe{\"id\":\x00",
        b"\x00",
        b"NaN",
        deep.as_bytes(),
    ];
    for body in bodies {
        for status in [200, 201, 202] {
            for method in METHODS {
                let error = failed(method, Ok(received(status, body.to_vec())));
                let details = error.details();
                assert_eq!(
                    (details.kind, details.code, details.status, details.maybe_applied),
                    (ErrorKind::Response, None, Some(status), method != Method::Get),
                    "{method:?} {status} {body:?}"
                );
                assert!(!format!("{error:?}").contains("sentinel"), "{error:?}");
            }
        }
    }
}

/// Read as a success, such a response would report a token as deleted that still exists.
#[test]
fn an_error_whose_code_cannot_be_read_is_unknown() {
    for code in ["\"x\"", "1e999", "1403.5", "[]", "{}", "true"] {
        let v3 = format!(r#"{{"errorMessage":"the words","errorCode":{code}}}"#);
        assert_refused(200, &v3, ErrorKind::Response, None, true);
        let v1 = format!(r#"{{"errmsg":"the words","status":{code},"data":null}}"#);
        assert_refused(200, &v1, ErrorKind::Response, None, true);
    }
    for code in ["\"1403\"", "1403.0", "1.403e3"] {
        let body = format!(r#"{{"errorMessage":"the words","errorCode":{code}}}"#);
        assert_refused(200, &body, ErrorKind::PermissionDenied, Some(1403), false);
    }
}

#[test]
fn a_byte_order_mark_and_half_characters_are_tolerated() {
    for method in METHODS {
        let body = "\u{feff} {\"note\":\"a\\ud83d\",\"\\udc00\":\"\\ud83d\\ude00\\\\ud83d\"}";
        let expected = json!({ "note": "a\u{fffd}", "\u{fffd}": "\u{1f600}\\ud83d" });
        assert_eq!(done(method, received(200, body)), expected);
    }
    let error = failed(Method::Get, Ok(received(400, r#"{"errorMessage":"the words \udfff"}"#)));
    assert_eq!(error.to_string(), "the words \u{fffd}");
}

/// Nesting is skipped without recursion.
#[test]
fn deep_nesting_is_tolerated() {
    let (open, close) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
    for body in [format!("{open}{close}"), format!(r#"{{"id":248,"x":{open}{close}}}"#)] {
        let read = outcome(Method::Get, Ok(received(200, body.clone())));
        assert!(read.is_ok_and(|read| read == body));
    }
}
