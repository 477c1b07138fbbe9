//! Proxies: their URLs, and the hosts that bypass them.

use std::borrow::Cow;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};
use crate::portal::PortalAddress;
use crate::secret::Secret;
use crate::strict_url;

/// A proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// The setting that names it.
    name: String,
    /// Host and port.
    address: String,
    kind: Kind,
    credentials: Option<(String, Secret)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Https,
    Socks,
}

impl Proxy {
    /// Reads a proxy's URL. The error does not repeat it: it may contain a password.
    pub(super) fn parse(name: &str, url: &str) -> Result<Self> {
        Self::of_url(name, url.trim_ascii()).map_err(|problem| {
            Error::configuration(format!("invalid {name}: {problem}")).suggest(
                "use http://HOST:PORT or https://HOST:PORT, with USER:PASSWORD@ before HOST if required; percent-encode \
                 every character of USER and PASSWORD that is not a letter or a digit (%40 for @, %2F for /, %23 for #, \
                 %3F for ?, %5C for \\)",
            )
        })
    }

    fn of_url(name: &str, url: &str) -> Result<Self, &'static str> {
        const NO_URL: &str = "not the URL of a proxy";
        let url = strict_url::parse(url).ok_or(NO_URL)?;
        let (kind, default_port) = match url.scheme() {
            "http" => (Kind::Http, 80),
            "https" => (Kind::Https, 443),
            "socks" | "socks4" | "socks4a" | "socks5" | "socks5h" => (Kind::Socks, 1080),
            _ => return Err(NO_URL),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(NO_URL);
        }
        let decoded = |text: &str| {
            let decoded = percent_decode_str(text).decode_utf8().map(Cow::into_owned);
            decoded.map_err(|_| "its user name or password is not valid UTF-8 when decoded")
        };
        let user = decoded(url.username())?;
        // Basic authentication separates the two with the first colon.
        if user.contains(':') {
            return Err("its user name contains a colon (%3A), which cannot be sent");
        }
        let password = Secret::new(decoded(url.password().unwrap_or_default())?);
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        Ok(Self {
            name: name.to_owned(),
            address: format!("{}:{}", url.host_str().ok_or(NO_URL)?, url.port().unwrap_or(default_port)),
            kind,
            credentials: has_credentials.then_some((user, password)),
        })
    }

    /// Returns this proxy if it can be used.
    pub(super) fn supported(self) -> Result<Self> {
        if self.kind == Kind::Socks {
            let message = format!("invalid {}: SOCKS proxies are not supported", self.name);
            return Err(Error::configuration(message).suggest(
                "use an HTTP proxy (http://HOST:PORT), or list the portal's host in NO_PROXY to connect to it directly",
            ));
        }
        Ok(self)
    }

    /// Returns the name of the setting that it is from.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns its host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns whether the connection to the proxy itself uses TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.kind == Kind::Https
    }

    /// Returns its user name and its password, decoded, if it has any.
    #[must_use]
    pub fn credentials(&self) -> Option<(&str, &Secret)> {
        self.credentials.as_ref().map(|(user, password)| (user.as_str(), password))
    }
}

/// Returns whether the entries of `NO_PROXY` include a portal's host.
///
/// Entries are separated by commas or white space, as in curl. `x` and `.x` mean the host and its subdomains, `*.x` the
/// subdomains only, `*` any host. Entries may also be IP addresses and, as in Go, networks (`10.0.0.0/8`) and hosts
/// with a port.
pub(super) fn is_excepted(portal: &PortalAddress, exceptions: &str) -> bool {
    let host = normalized(portal.host());
    exceptions
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|entry| !entry.is_empty())
        .any(|entry| includes(entry, &host, portal.port()))
}

fn normalized(host: &str) -> String {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.trim_end_matches('.').to_ascii_lowercase()
}

fn includes(entry: &str, host: &str, port: u16) -> bool {
    let (pattern, wanted_port) = split_port(entry);
    if wanted_port.is_some_and(|wanted| wanted != port) {
        return false;
    }
    if pattern == "*" {
        return true;
    }
    let pattern = normalized(pattern);
    if let Ok(address) = host.parse::<IpAddr>() {
        return is_in_network(address.to_canonical(), &pattern);
    }
    let is_subdomain_of = |domain: &str| {
        !domain.is_empty() && host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    };
    if let Some(domain) = pattern.strip_prefix("*.") {
        return is_subdomain_of(domain);
    }
    let domain = pattern.strip_prefix('.').unwrap_or(&pattern);
    domain == host || is_subdomain_of(domain)
}

/// Splits `host:port`. The colons of an IPv6 address without brackets separate no port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let split = entry.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    split.and_then(|(host, port)| Some((host, Some(port.parse().ok()?)))).unwrap_or((entry, None))
}

/// Returns whether an address equals a pattern, or is in the network that it describes (`10.0.0.0/8`).
fn is_in_network(address: IpAddr, pattern: &str) -> bool {
    let (network, length) = pattern.split_once('/').unwrap_or((pattern, ""));
    let Ok(network) = normalized(network).parse::<IpAddr>() else { return false };
    let (address, network, bits) = match (address, network.to_canonical()) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (address.to_bits().into(), network.to_bits().into(), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128_u32),
        _ => return false,
    };
    let length =
        if pattern.contains('/') { length.parse().ok().filter(|length| *length <= bits) } else { Some(bits) };
    // A shift by all 128 bits overflows: a network of length 0 contains every address.
    length.is_some_and(|length| {
        let differing: u128 = address ^ network;
        differing.checked_shr(bits - length).unwrap_or(0) == 0
    })
}
