//! Errors that are detected before anything is sent.

use lmtokens::testing::credentials::{Arguments, Identity};
use lmtokens::testing::error::{Error, ErrorKind};

use super::{
    ACCESS_ID, ACCESS_KEY, BEARER, FakePrompt, environment, from_environment, pair_arguments, resolve,
};
use crate::support::secret;

/// Checks the kind of the error and that its message contains every word.
fn assert_says(result: Result<Identity, Error>, kind: ErrorKind, words: &[&str]) {
    let error = match result {
        Ok(identity) => panic!("accepted; expected an error with {words:?}: {identity:?}"),
        Err(error) => error,
    };
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in {error}");
    }
}

fn given(access_id: Option<&str>, access_key: Option<&str>, bearer_token: Option<&str>) -> Arguments {
    Arguments {
        company: Some("acme".to_owned()),
        access_id: access_id.map(secret),
        access_key: access_key.map(secret),
        bearer_token: bearer_token.map(secret),
        ..Arguments::default()
    }
}

#[test]
fn half_a_pair_names_the_missing_half() {
    let missing = |name: &str| format!("{name} is missing");
    for (arguments, half) in [
        (given(Some(ACCESS_ID), None, None), "access_key"),
        (given(None, Some(ACCESS_KEY), None), "access_id"),
    ] {
        assert_says(resolve(&arguments, &[]), ErrorKind::Credentials, &[&missing(half)]);
    }
    for (name, value, half) in [
        ("LM_ACCESS_ID", ACCESS_ID, "LM_ACCESS_KEY"),
        ("LM_ACCESS_KEY", ACCESS_KEY, "LM_ACCESS_ID"),
        ("LM_API_ID", ACCESS_ID, "LM_API_KEY"),
        ("LM_API_KEY", ACCESS_KEY, "LM_API_ID"),
    ] {
        assert_says(from_environment(&[(name, value)]), ErrorKind::Credentials, &[&missing(half), name]);
        // An empty variable counts as missing.
        assert_says(
            from_environment(&[(name, value), (half, "")]),
            ErrorKind::Credentials,
            &[&missing(half)],
        );
    }
}

#[test]
fn half_a_pair_is_never_completed_from_another_source() {
    let whole = [("LM_ACCESS_ID", ACCESS_ID), ("LM_ACCESS_KEY", ACCESS_KEY)];
    assert_says(
        resolve(&given(Some(ACCESS_ID), None, None), &whole),
        ErrorKind::Credentials,
        &["access_key"],
    );
    assert_says(
        resolve(&given(None, Some(ACCESS_KEY), None), &whole),
        ErrorKind::Credentials,
        &["access_id"],
    );
    let crossed = [("LM_ACCESS_ID", ACCESS_ID), ("LM_API_KEY", ACCESS_KEY)];
    assert_says(from_environment(&crossed), ErrorKind::Credentials, &["is missing"]);
    let beside = [("LM_ACCESS_ID", ACCESS_ID), ("LM_API_ID", ACCESS_ID), ("LM_API_KEY", ACCESS_KEY)];
    assert_says(from_environment(&beside), ErrorKind::Credentials, &["LM_ACCESS_KEY is missing"]);
    let beside_bearer = [("LM_ACCESS_ID", ACCESS_ID), ("LM_BEARER_TOKEN", BEARER)];
    assert_says(from_environment(&beside_bearer), ErrorKind::Credentials, &["LM_ACCESS_KEY is missing"]);

    let prompt = FakePrompt::answering(&[]);
    let half = environment(&[("LM_COMPANY", "acme"), ("LM_ACCESS_ID", ACCESS_ID)]);
    let result = Identity::resolve(&Arguments::default(), &half, &prompt);
    assert_says(result, ErrorKind::Credentials, &["LM_ACCESS_KEY is missing"]);
}

#[test]
fn aliases_that_differ_are_both_named() {
    let pair = [("LM_ACCESS_ID", ACCESS_ID), ("LM_ACCESS_KEY", ACCESS_KEY)];
    for (variables, names) in [
        ([("LM_API_ID", "otherAccessId0000001"), ("LM_API_KEY", ACCESS_KEY)], ["LM_ACCESS_ID", "LM_API_ID"]),
        ([("LM_API_ID", ACCESS_ID), ("LM_API_KEY", "other+test(key)")], ["LM_ACCESS_KEY", "LM_API_KEY"]),
        ([("LM_COMPANY", "acme"), ("LM_ACCOUNT", "other")], ["LM_COMPANY", "LM_ACCOUNT"]),
        ([("LM_COMPANY", "acme"), ("LM_PORTAL", "other")], ["LM_COMPANY", "LM_PORTAL"]),
        ([("LM_ACCOUNT", "acme"), ("LM_PORTAL", "other")], ["LM_ACCOUNT", "LM_PORTAL"]),
    ] {
        let result = resolve(&Arguments::default(), &[pair, variables].concat());
        assert_says(result, ErrorKind::Configuration, &names);
    }
}

