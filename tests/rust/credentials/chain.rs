//! Which source wins, and that the identity reports it.

use lmtokens::testing::advice::Advice;
use lmtokens::testing::credentials::NoPrompt;
use lmtokens::testing::credentials::{Arguments, Identity, Provenance};

use super::{ACCESS_ID, ACCESS_KEY, BEARER, FakePrompt, bearer, environment, from_environment, lmv1};
use super::{pair_arguments, resolve};
use crate::support::secret;

const OTHER: [(&str, &str); 4] = [
    ("LM_COMPANY", "other"),
    ("LM_ACCESS_ID", "otherAccessId0000001"),
    ("LM_ACCESS_KEY", "other+test(key)"),
    ("LM_BEARER_TOKEN", "lmb_other-unit-test-bearer"),
];

#[test]
fn arguments_win_over_everything() {
    let prompt = FakePrompt::answering(&[]);
    let identity = Identity::resolve(&pair_arguments(), &environment(&OTHER), &prompt).unwrap();
    assert_eq!(identity.credentials, lmv1(ACCESS_ID, ACCESS_KEY));
    assert_eq!(identity.portal.host(), "acme.logicmonitor.com");
    assert_eq!(
        (identity.portal_from, identity.credentials_from),
        (Provenance::Arguments, Provenance::Arguments)
    );
    assert_eq!(identity.ignored_sources, Vec::<&str>::new());
    assert_eq!(prompt.asked(), []);
}

#[test]
fn the_environment_wins_over_the_prompt() {
    let prompt = FakePrompt::answering(&[]);
    let identity = Identity::resolve(&Arguments::default(), &environment(&OTHER), &prompt).unwrap();
    assert_eq!(identity.credentials, lmv1("otherAccessId0000001", "other+test(key)"));
    assert_eq!(identity.portal_from, Provenance::Environment(vec!["LM_COMPANY"]));
    assert_eq!(identity.credentials_from, Provenance::Environment(vec!["LM_ACCESS_ID", "LM_ACCESS_KEY"]));
    assert_eq!(identity.credentials_from.to_string(), "environment (LM_ACCESS_ID, LM_ACCESS_KEY)");
    assert_eq!(prompt.asked(), []);
}

#[test]
fn portal_and_credentials_may_come_from_different_sources() {
    let credentials = Arguments { company: None, ..pair_arguments() };
    let identity = resolve(&credentials, &OTHER).unwrap();
    assert_eq!(identity.credentials, lmv1(ACCESS_ID, ACCESS_KEY));
    assert_eq!(identity.portal.company(), Some("other"));
    let identity = from_environment(&OTHER).unwrap();
    assert_eq!(identity.credentials, lmv1("otherAccessId0000001", "other+test(key)"));
    assert_eq!(identity.portal.company(), Some("acme"));
}

#[test]
fn a_pair_wins_over_a_bearer_token_and_the_ignored_variable_is_reported() {
    let identity = from_environment(&OTHER).unwrap();
    assert_eq!(identity.ignored_sources, ["LM_BEARER_TOKEN"]);
    let identity = from_environment(&OTHER[3..]).unwrap();
    assert_eq!(identity.credentials, bearer("lmb_other-unit-test-bearer"));
    assert_eq!(identity.credentials_from, Provenance::Environment(vec!["LM_BEARER_TOKEN"]));
    assert_eq!(identity.ignored_sources, Vec::<&str>::new());
}

#[test]
fn aliases_are_equivalent_to_the_names() {
    for company in ["LM_COMPANY", "LM_ACCOUNT", "LM_PORTAL"] {
        let variables = [(company, "acme"), ("LM_API_ID", ACCESS_ID), ("LM_API_KEY", ACCESS_KEY)];
        let identity = resolve(&Arguments::default(), &variables).unwrap();
        assert_eq!(identity.portal_from, Provenance::Environment(vec![company]));
        assert_eq!(identity.portal.company(), Some("acme"));
        assert_eq!(identity.credentials, lmv1(ACCESS_ID, ACCESS_KEY));
        assert_eq!(identity.credentials_from, Provenance::Environment(vec!["LM_API_ID", "LM_API_KEY"]));
    }
}

