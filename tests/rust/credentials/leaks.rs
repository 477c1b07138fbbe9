//! No error repeats any part of a credential, wherever it was passed.

use lmtokens::testing::credentials::NoPrompt;
use lmtokens::testing::credentials::{Arguments, Identity};
use lmtokens::testing::error::Error;
use lmtokens::testing::network;

use super::{ACCESS_ID, ACCESS_KEY, FakePrompt, environment};
use crate::support::{assert_contains_no_part, secret};

const VARIABLES: [&str; 17] = [
    "LM_COMPANY",
    "LM_ACCOUNT",
    "LM_PORTAL",
    "LM_ACCESS_ID",
    "LM_ACCESS_KEY",
    "LM_API_ID",
    "LM_API_KEY",
    "LM_BEARER_TOKEN",
    "LM_ACCESS_KEY_FILE",
    "LM_BEARER_TOKEN_FILE",
    "LM_DOMAIN_NAME",
    "LM_BASE_URL",
    "LM_TIMEOUT",
    "LM_PROFILE",
    "LM_CONFIG_FILE",
    "HTTPS_PROXY",
    "ALL_PROXY",
];

/// Credentials of every generation and kind, intact and damaged, some of them resembling other values.
fn markers() -> Vec<String> {
    let bearer = format!("lmb_{}", "unitTest0".repeat(13));
    let plain = [
        ACCESS_ID,
        "markerUnit+test(key)]{%~^_=Z",
        "lma_markerUnit+test(key)]{%~^_=Z",
        "markerUnit-test-key.of-the-shape.of-a-domain",
        "markerUnit@test/key:of#many?marks",
        "9876543210987654321",
        &bearer,
    ];
    let spoiled = |text: &str| {
        [
            text.to_owned(),
            format!("{text}\n"),
            format!(" {text}"),
            format!("Bearer {text}"),
            format!("{text}\u{e9}"),
            format!("https://{text}@acme.logicmonitor.com/santaba/rest"),
            format!("http://{text}/santaba/rest"),
        ]
    };
    plain.into_iter().flat_map(spoiled).collect()
}

/// Calls with a credential in every possible argument.
fn misplaced(marker: &str) -> Vec<(&'static str, Arguments)> {
    let whole = || Arguments {
        company: Some("acme.logicmonitor.com".to_owned()),
        access_id: Some(secret("otherAccessId0000001")),
        access_key: Some(secret("other+test(key)")),
        ..Arguments::default()
    };
    let text = || Some(marker.to_owned());
    let hidden = || Some(secret(marker));
    vec![
        ("company", Arguments { company: text(), ..whole() }),
        ("domain", Arguments { domain: text(), ..whole() }),
        ("company and domain", Arguments { company: text(), domain: text(), ..whole() }),
        ("base_url", Arguments { base_url: text(), ..whole() }),
        (
            "company beside a base_url",
            Arguments {
                base_url: Some("https://x.example/santaba/rest".to_owned()),
                company: text(),
                ..whole()
            },
        ),
        ("access_id", Arguments { access_id: hidden(), ..whole() }),
        ("access_key", Arguments { access_key: hidden(), ..whole() }),
        ("both halves", Arguments { access_id: hidden(), access_key: hidden(), ..whole() }),
        ("access_id alone", Arguments { access_id: hidden(), access_key: None, ..whole() }),
        ("access_key alone", Arguments { access_id: None, access_key: hidden(), ..whole() }),
        ("bearer_token", Arguments { access_id: None, access_key: None, bearer_token: hidden(), ..whole() }),
        (
            "all three",
            Arguments { access_id: hidden(), access_key: hidden(), bearer_token: hidden(), ..whole() },
        ),
        (
            "proxy",
            Arguments { network: network::Arguments { proxy: hidden(), ..Default::default() }, ..whole() },
        ),
        ("profile", Arguments { profile: text(), ..whole() }),
        ("nowhere", Arguments { company: None, access_id: None, access_key: None, ..whole() }),
    ]
}

fn assert_silent(error: &Error, marker: &str, context: &str) {
    let suggestion = format!("{:?}", error.details().advice);
    for text in [error.to_string(), suggestion, format!("{error:?}"), format!("{:?}", error.details())] {
        // The parts of an address around a marker are not secret.
        for part in marker
            .split(['/', '@', ' ', '\n'])
            .filter(|part| part.len() >= 8 && !part.contains("logicmonitor"))
        {
            assert_contains_no_part(&text, part, context);
        }
    }
}

#[test]
fn arguments_are_never_repeated() {
    let mut refused = 0;
    for marker in markers() {
        for (place, arguments) in misplaced(&marker) {
            if let Err(error) = Identity::resolve(&arguments, &environment(&[]), &NoPrompt) {
                refused += 1;
                assert_silent(&error, &marker, &format!("{marker:?} as {place}"));
            }
        }
    }
    assert!(refused > 300, "only {refused} errors: the test checked almost nothing");
}

#[test]
fn variables_are_never_repeated() {
    let whole = [
        ("LM_COMPANY", "acme.logicmonitor.com"),
        ("LM_ACCESS_ID", "otherAccessId0000001"),
        ("LM_ACCESS_KEY", "other+test(key)"),
    ];
    let mut refused = 0;
    for marker in markers() {
        for (index, name) in VARIABLES.iter().enumerate() {
            for other in &VARIABLES[index..] {
                for rest in [&whole[..], &[]] {
                    // Later ones replace earlier ones.
                    let mut variables = rest.to_vec();
                    variables.extend([(*name, marker.as_str()), (*other, marker.as_str())]);
                    if let Err(error) =
                        Identity::resolve(&Arguments::default(), &environment(&variables), &NoPrompt)
                    {
                        refused += 1;
                        assert_silent(&error, &marker, &format!("{marker:?} in {name} and {other}"));
                    }
                }
            }
        }
    }
    assert!(refused > 3000, "only {refused} errors: the test checked almost nothing");
}

#[test]
fn answers_to_the_prompt_are_never_repeated() {
    let mut refused = 0;
    for marker in markers() {
        for answers in [
            [&marker, ACCESS_ID, ACCESS_KEY],
            ["acme", &marker, ACCESS_KEY],
            ["acme", ACCESS_ID, &marker],
            ["acme", "", &marker],
            [&marker, &marker, &marker],
        ] {
            let prompt = FakePrompt::answering(&answers);
            if let Err(error) = Identity::resolve(&Arguments::default(), &environment(&[]), &prompt) {
                refused += 1;
                assert_silent(&error, &marker, &format!("{answers:?}"));
            }
        }
    }
    assert!(refused > 100, "only {refused} errors: the test checked almost nothing");
}