#[test]
fn two_kinds_of_credentials_in_one_call_are_rejected() {
    for arguments in [
        given(Some(ACCESS_ID), Some(ACCESS_KEY), Some(BEARER)),
        given(None, Some(ACCESS_KEY), Some(BEARER)),
        given(Some(ACCESS_ID), None, Some(BEARER)),
    ] {
        assert_says(resolve(&arguments, &[]), ErrorKind::Credentials, &["bearer_token", "one kind"]);
    }
}

const NEW_KEY: &str = "lma_unit-test-key";

#[test]
fn errors_of_invalid_credentials_say_what_is_expected() {
    for (arguments, words) in [
        (given(Some(ACCESS_KEY), Some(ACCESS_ID), None), ["access_id", "swapped"]),
        (given(Some(NEW_KEY), Some(ACCESS_ID), None), ["access_id", "swapped"]),
        (given(Some(BEARER), Some(ACCESS_KEY), None), ["access_id", "bearer_token"]),
        (given(Some(""), Some(ACCESS_KEY), None), ["access_id: is empty", "expected"]),
        (given(Some("exampleAccessId00001\n"), Some(ACCESS_KEY), None), ["access_id", "line break"]),
        (given(Some(" exampleAccessId00001"), Some(ACCESS_KEY), None), ["access_id", "white space"]),
        (given(Some("example:AccessId0001"), Some(ACCESS_KEY), None), ["access_id", "letters and digits"]),
        (
            given(Some("ex\u{e4}mpleAccessId0001"), Some(ACCESS_KEY), None),
            ["access_id", "letters and digits"],
        ),
        (given(Some(ACCESS_ID), Some(""), None), ["access_key: is empty", "expected"]),
        (given(Some(ACCESS_ID), Some("unit+test(key)\n"), None), ["access_key", "line break"]),
        (given(Some(ACCESS_ID), Some("unit+test(key)\r\n"), None), ["access_key", "line break"]),
        (given(Some(ACCESS_ID), Some("\tunit+test(key)"), None), ["access_key", "white space"]),
        (given(Some(ACCESS_ID), Some("unit+test(key)\u{a0}"), None), ["access_key", "white space"]),
        (given(Some(ACCESS_ID), Some("unit test"), None), ["access_key", "white space"]),
        (given(Some(ACCESS_ID), Some("unit\0test"), None), ["access_key", "control"]),
        (given(None, None, Some("")), ["bearer_token: is empty", "expected"]),
        (given(None, None, Some("lmb_unit-test\n")), ["bearer_token", "line break"]),
        (given(None, None, Some("Bearer lmb_unit-test")), ["bearer_token", "word Bearer"]),
        (given(None, None, Some("bearer lmb_unit-test")), ["bearer_token", "word Bearer"]),
        (given(None, None, Some(NEW_KEY)), ["bearer_token", "access_key"]),
        (given(None, None, Some("lmb_unit\r\nX-Injected: 1")), ["bearer_token", "white space"]),
        (given(None, None, Some("lmb_unit-t\u{e9}st")), ["bearer_token", "non-ASCII"]),
        (given(None, Some("lmb_unit-test\n"), None), ["bearer_token", "line break"]),
    ] {
        assert_says(resolve(&arguments, &[]), ErrorKind::Credentials, &words);
    }
}

#[test]
fn errors_of_invalid_variables_name_them() {
    for (variables, names) in [
        (
            vec![("LM_ACCESS_ID", ACCESS_KEY), ("LM_ACCESS_KEY", ACCESS_ID)],
            vec!["LM_ACCESS_ID", "LM_ACCESS_KEY"],
        ),
        (vec![("LM_API_ID", ACCESS_ID), ("LM_API_KEY", "unit+test(key)\n")], vec!["LM_API_ID", "LM_API_KEY"]),
        (vec![("LM_ACCESS_KEY", "lmb_unit-test\n")], vec!["LM_ACCESS_KEY"]),
        (vec![("LM_BEARER_TOKEN", NEW_KEY)], vec!["LM_BEARER_TOKEN"]),
        (vec![("LM_ACCESS_ID", "  "), ("LM_ACCESS_KEY", "  ")], vec!["LM_ACCESS_ID", "LM_ACCESS_KEY"]),
    ] {
        assert_says(from_environment(&variables), ErrorKind::Credentials, &names);
    }
}

