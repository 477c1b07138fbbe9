//! Credential sources: arguments → environment → profile → prompt. The first source that has credentials wins and is
//! reported.
//!
//! Half a pair in one source is an error. It is never completed from another source. Credentials of a profile are sent to
//! the portal of the profile only.

mod arguments;
mod credential_process;
mod environment;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod keyring_entry;
mod parts;
mod profiles;
#[cfg(test)]
pub(crate) mod random_text;
mod secret_file;
mod selection;
mod sources;
mod supplied;
mod validate;

use std::fmt;
use std::sync::Arc;

pub use arguments::{Arguments, Timeouts};
pub(crate) use environment::selecting_variables;
#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::fuzz_command_output;
pub(crate) use keyring_entry::KeyringEntry;
pub(crate) use parts::{Given, Parts};
pub(crate) use profiles::{
    CONFIG_FILE, ConfigFile, ConfigPath, DEFAULT, KEYS, NO_CONFIG_FILE, PENDING, PROFILES, Profile,
    check_name, config_path, settings_folder, unknown_profile,
};
pub(crate) use secret_file::read_secret_from;
pub(crate) use sources::ProcessEnvironment;
pub use sources::{Environment, NoPrompt, Prompt, not_utf8};
pub use supplied::{Supplied, Supplier, Validity};
pub(crate) use validate::{
    ACCESS_KEY_PREFIX, BEARER_PREFIX, check_access_id, check_access_key, check_bearer_token,
    check_signing_key,
};

use crate::advice::Advice;
use crate::copied;
use crate::error::{Error, Result};
use crate::lmv1::{self, SigningKey};
use crate::network::Network;
use crate::portal::PortalAddress;
use crate::secret::Secret;
use selection::Selection;
use validate::{check_copied, check_pair};

/// What authenticates a request.
#[derive(Clone)]
pub enum Credentials {
    /// An access id and an access key. The key signs requests and is never sent.
    Lmv1 {
        /// The public part.
        access_id: String,
        /// The secret part.
        access_key: Secret,
        /// The secret part, prepared for signing.
        signing_key: SigningKey,
    },
    /// A bearer token, which is sent with every request.
    Bearer {
        /// The token.
        token: Secret,
    },
}

impl Credentials {
    /// Checks an LMv1 pair. A key that begins with `lmb_` is a bearer token.
    pub fn from_pair(access_id: Option<&str>, access_key: Secret) -> Result<Self> {
        if access_key.reveal().starts_with(validate::BEARER_PREFIX) {
            return Self::from_bearer(access_key);
        }
        let Some(access_id) = access_id else {
            check_copied("access_key", &access_key)?;
            return Err(Error::credentials("access_id is missing: an access key needs its access id"));
        };
        check_access_id(access_id)?;
        check_access_key(&access_key)?;
        check_pair(access_id, &access_key)?;
        let signing_key = SigningKey::new(access_key.reveal().as_bytes());
        Ok(Self::Lmv1 { access_id: access_id.to_owned(), access_key, signing_key })
    }

    /// Checks a bearer token.
    pub fn from_bearer(token: Secret) -> Result<Self> {
        check_bearer_token(&token)?;
        Ok(Self::Bearer { token })
    }

    /// Returns the value of the `Authorization` header for one request.
    #[must_use]
    pub fn authorization(&self, request: &lmv1::Request<'_>) -> String {
        match self {
            Self::Lmv1 { access_id, signing_key, .. } => request.authorization(access_id, signing_key),
            Self::Bearer { token } => format!("Bearer {}", token.reveal()),
        }
    }

    /// Returns the secret part.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Lmv1 { access_key, .. } => access_key,
            Self::Bearer { token } => token,
        }
    }

    /// Returns the access id of a pair.
    pub(crate) fn access_id(&self) -> Option<&str> {
        match self {
            Self::Lmv1 { access_id, .. } => Some(access_id),
            Self::Bearer { .. } => None,
        }
    }

    /// Returns the name of the kind, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Lmv1 { .. } => "LMv1",
            Self::Bearer { .. } => "bearer",
        }
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        (self.access_id(), self.secret()) == (other.access_id(), other.secret())
    }
}

