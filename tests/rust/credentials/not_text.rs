//! Environment variables that are not valid UTF-8.

use lmtokens::testing::credentials::{Arguments, Identity, Provenance};
use lmtokens::testing::credentials::{Environment, NoPrompt, not_utf8};
use lmtokens::testing::error::{ErrorKind, Result};

use super::{FakeEnvironment, environment, pair_arguments};
use crate::support::{ACCESS_ID, ACCESS_KEY};

/// An environment in which one variable is not valid UTF-8.
struct InvalidVariable(&'static str, FakeEnvironment);

impl Environment for InvalidVariable {
    fn variable(&self, name: &str) -> Result<Option<String>> {
        if name == self.0 { Err(not_utf8(name)) } else { self.1.variable(name) }
    }
}

fn resolve(arguments: &Arguments, invalid: &'static str, variables: &[(&str, &str)]) -> Result<Identity> {
    Identity::resolve(arguments, &InvalidVariable(invalid, environment(variables)), &NoPrompt)
}

#[test]
fn a_used_variable_is_an_error_that_names_it() {
    let company = Arguments { company: Some("acme".to_owned()), ..Arguments::default() };
    for name in ["LM_PROFILE", "LM_ACCESS_ID", "LM_API_KEY", "LM_BEARER_TOKEN", "LM_TIMEOUT", "LM_BASE_URL"] {
        let error = resolve(&company, name, &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
        assert!(error.to_string().starts_with(name), "{error}");
    }
}

#[test]
fn an_unused_variable_is_ignored() {
    for name in ["LM_PROFILE", "LM_ACCESS_ID", "LM_BEARER_TOKEN", "LM_COMPANY"] {
        resolve(&pair_arguments(), name, &[]).unwrap();
    }
    let pair = [("LM_COMPANY", "acme"), ("LM_ACCESS_ID", ACCESS_ID), ("LM_ACCESS_KEY", ACCESS_KEY)];
    let identity = resolve(&Arguments::default(), "LM_BEARER_TOKEN", &pair).unwrap();
    assert_eq!(identity.credentials_from, Provenance::Environment(vec!["LM_ACCESS_ID", "LM_ACCESS_KEY"]));
    assert_eq!(identity.ignored_sources, ["LM_BEARER_TOKEN"]);
}
