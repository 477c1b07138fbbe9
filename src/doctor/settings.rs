//! Checks of the settings, without the network.

use super::{Finding, counted};
use crate::advice::Advice;
use crate::client::ACCESS_ID_LENGTH;
use crate::credentials::{
    ACCESS_KEY_PREFIX, BEARER_PREFIX, ConfigFile, Credentials, Environment, Given, Parts, config_path,
    override_warning,
};
use crate::error::Error;

const PROFILE: &str = "profile";
pub(super) const PORTAL: &str = "portal";
const CREDENTIALS: &str = "credentials";

/// Checks the configuration file and which of its profiles is used.
pub(super) fn profile(parts: &Parts, environment: &dyn Environment) -> Finding {
    let used = match &parts.profile {
        Err(error) => return Finding::problem(PROFILE, error.repeated()),
        Ok(used) => used,
    };
    let file = match &parts.file {
        Ok(file) => file.as_ref(),
        Err(error) => {
            let advice = "correct the file before you use one of its profiles";
            return Finding::warning(PROFILE, format!("no profile is used, and {error}"), advice);
        }
    };
    let mode = file.map(mode).unwrap_or_default();
    let message = match (used, file) {
        (Some(profile), _) => format!("{profile}{mode}"),
        (None, Some(file)) => {
            let count = counted(file.names().map_or(0, |names| names.len()), "profile");
            format!("no profile is used; {}{mode} has {count}", file.path())
        }
        (None, None) => match config_path(environment) {
            Ok(path) => format!("no profile is used, and {path} does not exist"),
            Err(error) => format!("no profile is used; {error}"),
        },
    };
    Finding::ok(PROFILE, message)
}

/// Returns the permissions of the file in words. Its owner is this user or root, or it would have been refused.
#[cfg(unix)]
fn mode(file: &ConfigFile) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(file.path().path());
    metadata.map(|metadata| format!(" (mode {:03o})", metadata.mode() & 0o777)).unwrap_or_default()
}

#[cfg(windows)]
fn mode(_file: &ConfigFile) -> String {
    String::new()
}

/// Checks which portal is called, and who says so.
pub(super) fn portal(parts: &Parts) -> Finding {
    let (portal, from, overridden) = match &parts.portal {
        None => return Finding::skipped_after(PORTAL, PROFILE),
        Some(Err(error)) => return Finding::problem(PORTAL, error.repeated()),
        Some(Ok(None)) => {
            let error = Error::configuration("company is missing");
            return Finding::problem(PORTAL, error.suggest(Advice::NameCompany));
        }
        Some(Ok(Some(found))) => found,
    };
    if parts.is_credential(portal.host()) {
        let error = Error::configuration(format!(
            "the name of the portal from {from} may be a credential, and is not looked up"
        ));
        return Finding::problem(
            PORTAL,
            error.suggest("check that the company and the credentials are not swapped"),
        );
    }
    let option = |argument: &str| format!("--{argument}");
    match override_warning(portal, overridden, option) {
        Some(warning) => Finding::warning(PORTAL, warning, "unset the variable, or leave the option out"),
        None => Finding::ok(PORTAL, format!("{}, from {from}", portal.base_url())),
    }
}

/// Checks where the credentials are from, and their form. Only a class of their length is told.
pub(super) fn credentials(parts: &Parts) -> Finding {
    let Given { credentials, from, ignored } = match &parts.credentials {
        None => return Finding::skipped_after(CREDENTIALS, PROFILE),
        Some(Err(error)) => {
            let mut error = error.repeated();
            if error.details().advice.is_empty() {
                error = error.suggest(
                    "correct the value where it is set; if the right one is lost, create a new token",
                );
            }
            return Finding::problem(CREDENTIALS, error);
        }
        Some(Ok(None)) => {
            let error = Error::credentials("no credentials in the arguments, the environment or a profile");
            return Finding::problem(CREDENTIALS, error.suggest(Advice::SupplyCredentials));
        }
        Some(Ok(Some(found))) => found,
    };
    let kind = credentials.kind();
    let mut message = format!("{kind} credentials from {from}");
    if !ignored.is_empty() {
        message = format!("{message}; {} is also set, and ignored", ignored.join(", "));
    }
    match oddity(credentials, parts.is_bearer_as_key) {
        Some((oddity, advice)) => Finding::warning(CREDENTIALS, format!("{message}; {oddity}"), advice),
        None => Finding::ok(CREDENTIALS, message),
    }
}

/// Returns what is unusual about valid credentials, and what to do about it.
fn oddity(credentials: &Credentials, is_bearer_as_key: bool) -> Option<(String, &'static str)> {
    const COMPARE: &str = "compare the access id and the length of the key with those that the portal showed; the key \
                           cannot be shown again: if it is damaged, create a new token";
    match credentials {
        Credentials::Lmv1 { access_id, access_key, .. } => {
            let usual_length = if access_key.reveal().starts_with(ACCESS_KEY_PREFIX) { 120 } else { 40 };
            let id = class(access_id.chars().count(), ACCESS_ID_LENGTH);
            let key = class(access_key.reveal().chars().count(), usual_length);
            let oddities = [("access id", id), ("access key", key)];
            let oddities: Vec<String> = oddities
                .into_iter()
                .filter_map(|(name, class)| Some(format!("the {name} is {} than usual", class?)))
                .collect();
            (!oddities.is_empty()).then(|| (oddities.join(", "), COMPARE))
        }
        Credentials::Bearer { .. } if is_bearer_as_key => {
            let oddity = "a bearer token is set as access key, so that no access id is used".to_owned();
            let advice = "set it as bearer token (LM_BEARER_TOKEN, or bearer_token in a profile), without access id and key";
            Some((oddity, advice))
        }
        Credentials::Bearer { token } => (!token.reveal().starts_with(BEARER_PREFIX)).then(|| {
            let advice = "check that the value is a bearer token, not an access key";
            (format!("the bearer token does not begin with {BEARER_PREFIX}"), advice)
        }),
    }
}

/// Returns how a length differs from the usual one.
fn class(length: usize, usual: usize) -> Option<&'static str> {
    match length.cmp(&usual) {
        std::cmp::Ordering::Less => Some("shorter"),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some("longer"),
    }
}