impl Eq for Credentials {}

impl fmt::Debug for Credentials {
    /// Shows the kind only: the id may be a key, since users swap them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.kind())
    }
}

/// The source of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provenance {
    /// Arguments of the call.
    Arguments,
    /// These environment variables.
    Environment(Vec<&'static str>),
    /// A profile of the configuration file.
    Profile {
        /// Its name.
        name: String,
        /// The file, as messages name it.
        file: String,
        /// The key in the file that says where the secret is, if the file does not hold it.
        through: Option<&'static str>,
    },
    /// The interactive prompt.
    Prompt,
    /// A callable of the caller.
    Callable,
    /// A rotation of the credentials that the client had before.
    Rotation,
}

impl Provenance {
    /// Returns the source of a secret that the file of a profile does not hold.
    fn through(&self, key: &'static str) -> Self {
        match self.clone() {
            Self::Profile { name, file, .. } => Self::Profile { name, file, through: Some(key) },
            other => other,
        }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments => f.write_str("arguments"),
            Self::Environment(names) => write!(f, "environment ({})", names.join(", ")),
            Self::Profile { name, file, through: None } => write!(f, "profile {name} in {file}"),
            Self::Profile { name, file, through: Some(key) } => {
                write!(f, "{key} of profile {name} in {file}")
            }
            Self::Prompt => f.write_str("prompt"),
            Self::Callable => f.write_str("callable"),
            Self::Rotation => f.write_str("rotation"),
        }
    }
}

/// The portal, the credentials and the settings of a client.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The portal's address.
    pub portal: PortalAddress,
    /// The source of the address.
    pub portal_from: Provenance,
    /// The arguments that name another portal than the environment's base URL, which wins: `company`, `domain`.
    pub overridden: Vec<&'static str>,
    /// The credentials; `None` until a callable has supplied them.
    pub credentials: Option<Credentials>,
    /// The source of the credentials.
    pub credentials_from: Provenance,
    /// How long the credentials are used; `None` if they do not expire.
    pub validity: Option<Validity>,
    /// The source of other credentials once these have expired, unless a callable supplies them.
    pub supplier: Option<Arc<dyn Supplier>>,
    /// Environment variables with other credentials or another portal, which were ignored.
    pub ignored_sources: Vec<&'static str>,
    /// The timeouts of an attempt.
    pub timeouts: Timeouts,
    /// CA certificates, client certificate and proxy.
    pub network: Network,
}

/// What an identity is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Requests,
    Signatures,
}

impl Identity {
    /// Reads the sources in their order.
    pub fn resolve(
        arguments: &Arguments,
        environment: &dyn Environment,
        prompt: &dyn Prompt,
    ) -> Result<Self> {
        Self::resolve_for(Purpose::Requests, arguments, environment, prompt)
    }

    /// As [`Identity::resolve`], without the variables that only requests need.
    pub fn resolve_for_signing(
        arguments: &Arguments,
        environment: &dyn Environment,
        prompt: &dyn Prompt,
    ) -> Result<Self> {
        Self::resolve_for(Purpose::Signatures, arguments, environment, prompt)
    }