#[test]
fn aliases_may_have_the_same_value() {
    let variables = [
        ("LM_COMPANY", "acme"),
        ("LM_ACCOUNT", "acme"),
        ("LM_PORTAL", "acme"),
        ("LM_ACCESS_ID", ACCESS_ID),
        ("LM_ACCESS_KEY", ACCESS_KEY),
        ("LM_API_ID", ACCESS_ID),
        ("LM_API_KEY", ACCESS_KEY),
    ];
    let identity = resolve(&Arguments::default(), &variables).unwrap();
    assert_eq!(identity.portal_from, Provenance::Environment(vec!["LM_COMPANY"]));
    assert_eq!(identity.credentials_from, Provenance::Environment(vec!["LM_ACCESS_ID", "LM_ACCESS_KEY"]));
}

#[test]
fn aliases_may_spell_one_portal_differently() {
    let spellings = [
        "acme",
        "ACME",
        " acme ",
        "acme.logicmonitor.com",
        "Acme.LogicMonitor.Com",
        "acme.logicmonitor.com.",
        "acme.logicmonitor.com/",
        "acme.logicmonitor.com:443",
        "https://acme.logicmonitor.com",
        "https://acme.logicmonitor.com:443/santaba/uiv4/settings?tab=1",
        "https://acme.logicmonitor.com/santaba/rest/",
    ];
    for first in spellings {
        for second in spellings {
            let variables = [("LM_COMPANY", first), ("LM_PORTAL", second), OTHER[1], OTHER[2]];
            let identity = resolve(&Arguments::default(), &variables)
                .unwrap_or_else(|error| panic!("{first:?} and {second:?}: {error}"));
            assert_eq!(identity.portal.host(), "acme.logicmonitor.com");
            assert_eq!(identity.portal_from, Provenance::Environment(vec!["LM_COMPANY"]));
        }
    }
    for domain in ["lmgov.us", "LMGOV.US", "lmgov.us.", "lmgov.us/"] {
        for company in ["acme", "acme.lmgov.us", "https://acme.lmgov.us/santaba/rest"] {
            let variables = [
                ("LM_ACCOUNT", company),
                ("LM_PORTAL", "acme"),
                ("LM_DOMAIN_NAME", domain),
                OTHER[1],
                OTHER[2],
            ];
            assert_eq!(resolve(&Arguments::default(), &variables).unwrap().portal.host(), "acme.lmgov.us");
        }
        let arguments = Arguments { domain: Some(domain.to_owned()), ..Arguments::default() };
        let variables = [("LM_COMPANY", "acme"), ("LM_PORTAL", "acme.lmgov.us"), OTHER[1], OTHER[2]];
        assert_eq!(resolve(&arguments, &variables).unwrap().portal.host(), "acme.lmgov.us");
    }
}

#[test]
fn aliases_of_different_portals_are_refused() {
    for (first, second) in [
        ("acme", "other"),
        ("acme", "acme.lmgov.us"),
        ("acme.lmgov.us", "acme.qa-lmgov.us"),
        ("https://acme.logicmonitor.com", "https://acme-2.logicmonitor.com"),
    ] {
        let variables = [("LM_COMPANY", first), ("LM_PORTAL", second), OTHER[1], OTHER[2]];
        let error = resolve(&Arguments::default(), &variables).unwrap_err();
        assert!(error.to_string().contains("LM_COMPANY and LM_PORTAL have different values"), "{error}");
    }
    let variables = [("LM_COMPANY", "acme"), ("LM_PORTAL", "acme/x"), OTHER[1], OTHER[2]];
    let error = resolve(&Arguments::default(), &variables).unwrap_err();
    assert!(error.to_string().contains("from LM_PORTAL"), "{error}");
}

