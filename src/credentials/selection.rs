//! Which of the environment and a profile completes the arguments.

use super::environment::{self, PROFILE};
use super::profiles::Profile;
use super::sources::NoVariables;
use super::{Arguments, Environment, Found, FoundPortal, Prompt, Provenance, ask, named_portal};
use crate::advice::Advice;
use crate::error::{Error, Result};

/// The sources below the arguments.
pub(super) struct Selection<'a> {
    /// The variables that name a portal and credentials. A profile that is named replaces them.
    pub(super) environment: &'a dyn Environment,
    profile: Option<Profile>,
    /// The variables that a named profile replaces.
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
            return Ok(Self { environment, profile, replaced: Vec::new() });
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
            return Ok(Some((credentials, Provenance::Arguments, self.replaced.clone())));
        }
        if let Some(found) = environment::credentials(self.environment)? {
            let source = Provenance::Environment(found.names);
            return Ok(Some((found.credentials, source, found.ignored_sources)));
        }
        let Some(profile) = &self.profile else { return Ok(None) };
        let found = profile.credentials(environment)?;
        Ok(found.map(|(credentials, source)| (credentials, source, self.replaced.clone())))
    }

    /// Asks for credentials if none are given.
    pub(super) fn given_or_asked(&self, given: Option<Found>, prompt: &dyn Prompt) -> Result<Found> {
        match given {
            Some(found) => Ok(found),
            None if prompt.is_available() => {
                Ok((ask(prompt, None)?, Provenance::Prompt, self.replaced.clone()))
            }
            None => Err(self.no_credentials()),
        }
    }

    /// Returns the portal of the arguments, the environment or the profile.
    pub(super) fn portal(&self, arguments: &Arguments) -> Result<Option<FoundPortal>> {
        let found = named_portal(arguments, self.environment)?;
        let Some(profile) = &self.profile else { return Ok(found) };
        let Some((portal, source, _)) = &found else {
            let portal = profile.portal(arguments.domain.as_deref())?;
            return Ok(portal.map(|portal| (portal, profile.provenance.clone(), Vec::new())));
        };
        // Credentials must not be sent to another portal than theirs.
        if !arguments.has_credentials()
            && profile.has_credentials()
            && let Some(own) = profile.portal(None)?
            && own.base_url() != portal.base_url()
        {
            return Err(Error::configuration(format!(
                "the credentials in {} are for {}, but the portal from {source} is {}",
                profile.provenance,
                own.base_url(),
                portal.base_url()
            ))
            .suggest("use a profile of that portal, or other credentials"));
        }
        Ok(found)
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
