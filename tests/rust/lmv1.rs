//! The LMv1 signature: every vector at every stage, and what verification must reject.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lmtokens::testing::error::ErrorKind;
use lmtokens::testing::lmv1::{Authorization, Request, SigningKey, check_method, check_resource_path};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    access_id: String,
    access_key: String,
    method: String,
    timestamp_ms: u64,
    body_base64: String,
    resource_path: String,
    string_to_sign_base64: String,
    digest_hex: String,
    signature: String,
    authorization: String,
}

fn cases() -> Vec<Case> {
    let vectors: Vectors = serde_json::from_str(include_str!("../vectors/lmv1.json")).unwrap();
    assert!(vectors.cases.len() >= 20, "the vectors are missing");
    vectors.cases
}

#[test]
fn every_vector_matches_at_every_stage() {
    for case in cases() {
        let name = &case.name;
        let body = BASE64.decode(&case.body_base64).unwrap();
        let key = case.access_key.as_bytes();
        let signing_key = SigningKey::new(key);
        let request = Request {
            method: &case.method,
            timestamp_ms: case.timestamp_ms,
            body: &body,
            resource_path: &case.resource_path,
        };
        let string_to_sign = BASE64.encode(request.string_to_sign());
        assert_eq!(string_to_sign, case.string_to_sign_base64, "{name}: string to sign");
        assert_eq!(request.digest_hex(&signing_key), case.digest_hex, "{name}: hex digest");
        assert_eq!(request.signature(&signing_key), case.signature, "{name}: signature");
        assert_eq!(
            request.authorization(&case.access_id, &signing_key),
            case.authorization,
            "{name}: header"
        );

        let parsed = Authorization::parse(&case.authorization);
        let parsed = parsed.unwrap_or_else(|| panic!("{name}: the header is not understood"));
        let wanted = Authorization {
            access_id: case.access_id,
            signature: case.signature,
            timestamp_ms: case.timestamp_ms,
        };
        assert_eq!(parsed, wanted, "{name}: parts of the header");
        assert!(parsed.verify(&case.method, &body, &case.resource_path, key), "{name}: verification");
    }
}

const KEY: &[u8] = b"unit+test(key)";
const PATH: &str = "/setting/admins/32/apitokens";
const BODY: &[u8] = br#"{"note":"ci","status":2}"#;

fn signed() -> Authorization {
    let request =
        Request { method: "POST", timestamp_ms: 1_700_000_000_000, body: BODY, resource_path: PATH };
    Authorization::parse(&request.authorization("exampleAccessId00001", &SigningKey::new(KEY))).unwrap()
}

