//! Text from the portal that repeats credentials in some spelling is withheld; any other text is shown.

pub(crate) mod encoders;

use lmtokens::testing::client::redact;
use lmtokens::testing::credentials::{Credentials, Identity};
use lmtokens::testing::error::{Error, ErrorKind};
use lmtokens::testing::lmv1::{Request, SigningKey};
use proptest::prelude::*;

use crate::support::{ACCESS_ID, cases, identity, secret};
use encoders::{Encoding, encoding, stream};

const WITHHELD: &str = "the portal's message is withheld because it repeats a part of the credentials";

/// Messages of the vendor's API, and text that resembles encodings.
const ORDINARY: [&str; 14] = [
    "Authentication failed",
    "Too many requests",
    "Token not found: 248",
    "The admin with id 32 does not exist",
    "Permission denied: you need the manage permission on api-user@example.com (role 7)",
    "Note should be at most 1,024 characters; got 5/1024",
    "Invalid filter: adminName:\"a%20b\" & status=2 at position 41 (0x29)",
    "Internal error, request id 6f1c2d3e-4b5a-4968-8778-695a4b3c2d1e, time 1767225600000",
    "Unexpected token '<', \"<html><body><h1>503 &mdash; Service&nbsp;Unavailable\"... is not valid JSON",
    "java.lang.NullPointerException\\n\\tat com.santaba.server.servlet.rest.AdminResource.addToken(AdminResource.java:128)",
    "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "{\"errorCode\":1400,\"errorMessage\":\"Json body is invalid\"}",
    "Zugriff verweigert: Benutzer \u{201e}M\u{fc}ller\u{201c} ist gesperrt",
    "see https://www.logicmonitor.com/support/rest-api-authentication?x=1&y=2%2F3",
];

fn with_bearer(token: &str) -> Identity {
    identity("http://127.0.0.1:1/santaba/rest", Credentials::from_bearer(secret(token)).unwrap())
}

fn with_pair(key: &str) -> Identity {
    identity("http://127.0.0.1:1/santaba/rest", Credentials::from_pair(Some(ACCESS_ID), secret(key)).unwrap())
}

/// Returns the message of an error with this text of the portal.
fn shown(identity: &Identity, authorization: &str, text: &str, body: &str) -> String {
    let mut error = Error::new(ErrorKind::BadRequest, text);
    error.details_mut().status = Some(400);
    redact(error.details_mut(), identity, None, authorization, body.as_bytes());
    error.to_string()
}

fn shown_with_bearer(token: &str, text: &str) -> String {
    shown(&with_bearer(token), &format!("Bearer {token}"), text, "")
}

/// Returns the header of a request, its signature, and the digest in it.
fn signed(key: &str, timestamp_ms: u64) -> (String, String, String) {
    let request = Request { method: "GET", timestamp_ms, body: b"", resource_path: "/setting/admins" };
    let key = SigningKey::new(key.as_bytes());
    (request.authorization(ACCESS_ID, &key), request.signature(&key), request.digest_hex(&key))
}

/// Visible ASCII with many letters and digits, as keys are.
fn keys() -> impl Strategy<Value = String> {
    proptest::string::string_regex("(lm[ab]_)?([A-Za-z0-9]{3,9}[+()\\]{%~^_=\\[}&#;$!-]{0,2}){4,12}").unwrap()
}

/// Returns a part of a text with at least eight letters and digits.
fn part(text: &str, start: prop::sample::Index, extra: usize) -> String {
    let positions: Vec<usize> =
        text.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()).map(|(at, _)| at).collect();
    let first = start.index(positions.len() - 7);
    let last = (first + 7 + extra).min(positions.len() - 1);
    text[positions[first]..=positions[last]].to_owned()
}

fn words() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "",
        " ",
        "no such token: ",
        "Bearer ",
        "LMv1 id:",
        " (checked)",
        "x",
        "Authorization=",
        ", ",
        "\u{e9}t\u{e9} ",
        "key-",
        ":1767225600000",
        "{\"a\":[",
        "ab",
    ])
    .prop_map(str::to_owned)
}