#[test]
fn arguments_that_the_base_url_overrides_are_reported() {
    const ELSEWHERE: (&str, &str) = ("LM_BASE_URL", "https://lm.example.com/santaba/rest");
    const SANDBOX: (&str, &str) = ("LM_BASE_URL", "http://127.0.0.1:8080/santaba/rest");
    const ACME: (&str, &str) = ("LM_BASE_URL", "https://acme.logicmonitor.com:443/santaba/rest/");
    let given = |company: Option<&str>, domain: Option<&str>| Arguments {
        company: company.map(str::to_owned),
        domain: domain.map(str::to_owned),
        ..pair_arguments()
    };
    for (arguments, variable, overridden) in [
        (given(Some("acme"), None), ELSEWHERE, vec!["company"]),
        (given(Some("acme"), Some("lmgov.us")), ELSEWHERE, vec!["company", "domain"]),
        (given(None, Some("lmgov.us")), ELSEWHERE, vec!["domain"]),
        (given(Some("acme"), None), SANDBOX, vec!["company"]),
        (given(Some("other"), None), ACME, vec!["company"]),
        (given(Some("acme"), Some("lmgov.us")), ACME, vec!["company", "domain"]),
        // They name the same portal.
        (given(Some("acme"), None), ACME, vec![]),
        (given(Some("https://ACME.logicmonitor.com/x"), Some("logicmonitor.com")), ACME, vec![]),
        // Nothing explicit loses.
        (given(None, None), ELSEWHERE, vec![]),
        (Arguments { base_url: Some(ELSEWHERE.1.to_owned()), ..given(Some("acme"), None) }, SANDBOX, vec![]),
    ] {
        assert_eq!(resolve(&arguments, &[variable]).unwrap().overridden, overridden, "{arguments:?}");
    }
    let by_environment = resolve(&given(None, None), &[ELSEWHERE, OTHER[0]]).unwrap();
    assert_eq!(by_environment.overridden, Vec::<&str>::new());
}

#[test]
fn an_empty_variable_is_not_set() {
    let empty = [
        ("LM_COMPANY", ""),
        ("LM_ACCOUNT", "acme"),
        ("LM_ACCESS_ID", ""),
        ("LM_ACCESS_KEY", ""),
        ("LM_API_ID", ACCESS_ID),
        ("LM_API_KEY", ACCESS_KEY),
        ("LM_BEARER_TOKEN", ""),
        ("LM_DOMAIN_NAME", ""),
        ("LM_BASE_URL", ""),
        ("LM_TIMEOUT", ""),
        ("LM_PROFILE", ""),
        ("LM_CONFIG_FILE", ""),
    ];
    let identity = resolve(&Arguments::default(), &empty).unwrap();
    assert_eq!(identity.portal.base_url(), "https://acme.logicmonitor.com/santaba/rest");
    assert_eq!(identity.credentials, lmv1(ACCESS_ID, ACCESS_KEY));
    assert_eq!(identity.ignored_sources, Vec::<&str>::new());
}

#[test]
fn a_bearer_token_as_key_needs_no_id_and_ignores_one() {
    for id in [None, Some(secret(ACCESS_ID))] {
        let arguments = Arguments { access_id: id, access_key: Some(secret(BEARER)), ..pair_arguments() };
        assert_eq!(resolve(&arguments, &[]).unwrap().credentials, bearer(BEARER));
    }
    let identity = from_environment(&[("LM_ACCESS_KEY", BEARER)]).unwrap();
    assert_eq!(identity.credentials, bearer(BEARER));
    assert_eq!(identity.credentials_from, Provenance::Environment(vec!["LM_ACCESS_KEY"]));
    let identity = from_environment(&[("LM_API_ID", ACCESS_ID), ("LM_API_KEY", BEARER)]).unwrap();
    assert_eq!(identity.credentials, bearer(BEARER));
    let arguments = Arguments {
        company: Some("acme".to_owned()),
        bearer_token: Some(secret(BEARER)),
        ..Arguments::default()
    };
    assert_eq!(resolve(&arguments, &OTHER).unwrap().credentials, bearer(BEARER));
}

#[test]
fn the_base_url_wins_and_the_company_is_its_display_name() {
    const BASE_URL: &str = "http://127.0.0.1:8080/santaba/rest";
    let by_variable = [("LM_BASE_URL", BASE_URL), ("LM_COMPANY", "other")];
    let identity = resolve(&pair_arguments(), &by_variable).unwrap();
    assert_eq!((identity.portal.base_url(), identity.portal.company()), (BASE_URL, Some("acme")));
    assert_eq!(identity.portal_from, Provenance::Environment(vec!["LM_BASE_URL"]));

    let without_company = Arguments { company: None, ..pair_arguments() };
    let identity = resolve(&without_company, &by_variable).unwrap();
    assert_eq!(identity.portal.company(), Some("other"));
    let identity = resolve(&without_company, &by_variable[..1]).unwrap();
    assert_eq!(identity.portal.company(), None);

    let given =
        Arguments { base_url: Some("https://own.example.com/santaba/rest".to_owned()), ..pair_arguments() };
    let identity = resolve(&given, &by_variable).unwrap();
    assert_eq!((identity.portal.host(), identity.portal_from), ("own.example.com", Provenance::Arguments));
}

