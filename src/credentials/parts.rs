//! The settings of a call one by one, for a diagnosis: an error in one does not hide the others.

use super::environment;
use super::profiles::ConfigFile;
use super::selection::Selection;
use super::{Arguments, Credentials, Environment, FoundPortal, Provenance, Supplied, Timeouts};
use crate::error::Result;
use crate::secret::Secret;

/// Credentials and where they are from.
pub(crate) struct Given {
    /// The credentials.
    pub(crate) credentials: Credentials,
    /// Their source.
    pub(crate) from: Provenance,
    /// The variables with others, which are ignored.
    pub(crate) ignored: Vec<&'static str>,
}

/// The settings of a call. Portal and credentials are `None` if the sources below the arguments are not known.
pub(crate) struct Parts {
    /// The profile in use, if there is one.
    pub(crate) profile: Result<Option<Provenance>>,
    /// The configuration file, which an unused profile may be in.
    pub(crate) file: Result<Option<ConfigFile>>,
    /// The portal.
    pub(crate) portal: Option<Result<Option<FoundPortal>>>,
    /// The credentials, without those that only a prompt could give.
    pub(crate) credentials: Option<Result<Option<Given>>>,
    /// The timeouts.
    pub(crate) timeouts: Result<Timeouts>,
    /// Whether the credentials are a bearer token that is set as an access key.
    pub(crate) is_bearer_as_key: bool,
    /// What is set as a credential, valid or not.
    secrets: Vec<Secret>,
}

impl Parts {
    /// Reads the sources of a call.
    pub(crate) fn read(arguments: &Arguments, environment: &dyn Environment) -> Self {
        let timeouts = match arguments.timeouts {
            Some(timeouts) => Ok(timeouts),
            None => environment::timeouts(environment).map(Option::unwrap_or_default),
        };
        let file = ConfigFile::read(environment);
        let mut secrets: Vec<Secret> = environment::credential_variables()
            .filter_map(|name| environment.unchecked(name).ok().flatten())
            .map(Secret::new)
            .collect();
        let mut add = |given: &Arguments| {
            let given = [&given.access_id, &given.access_key, &given.bearer_token];
            secrets.extend(given.into_iter().flatten().cloned());
        };
        add(arguments);
        let mut has_key = arguments.access_key.is_some();
        let (profile, portal, credentials) = match Selection::of(arguments, environment) {
            Ok(selection) => {
                if let Some(profile) = &selection.profile {
                    add(&profile.settings);
                    has_key |= profile.settings.access_key.is_some();
                }
                let portal = arguments.check_copied().and_then(|()| selection.portal(arguments));
                let credentials = selection.given(arguments, environment).map(|found| {
                    found.map(|(Supplied { credentials, from, .. }, ignored)| Given {
                        credentials,
                        from,
                        ignored,
                    })
                });
                let profile = selection.profile.map(|profile| profile.provenance);
                (Ok(profile), Some(portal), Some(credentials))
            }
            Err(error) => (Err(error), None, None),
        };
        let mut is_bearer_as_key = false;
        if let Some(Ok(Some(Given { credentials, from, .. }))) = &credentials {
            secrets.push(credentials.secret().clone());
            has_key |= matches!(from, Provenance::Environment(names) if names.iter().any(|name| name.contains("_KEY")));
            is_bearer_as_key = has_key && credentials.access_id().is_none();
        }
        Self { profile, file, portal, credentials, timeouts, is_bearer_as_key, secrets }
    }

    /// Returns whether the name of a host seems to be a credential. Name servers must not be asked for it.
    pub(crate) fn is_credential(&self, host: &str) -> bool {
        // A part of a name may be as short as a company.
        const MIN_LENGTH: usize = 8;
        const MIN_PART: usize = 16;
        // Companies are shorter.
        const MIN_KEY: usize = 30;
        let is_in_names = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let host = host.to_ascii_lowercase();
        let is_repeated = |text: &str| {
            let text = text.to_ascii_lowercase();
            // A credential may have quotation marks or its variable around it.
            let inner = text.trim_matches(|c| !is_in_names(c));
            let has_part =
                text.split(|c| !is_in_names(c)).any(|part| part.len() >= MIN_PART && host.contains(part));
            has_part
                || inner.len() >= MIN_LENGTH && host.contains(inner)
                || host
                    .split('.')
                    .any(|label| label == inner || label.len() >= MIN_PART && text.contains(label))
        };
        // If the settings are swapped, the key may be the name only.
        let is_longest = |label: &str| {
            let mut secrets = self.secrets.iter();
            label.len() >= MIN_KEY && secrets.all(|secret| secret.reveal().len() < label.len())
        };
        self.secrets.iter().any(|secret| is_repeated(secret.reveal()))
            || !self.secrets.is_empty() && host.split('.').any(is_longest)
    }
}
