//! Which of the environment and a profile completes the arguments.

use std::sync::Arc;

use super::environment::{self, BASE_URL, DOMAIN, PROFILE};
use super::profiles::Profile;
use super::sources::NoVariables;
use super::{
    Arguments, Environment, Found, FoundPortal, Prompt, Provenance, Supplied, Supplier, ask, domain,
    named_portal,
};
use crate::advice::Advice;
use crate::error::{Error, Result};
use crate::portal::{PortalAddress, check_domain};

/// The sources below the arguments.
pub(super) struct Selection<'a> {
    /// The variables that name a portal and credentials. A profile that is named replaces them.
    pub(super) environment: &'a dyn Environment,
    pub(super) profile: Option<Profile>,
    /// The variables that the profile replaces.
    replaced: Vec<&'static str>,
}

impl<'a> Selection<'a> {
    /// Selects the profile that the arguments or `LM_PROFILE` name. The default profile counts only if there are no
    /// credentials before it, so that it is used as a whole.
    pub(super) fn of(arguments: &Arguments, environment: &'a dyn Environment) -> Result<Self> {
        let is_complete = arguments.has_address() && arguments.has_credentials();
        let name = match &arguments.profile {
            Some(name) => Some(name.clone()),
            None if is_complete => None,
            None => environment.filled(PROFILE)?,
        };
        let Some(name) = name else {
            let has_credentials =
                arguments.has_credentials() || environment::credential_variable(environment).is_some();
            let profile = if has_credentials { None } else { Profile::default(environment)? };
            // A base URL has no domain.
            let has_base_url = profile.as_ref().is_some_and(|profile| profile.settings.base_url.is_some());
            let replaced =
                [DOMAIN].into_iter().filter(|name| has_base_url && environment::is_set(environment, name));
            return Ok(Self { environment, replaced: replaced.collect(), profile });
        };
        let is_argument = arguments.profile.is_some();
        if !is_argument && let Some(variable) = environment::credential_variable(environment) {
            return Err(Error::configuration(format!("{PROFILE} and {variable} are both set"))
                .suggest(format!("unset {PROFILE} or {variable}")));
        }
        let source = if is_argument { String::new() } else { format!(" in {PROFILE}") };
        let profile = Profile::named(&name, &source, environment)?;
        let replaced = environment::selecting_variables().filter(|variable| {
            (is_argument || *variable != PROFILE) && environment::is_set(environment, variable)
        });
        Ok(Self { environment: &NoVariables, profile: Some(profile), replaced: replaced.collect() })
    }

    /// Returns the credentials of the arguments, the environment or the profile.
    pub(super) fn given(
        &self,
        arguments: &Arguments,
        environment: &dyn Environment,
    ) -> Result<Option<Found>> {
        if let Some(credentials) = arguments.credentials()? {
            let found = Supplied::fixed(credentials, Provenance::Arguments);
            return Ok(Some((found, self.replaced.clone())));
        }
        if let Some(found) = environment::credentials(self.environment)? {
            let source = Provenance::Environment(found.names);
            return Ok(Some((Supplied::fixed(found.credentials, source), found.ignored_sources)));
        }
        let Some(profile) = &self.profile else { return Ok(None) };
        let found = profile.credentials(environment)?;
        Ok(found.map(|found| (found, self.replaced.clone())))
    }

    /// Returns the supplier of credentials of the profile that expire.
    pub(super) fn supplier(&self) -> Option<Arc<dyn Supplier>> {
        self.profile.as_ref()?.supplier()
    }

