//! Explanations of headers: a correct one is never called wrong, and every mistake is found in random requests.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use lmtokens::testing::explain::{Cause, Explanation, PortalTime, SentRequest, Token, explain};
use lmtokens::testing::lmv1::{Request, SigningKey};
use lmtokens::testing::secret::Secret;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256, Sha512};

use crate::support::cases;

const NOW: u64 = 1_800_000_000_000;
const PREFIX: &str = "/santaba/rest";

/// Without characters at which a shell cuts or changes a key, which would be a second explanation of a missing end.
const KEY: &str = "[a-zA-Z0-9!()*+,.:;<>?@^_`{|}~-]{8,48}";

/// A request, its token and the time of its header.
#[derive(Debug, Clone)]
struct Case {
    access_id: String,
    key: String,
    method: String,
    /// Percent-encoded, after `/santaba/rest`.
    resource: String,
    query: String,
    body: String,
    epoch: u64,
}

/// The choices of a program that makes a header, the right ones at first.
struct Program {
    key: Vec<u8>,
    parts: [String; 4],
    order: [usize; 4],
    separator: &'static str,
    end: &'static str,
    encode: fn(&[u8]) -> String,
    hash: fn(&[u8], &[u8]) -> Vec<u8>,
    /// Access id, signature and epoch make the header.
    header: fn(&str, &str, &str) -> String,
    epoch: String,
}

impl Case {
    fn decoded(&self) -> String {
        percent_decode_str(&self.resource).decode_utf8().unwrap().into_owned()
    }

    fn program(&self) -> Program {
        let epoch = self.epoch.to_string();
        Program {
            key: self.key.clone().into_bytes(),
            parts: [self.method.clone(), epoch.clone(), self.body.clone(), self.decoded()],
            order: [0, 1, 2, 3],
            separator: "",
            end: "",
            encode: |digest| BASE64.encode(hex(digest)),
            hash: hmac_sha256,
            header: |id, signature, epoch| format!("LMv1 {id}:{signature}:{epoch}"),
            epoch,
        }
    }

    fn header(&self, program: &Program) -> String {
        let string =
            program.order.map(|index| program.parts[index].as_str()).join(program.separator) + program.end;
        let digest = (program.hash)(&program.key, string.as_bytes());
        (program.header)(&self.access_id, &(program.encode)(&digest), &program.epoch)
    }

    fn explain(&self, header: &str) -> Explanation {
        let path = format!("{PREFIX}{}?{}", self.resource, self.query);
        let mut request = SentRequest::new(&self.method, &path, self.body.as_bytes()).unwrap();
        request.host = Some("acme.logicmonitor.com".to_owned());
        let key = Secret::new(self.key.clone());
        let token = Token { access_id: &self.access_id, access_key: &key };
        explain(header, &request, Some(token), PortalTime::at(NOW))
    }
}

fn hex(digest: &[u8]) -> String {
    digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn hmac_sha256(key: &[u8], string: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(string);
    mac.finalize().into_bytes().to_vec()
}

fn hmac_sha512(key: &[u8], string: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).unwrap();
    mac.update(string);
    mac.finalize().into_bytes().to_vec()
}

fn plain_hash(key: &[u8], string: &[u8]) -> Vec<u8> {
    Sha256::digest([key, string].concat()).to_vec()
}

/// The JSON of an object with all white space of Python's default.
fn spaced(json: &str) -> String {
    json.replace("\":", "\": ").replace(",\"", ", \"")
}

type Mistake = (Cause, fn(&Case, &mut Program));

