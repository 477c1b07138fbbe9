//! Settings in environment variables, with the names that other tools for LogicMonitor use. An empty variable counts as
//! unset.

use std::path::Path;

use super::secret_file;
use super::validate::{BEARER_PREFIX, check_copied};
use super::{Credentials, Environment, Provenance, Timeouts, located};
use crate::error::{Error, Result};
use crate::portal::{PortalAddress, check_domain};
use crate::secret::Secret;

const COMPANY: [&str; 3] = ["LM_COMPANY", "LM_ACCOUNT", "LM_PORTAL"];
const PAIRS: [(&str, Variable); 2] = [
    ("LM_ACCESS_ID", Variable { name: "LM_ACCESS_KEY", file: Some("LM_ACCESS_KEY_FILE") }),
    ("LM_API_ID", Variable { name: "LM_API_KEY", file: None }),
];
const BEARER_TOKEN: Variable = Variable { name: "LM_BEARER_TOKEN", file: Some("LM_BEARER_TOKEN_FILE") };
pub(super) const DOMAIN: &str = "LM_DOMAIN_NAME";
pub(super) const BASE_URL: &str = "LM_BASE_URL";
const TIMEOUT: &str = "LM_TIMEOUT";
pub(super) const PROFILE: &str = "LM_PROFILE";

/// A variable with a secret, and the variable that names a file with the secret instead.
struct Variable {
    name: &'static str,
    file: Option<&'static str>,
}

impl Variable {
    fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        [self.name].into_iter().chain(self.file)
    }

    /// Returns the secret and the name of the variable that it is from.
    fn read(&self, environment: &dyn Environment) -> Result<Option<(Secret, &'static str)>> {
        let value = environment.unchecked(self.name)?.map(|value| (Secret::new(value), self.name));
        let Some(file_name) = self.file else { return Ok(value) };
        let Some(path) = environment.filled(file_name)? else { return Ok(value) };
        // The message repeats neither the content nor the path: it may be the secret itself.
        let text = secret_file::read_secret(Path::new(&path)).map_err(|error| {
            Error::configuration(format!("cannot read the file that {file_name} names: {error}"))
                .suggest(format!("set {file_name} to the path of a file with the secret and nothing else"))
        })?;
        match value {
            Some((value, _)) if value != text => Err(differ(self.name, file_name)),
            Some(found) => Ok(Some(found)),
            None => Ok(Some((text, file_name))),
        }
    }
}

/// Returns the names of the variables that select a portal, credentials or a profile.
pub(crate) fn selecting_variables() -> impl Iterator<Item = &'static str> {
    COMPANY.into_iter().chain([DOMAIN, BASE_URL]).chain(credential_variables()).chain([PROFILE])
}

pub(super) fn credential_variables() -> impl Iterator<Item = &'static str> {
    let pairs = PAIRS.into_iter().flat_map(|(id, key)| [id].into_iter().chain(key.names()));
    pairs.chain(BEARER_TOKEN.names())
}

/// Returns whether a variable has a value, which may be invalid.
pub(super) fn is_set(environment: &dyn Environment, name: &str) -> bool {
    environment.os_variable(name).map_or(true, |value| value.is_some_and(|value| !value.is_empty()))
}

/// Returns the first variable with credentials that is set.
pub(super) fn credential_variable(environment: &dyn Environment) -> Option<&'static str> {
    credential_variables().find(|name| is_set(environment, name))
}

/// Credentials found in the environment.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) credentials: Credentials,
    pub(super) names: Vec<&'static str>,
    pub(super) ignored_sources: Vec<&'static str>,
}