    /// Returns the variables whose credentials or portal are ignored in favor of the arguments.
    pub(super) fn ignored(&self) -> Vec<&'static str> {
        self.replaced.clone()
    }

    /// Asks for credentials if none are given.
    pub(super) fn given_or_asked(
        &self,
        given: Option<Found>,
        prompt: &dyn Prompt,
        portal: Option<&PortalAddress>,
    ) -> Result<Found> {
        match given {
            Some(found) => Ok(found),
            None if prompt.is_available() => {
                let credentials = ask(prompt, portal, None)?;
                Ok((Supplied::fixed(credentials, Provenance::Prompt), self.replaced.clone()))
            }
            None => Err(self.no_credentials()),
        }
    }

    /// Returns the portal of the arguments, the environment or the profile.
    pub(super) fn portal(&self, arguments: &Arguments) -> Result<Option<FoundPortal>> {
        let Some(profile) = &self.profile else { return named_portal(arguments, self.environment) };
        let found = match self.named_portal(profile, arguments)? {
            Some(found) => Some(found),
            None => self.portal_of(profile, arguments)?,
        };
        let Some((portal, source, _)) = &found else { return Ok(None) };
        // Credentials must not be sent to another portal than theirs.
        if !arguments.has_credentials()
            && profile.has_credentials()
            && let Some(own) = own_address(profile)?.filter(|own| !own.includes(portal))
        {
            return Err(Error::configuration(format!(
                "the credentials in {} are for {}, but the portal from {source} is {}",
                profile.provenance,
                own.shown(),
                portal.base_url()
            ))
            .suggest("use a profile of that portal, or other credentials"));
        }
        Ok(found)
    }

    /// Returns the portal that the arguments or the environment name. A company without a domain is in that of the
    /// profile.
    fn named_portal(&self, profile: &Profile, arguments: &Arguments) -> Result<Option<FoundPortal>> {
        let has_domain = arguments.domain.is_some() || environment::is_set(self.environment, DOMAIN);
        let has_base_url = arguments.base_url.is_some() || environment::is_set(self.environment, BASE_URL);
        if !has_domain && !has_base_url {
            let domain = profile.settings.domain.clone();
            let found = named_portal(&Arguments { domain, ..arguments.clone() }, self.environment);
            // A company that is a host has a domain of its own.
            if let Ok(found) = found {
                return Ok(found);
            }
        }
        named_portal(arguments, self.environment)
    }

    /// Returns the portal of the profile, in another domain if one is given.
    fn portal_of(&self, profile: &Profile, arguments: &Arguments) -> Result<Option<FoundPortal>> {
        let (domain, source) = match &arguments.domain {
            Some(domain) => (Some(domain.clone()), Provenance::Arguments),
            None if profile.settings.base_url.is_some() => (None, profile.provenance.clone()),
            None => match environment::domain(self.environment)? {
                Some(domain) => (Some(domain), Provenance::Environment(vec![DOMAIN])),
                None => (None, profile.provenance.clone()),
            },
        };
        let portal = profile.portal(domain.as_deref())?;
        Ok(portal.map(|portal| (portal, source, Vec::new())))
    }

    /// Returns the domain of a company that has none.
    pub(super) fn domain(&self, arguments: &Arguments) -> Result<Option<String>> {
        let domain = domain(arguments, self.environment)?;
        Ok(domain.or_else(|| self.profile.as_ref()?.settings.domain.clone()))
    }

    /// Returns the error for a call without credentials.
    fn no_credentials(&self) -> Error {
        let message = match &self.profile {
            Some(profile) => format!("no credentials in {}", profile.provenance),
            None => "no credentials in the arguments, the environment or a profile".to_owned(),
        };
        Error::credentials(message).suggest(Advice::SupplyCredentials)
    }
}

/// The address that a profile names.
enum OwnAddress {
    Portal(PortalAddress),
    /// A profile without a company is for all portals of its domain.
    Domain(String),
}

fn own_address(profile: &Profile) -> Result<Option<OwnAddress>> {
    if let Some(portal) = profile.portal(None)? {
        return Ok(Some(OwnAddress::Portal(portal)));
    }
    let domain = profile.settings.domain.as_deref().map(check_domain).transpose()?;
    Ok(domain.map(OwnAddress::Domain))
}

impl OwnAddress {
    fn includes(&self, portal: &PortalAddress) -> bool {
        match self {
            Self::Portal(own) => own.base_url() == portal.base_url(),
            Self::Domain(domain) => {
                portal.host().strip_suffix(domain).is_some_and(|company| company.ends_with('.'))
            }
        }
    }

    fn shown(&self) -> &str {
        match self {
            Self::Portal(own) => own.base_url(),
            Self::Domain(domain) => domain,
        }
    }
}