/// Escapes and rearrangements, with at most two encodings of bytes among them.
fn encodings() -> impl Strategy<Value = Vec<Encoding>> {
    let escapes = || prop::collection::vec(encoding(), 0..2);
    let streams = || prop::collection::vec(stream(), 0..2);
    (escapes(), streams(), escapes(), streams(), escapes()).prop_map(|(a, b, c, d, e)| {
        let mut all = [a, b, c, d, e].concat();
        // Tags within tags are not HTML.
        let mut has_tags = false;
        all.retain(|encoding| !matches!(encoding, Encoding::Tags) || !std::mem::replace(&mut has_tags, true));
        all
    })
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn eight_characters_of_a_secret_are_recognized_in_any_encoding(
        key in keys(),
        start in any::<prop::sample::Index>(),
        extra in 0_usize..40,
        encodings in encodings(),
        (before, after) in (words(), words()),
    ) {
        let mut text = part(&key, start, extra);
        for encoding in &encodings {
            text = encoding.apply(&text);
        }
        // Longer ones are cut, which is tested apart.
        prop_assume!(text.chars().count() < 1500);
        let text = format!("{before}{text}{after}");
        prop_assert_eq!(shown(&with_pair(&key), "", &text, ""), WITHHELD, "{:?}: {}", encodings, text);
    }

    #[test]
    fn eight_characters_of_a_signature_are_recognized_in_any_encoding(
        key in keys(),
        timestamp_ms in 1_600_000_000_000_u64..1_900_000_000_000,
        start in any::<prop::sample::Index>(),
        extra in 0_usize..80,
        of_digest in any::<bool>(),
        encodings in encodings(),
        (before, after) in (words(), words()),
    ) {
        let (authorization, signature, digest) = signed(&key, timestamp_ms);
        let mut text = part(if of_digest { &digest } else { &signature }, start, extra);
        for encoding in &encodings {
            text = encoding.apply(&text);
        }
        prop_assume!(text.chars().count() < 1500);
        let text = format!("{before}{text}{after}");
        prop_assert_eq!(shown(&with_pair(&key), &authorization, &text, ""), WITHHELD, "{:?}: {}", encodings, text);
    }

    #[test]
    fn ordinary_messages_are_shown(
        key in keys(),
        timestamp_ms in 1_600_000_000_000_u64..1_900_000_000_000,
        text in prop::sample::select(&ORDINARY),
    ) {
        let (authorization, ..) = signed(&key, timestamp_ms);
        prop_assert_eq!(shown(&with_pair(&key), &authorization, text, ""), text);
    }

    /// Wherever a long text is cut, what is shown of it does not contain eight characters of a secret.
    #[test]
    fn no_part_is_shown_of_a_long_text(key in keys(), length in 400_usize..2100, filler in "[-., é]") {
        let text = format!("{}{key}", filler.repeat(length));
        let shown = shown(&with_pair(&key), "", &text, "");
        let alone = |text: &str| text.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let (shown, key) = (alone(&shown), alone(&key));
        for part in key.as_bytes().windows(8) {
            prop_assert!(!shown.contains(std::str::from_utf8(part).unwrap()), "{}", shown);
        }
    }
}

const KEY: &str = "lmb_Q7tZp2+wX9(kR4)mV8]sB3{nH6%jF1~dG5^cL0_yT=uEoAi";

/// Forms that the header as a whole may take.
#[test]
fn the_whole_header_is_recognized() {
    let header = format!("Bearer {KEY}");
    let (authorization, signature, digest) = signed(KEY, 1_767_225_600_000);
    let digest_bytes: Vec<u8> =
        (0..digest.len()).step_by(2).map(|at| u8::from_str_radix(&digest[at..at + 2], 16).unwrap()).collect();
    for text in [&header, &authorization, &signature, &digest] {
        for offset in ["", "a", "ab"] {
            let base64 = encoders::base64(format!("{offset}{text}").as_bytes());
            for spelling in [
                base64.clone(),
                format!("https://proxy.example/login?auth={base64}&next=%2F"),
                base64.to_lowercase(),
                base64
                    .as_bytes()
                    .chunks(5)
                    .map(|line| std::str::from_utf8(line).unwrap())
                    .collect::<Vec<_>>()
                    .join("\r\n "),
                base64.trim_end_matches('=').chars().rev().collect(),
            ] {
                let identity = if *text == header { with_bearer(KEY) } else { with_pair(KEY) };
                let sent = if *text == header { &header } else { &authorization };
                assert_eq!(shown(&identity, sent, &spelling, ""), WITHHELD, "{spelling}");
            }
        }
    }
    let raw = encoders::base64(&digest_bytes);
    assert_eq!(shown(&with_pair(KEY), &authorization, &format!("signature {raw}"), ""), WITHHELD);
}

