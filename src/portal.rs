//! Where a portal is: company names, domains and base URLs, understood or refused.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, Url};

use crate::error::{Error, Result};
use crate::lmv1::REST_PREFIX;

/// The domain of commercial portals.
pub const DEFAULT_DOMAIN: &str = "logicmonitor.com";

/// The domains on which LogicMonitor runs portals: commercial, government, and government's staging.
const KNOWN_DOMAINS: [&str; 3] = [DEFAULT_DOMAIN, "lmgov.us", "qa-lmgov.us"];

/// The address of one portal. Credentials are sent nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalAddress {
    company: Option<String>,
    base: Url,
}

impl PortalAddress {
    /// The portal of a company, `https://COMPANY.DOMAIN/santaba/rest`.
    ///
    /// `company` may also be a pasted host (`acme.logicmonitor.com`) or URL of a page of the portal; the domain is then
    /// the pasted one, unless `domain` names another, which is an error.
    pub fn of_company(company: &str, domain: Option<&str>) -> Result<Self> {
        let domain = domain.map(check_domain).transpose()?;
        let (company, domain) = split_company(company, domain.as_deref())?;
        let base = format!("https://{company}.{domain}{REST_PREFIX}");
        let base = Url::parse(&base).map_err(|_| not_a_company())?;
        Ok(Self { company: Some(company), base })
    }

    /// A portal at an address of its own, such as the embedded one.
    ///
    /// `https`, or `http` to loopback only: an IP literal in 127.0.0.0/8, `[::1]`, or exactly `localhost`. The path ends
    /// with `/santaba/rest`. User info, query and fragment are refused.
    pub fn at(base_url: &str, company: Option<&str>) -> Result<Self> {
        const ACCEPTED: &str = "accepted is an https URL that ends with /santaba/rest, such as \
                                https://acme.logicmonitor.com/santaba/rest; http only to 127.0.0.1, [::1] or localhost";
        let refuse = |problem: &str| Err(Error::configuration(format!("base_url {problem}; {ACCEPTED}")));
        let Ok(mut base) = Url::parse(base_url.trim()) else {
            return refuse("is not a URL");
        };
        if !base.username().is_empty() || base.password().is_some() || base_url.contains('@') {
            return refuse("must not carry a user name or password");
        }
        let Some(host) = base.host() else {
            return refuse("names no host");
        };
        match base.scheme() {
            "https" => {}
            "http" if is_loopback(&host) => {}
            "http" => {
                return refuse("is http to a host that is not loopback: credentials travel over TLS only");
            }
            _ => return refuse("is neither https nor http"),
        }
        if base.query().is_some() || base.fragment().is_some() {
            return refuse("must not carry a query or a fragment");
        }
        let path = base.path().trim_end_matches('/').to_owned();
        if !path.ends_with(REST_PREFIX) {
            return refuse("does not end with /santaba/rest");
        }
        base.set_path(&path);
        let company =
            company.map(|name| split_company(name, None).map(|(company, _)| company)).transpose()?;
        Ok(Self { company, base })
    }

    /// The bare company name, where one was given.
    #[must_use]
    pub fn company(&self) -> Option<&str> {
        self.company.as_deref()
    }

    /// The base URL, ending with `/santaba/rest`.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.base.as_str()
    }

    /// The host, without port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// Whether the portal is on this machine: no proxy is used then.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.base.host().is_some_and(|host| is_loopback(&host))
    }

    /// The addresses of `localhost`, so that no resolver can send it elsewhere; `None` for any other host.
    #[must_use]
    pub fn pinned_addresses(&self) -> Option<[SocketAddr; 2]> {
        let port = self.base.port_or_known_default()?;
        (self.base.host_str()? == "localhost").then(|| {
            [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
                .map(|address| SocketAddr::new(address, port))
        })
    }

    /// The URL of a resource path and its query parameters.
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

fn not_a_company() -> Error {
    Error::configuration(
        "company is not accepted: accepted are the bare name (acme), the portal's host (acme.logicmonitor.com) or the \
         URL of one of its pages; for another domain give domain= as well",
    )
}

/// Takes a company as people give it apart: the bare name and the domain.
fn split_company(given: &str, domain: Option<&str>) -> Result<(String, String)> {
    let given = given.trim();
    let is_url = given.contains("://");
    let host = if is_url {
        let url = Url::parse(given).map_err(|_| not_a_company())?;
        let plain = url.scheme() == "https"
            && url.username().is_empty()
            && url.password().is_none()
            && !given.contains('@')
            && url.port().is_none();
        match url.host_str() {
            Some(host) if plain => host.to_owned(),
            _ => return Err(not_a_company()),
        }
    } else {
        given.to_ascii_lowercase()
    };
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
                    "company names the domain {known} and domain= names another; give one of them, or the same twice"
                ))),
                None => Ok((company, known.to_owned())),
            };
        }
    }
    Err(not_a_company())
}

fn check_label(label: &str) -> Result<()> {
    let characters = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    // A made-up or mistaken credential must not be looked up as a host.
    let credential = label.starts_with("lmb_") || label.starts_with("lma_");
    if characters
        && !credential
        && (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
    {
        return Ok(());
    }
    Err(not_a_company())
}

fn check_domain(domain: &str) -> Result<String> {
    let domain = domain.trim().to_ascii_lowercase();
    if domain.contains('.')
        && domain.len() <= 190
        && domain.split('.').all(|label| check_label(label).is_ok())
    {
        return Ok(domain);
    }
    Err(Error::configuration(
        "domain is not accepted: accepted is the part of the portal's host after the company, such as logicmonitor.com \
         (the default) or lmgov.us",
    ))
}