/// Each makes one mistake.
const MISTAKES: &[Mistake] = &[
    (Cause::RawDigest, |_, program| program.encode = |digest| BASE64.encode(digest)),
    (Cause::HexWithoutBase64, |_, program| program.encode = hex),
    (Cause::UpperCaseHex, |_, program| program.encode = |digest| BASE64.encode(hex(digest).to_uppercase())),
    (Cause::HexLineBreak, |_, program| program.encode = |digest| BASE64.encode(hex(digest) + "\n")),
    (Cause::DigestLabel, |_, program| {
        program.encode = |digest| BASE64.encode(format!("SHA2-256(stdin)= {}", hex(digest)));
    }),
    (Cause::DoubleBase64, |_, program| program.encode = |digest| BASE64.encode(BASE64.encode(hex(digest)))),
    (Cause::MissingPadding, |_, program| {
        program.encode = |digest| BASE64.encode(hex(digest)).replace('=', "");
    }),
    (Cause::BytesRepr, |_, program| program.encode = |digest| format!("b'{}'", BASE64.encode(hex(digest)))),
    (Cause::Utf16, |_, program| {
        program.encode =
            |digest| BASE64.encode(hex(digest).bytes().flat_map(|byte| [byte, 0]).collect::<Vec<u8>>());
    }),
    (Cause::Scheme, |_, program| {
        program.header = |id, signature, epoch| format!("lmv1 {id}:{signature}:{epoch}");
    }),
    (Cause::Scheme, |_, program| program.header = |id, signature, epoch| format!("{id}:{signature}:{epoch}")),
    (Cause::FieldOrder, |_, program| {
        program.header = |id, signature, epoch| format!("LMv1 {id}:{epoch}:{signature}");
    }),
    (Cause::AccessId, |_, program| {
        program.header = |_, signature, epoch| format!("LMv1 someOtherId:{signature}:{epoch}");
    }),
    (Cause::Sha512, |_, program| program.hash = hmac_sha512),
    (Cause::PlainHash, |_, program| program.hash = plain_hash),
    (Cause::SwappedArguments, |_, program| program.hash = |key, string| hmac_sha256(string, key)),
    (Cause::KeyEmpty, |_, program| program.key.clear()),
    (Cause::KeyWhiteSpace, |_, program| program.key.push(b'\n')),
    (Cause::KeyWhiteSpace, |_, program| program.key.insert(0, b' ')),
    (Cause::KeyQuotes, |_, program| program.key = [b"\"", program.key.as_slice(), b"\""].concat()),
    (Cause::KeyBase64Encoded, |_, program| program.key = BASE64.encode(&program.key).into_bytes()),
    (Cause::KeyIsAccessId, |case, program| program.key = case.access_id.clone().into_bytes()),
    (Cause::KeyTruncated, |_, program| program.key.truncate(program.key.len() - 1)),
    (Cause::PartOrder, |_, program| program.order = [0, 3, 2, 1]),
    (Cause::PartSeparators, |_, program| program.separator = "\n"),
    (Cause::StringLineBreak, |_, program| program.end = "\n"),
    (Cause::OtherMethod, |case, program| {
        program.parts[0] = if case.method == "GET" { "POST" } else { "GET" }.into();
    }),
    (Cause::MethodCase, |_, program| program.parts[0] = program.parts[0].to_lowercase()),
    (Cause::MethodMissing, |_, program| program.parts[0].clear()),
    (Cause::EpochUnit, |case, program| {
        program.parts[1] = (case.epoch / 1000).to_string();
        program.epoch = program.parts[1].clone();
    }),
    (Cause::EpochUnit, |case, program| program.parts[1] = (case.epoch / 1000).to_string()),
    (Cause::EpochDiffers, |case, program| program.parts[1] = (case.epoch - 7).to_string()),
    (Cause::EpochMissing, |_, program| program.parts[1].clear()),
    (Cause::BodyMissing, |_, program| program.parts[2].clear()),
    (Cause::BodyNotSent, |case, program| {
        if case.body.is_empty() {
            program.parts[2] = "{}".into();
        }
    }),
    (Cause::BodyWhiteSpace, |case, program| program.parts[2] = spaced(&case.body)),
    (Cause::BodyKeyOrder, |case, program| {
        let value: serde_json::Value = serde_json::from_str(&case.body).unwrap_or_default();
        if value.is_object() {
            program.parts[2] = value.to_string();
        }
    }),
    (Cause::BodyEscapes, |case, program| program.parts[2] = case.body.replace('é', "\\u00e9")),
    (Cause::BodyLineBreak, |case, program| {
        if !case.body.is_empty() {
            program.parts[2].push('\n');
        }
    }),
    (Cause::BodyRepr, |case, program| {
        if !case.body.is_empty() {
            program.parts[2] = "[object Object]".into();
        }
    }),
    (Cause::BodyDoubleEncoded, |case, program| {
        if !case.body.is_empty() {
            program.parts[2] = serde_json::to_string(&case.body).unwrap();
        }
    }),
    (Cause::RestPrefix, |_, program| program.parts[3].insert_str(0, PREFIX)),
    (Cause::Host, |_, program| {
        program.parts[3].insert_str(0, &format!("https://acme.logicmonitor.com{PREFIX}"));
    }),
    (Cause::Query, |case, program| program.parts[3] = format!("{}?{}", program.parts[3], case.query)),
    (Cause::PathEncoding, |case, program| program.parts[3].clone_from(&case.resource)),
    (Cause::LeadingSlash, |_, program| program.parts[3] = program.parts[3][1..].into()),
    (Cause::TrailingSlash, |_, program| program.parts[3].push('/')),
    (Cause::PathMissing, |_, program| program.parts[3].clear()),
];