#[test]
fn a_newer_key_with_its_id_is_a_pair() {
    let credentials = resolve(&given(Some(ACCESS_ID), Some(NEW_KEY), None), &[]).unwrap().credentials;
    assert_eq!(credentials, super::lmv1(ACCESS_ID, NEW_KEY));
}

#[test]
fn a_profile_that_does_not_exist_is_an_error() {
    let without_credentials = given(None, None, None);
    let without_portal = Arguments { company: None, ..pair_arguments() };
    for arguments in [&without_credentials, &without_portal] {
        for name in ["LM_PROFILE", "LM_CONFIG_FILE"] {
            let variables = [(name, "work"), ("LM_PROFILE", "work")];
            assert_says(resolve(arguments, &variables), ErrorKind::Configuration, &[name]);
        }
    }
    let named = Arguments { profile: Some("work".to_owned()), ..pair_arguments() };
    assert_says(resolve(&named, &[]), ErrorKind::Configuration, &["unknown profile"]);
}

#[test]
fn profiles_do_not_matter_if_arguments_are_complete() {
    for name in ["LM_PROFILE", "LM_CONFIG_FILE"] {
        assert!(resolve(&pair_arguments(), &[(name, "work")]).is_ok());
    }
}

/// What copying leaves around a value, with a word of the error.
fn copied(value: &str) -> Vec<(String, &'static str)> {
    vec![
        (format!("\"{value}\""), "quotation marks"),
        (format!("'{value}'"), "quotation marks"),
        (format!("\u{201c}{value}\u{201d}"), "quotation marks"),
        (format!("\u{feff}{value}"), "U+FEFF"),
        (format!("{}\u{200b}{}", &value[..8], &value[8..]), "U+200B"),
        (format!("{value}\u{2060}"), "U+2060"),
        (format!("{}\u{ad}{}", &value[..8], &value[8..]), "U+00AD"),
        (format!("{}\u{a0}{}", &value[..8], &value[8..]), "U+00A0"),
        (format!("{value}\r"), "carriage return"),
        (format!("Bearer {value}"), "Bearer"),
        (format!("export LM_ACCESS_KEY={value}"), "assignment"),
        ("$LM_ACCESS_KEY".to_owned(), "placeholder"),
        ("${LM_ACCESS_KEY}".to_owned(), "placeholder"),
        ("%LM_ACCESS_KEY%".to_owned(), "placeholder"),
        ("<access key>".to_owned(), "placeholder"),
    ]
}

