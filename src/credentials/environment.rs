//! Settings in environment variables, with the names that other tools for LogicMonitor use. An empty variable counts as
//! unset.

use super::validate::{BEARER_PREFIX, check_copied};
use super::{Credentials, Environment, Provenance, Timeouts};
use crate::error::{Error, Result};
use crate::portal::{PortalAddress, check_domain};
use crate::secret::Secret;

const COMPANY: [&str; 3] = ["LM_COMPANY", "LM_ACCOUNT", "LM_PORTAL"];
const PAIRS: [(&str, &str); 2] = [("LM_ACCESS_ID", "LM_ACCESS_KEY"), ("LM_API_ID", "LM_API_KEY")];
const BEARER_TOKEN: &str = "LM_BEARER_TOKEN";
const DOMAIN: &str = "LM_DOMAIN_NAME";
pub(super) const BASE_URL: &str = "LM_BASE_URL";
const TIMEOUT: &str = "LM_TIMEOUT";
const PROFILES: [&str; 2] = ["LM_PROFILE", "LM_CONFIG_FILE"];

/// Returns the names of the variables that select a portal or credentials.
pub(crate) fn selecting_variables() -> impl Iterator<Item = &'static str> {
    let pairs = PAIRS.into_iter().flat_map(|(id, key)| [id, key]);
    COMPANY.into_iter().chain([DOMAIN, BASE_URL]).chain(pairs).chain([BEARER_TOKEN])
}

/// Credentials found in the environment.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) credentials: Credentials,
    pub(super) names: Vec<&'static str>,
    pub(super) ignored_sources: Vec<&'static str>,
}

/// Fails if a profile is named. Ignoring it would send the request with other credentials than the user wants.
pub(super) fn reject_profiles(environment: &dyn Environment) -> Result<()> {
    for name in PROFILES {
        if environment.filled(name)?.is_some() {
            return Err(Error::configuration(format!(
                "{name} is set, but this version does not support profiles"
            ))
            .suggest(format!("unset {name} and set the credentials as arguments or environment variables")));
        }
    }
    Ok(())
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
    for (id_name, key_name) in PAIRS {
        let id = environment.unchecked(id_name)?.map(Secret::new);
        let key = environment.unchecked(key_name)?.map(Secret::new);
        let (id, key, names) = match (id, key) {
            (None, None) => continue,
            (Some(id), Some(key)) => (Some(id), key, vec![id_name, key_name]),
            (None, Some(key)) if key.reveal().starts_with(BEARER_PREFIX) => (None, key, vec![key_name]),
            (None, Some(key)) => return Err(half(id_name, key_name, &key)),
            (Some(id), None) => return Err(half(key_name, id_name, &id)),
        };
        let credentials = Credentials::from_pair(id.as_ref().map(Secret::reveal), key)
            .map_err(|error| located(error, &source(&names)))?;
        match &pair {
            None => pair = Some((credentials, names)),
            Some((first, _)) if *first == credentials => {}
            Some((first, names)) if first.access_id() != credentials.access_id() => {
                return Err(differ(names.first().copied().unwrap_or_default(), id_name));
            }
            Some((_, names)) => return Err(differ(names.last().copied().unwrap_or_default(), key_name)),
        }
    }
    let bearer = environment.unchecked(BEARER_TOKEN);
    if let Some((credentials, names)) = pair {
        // It is ignored, so it may even be invalid UTF-8.
        let is_set = !matches!(bearer, Ok(None));
        return Ok(Some(Found {
            credentials,
            names,
            ignored_sources: is_set.then_some(BEARER_TOKEN).into_iter().collect(),
        }));
    }
    let Some(token) = bearer?.map(Secret::new) else { return Ok(None) };
    let names = vec![BEARER_TOKEN];
    let credentials = Credentials::from_bearer(token).map_err(|error| located(error, &source(&names)))?;
    Ok(Some(Found { credentials, names, ignored_sources: Vec::new() }))
}

fn source(names: &[&'static str]) -> String {
    format!("from {}", names.join(" and "))
}

fn located(mut error: Error, source: &str) -> Error {
    let message = format!("{} ({source})", error.details().message);
    error.details_mut().message = message;
    error
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