/// A program with a hard-coded company and domain must still be able to use a sandbox.
#[test]
fn a_base_url_works_with_every_company_that_is_valid_without_it() {
    const BASE_URL: (&str, &str) = ("LM_BASE_URL", "http://127.0.0.1:8080/santaba/rest");
    for (company, domain) in [
        ("acme", None),
        ("acme.lmgov.us", None),
        ("https://acme.logicmonitor.com/santaba/uiv4", None),
        ("acme", Some("example.com")),
        ("acme.lmgov.us", Some("lmgov.us")),
        ("acme.example.com", Some("example.com")),
    ] {
        let arguments = Arguments {
            company: Some(company.to_owned()),
            domain: domain.map(str::to_owned),
            ..pair_arguments()
        };
        resolve(&arguments, &[]).unwrap();
        let portal = resolve(&arguments, &[BASE_URL]).map(|identity| identity.portal);
        let portal = portal.unwrap_or_else(|error| panic!("{company:?}, {domain:?}: {error}"));
        assert_eq!((portal.base_url(), portal.company()), (BASE_URL.1, Some("acme")));
    }
}

#[test]
fn unused_variables_do_not_stop_a_call_with_a_base_url() {
    let base_url = "https://own.example.com/santaba/rest";
    let by_argument = Arguments { base_url: Some(base_url.to_owned()), ..pair_arguments() };
    let without_company = Arguments { company: None, ..by_argument.clone() };
    let by_variable = Arguments { company: None, base_url: None, ..pair_arguments() };
    for variables in [
        vec![("LM_DOMAIN_NAME", "nonsense")],
        vec![("LM_DOMAIN_NAME", "\"lmgov.us\"")],
        vec![("LM_COMPANY", "My Portal")],
        vec![("LM_COMPANY", "acme"), ("LM_DOMAIN_NAME", "nonsense")],
        vec![("LM_COMPANY", "acme"), ("LM_PORTAL", "other")],
        vec![("LM_COMPANY", "acme.lmgov.us"), ("LM_DOMAIN_NAME", "example.com")],
    ] {
        for arguments in [&by_argument, &without_company] {
            let identity =
                resolve(arguments, &variables).unwrap_or_else(|error| panic!("{variables:?}: {error}"));
            assert_eq!(identity.portal.base_url(), base_url);
        }
        let variables = [&variables[..], &[("LM_BASE_URL", base_url)]].concat();
        assert_eq!(resolve(&by_variable, &variables).unwrap().portal.base_url(), base_url);
    }
    let pasted = Arguments { company: Some("acme.lmgov.us".to_owned()), ..by_argument };
    let identity = resolve(&pasted, &[("LM_DOMAIN_NAME", "example.com")]).unwrap();
    assert_eq!(identity.portal.company(), Some("acme"));
}

#[test]
fn an_invalid_domain_is_blamed_on_its_variable() {
    for company in [("LM_COMPANY", "acme"), ("LM_PORTAL", "acme.lmgov.us")] {
        let variables = [company, OTHER[1], OTHER[2], ("LM_DOMAIN_NAME", ".lmgov.us")];
        let error = resolve(&Arguments::default(), &variables).unwrap_err().to_string();
        assert!(error.contains("invalid domain") && error.contains("from LM_DOMAIN_NAME"), "{error}");
        assert!(!error.contains(company.0), "{error}");
    }
}

#[test]
fn the_domain_argument_wins_over_the_environment() {
    let variable = [("LM_DOMAIN_NAME", "lmgov.us")];
    let identity = resolve(&pair_arguments(), &variable).unwrap();
    assert_eq!(identity.portal.host(), "acme.lmgov.us");
    let arguments = Arguments { domain: Some("example.com".to_owned()), ..pair_arguments() };
    assert_eq!(resolve(&arguments, &variable).unwrap().portal.host(), "acme.example.com");
}