#[test]
fn copied_credentials_are_refused_with_the_reason() {
    let mut cases = Vec::new();
    for (id, word) in copied(ACCESS_ID) {
        cases.push((given(Some(&id), Some(ACCESS_KEY), None), vec![], "access_id", id.clone(), word));
        cases.push((given(Some(&id), None, None), vec![], "access_id", id.clone(), word));
        let variables = [("LM_ACCESS_ID", id.clone()), ("LM_ACCESS_KEY", ACCESS_KEY.to_owned())];
        cases.push((given(None, None, None), variables.to_vec(), "LM_ACCESS_ID", id.clone(), word));
        cases.push((given(None, None, None), vec![("LM_API_ID", id.clone())], "LM_API_ID", id, word));
    }
    for (key, word) in copied(ACCESS_KEY).into_iter().chain(copied(BEARER)) {
        cases.push((given(Some(ACCESS_ID), Some(&key), None), vec![], "invalid ", key.clone(), word));
        cases.push((given(None, Some(&key), None), vec![], "invalid ", key.clone(), word));
        let variables = [("LM_API_ID", ACCESS_ID.to_owned()), ("LM_API_KEY", key.clone())];
        cases.push((given(None, None, None), variables.to_vec(), "LM_API_KEY", key.clone(), word));
        cases.push((
            given(None, None, None),
            vec![("LM_ACCESS_KEY", key.clone())],
            "LM_ACCESS_KEY",
            key,
            word,
        ));
    }
    for (token, word) in copied(BEARER) {
        cases.push((given(None, None, Some(&token)), vec![], "bearer_token", token.clone(), word));
        let variables = vec![("LM_BEARER_TOKEN", token.clone())];
        cases.push((given(None, None, None), variables, "LM_BEARER_TOKEN", token, word));
    }
    for (arguments, variables, name, value, word) in cases {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        // The bearer token as a key does not end in what a half pair lacks.
        let result = resolve(&arguments, &variables);
        let shown = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
        assert_says(result, ErrorKind::Credentials, &[name, word]);
        for secret in [ACCESS_ID, ACCESS_KEY, BEARER, &value] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn copied_settings_are_refused_with_the_reason() {
    for name in ["LM_COMPANY", "LM_ACCOUNT", "LM_PORTAL", "LM_DOMAIN_NAME", "LM_BASE_URL", "LM_TIMEOUT"] {
        for (value, word) in [
            ("\"30\"", "quotation marks"),
            ("'lmgov.us'", "quotation marks"),
            ("\u{feff}lmgov.us", "U+FEFF"),
            ("lmgov\u{200b}.us", "U+200B"),
            ("${LM_SETTING}", "placeholder"),
        ] {
            let pair = [("LM_ACCESS_ID", ACCESS_ID), ("LM_ACCESS_KEY", ACCESS_KEY)];
            let variables = [pair[0], pair[1], ("LM_COMPANY", "acme"), (name, value)];
            assert_says(
                resolve(&Arguments { company: None, ..given(None, None, None) }, &variables),
                ErrorKind::Configuration,
                &[name, word],
            );
        }
    }
}

#[test]
fn copied_arguments_are_refused_with_the_reason() {
    for (value, word) in [
        ("\"acme\"", "quotation marks"),
        ("ac\u{200b}me", "U+200B"),
        ("$LM_COMPANY", "placeholder"),
        ("None", "placeholder"),
        ("YOUR_COMPANY", "placeholder"),
        ("LM_COMPANY=acme", "assignment"),
    ] {
        let (company, domain, base_url) = (value.to_owned(), value.to_owned(), value.to_owned());
        for (name, arguments) in [
            ("company", Arguments { company: Some(company), ..pair_arguments() }),
            ("domain", Arguments { domain: Some(domain), ..pair_arguments() }),
            ("base_url", Arguments { base_url: Some(base_url), ..pair_arguments() }),
        ] {
            assert_says(resolve(&arguments, &[]), ErrorKind::Configuration, &[name, word]);
        }
    }
}

#[test]
fn what_stands_for_a_credential_is_refused() {
    for value in [
        "********",
        "<redacted>",
        "None",
        "null",
        "YOUR_ACCESS_KEY",
        "changeme",
        "((lm_access_key))",
        "op://vault/item/field",
        "/run/secrets/lm_access_key",
        "\"accessKey\":\"abc\",",
    ] {
        for arguments in [
            given(Some(ACCESS_ID), Some(value), None),
            given(Some(value), Some(ACCESS_KEY), None),
            given(None, None, Some(value)),
        ] {
            assert_says(resolve(&arguments, &[]), ErrorKind::Credentials, &["invalid"]);
        }
    }
}

#[test]
fn swapped_and_repeated_credentials_are_noticed() {
    let long_key = "unitTest0".repeat(5);
    for (id, key, word) in [
        (ACCESS_KEY, ACCESS_ID, "swapped"),
        (long_key.as_str(), ACCESS_ID, "swapped"),
        (ACCESS_ID, ACCESS_ID, "same"),
    ] {
        assert_says(resolve(&given(Some(id), Some(key), None), &[]), ErrorKind::Credentials, &[word]);
    }
    // A short key or a long id alone proves nothing.
    for (id, key) in [(ACCESS_ID, "unitTestKeyOf20Chars"), (long_key.as_str(), ACCESS_KEY)] {
        assert!(resolve(&given(Some(id), Some(key), None), &[]).is_ok());
    }
}

#[test]
fn quotation_marks_and_placeholders_inside_a_key_are_accepted() {
    for key in [
        "unit\"test",
        "\"unit-test",
        "unit-test'",
        "$unit{test}",
        "<unit-test",
        "%unit%",
        "{a}",
        "$$",
        "un=it:test",
    ] {
        let credentials =
            resolve(&given(Some(ACCESS_ID), Some(key), None), &[]).map(|identity| identity.credentials);
        assert_eq!(credentials.unwrap(), super::lmv1(ACCESS_ID, key), "{key}");
    }
}

#[test]
fn answers_to_the_prompt_are_checked_as_well() {
    for answers in [
        ["\"acme\"", ACCESS_ID, ACCESS_KEY],
        ["acme", "\"exampleAccessId00001\"", ACCESS_KEY],
        ["acme", ACCESS_ID, "\"unit+test(key)\""],
    ] {
        let prompt = FakePrompt::answering(&answers);
        let error = Identity::resolve(&Arguments::default(), &environment(&[]), &prompt).unwrap_err();
        assert!(error.to_string().contains("quotation marks"), "{answers:?}: {error}");
    }
}