    fn resolve_for(
        purpose: Purpose,
        arguments: &Arguments,
        environment: &dyn Environment,
        prompt: &dyn Prompt,
    ) -> Result<Self> {
        arguments.check_credentials()?;
        let selection = Selection::of(arguments, environment)?;
        arguments.check_copied()?;
        let timeouts = match arguments.timeouts {
            None if purpose == Purpose::Requests => environment::timeouts(environment)?.unwrap_or_default(),
            given => given.unwrap_or_default(),
        };
        let network = Network::of_arguments(&arguments.network)?;
        // Invalid credentials are reported even if the portal is missing too; the prompt comes last.
        let given = if arguments.callable { None } else { selection.given(arguments, environment)? };
        let (portal, portal_from, overridden) = match selection.portal(arguments)? {
            Some((portal, from, overridden)) => (portal, from, overridden),
            None if prompt.is_available() => {
                let company = ask_company(prompt)?;
                let domain = selection.domain(arguments)?;
                (PortalAddress::of_company(&company, domain.as_deref())?, Provenance::Prompt, Vec::new())
            }
            None => {
                return Err(Error::configuration("company is missing").suggest(Advice::NameCompany));
            }
        };
        let network = match purpose {
            Purpose::Requests => network.completed(&portal, environment)?,
            Purpose::Signatures => network,
        };
        let (found, ignored_sources) = if arguments.callable {
            (None, selection.ignored())
        } else {
            let (found, ignored) = selection.given_or_asked(given, prompt, Some(&portal))?;
            (Some(found), ignored)
        };
        let validity = found.as_ref().and_then(|found| found.validity);
        let supplier = validity.and_then(|_| selection.supplier());
        let (credentials, credentials_from) = match found {
            Some(Supplied { credentials, from, .. }) => (Some(credentials), from),
            None => (None, Provenance::Callable),
        };
        Ok(Self {
            portal,
            portal_from,
            overridden,
            credentials,
            credentials_from,
            validity,
            supplier,
            ignored_sources,
            timeouts,
            network,
        })
    }

    /// Returns the credentials. Fails if the callable has not supplied them.
    pub(crate) fn credentials(&self) -> Result<&Credentials> {
        let missing = || Error::credentials("the callable has not supplied the credentials");
        self.credentials.as_ref().ok_or_else(missing)
    }

    /// Returns the name of the kind of credentials, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        self.credentials.as_ref().map_or("credentials", Credentials::kind)
    }

    /// Returns what overrides which arguments, in the terms of an interface (`LM_BASE_URL overrides company`). `None` if
    /// nothing does.
    pub(crate) fn override_notice(&self, name: impl Fn(&str) -> String) -> Option<String> {
        override_notice(&self.overridden, name)
    }

    /// Returns the portal's address, and what overrides arguments that name another, in the terms of Python.
    pub(crate) fn shown_portal(&self) -> String {
        let overrides = self.override_notice(str::to_owned).map(|notice| format!(" ({notice})"));
        format!("{}{}", self.portal, overrides.unwrap_or_default())
    }

    /// Returns the warning that explicit arguments do not select the portal; `None` if they do, or if the portal is on
    /// this machine: then a program with a fixed company was pointed at a sandbox.
    pub(crate) fn override_warning(&self, name: impl Fn(&str) -> String) -> Option<String> {
        override_warning(&self.portal, &self.overridden, name)
    }
}

/// As [`Identity::override_notice`].
pub(crate) fn override_notice(overridden: &[&str], name: impl Fn(&str) -> String) -> Option<String> {
    let names: Vec<String> = overridden.iter().map(|argument| name(argument)).collect();
    (!names.is_empty()).then(|| format!("{} overrides {}", environment::BASE_URL, names.join(" and ")))
}

/// As [`Identity::override_warning`].
pub(crate) fn override_warning(
    portal: &PortalAddress,
    overridden: &[&str],
    name: impl Fn(&str) -> String,
) -> Option<String> {
    let notice = override_notice(overridden, name).filter(|_| !portal.is_loopback())?;
    Some(format!("{notice}: requests go to {}; unset it to use the argument", portal.base_url()))
}