#[test]
fn a_signature_is_valid_for_nothing_else() {
    let signed = signed();
    assert!(signed.verify("POST", BODY, PATH, KEY));
    assert!(!signed.verify("POST", BODY, PATH, b"unit+test(kex)"), "another key");
    assert!(!signed.verify("POST", BODY, PATH, b""), "no key");
    assert!(!signed.verify("POST", BODY, PATH, b"unit+test(key)\n"), "the key with a line break");
    assert!(!signed.verify("POST", br#"{"note":"ci","status":1}"#, PATH, KEY), "another body");
    assert!(!signed.verify("POST", br#"{"note": "ci", "status": 2}"#, PATH, KEY), "the body with spaces");
    assert!(!signed.verify("POST", b"", PATH, KEY), "no body");
    assert!(!signed.verify("POST", BODY, "/setting/admins/33/apitokens", KEY), "another path");
    assert!(!signed.verify("POST", BODY, "/setting/admins/32/apitokens/", KEY), "the path with a slash");
    assert!(
        !signed.verify("POST", BODY, "/setting/admins/32/apitokens?type=bearer", KEY),
        "the path with its query"
    );
    assert!(!signed.verify("PUT", BODY, PATH, KEY), "another method");
    assert!(!signed.verify("post", BODY, PATH, KEY), "the method in lower case");
    let later = Authorization { timestamp_ms: signed.timestamp_ms + 1, ..signed };
    assert!(!later.verify("POST", BODY, PATH, KEY), "another time");
}

#[test]
fn a_signature_does_not_cover_the_body_of_a_get_or_head() {
    for method in ["GET", "HEAD"] {
        let with = Request { method, timestamp_ms: 1_700_000_000_000, body: BODY, resource_path: PATH };
        let without = Request { body: b"", ..with };
        let key = SigningKey::new(KEY);
        assert_eq!(with.string_to_sign(), without.string_to_sign());
        assert_eq!(with.authorization("id", &key), without.authorization("id", &key));
    }
}

#[test]
fn a_signature_without_the_hex_step_is_invalid() {
    let request =
        Request { method: "POST", timestamp_ms: 1_700_000_000_000, body: BODY, resource_path: PATH };
    let hex = request.digest_hex(&SigningKey::new(KEY));
    let raw: Vec<u8> =
        (0..32).map(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap()).collect();
    let raw = Authorization { signature: BASE64.encode(raw), ..signed() };
    assert_eq!(raw.signature.len(), 44);
    assert!(!raw.verify("POST", BODY, PATH, KEY));
    for signature in [hex, String::new(), signed().signature.trim_end_matches('=').to_owned()] {
        let other = Authorization { signature, ..signed() };
        assert!(!other.verify("POST", BODY, PATH, KEY), "{other:?}");
    }
}

#[test]
fn other_headers_are_not_parsed() {
    for header in [
        "",
        "LMv1",
        "LMv1 ",
        "LMv1 id",
        "LMv1 id:signature",
        "LMv1 id:signature:",
        "LMv1 :signature:1",
        "LMv1 id:signature:1:2",
        "LMv1 id:signature:+1",
        "LMv1 id:signature:-1",
        "LMv1 id:signature:1.5",
        "LMv1 id:signature:1 ",
        "LMv1 id:signature: 1",
        "LMv1 id:signature:0x10",
        "LMv1 id:signature:\u{0661}",
        "LMv1 id:signature:18446744073709551616",
        "LMv1id:signature:1",
        "lmv1 id:signature:1",
        "LMV1 id:signature:1",
        " LMv1 id:signature:1",
        "LMv2 id:signature:1",
        "Bearer id:signature:1",
        "Basic aWQ6a2V5",
    ] {
        assert_eq!(Authorization::parse(header), None, "{header:?}");
    }
    let latest = Authorization::parse("LMv1 id:signature:18446744073709551615").unwrap();
    assert_eq!(latest.timestamp_ms, u64::MAX);
}

/// The time is signed as text, so accepting another spelling would accept headers that the portal rejects.
#[test]
fn the_time_has_one_spelling() {
    let signature = signed().signature;
    let header = |time: &str| Authorization::parse(&format!("LMv1 exampleAccessId00001:{signature}:{time}"));
    assert!(header("1700000000000").is_some_and(|header| header.verify("POST", BODY, PATH, KEY)));
    assert_eq!(header("01700000000000"), None);
    assert_eq!(header("00"), None);
    assert!(header("0").is_some());
}

#[test]
fn methods_are_letters_and_converted_to_upper_case() {
    for (given, wanted) in [("GET", "GET"), ("post", "POST"), ("Patch", "PATCH"), ("dElEtE", "DELETE")] {
        assert_eq!(check_method(given).unwrap(), wanted);
    }
    for refused in ["", " ", "GET ", " GET", "GE T", "GET\r\n", "GET1", "G\u{c9}T", "GET/", "*"] {
        let error = check_method(refused).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument, "{refused:?}");
        for accepted in ["method", "GET", "POST", "PUT", "PATCH", "DELETE"] {
            assert!(error.to_string().contains(accepted), "{error}");
        }
    }
}

#[test]
fn resource_paths_that_the_portal_never_accepts_are_rejected() {
    for accepted in [
        "/",
        "/setting/admins",
        "/setting/admins/32/apitokens",
        "/device/groups/Zo\u{eb}'s rack",
        "/santaba/restful",
        "/santaba",
        "/x/santaba/rest/y",
        "/with@sign&more=all",
    ] {
        assert!(check_resource_path(accepted).is_ok(), "{accepted:?}");
    }
    for (refused, reason) in [
        ("", "slash"),
        ("setting/admins", "slash"),
        (" /setting/admins", "slash"),
        ("https://acme.logicmonitor.com/santaba/rest/setting/admins", "slash"),
        ("/santaba/rest", "/santaba/rest"),
        ("/santaba/rest/", "/santaba/rest"),
        ("/santaba/rest/setting/admins", "/santaba/rest"),
        ("/setting/admins?size=50", "query"),
        ("/setting/admins?", "query"),
        ("/setting/admins#top", "fragment"),
        ("/setting/admins\n", "control"),
        ("/setting\r\nX-Injected: 1", "control"),
        ("/setting/\0", "control"),
    ] {
        let error = check_resource_path(refused).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument, "{refused:?}");
        let problem = error.to_string();
        let (problem, accepted) = problem.split_once("; ").unwrap();
        assert!(problem.contains("resource_path") && problem.contains(reason), "{refused:?}: {error}");
        assert!(accepted.contains("/setting/admins/32/apitokens"), "{error}");
    }
}

/// The part of a signed request in which a bit is flipped.
#[derive(Debug, Clone, Copy)]
enum Part {
    Method,
    Time,
    Body,
    Path,
    Key,
    Signature,
}

fn flip(bytes: &[u8], bit: Index) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let bit = bit.index(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// Flips one of the low four bits of a character, so that the text stays valid.
fn flip_text(text: &str, bit: Index) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let bit = bit.index(characters.len() * 4);
    let flipped = u32::from(characters[bit / 4]) ^ (1 << (bit % 4));
    characters[bit / 4] = char::from_u32(flipped).unwrap();
    characters.into_iter().collect()
}

proptest! {
    #[test]
    fn a_signature_verifies_until_one_bit_is_flipped(
        method in "[A-Z]{3,7}",
        timestamp_ms: u64,
        body in proptest::collection::vec(any::<u8>(), 1..200),
        path in "/[a-z0-9/\u{e0}-\u{ef}]{0,40}",
        key in proptest::collection::vec(any::<u8>(), 1..150),
        id in "[a-zA-Z0-9]{1,30}",
        part in prop::sample::select(vec![
            Part::Method, Part::Time, Part::Body, Part::Path, Part::Key, Part::Signature,
        ]),
        bit: Index,
    ) {
        let request = Request { method: &method, timestamp_ms, body: &body, resource_path: &path };
        let signing_key = SigningKey::new(&key);
        prop_assert_eq!(request.signature(&signing_key).len(), 88);
        prop_assert!(request.signature(&signing_key).ends_with("=="));
        let header = request.authorization(&id, &signing_key);
        let parsed = Authorization::parse(&header).unwrap();
        prop_assert_eq!(&parsed.access_id, &id);
        prop_assert_eq!(parsed.timestamp_ms, timestamp_ms);
        prop_assert!(parsed.verify(&method, &body, &path, &key));

        let still_holds = match part {
            Part::Method => parsed.verify(&flip_text(&method, bit), &body, &path, &key),
            Part::Body => parsed.verify(&method, &flip(&body, bit), &path, &key),
            Part::Path => parsed.verify(&method, &body, &flip_text(&path, bit), &key),
            Part::Key => parsed.verify(&method, &body, &path, &flip(&key, bit)),
            Part::Time => {
                let timestamp_ms = timestamp_ms ^ (1 << bit.index(64));
                Authorization { timestamp_ms, ..parsed }.verify(&method, &body, &path, &key)
            }
            Part::Signature => {
                let signature = flip_text(&parsed.signature, bit);
                Authorization { signature, ..parsed }.verify(&method, &body, &path, &key)
            }
        };
        prop_assert!(!still_holds, "{:?}", part);
    }

    #[test]
    fn any_text_is_parsed_or_rejected(text in any::<String>()) {
        if let Some(parsed) = Authorization::parse(&text) {
            prop_assert!(text.starts_with("LMv1 ") && !parsed.access_id.is_empty());
        }
    }

    #[test]
    fn nearly_a_header_is_parsed_or_rejected(text in "LMv1 [a-z: ]{0,8}:[A-Za-z+/=:]{0,8}:[0-9:+ -]{0,24}") {
        if let Some(parsed) = Authorization::parse(&text) {
            let again = format!("LMv1 {}:{}:", parsed.access_id, parsed.signature);
            prop_assert!(text.starts_with(&again), "{:?} became {:?}", text, parsed);
        }
    }

    #[test]
    fn checks_never_panic(text in any::<String>()) {
        if let Ok(method) = check_method(&text) {
            prop_assert!(method.bytes().all(|byte| byte.is_ascii_uppercase()));
        }
        if check_resource_path(&text).is_ok() {
            prop_assert!(text.starts_with('/') && !text.contains(['?', '#', '\r', '\n']));
        }
    }
}
