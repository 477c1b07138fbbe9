//! Addresses of portals, parsed from company names, domains and base URLs.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

use crate::error::{Error, Result};
use crate::lmv1::REST_PREFIX;
use crate::strict_url;

/// The domain of commercial portals.
pub(crate) const DEFAULT_DOMAIN: &str = "logicmonitor.com";

/// LogicMonitor's own domains: commercial, government, and government staging.
const KNOWN_DOMAINS: [&str; 3] = [DEFAULT_DOMAIN, "lmgov.us", "qa-lmgov.us"];

/// The address of one portal, the only one to which its credentials are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalAddress {
    company: Option<String>,
    base: Url,
}

impl PortalAddress {
    /// Creates the address of a company's portal, `https://COMPANY.DOMAIN/santaba/rest`.
    ///
    /// `company` may also be a pasted host (`acme.logicmonitor.com`) or the URL of a page of the portal. It is an
    /// error if `domain` then differs from the pasted domain.
    pub fn of_company(company: &str, domain: Option<&str>) -> Result<Self> {
        let domain = domain.map(check_domain).transpose()?;
        let (company, domain) = split_company(company, domain.as_deref())?;
        let base = format!("https://{company}.{domain}{REST_PREFIX}");
        let base = Url::parse(&base).map_err(|_| invalid_company())?;
        Ok(Self { company: Some(company), base })
    }

    /// Creates an address from a base URL, such as the sandbox's.
    ///
    /// The scheme is `https`, or `http` to loopback only: an IP literal in 127.0.0.0/8, `[::1]`, or exactly
    /// `localhost`. The path ends with `/santaba/rest`. User info, query and fragment are rejected. `company` is a
    /// display name.
    pub fn at(base_url: &str, company: Option<&str>) -> Result<Self> {
        const EXPECTED: &str = "an https URL that ends with /santaba/rest (http only to 127.0.0.1, [::1] or \
                                localhost), such as https://acme.logicmonitor.com/santaba/rest";
        let invalid = |problem: &str| {
            Err(Error::configuration(format!("invalid base_url: {problem}; expected {EXPECTED}")))
        };
        if base_url.contains('@') {
            return invalid("it contains a user name or password");
        }
        let Some(mut base) = strict_url::parse(base_url.trim()) else {
            return invalid("not a URL");
        };
        let Some(host) = base.host() else {
            return invalid("it has no host");
        };
        match base.scheme() {
            "https" => {}
            "http" if is_loopback(&host) => {}
            "http" => {
                return invalid("credentials are sent over TLS only, except to loopback");
            }
            _ => return invalid("neither https nor http"),
        }
        if base.query().is_some() || base.fragment().is_some() {
            return invalid("it contains a query or a fragment");
        }
        let path = base.path().trim_end_matches('/').to_owned();
        if !path.ends_with(REST_PREFIX) {
            return invalid("it does not end with /santaba/rest");
        }
        base.set_path(&path);
        let company =
            company.map(|name| split_company(name, None).map(|(company, _)| company)).transpose()?;
        Ok(Self { company, base })
    }

    /// Returns the company name, if one is known.
    #[must_use]
    pub fn company(&self) -> Option<&str> {
        self.company.as_deref()
    }

    /// Returns the base URL, which ends with `/santaba/rest`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.base.as_str()
    }

    /// Returns the host, without port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.base.port_or_known_default().unwrap_or_default()
    }

    /// Returns whether requests to the portal use TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// Returns whether the portal is on this machine. It is then reached without a proxy.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.base.host().is_some_and(|host| is_loopback(&host))
    }

    /// Returns the loopback addresses if the host is `localhost`, so that no resolver can redirect it; else `None`.
    #[must_use]
    pub fn pinned_addresses(&self) -> Option<[SocketAddr; 2]> {
        let port = self.port();
        (self.base.host_str()? == "localhost").then(|| {
            [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
                .map(|address| SocketAddr::new(address, port))
        })
    }

    /// Returns the URL of a resource path with query parameters.
    #[must_use]
    pub fn url(&self, resource_path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{resource_path}", self.base.path()));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl fmt::Display for PortalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.company {
            Some(company) if self.host() != company && !self.host().starts_with(&format!("{company}.")) => {
                write!(f, "{company} at {}", self.base)
            }
            _ => f.write_str(self.base.as_str()),
        }
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => *address == Ipv6Addr::LOCALHOST,
        Host::Domain(name) => *name == "localhost",
    }
}

