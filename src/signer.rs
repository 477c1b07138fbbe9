//! Signs requests that other HTTP libraries send to one portal, and explains signatures that other code made.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::clock::Clock;
use crate::credentials::{self, Arguments, Credentials, Environment, Identity, Prompt};
use crate::error::{Error, Result};
use crate::explain::{self, Explanation, PortalTime, SentRequest};
use crate::lmv1::{self, Request};
use crate::secret::Secret;
use crate::strict_url;

/// Signs requests to one portal, and to no other address.
#[derive(Debug)]
pub struct Signer {
    identity: Identity,
    base: Option<Url>,
    clock: Box<dyn Clock>,
}

impl Signer {
    /// Creates a signer for the identity's portal.
    #[must_use]
    pub fn new(identity: Identity, clock: Box<dyn Clock>) -> Self {
        let base = Url::parse(identity.portal.base_url()).ok();
        Self { identity, base, clock }
    }

    /// Returns the portal and the credentials.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns whether a URL belongs to the portal: same scheme, host and port, and a path below its `/santaba/rest`.
    #[must_use]
    pub fn is_bound_to(&self, url: &str) -> bool {
        parse(url).is_some_and(|url| self.resource_path(&url).is_some())
    }

    /// Returns the value of the `Authorization` header for a request whose body is exactly `body`.
    pub fn authorization(&self, method: &str, url: &str, body: &[u8]) -> Result<String> {
        let method = lmv1::check_method(method)?;
        let parsed = parse(url).ok_or_else(|| Error::argument("invalid request URL"))?;
        let Some(resource_path) = self.resource_path(&parsed) else {
            let portal = self.identity.portal.base_url();
            let target = if has_plain_host(url, &parsed) {
                parsed.origin().ascii_serialization()
            } else {
                "another address".to_owned()
            };
            return Err(Error::configuration(format!(
                "these credentials are bound to {portal} and are not sent to {target}"
            ))
            .suggest(
                "use another auth object for other addresses, or set base_url to bind this one to them",
            ));
        };
        let timestamp_ms = self.clock.now_ms();
        let request = Request { method: &method, timestamp_ms, body, resource_path: &resource_path };
        Ok(self.identity.credentials()?.authorization(&request))
    }

    fn resource_path(&self, url: &Url) -> Option<String> {
        let base = self.base.as_ref()?;
        let same_origin = url.scheme() == base.scheme()
            && url.host() == base.host()
            && url.port_or_known_default() == base.port_or_known_default();
        let path = url.path().strip_prefix(base.path()).filter(|path| path.starts_with('/'))?;
        let decoded = percent_decode_str(path).decode_utf8().ok()?;
        same_origin.then(|| decoded.into_owned())
    }
}

/// An access id and an access key, without a portal.
pub(crate) struct SigningPair {
    access_id: String,
    access_key: Secret,
    /// The host of the portal, if one is named.
    host: Option<String>,
}

/// Reads the credential sources for `SigningPair::explain`.
pub(crate) fn signing_pair(
    arguments: &Arguments,
    environment: &dyn Environment,
    prompt: &dyn Prompt,
) -> Result<SigningPair> {
    let Credentials::Lmv1 { access_id, access_key, .. } =
        credentials::credentials(arguments, environment, prompt)?
    else {
        return Err(Error::credentials(
            "the credentials are a bearer token, which does not sign; expected an access id and an access key",
        ));
    };
    let portal = credentials::portal(arguments, environment).ok().flatten();
    Ok(SigningPair { access_id, access_key, host: portal.map(|(portal, ..)| portal.host().to_owned()) })
}

impl SigningPair {
    /// Explains the signature in a header that other code made for a request.
    pub(crate) fn explain(
        self,
        header: &str,
        mut request: SentRequest<'_>,
        clock: &dyn Clock,
    ) -> Result<Explanation> {
        let header = explain::header_value(header)?;
        // Without a portal, a host in the signed path is found if the request has a URL.
        request.host = request.host.or(self.host);
        let token = explain::Token { access_id: &self.access_id, access_key: &self.access_key };
        Ok(explain::explain(header, &request, Some(token), PortalTime::at(clock.now_ms())))
    }
}

/// Returns the URL without its query, which is not signed: the library may send characters in it that no URL may have.
fn parse(url: &str) -> Option<Url> {
    strict_url::parse_until(url, &['?', '#'])
}

/// Returns whether a host is not a part of a user name and password: in `https://user:2024/rest` and before an `@`, it
/// may be, even if it looks like a host.
fn has_plain_host(url: &str, parsed: &Url) -> bool {
    let is_name = |host: &str| host.contains(['.', ':']) || host == "localhost" || parsed.port().is_none();
    !url.contains('@') && parsed.host_str().is_some_and(is_name)
}