/// Credentials, and the variables with others that were ignored.
type Found = (Supplied, Vec<&'static str>);

/// Returns the credentials alone, for calls that do not need a portal.
pub(crate) fn credentials(
    arguments: &Arguments,
    environment: &dyn Environment,
    prompt: &dyn Prompt,
) -> Result<Credentials> {
    if let Some(credentials) = arguments.credentials()? {
        return Ok(credentials);
    }
    let selection = Selection::of(arguments, environment)?;
    let given = selection.given(arguments, environment)?;
    selection.given_or_asked(given, prompt, None).map(|(found, _)| found.credentials)
}

/// A portal's address, its source, and the arguments that it overrides.
type FoundPortal = (PortalAddress, Provenance, Vec<&'static str>);

/// Returns the portal of the arguments, the environment or a profile.
pub(crate) fn portal(arguments: &Arguments, environment: &dyn Environment) -> Result<Option<FoundPortal>> {
    Selection::of(arguments, environment)?.portal(arguments)
}

/// Returns the portal of the arguments or the environment. A base URL from either wins over a company, so that a program
/// with a hard-coded company can be pointed at a sandbox; the company is then only a display name.
fn named_portal(arguments: &Arguments, environment: &dyn Environment) -> Result<Option<FoundPortal>> {
    let from_argument = arguments.base_url.clone().map(|url| (url, Provenance::Arguments));
    let base_url =
        from_argument.map_or_else(|| environment::base_url(environment), |found| Ok(Some(found)))?;
    let Some((base_url, from)) = base_url else {
        let found = by_company(arguments, environment, &|| domain(arguments, environment))?;
        return Ok(found.map(|(portal, from)| (portal, from, Vec::new())));
    };
    // Variables that nothing but the display name depends on do not stop the call.
    let found = by_company(arguments, environment, &|| Ok(domain(arguments, environment).ok().flatten()));
    let found = match (found, &arguments.company) {
        (Ok(found), _) => found,
        (Err(_), None) => None,
        (Err(_), Some(_)) => by_company(arguments, environment, &|| Ok(arguments.domain.clone()))?,
    };
    let named = found.map(|(portal, _)| portal);
    let portal = PortalAddress::at(&base_url, named.as_ref().and_then(PortalAddress::company))?;
    let is_overriding =
        from != Provenance::Arguments && named.is_none_or(|named| named.base_url() != portal.base_url());
    let given = [("company", arguments.company.is_some()), ("domain", arguments.domain.is_some())];
    let overridden = given.into_iter().filter(|(_, is_given)| *is_given && is_overriding);
    Ok(Some((portal, from, overridden.map(|(name, _)| name).collect())))
}

/// Returns the portal that a company names, by an argument or the environment.
fn by_company(
    arguments: &Arguments,
    environment: &dyn Environment,
    domain: &dyn Fn() -> Result<Option<String>>,
) -> Result<Option<(PortalAddress, Provenance)>> {
    match &arguments.company {
        Some(company) => {
            let portal = PortalAddress::of_company(company, domain()?.as_deref())?;
            Ok(Some((portal, Provenance::Arguments)))
        }
        None => environment::portal(environment, domain),
    }
}

fn domain(arguments: &Arguments, environment: &dyn Environment) -> Result<Option<String>> {
    match &arguments.domain {
        Some(domain) => Ok(Some(domain.clone())),
        None => environment::domain(environment),
    }
}

/// Returns an error with its source.
fn located(mut error: Error, source: &str) -> Error {
    let message = format!("{} ({source})", error.details().message);
    error.details_mut().message = message;
    error
}

/// Asks for the company.
pub(crate) fn ask_company(prompt: &dyn Prompt) -> Result<String> {
    let company = prompt.ask("LogicMonitor company (acme in acme.logicmonitor.com): ")?;
    copied::check("company", &company).map(|()| company)
}

/// Asks for credentials of a portal, of which the access id may be known.
pub(crate) fn ask(
    prompt: &dyn Prompt,
    portal: Option<&PortalAddress>,
    access_id: Option<Secret>,
) -> Result<Credentials> {
    let portal = portal.map(|portal| format!(" for {}", portal.host())).unwrap_or_default();
    let access_id = if let Some(access_id) = access_id {
        access_id
    } else {
        let question = format!("Access id{portal} (empty for a bearer token): ");
        Secret::new(prompt.ask(&question)?.trim().to_owned())
    };
    match access_id.reveal() {
        "" => Credentials::from_bearer(prompt.ask_secret(&format!("Bearer token{portal} (not shown): "))?),
        id => {
            Credentials::from_pair(Some(id), prompt.ask_secret(&format!("Access key{portal} (not shown): "))?)
        }
    }
}