fn ask(
    arguments: &Arguments,
    variables: &[(&str, &str)],
    answers: &[&str],
) -> (Identity, Vec<(String, bool)>) {
    let prompt = FakePrompt::answering(answers);
    let identity = Identity::resolve(arguments, &environment(variables), &prompt).unwrap();
    assert!(prompt.answers.borrow().is_empty(), "an answer was left over");
    (identity, prompt.asked())
}

#[test]
fn the_prompt_asks_for_missing_values_only() {
    let company = || ("LogicMonitor company".to_owned(), false);
    let id = || ("Access id".to_owned(), false);
    let key = || ("Access key".to_owned(), true);
    let token = || ("Bearer token".to_owned(), true);

    let (identity, asked) = ask(&Arguments::default(), &[], &["acme", ACCESS_ID, ACCESS_KEY]);
    assert_eq!(asked, [company(), id(), key()]);
    assert_eq!(identity.credentials, lmv1(ACCESS_ID, ACCESS_KEY));
    assert_eq!((identity.portal_from, identity.credentials_from), (Provenance::Prompt, Provenance::Prompt));

    let (identity, asked) =
        ask(&Arguments { company: None, ..pair_arguments() }, &[], &["https://acme.lmgov.us/x"]);
    assert_eq!(asked, [company()]);
    assert_eq!(identity.portal.host(), "acme.lmgov.us");
    assert_eq!(
        (identity.portal_from, identity.credentials_from),
        (Provenance::Prompt, Provenance::Arguments)
    );

    let (_, asked) = ask(&Arguments::default(), &OTHER[1..3], &["acme"]);
    assert_eq!(asked, [company()]);
    let (identity, asked) = ask(&Arguments::default(), &OTHER[..1], &[" exampleAccessId00001 ", ACCESS_KEY]);
    assert_eq!(asked, [id(), key()]);
    assert_eq!(identity.credentials, lmv1(ACCESS_ID, ACCESS_KEY));
    assert_eq!(identity.portal_from, Provenance::Environment(vec!["LM_COMPANY"]));

    let (identity, asked) =
        ask(&Arguments::default(), &[("LM_DOMAIN_NAME", "lmgov.us")], &["acme", "", BEARER]);
    assert_eq!(asked, [company(), id(), token()]);
    assert_eq!((identity.portal.host(), identity.credentials), ("acme.lmgov.us", bearer(BEARER)));

    let base_url = [("LM_BASE_URL", "http://127.0.0.1:1/santaba/rest")];
    let (_, asked) = ask(&Arguments::default(), &base_url, &[ACCESS_ID, ACCESS_KEY]);
    assert_eq!(asked, [id(), key()]);
}

#[test]
fn invalid_settings_fail_before_the_prompt() {
    for (arguments, variables) in [
        (Arguments { access_key: None, ..pair_arguments() }, vec![]),
        (Arguments { company: None, access_key: None, ..pair_arguments() }, vec![]),
        (Arguments::default(), vec![("LM_ACCESS_ID", ACCESS_ID)]),
        (Arguments::default(), vec![("LM_COMPANY", "acme/x")]),
        (Arguments::default(), vec![("LM_TIMEOUT", "soon")]),
        (Arguments::default(), vec![("LM_PROFILE", "work")]),
    ] {
        let prompt = FakePrompt::answering(&[]);
        assert!(Identity::resolve(&arguments, &environment(&variables), &prompt).is_err(), "{variables:?}");
        assert_eq!(prompt.asked(), [], "{variables:?}");
    }
}

#[test]
fn without_a_prompt_the_error_names_what_to_set() {
    let error = Identity::resolve(&Arguments::default(), &environment(&OTHER[1..]), &NoPrompt).unwrap_err();
    assert!(error.to_string().contains("company"), "{error}");
    assert_eq!(error.details().advice, [Advice::NameCompany]);
    let error = from_environment(&[]).unwrap_err();
    assert_eq!(error.details().advice, [Advice::SupplyCredentials]);
}