#[test]
fn single_spellings_are_recognized() {
    for text in [
        "Q7tZ<wbr>p2+<b>wX9(k</b>R4",
        "Q 7 t Z p 2 w X 9",
        "Q\u{200b}7\u{200d}t\u{2060}Z\u{feff}p\u{ad}2\u{3164}w\u{e0041}X\u{202e}9",
        "\u{202e}9Xw+2pZt7Q",
        "q7tzp2wx",
        "Q7tZ&shy;p2&#8203;wX&zwnj;9k",
        "&#81;&#55&#0116;&#x5a;&#X70;2&plus;wX",
        "%51%37%74%5A%70%32%2B%77%58",
        "%u0051%u0037%u0074%u005A%u0070%u0032wX",
        "%2551%2537%2574%255A%2570%2532%252BwX",
        "\\u0051\\u0037t\\u005ap2+wX",
        "\\\\u0051\\\\u0037t\\\\u005ap2+wX",
        "\\x51\\x37\\x74\\x5A\\x702+wX",
        "\\121\\067\\164Zp2+wX",
        "=51=37=74=5A=702=2BwX",
        "51 37 74 5a 70 32 2b 77 58",
        "0x51, 0x37, 0x74, 0x5a, 0x70, 0x32, 0x2b, 0x77, 0x58",
        "b'[81, 55, 116, 90, 112, 50, 43, 119, 88]'",
        "00000000: 5137 745a 7032 2b77 58",
        "Q7tZp2+w",
    ] {
        let wanted = if text == "Q7tZp2+w" { text } else { WITHHELD };
        assert_eq!(shown_with_bearer(KEY, text), wanted, "{text}");
    }
}

/// A secret of a few characters would occur in ordinary words.
#[test]
fn short_secrets_are_recognized_as_a_whole() {
    for (key, text, is_withheld) in [
        ("k8+Zq2(w", "token K8Zq2W is invalid", true),
        ("k8+Zq2(w", "token k8+Zq is invalid", false),
        ("+(]{%~^=", "key +(]{%~^= is invalid", true),
        ("+(]{%~^=", "key %2B%28%5D%7B%25%7E%5E%3D is invalid", true),
        ("abc", "abc is invalid", false),
    ] {
        let wanted = if is_withheld { WITHHELD } else { text };
        assert_eq!(shown(&with_pair(key), "", text, ""), wanted, "{key}: {text}");
    }
}

/// An error may contain the key of the token that it says was not created.
#[test]
fn a_new_key_in_the_body_is_withheld() {
    let body = r#"{"errorCode":1500,"errorMessage":"-","data":{"accessKey" : "n\u0065wKey+0123456789"},"accessKey":null}"#;
    for text in ["stored newKey+0123456789", "stored 6e65774b65792b30313233", "stored newKey%2B0123"] {
        assert_eq!(shown_with_bearer(KEY, text), text);
        assert_eq!(shown(&with_bearer(KEY), "", text, body), WITHHELD, "{text}");
    }
    let many = r#"{"accessKey":"another+1234567"}"#.repeat(17);
    assert_eq!(shown(&with_bearer(KEY), "", "no", &many), WITHHELD);
}

#[test]
fn the_credentials_of_a_proxy_are_withheld() {
    let mut identity = with_bearer(KEY);
    identity.network =
        lmtokens::testing::network::Network::of_arguments(&lmtokens::testing::network::Arguments {
            proxy: Some(secret("http://me:pass%2Bword1@proxy.example:3128")),
            ..Default::default()
        })
        .unwrap();
    let basic = encoders::base64(b"me:pass+word1");
    for text in [
        "pass+word1",
        "passw%6frd1",
        &basic,
        &format!("Proxy-Authorization: Basic {basic}"),
        &basic.to_lowercase(),
    ] {
        assert_eq!(shown(&identity, "", text, ""), WITHHELD, "{text}");
        assert_eq!(shown(&with_bearer(KEY), "", text, ""), *text);
    }
}

/// A hostile text must not keep a client busy. Text with an excessive number of forms is withheld.
#[test]
fn hostile_texts_end() {
    for unit in [
        "%25",
        "&amp;",
        "\\\\",
        "=3D",
        "<a>",
        "%26amp%3B=5Cu0025\\x3d",
        "QUJD",
        "VmxkUFVR",
        "\u{e9}",
        "%",
        "a=b&c%20\\n<",
    ] {
        let text = unit.repeat(300_000);
        let shown = shown_with_bearer(KEY, &text);
        assert!(
            shown == WITHHELD || text.starts_with(&shown) && shown.chars().count() == 500,
            "{unit}: {shown}"
        );
    }
}
