//! Settings in environment variables, with the names that other tools for LogicMonitor use. An empty variable counts as
//! unset.

use super::Environment;
use super::{Credentials, Provenance, Timeouts};
use crate::error::{Error, Result};
use crate::secret::Secret;

const COMPANY: [&str; 3] = ["LM_COMPANY", "LM_ACCOUNT", "LM_PORTAL"];
const PAIRS: [(&str, &str); 2] = [("LM_ACCESS_ID", "LM_ACCESS_KEY"), ("LM_API_ID", "LM_API_KEY")];
const BEARER_TOKEN: &str = "LM_BEARER_TOKEN";
const DOMAIN: &str = "LM_DOMAIN_NAME";
const BASE_URL: &str = "LM_BASE_URL";
const TIMEOUT: &str = "LM_TIMEOUT";
const PROFILES: [&str; 2] = ["LM_PROFILE", "LM_CONFIG_FILE"];

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

pub(super) fn company(environment: &dyn Environment) -> Result<Option<(String, Provenance)>> {
    let mut found: Option<(String, &'static str)> = None;
    for name in COMPANY {
        let Some(value) = environment.filled(name)? else { continue };
        match &found {
            Some((first, first_name)) if *first != value => return Err(differ(first_name, name)),
            Some(_) => {}
            None => found = Some((value, name)),
        }
    }
    Ok(found.map(|(value, name)| (value, Provenance::Environment(vec![name]))))
}

pub(super) fn domain(environment: &dyn Environment) -> Result<Option<String>> {
    environment.filled(DOMAIN)
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
    let mut pair: Option<(String, Secret, Vec<&'static str>)> = None;
    for (id_name, key_name) in PAIRS {
        let id = environment.filled(id_name)?;
        let key = environment.filled(key_name)?.map(Secret::new);
        let bearer_as_key = key.as_ref().is_some_and(|key| key.reveal().starts_with("lmb_"));
        let (id, key, names) = match (id, key) {
            (None, None) => continue,
            (Some(id), Some(key)) => (id, key, vec![id_name, key_name]),
            (None, Some(key)) if bearer_as_key => (String::new(), key, vec![key_name]),
            (None, Some(_)) => return Err(half(id_name, key_name)),
            (Some(_), None) => return Err(half(key_name, id_name)),
        };
        match &pair {
            Some((first_id, _, names)) if *first_id != id => return Err(differ(first_of(names), id_name)),
            Some((_, first_key, names)) if *first_key != key => {
                return Err(differ(names.last().copied().unwrap_or_default(), key_name));
            }
            Some(_) => {}
            None => pair = Some((id, key, names)),
        }
    }
    let bearer = environment.filled(BEARER_TOKEN);
    let name_source = |names: &[&'static str]| format!("from {}", names.join(" and "));
    if let Some((id, key, names)) = pair {
        let id = Some(id).filter(|id| !id.is_empty());
        let credentials = Credentials::from_pair(id.as_deref(), key)
            .map_err(|error| located(error, &name_source(&names)))?;
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
    let credentials =
        Credentials::from_bearer(token).map_err(|error| located(error, &name_source(&names)))?;
    Ok(Some(Found { credentials, names, ignored_sources: Vec::new() }))
}

fn first_of(names: &[&'static str]) -> &'static str {
    names.first().copied().unwrap_or_default()
}

fn located(mut error: Error, source: &str) -> Error {
    let message = format!("{} ({source})", error.details().message);
    error.details_mut().message = message;
    error
}

fn half(missing: &str, present: &str) -> Error {
    Error::credentials(format!("{missing} is missing: {present} is set without it"))
        .suggest(format!("set {missing} as well, or unset {present}"))
}

fn differ(one: &str, other: &str) -> Error {
    Error::configuration(format!("{one} and {other} have different values"))
        .suggest(format!("unset one of {one} and {other}"))
}