/// Returns the portal that the variables name, with a domain of the arguments or the environment. Variables with
/// different spellings of one portal agree.
pub(super) fn portal(
    environment: &dyn Environment,
    domain: &dyn Fn() -> Result<Option<String>>,
) -> Result<Option<(PortalAddress, Provenance)>> {
    let mut found: Option<(PortalAddress, &'static str)> = None;
    for name in COMPANY {
        let Some(value) = environment.filled(name)? else { continue };
        let domain = domain()?;
        let portal = PortalAddress::of_company(&value, domain.as_deref())
            .map_err(|error| located(error, &format!("from {name}")))?;
        match &found {
            Some((first, first_name)) if *first != portal => return Err(differ(first_name, name)),
            Some(_) => {}
            None => found = Some((portal, name)),
        }
    }
    Ok(found.map(|(portal, name)| (portal, Provenance::Environment(vec![name]))))
}

pub(super) fn domain(environment: &dyn Environment) -> Result<Option<String>> {
    let domain = environment.filled(DOMAIN)?.map(|domain| check_domain(&domain));
    domain.transpose().map_err(|error| located(error, &format!("from {DOMAIN}")))
}

pub(super) fn base_url(environment: &dyn Environment) -> Result<Option<(String, Provenance)>> {
    Ok(environment.filled(BASE_URL)?.map(|url| (url, Provenance::Environment(vec![BASE_URL]))))
}

pub(super) fn timeouts(environment: &dyn Environment) -> Result<Option<Timeouts>> {
    let Some(text) = environment.filled(TIMEOUT)? else { return Ok(None) };
    let seconds = text.trim().parse().ok().filter(|seconds: &f64| seconds.is_finite());
    match seconds.map(|seconds| Timeouts::from_seconds(None, seconds)) {
        Some(Ok(timeouts)) => Ok(Some(timeouts)),
        _ => Err(Error::configuration(format!(
            "invalid {TIMEOUT}; expected a number of seconds above 0, such as 30"
        ))),
    }
}

pub(super) fn credentials(environment: &dyn Environment) -> Result<Option<Found>> {
    let mut pair: Option<(Credentials, Vec<&'static str>)> = None;
    for (id_name, key_variable) in PAIRS {
        let id = environment.unchecked(id_name)?.map(Secret::new);
        let (id, key, names) = match (id, key_variable.read(environment)?) {
            (None, None) => continue,
            (Some(id), Some((key, key_name))) => (Some(id), key, vec![id_name, key_name]),
            (None, Some((key, key_name))) if key.reveal().starts_with(BEARER_PREFIX) => {
                (None, key, vec![key_name])
            }
            (None, Some((key, key_name))) => return Err(half(id_name, key_name, &key)),
            (Some(id), None) => return Err(half(key_variable.name, id_name, &id)),
        };
        let credentials = Credentials::from_pair(id.as_ref().map(Secret::reveal), key)
            .map_err(|error| located(error, &source(&names)))?;
        match &pair {
            None => pair = Some((credentials, names)),
            Some((first, _)) if *first == credentials => {}
            Some((first, names)) if first.access_id() != credentials.access_id() => {
                return Err(differ(names.first().copied().unwrap_or_default(), id_name));
            }
            Some((_, names)) => {
                return Err(differ(names.last().copied().unwrap_or_default(), key_variable.name));
            }
        }
    }
    if let Some((credentials, names)) = pair {
        // They are ignored, so they may even be invalid.
        let ignored_sources = BEARER_TOKEN.names().filter(|name| is_set(environment, name)).collect();
        return Ok(Some(Found { credentials, names, ignored_sources }));
    }
    let Some((token, name)) = BEARER_TOKEN.read(environment)? else { return Ok(None) };
    let credentials = Credentials::from_bearer(token).map_err(|error| located(error, &source(&[name])))?;
    Ok(Some(Found { credentials, names: vec![name], ignored_sources: Vec::new() }))
}

fn source(names: &[&'static str]) -> String {
    format!("from {}", names.join(" and "))
}

fn half(missing: &str, present: &str, value: &Secret) -> Error {
    if let Err(error) = check_copied(present, value) {
        return error;
    }
    Error::credentials(format!("{missing} is missing: {present} is set without it"))
        .suggest(format!("set {missing} as well, or unset {present}"))
}

fn differ(one: &str, other: &str) -> Error {
    Error::configuration(format!("{one} and {other} have different values"))
        .suggest(format!("unset one of {one} and {other}"))
}