/// The message does not repeat the value: it may be a misplaced credential.
fn invalid_company() -> Error {
    Error::configuration(
        "invalid company; expected a name (acme), the portal's host (acme.logicmonitor.com) or the URL of one of its \
         pages; for another domain, set the domain too",
    )
}

/// Splits a company, as users write it, into name and domain.
fn split_company(given: &str, domain: Option<&str>) -> Result<(String, String)> {
    let given = given.trim();
    // A page may have anything in its query and fragment.
    let address = given.split(['?', '#']).next().unwrap_or(given);
    let given = if address.contains('.') { address } else { given };
    let is_url = given.contains("://");
    let host = if is_url {
        let url = strict_url::parse(given).ok_or_else(invalid_company)?;
        let plain = url.scheme() == "https" && !given.contains('@') && url.port().is_none();
        match url.host_str() {
            Some(host) if plain => host.strip_suffix('.').unwrap_or(host).to_owned(),
            _ => return Err(invalid_company()),
        }
    } else {
        bare_host(given).to_ascii_lowercase()
    };
    // A whole host as domain. LogicMonitor's own domains have no portals below another's.
    let domain = domain.map(|domain| match domain.split_once('.') {
        Some((first, rest)) if KNOWN_DOMAINS.contains(&rest) && (host == domain || host == first) => rest,
        _ => domain,
    });
    if !host.contains('.') && !is_url {
        check_label(&host)?;
        return Ok((host, domain.unwrap_or(DEFAULT_DOMAIN).to_owned()));
    }
    let pasted =
        |known: &str| host.strip_suffix(known).and_then(|rest| rest.strip_suffix('.')).map(str::to_owned);
    if let Some(domain) = domain
        && let Some(company) = pasted(domain)
    {
        check_label(&company)?;
        return Ok((company, domain.to_owned()));
    }
    for known in KNOWN_DOMAINS {
        if let Some(company) = pasted(known) {
            check_label(&company)?;
            return match domain {
                Some(_) => Err(Error::configuration(format!(
                    "conflicting domains: the company is on {known}, but another domain is set"
                ))
                .suggest("leave the domain out, or set it to that of the company")),
                None => Ok((company, known.to_owned())),
            };
        }
    }
    Err(invalid_company())
}

/// Returns the host of an address without scheme, such as `acme.logicmonitor.com:443/santaba`. A name without a dot is
/// returned as it is.
fn bare_host(given: &str) -> &str {
    let host = given.split_once('/').map_or(given, |(host, _)| host);
    let host = host.strip_suffix(":443").unwrap_or(host);
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.contains('.') { host } else { given }
}

fn check_label(label: &str) -> Result<()> {
    let has_valid_characters = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    // A credential in the wrong argument must not be sent to name servers.
    let is_credential = label.starts_with("lmb_") || label.starts_with("lma_");
    if has_valid_characters
        && !is_credential
        && (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
    {
        return Ok(());
    }
    Err(invalid_company())
}

/// Checks a domain, and returns it in its usual form.
pub(crate) fn check_domain(domain: &str) -> Result<String> {
    let domain = domain.trim().to_ascii_lowercase();
    let domain = domain.trim_end_matches('/');
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if domain.contains('.')
        && domain.len() <= 190
        && domain.split('.').all(|label| check_label(label).is_ok())
    {
        return Ok(domain.to_owned());
    }
    Err(Error::configuration(
        "invalid domain; expected the part of the portal's host after the company, such as logicmonitor.com (the \
         default) or lmgov.us",
    ))
}
