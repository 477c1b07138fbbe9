//! Who we are: a chain of sources, of which the first that has anything wins, and the memory of which one it was.
//!
//! arguments → environment → prompt. A source that has half a pair is an error, never completed from another source.

mod arguments;
mod environment;
mod validate;

use std::fmt;

pub use arguments::{Arguments, Timeouts};
pub use validate::{check_access_id, check_access_key, check_bearer_token, check_signing_key};

use crate::error::{Error, Result};
use crate::lmv1;
use crate::network::Network;
use crate::portal::PortalAddress;
use crate::ports::{Environment, Prompt};
use crate::secret::Secret;

/// What signs a request.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A pair; the key signs and never travels.
    Lmv1 {
        /// The public half.
        access_id: String,
        /// The secret half.
        access_key: Secret,
    },
    /// One text that travels with every request.
    Bearer {
        /// The text.
        token: Secret,
    },
}

impl Credentials {
    /// A checked LMv1 pair, or a bearer where the key is one (it begins with `lmb_`).
    pub fn from_pair(access_id: Option<&str>, access_key: Secret) -> Result<Self> {
        if access_key.reveal().starts_with(validate::BEARER_PREFIX) {
            return Self::from_bearer(access_key);
        }
        let Some(access_id) = access_id else {
            return Err(Error::credentials(
                "access_id is missing: an access key signs together with its access id",
            ));
        };
        check_access_id(access_id)?;
        check_access_key(&access_key)?;
        Ok(Self::Lmv1 { access_id: access_id.to_owned(), access_key })
    }

    /// A checked bearer token.
    pub fn from_bearer(token: Secret) -> Result<Self> {
        check_bearer_token(&token)?;
        Ok(Self::Bearer { token })
    }

    /// The value of the `Authorization` header for one request.
    #[must_use]
    pub fn authorization(&self, request: &lmv1::Request<'_>) -> String {
        match self {
            Self::Lmv1 { access_id, access_key } => {
                request.authorization(access_id, access_key.reveal().as_bytes())
            }
            Self::Bearer { token } => format!("Bearer {}", token.reveal()),
        }
    }

    /// The secret part.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Lmv1 { access_key, .. } => access_key,
            Self::Bearer { token } => token,
        }
    }

    /// What kind they are, for people.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Lmv1 { .. } => "LMv1",
            Self::Bearer { .. } => "bearer",
        }
    }
}

impl fmt::Debug for Credentials {
    /// Shows the kind only: people swap id and key, so the id may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.kind())
    }
}

/// Where something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provenance {
    /// Given in the call.
    Arguments,
    /// In these environment variables.
    Environment(Vec<&'static str>),
    /// Typed by a person.
    Prompt,
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments => f.write_str("arguments"),
            Self::Environment(names) => write!(f, "environment ({})", names.join(", ")),
            Self::Prompt => f.write_str("prompt"),
        }
    }
}

/// Everything that a client needs to know to call a portal.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Which portal.
    pub portal: PortalAddress,
    /// Where the portal was named.
    pub portal_from: Provenance,
    /// What signs.
    pub credentials: Credentials,
    /// Where that was found.
    pub credentials_from: Provenance,
    /// Variables that hold other credentials, which were not used.
    pub ignored_sources: Vec<&'static str>,
    /// How long a request may take.
    pub timeouts: Timeouts,
    /// How the portal is reached.
    pub network: Network,
}

impl Identity {
    /// Follows the chain.
    pub fn resolve(
        arguments: &Arguments,
        environment: &dyn Environment,
        prompt: &dyn Prompt,
    ) -> Result<Self> {
        if arguments.credentials()?.is_none() || (arguments.company.is_none() && arguments.base_url.is_none())
        {
            environment::refuse_profiles(environment)?;
        }
        let timeouts = match arguments.timeouts {
            Some(timeouts) => timeouts,
            None => environment::timeouts(environment)?.unwrap_or_default(),
        };
        let network = Network::resolve(&arguments.network, environment)?;
        // Credentials that are wrong are an error even where the portal is missing too, and a person is asked last.
        let credentials = match arguments.credentials()? {
            Some(credentials) => Some((credentials, Provenance::Arguments, Vec::new())),
            None => environment::credentials(environment)?.map(|found| {
                (found.credentials, Provenance::Environment(found.names), found.ignored_sources)
            }),
        };
        let (portal, portal_from) = match portal(arguments, environment)? {
            Some(found) => found,
            None if prompt.is_available() => {
                let company = prompt.ask("LogicMonitor company (acme in acme.logicmonitor.com): ")?;
                let domain = domain(arguments, environment)?;
                (PortalAddress::of_company(&company, domain.as_deref())?, Provenance::Prompt)
            }
            None => {
                return Err(Error::configuration("company is missing: there is no portal to call").suggest(
                    "give company=\"acme\" (for acme.logicmonitor.com), or set LM_COMPANY in the environment",
                ));
            }
        };
        let (credentials, credentials_from, ignored_sources) = match credentials {
            Some(found) => found,
            None if prompt.is_available() => (ask(prompt)?, Provenance::Prompt, Vec::new()),
            None => {
                return Err(Error::credentials("no credentials: neither arguments nor environment hold any").suggest(
                    "give access_id= and access_key= (or bearer_token=), or set LM_ACCESS_ID and LM_ACCESS_KEY (or \
                     LM_BEARER_TOKEN) in the environment",
                ));
            }
        };
        Ok(Self { portal, portal_from, credentials, credentials_from, ignored_sources, timeouts, network })
    }
}

/// The base URL wins over a company wherever it comes from, so that a program whose company is written into it can be
/// pointed to an embedded portal; the company then only names it.
fn portal(
    arguments: &Arguments,
    environment: &dyn Environment,
) -> Result<Option<(PortalAddress, Provenance)>> {
    let company = match &arguments.company {
        Some(company) => Some((company.clone(), Provenance::Arguments)),
        None => environment::company(environment)?,
    };
    // With its domain, so that what is good without a base URL is good beside one.
    let by_company = match company {
        Some((name, from)) => {
            let domain = domain(arguments, environment)?;
            Some((PortalAddress::of_company(&name, domain.as_deref())?, from))
        }
        None => None,
    };
    let name = by_company.as_ref().and_then(|(portal, _)| portal.company());
    if let Some(base_url) = &arguments.base_url {
        return Ok(Some((PortalAddress::at(base_url, name)?, Provenance::Arguments)));
    }
    if let Some((base_url, from)) = environment::base_url(environment)? {
        return Ok(Some((PortalAddress::at(&base_url, name)?, from)));
    }
    Ok(by_company)
}

fn domain(arguments: &Arguments, environment: &dyn Environment) -> Result<Option<String>> {
    match &arguments.domain {
        Some(domain) => Ok(Some(domain.clone())),
        None => environment::domain(environment),
    }
}

fn ask(prompt: &dyn Prompt) -> Result<Credentials> {
    let access_id = prompt.ask("Access id (empty for a bearer token): ")?;
    let access_id = Some(access_id.trim()).filter(|id| !id.is_empty());
    match access_id {
        Some(_) => Credentials::from_pair(access_id, prompt.ask_secret("Access key (not shown): ")?),
        None => Credentials::from_bearer(prompt.ask_secret("Bearer token (not shown): ")?),
    }
}