/// Returns what a mistake is about. Two mistakes about the same are not always found.
fn subject(cause: Cause) -> u8 {
    use Cause as C;
    match cause {
        C::Scheme | C::FieldOrder | C::AccessId => 1,
        C::Sha512 => 2,
        C::PlainHash | C::SwappedArguments | C::PartOrder | C::PartSeparators | C::StringLineBreak => 3,
        C::KeyEmpty
        | C::KeyWhiteSpace
        | C::KeyQuotes
        | C::KeyBase64Encoded
        | C::KeyIsAccessId
        | C::KeyTruncated => 4,
        C::OtherMethod | C::MethodCase | C::MethodMissing => 5,
        C::EpochUnit | C::EpochMissing => 6,
        C::BodyMissing
        | C::BodyNotSent
        | C::BodyWhiteSpace
        | C::BodyKeyOrder
        | C::BodyEscapes
        | C::BodyLineBreak
        | C::BodyRepr
        | C::BodyDoubleEncoded => 7,
        C::RestPrefix
        | C::Host
        | C::Query
        | C::PathEncoding
        | C::LeadingSlash
        | C::TrailingSlash
        | C::PathMissing => 8,
        _ => 0,
    }
}

fn segment() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9é _-]{1,8}".prop_map(|text| utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string())
}

prop_compose! {
    /// A member of an object; its value has none of the characters that `spaced` looks for.
    fn member()(name in "[a-z]{1,6}", text in "[a-zé ]{0,8}", number in any::<Option<u32>>()) -> (String, String) {
        (name, number.map_or_else(|| format!("\"{text}\""), |number| number.to_string()))
    }
}

