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
fn profiles_are_rejected_instead_of_ignored() {
    for name in ["LM_PROFILE", "LM_CONFIG_FILE"] {
        let without_credentials = given(None, None, None);
        assert_says(resolve(&without_credentials, &[(name, "work")]), ErrorKind::Configuration, &[name]);
        let without_portal = Arguments { company: None, ..pair_arguments() };
        assert_says(resolve(&without_portal, &[(name, "work")]), ErrorKind::Configuration, &[name]);
    }
}

#[test]
fn profiles_do_not_matter_if_arguments_are_complete() {
    for name in ["LM_PROFILE", "LM_CONFIG_FILE"] {
        assert!(resolve(&pair_arguments(), &[(name, "work")]).is_ok());
    }
}