prop_compose! {
    fn case()(
        access_id in "[a-zA-Z0-9]{8,20}",
        key in KEY,
        method in prop::sample::select(vec!["GET", "POST", "PUT", "PATCH", "DELETE"]),
        segments in prop::collection::vec(segment(), 1..4),
        query in "[a-z]{1,4}=[a-z0-9]{1,4}",
        mut members in prop::collection::vec(member(), 0..5),
        age in 0..1_700_000_u64,
    ) -> Case {
        // An object in a program has each name once.
        let mut names = HashSet::new();
        members.retain(|(name, _)| names.insert(name.clone()));
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let body = if method == "GET" { String::new() } else { format!("{{{}}}", members.join(",")) };
        Case {
            access_id,
            key,
            method: method.to_owned(),
            resource: format!("/{}", segments.join("/")),
            query,
            body,
            epoch: NOW - age,
        }
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_correct_header_is_never_called_wrong(
        case in case(),
        epoch in NOW - 10_000_000..NOW + 10_000_000,
    ) {
        let request = Request {
            method: &case.method,
            timestamp_ms: epoch,
            body: case.body.as_bytes(),
            resource_path: &case.decoded(),
        };
        let header = request.authorization(&case.access_id, &SigningKey::new(case.key.as_bytes()));
        let explanation = case.explain(&header);
        prop_assert!(explanation.correct, "{explanation:?}");
        let is_outside = epoch.abs_diff(NOW) > 30 * 60 * 1000;
        prop_assert_eq!(explanation.causes, if is_outside { vec![Cause::TimeWindow] } else { vec![] });
        let string = String::from_utf8(request.string_to_sign()).unwrap();
        prop_assert_eq!(explanation.string_to_sign, Some(string));
    }

    #[test]
    fn any_text_is_explained_without_a_panic(header in ".{0,200}", case in case()) {
        prop_assert!(!case.explain(&header).correct);
        let header = format!("LMv1 {}:{header}:{}", case.access_id, case.epoch);
        prop_assert!(!case.explain(&header).correct);
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn every_mistake_is_found(case in case()) {
        let correct = case.header(&case.program());
        for (cause, make) in MISTAKES {
            let mut program = case.program();
            make(&case, &mut program);
            let header = case.header(&program);
            if header == correct {
                continue;
            }
            let explanation = case.explain(&header);
            prop_assert!(!explanation.correct);
            prop_assert_eq!(explanation.causes, vec![*cause], "{}", header);
        }
    }

    #[test]
    fn two_mistakes_are_found(case in case(), first in 0..MISTAKES.len(), second in 0..MISTAKES.len()) {
        let mut program = case.program();
        let correct = case.header(&program);
        let mut only_first = case.program();
        let ((first, make_first), (second, make_second)) = (MISTAKES[first], MISTAKES[second]);
        prop_assume!(subject(first) != subject(second));
        // Too many epochs to try each with another mistake.
        prop_assume!(![first, second].contains(&Cause::EpochDiffers));
        make_first(&case, &mut only_first);
        make_first(&case, &mut program);
        make_second(&case, &mut program);
        let mut only_second = case.program();
        make_second(&case, &mut only_second);
        let headers = [case.header(&only_first), case.header(&only_second), case.header(&program)];
        // The second mistake may undo or hide the first one.
        prop_assume!(headers.iter().all(|header| header != &correct));
        prop_assume!(headers[2] != headers[0] && headers[2] != headers[1]);
        let explanation = case.explain(&headers[2]);
        prop_assert!(!explanation.correct);
        prop_assert!(!explanation.causes.contains(&Cause::Unknown), "{:?} {:?}: {:?}", first, second, explanation);
    }
}

type Change = fn(&mut Case, &mut Program);

/// Mistakes that need a certain request, key or header: what is sent, and what the program makes of it.
const CERTAIN_MISTAKES: &[(Cause, Change)] = &[
    (Cause::HeaderFields, |_, program| program.header = |id, signature, _| format!("LMv1 {id}:{signature}")),
    (Cause::HeaderQuotes, |_, program| {
        program.header = |id, signature, epoch| format!("\"LMv1 {id}:{signature}:{epoch}\"");
    }),
    (Cause::HeaderWhiteSpace, |_, program| {
        program.header = |id, signature, epoch| {
            let (line, rest) = signature.split_at(76);
            format!("LMv1 {id}:{line}\n{rest}:{epoch}")
        };
    }),
    (Cause::HeaderPercentEncoded, |_, program| {
        program.encode = |digest| BASE64.encode(hex(digest)).replace('=', "%3D");
    }),
    (Cause::Signature, |_, program| program.encode = |_| "this is no digest at all, but long".to_owned()),
    (Cause::UrlSafeBase64, |_, program| {
        program.encode = |digest| BASE64.encode(digest).replace('+', "-").replace('/', "_");
    }),
    (Cause::HexSeparators, |_, program| {
        program.encode = |digest| {
            let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            BASE64.encode(pairs.join("-"))
        };
    }),
    (Cause::Sha1, |_, program| {
        program.hash = |key, string| {
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
            aws_lc_rs::hmac::sign(&key, string).as_ref().to_vec()
        };
    }),
    (Cause::KeyBase64Decoded, |case, program| {
        program.key.clone_from(&case.key.clone().into_bytes());
        case.key = BASE64.encode(&program.key);
    }),
    (Cause::KeyPercentEncoding, |case, program| {
        case.key = "unit%41test".into();
        program.key = b"unitAtest".to_vec();
    }),
    (Cause::KeyExpanded, |case, program| {
        case.key = "unit$HOME-test".into();
        program.key = b"unit-test".to_vec();
    }),
    (Cause::PartSeparators, |_, program| program.separator = "\t"),
    (Cause::BodyCharset, |case, program| {
        program.parts[2] = case.body.bytes().map(char::from).collect();
    }),
    (Cause::BodyEscapes, |_, program| program.parts[2] = program.parts[2].replace('/', "\\/")),
    (Cause::BodyEscapes, |case, _| case.body = case.body.replace('/', "\\/")),
    (Cause::BodyEscapes, |_, program| {
        program.parts[2] =
            program.parts[2].replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    }),
    (Cause::BodyEscapes, |case, _| case.body = case.body.replace('&', "\\u0026")),
    (Cause::BodyWhiteSpace, |_, program| program.parts[2].push(' ')),
    (Cause::BodyWhiteSpace, |case, _| case.body.push(' ')),
    (Cause::Query, |_, program| program.parts[3].push_str("?size=5&filter=a b")),
    (Cause::Query, |_, program| program.parts[3].push_str("?size=5&filter=a%20b")),
    (Cause::DoubleSlash, |_, program| program.parts[3].insert(0, '/')),
    (Cause::DoubleSlash, |case, _| case.resource.insert(0, '/')),
    (Cause::PathWhiteSpace, |_, program| program.parts[3].push(' ')),
    (Cause::PathWhiteSpace, |case, _| case.resource.push_str("%20")),
    (Cause::TimeWindow, |case, program| {
        case.epoch -= 7_200_000;
        *program = case.program();
    }),
    (Cause::Unknown, |_, program| program.key = b"another".to_vec()),
    // Neither is another order.
    (Cause::Unknown, |case, program| {
        case.body = r#"{"limit":1E2}"#.into();
        program.parts[2] = r#"{"limit":100.0}"#.into();
    }),
    (Cause::Unknown, |case, program| {
        case.body = r#"{"note":"ci","note":"cd"}"#.into();
        program.parts[2] = r#"{"note":"cd"}"#.into();
    }),
];

#[test]
fn every_cause_is_found() {
    for (number, (cause, change)) in CERTAIN_MISTAKES.iter().enumerate() {
        let mut case = Case {
            access_id: "exampleAccessId00001".to_owned(),
            key: "unit-test-key".to_owned(),
            method: "POST".to_owned(),
            resource: "/setting/admins".to_owned(),
            query: "size=5&filter=a+b".to_owned(),
            body: "{\"note\":\"ci/cd & <é>\",\"status\":2}".to_owned(),
            epoch: NOW,
        };
        let mut program = case.program();
        change(&mut case, &mut program);
        let header = case.header(&program);
        let causes = case.explain(&header).causes;
        assert!(causes.contains(cause), "{number} {cause:?}: {causes:?}");
        let is_explained = *cause == Cause::HeaderFields || !causes.contains(&Cause::Unknown);
        assert!(is_explained || *cause == Cause::Unknown, "{number} {cause:?}: {causes:?}");
        if *cause == Cause::TimeWindow {
            let request = SentRequest::new("POST", "/setting/admins", case.body.as_bytes()).unwrap();
            let unknown = explain(&header, &request, None, PortalTime::at(case.epoch)).causes;
            assert_eq!(unknown, [Cause::UnknownAccessId]);
        }
    }
    let mistakes = MISTAKES.iter().map(|(cause, _)| cause);
    let mistakes: Vec<&Cause> = mistakes.chain(CERTAIN_MISTAKES.iter().map(|(cause, _)| cause)).collect();
    // Of a request without a header, or with an unknown access id, nothing else is known.
    let without_header = [Cause::HeaderMissing, Cause::UnknownAccessId];
    let untested: Vec<&Cause> = Cause::ALL
        .iter()
        .filter(|cause| !mistakes.contains(cause) && !without_header.contains(cause))
        .collect();
    assert!(untested.is_empty(), "{untested:?}");
}

#[test]
fn another_key_is_unknown() {
    let case = Case {
        access_id: "id".to_owned(),
        key: "key".to_owned(),
        method: "POST".to_owned(),
        resource: "/x".to_owned(),
        query: String::new(),
        body: "{\"note\":\"ci\",\"status\":2,\"roles\":[]}".to_owned(),
        epoch: NOW,
    };
    let program = Program { key: b"another".to_vec(), ..case.program() };
    assert_eq!(case.explain(&case.header(&program)).causes, [Cause::Unknown]);
}

#[test]
fn names_are_unique_and_explanations_fit_in_a_header() {
    let mut names: Vec<&str> = Cause::ALL.iter().map(|cause| cause.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Cause::ALL.len());
    for cause in Cause::ALL {
        let is_plain = |text: &str| text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        assert!(is_plain(cause.name()) && is_plain(cause.explanation()), "{cause:?}");
    }
}
