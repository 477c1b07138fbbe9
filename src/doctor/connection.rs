//! Checks of each step of a connection: proxy, DNS, TCP, TLS, and the portal's clock.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Endpoint, Finding, Status, counted};
use crate::advice::Advice;
use crate::client::ClockSkew;
use crate::client::probe::{self, Connection};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::network::{Route, Trust, certificates};
use crate::portal::PortalAddress;

const PROXY: &str = "proxy";
const DNS: &str = "dns";
const TCP: &str = "tcp";
const TLS: &str = "tls";
const CLOCK: &str = "clock";

/// The names of the checks, in their order.
pub(super) const NAMES: [&str; 5] = [PROXY, DNS, TCP, TLS, CLOCK];

/// A step that later ones continue.
type Step<T> = (Finding, Option<T>);

/// How the portal is reached.
enum Way {
    Direct,
    Tunnel(Connection),
}

/// Runs the checks. Returns whether a signed request can succeed.
pub(super) async fn check(mut endpoint: Endpoint, clock: &dyn Clock, findings: &mut Vec<Finding>) -> bool {
    let mut keep = |finding| findings.push(finding);
    let (finding, way) = proxy(&mut endpoint).await;
    keep(finding);
    let limit = endpoint.timeouts.connect;
    let portal = &endpoint.portal;
    let connection = match way {
        Some(Way::Tunnel(connection)) => {
            keep(Finding::skipped(DNS, format!("the proxy resolves {}", portal.host())));
            keep(Finding::skipped(
                TCP,
                format!("the proxy is connected to {}:{}", portal.host(), portal.port()),
            ));
            Some(connection)
        }
        Some(Way::Direct) => {
            let (finding, addresses) = dns(portal, limit).await;
            keep(finding);
            let (finding, connection) = match addresses {
                Some(addresses) => tcp(portal, &addresses, limit).await,
                None => (Finding::skipped_after(TCP, DNS), None),
            };
            keep(finding);
            connection
        }
        None => {
            keep(Finding::skipped_after(DNS, PROXY));
            keep(Finding::skipped_after(TCP, PROXY));
            None
        }
    };
    let (finding, connection) = tls(&mut endpoint, connection).await;
    keep(finding);
    let Some(connection) = connection else {
        keep(Finding::skipped_after(CLOCK, TLS));
        return false;
    };
    let finding = time(&endpoint, connection, clock).await;
    let is_accepted = finding.status != Status::Problem;
    keep(finding);
    is_accepted
}

/// Checks which proxy is used, and that it connects to the portal.
async fn proxy(endpoint: &mut Endpoint) -> Step<Way> {
    if let Some(error) = endpoint.route_problem.take() {
        return (Finding::problem(PROXY, error), None);
    }
    let Endpoint { portal, network, .. } = &*endpoint;
    // Invalid certificates are reported by the check of TLS.
    match probe::tunnel(portal, network, endpoint.timeouts.connect).await {
        Ok(None) => {
            let reason = match network.route {
                _ if portal.is_loopback() => "no proxy is used to a portal on this machine",
                Route::Direct => "no proxy is used: NO_PROXY lists the portal",
                Route::System | Route::Proxy(_) => "no proxy is set",
            };
            (Finding::ok(PROXY, reason), Some(Way::Direct))
        }
        Ok(Some(tunnel)) => {
            let shown = format!("{} (from {})", tunnel.address, tunnel.from);
            match tunnel.connection {
                Ok(connection) => {
                    (Finding::ok(PROXY, format!("connected through {shown}")), Some(Way::Tunnel(connection)))
                }
                Err(mut error) => {
                    let details = error.details_mut();
                    details.message = format!("{shown}: {}", details.message);
                    (Finding::problem(PROXY, error), None)
                }
            }
        }
        Err(error) => (Finding::problem(PROXY, error), None),
    }
}

/// Checks that the portal's host exists.
async fn dns(portal: &PortalAddress, limit: Duration) -> Step<Vec<SocketAddr>> {
    let host = portal.host();
    if let Some(addresses) = portal.pinned_addresses() {
        return (Finding::skipped(DNS, format!("{host} is this machine")), Some(addresses.to_vec()));
    }
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        let addresses = vec![SocketAddr::new(address, portal.port())];
        return (Finding::skipped(DNS, format!("{host} is an address")), Some(addresses));
    }
    match probe::look_up(host, portal.port(), limit).await {
        Ok(addresses) => {
            let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            let message = format!("{host} has the address {}", shown.join(", "));
            let is_this_machine =
                |address: &SocketAddr| address.ip().is_loopback() || address.ip().is_unspecified();
            let finding = if !portal.is_loopback() && addresses.iter().any(is_this_machine) {
                let advice = "check the hosts file and the name servers: a filter may block the portal";
                Finding::warning(DNS, format!("{message}, which is this machine"), advice)
            } else {
                Finding::ok(DNS, message)
            };
            (finding, Some(addresses))
        }
        Err(error) => (Finding::problem(DNS, not_found(portal, &error, limit).await), None),
    }
}

/// Returns the error for a host that is not found. Whether its domain exists tells a wrong company from name servers
/// that cannot be reached.
async fn not_found(portal: &PortalAddress, error: &io::Error, limit: Duration) -> Error {
    let host = portal.host();
    let message = format!("cannot find the host {host}: {error}");
    let Some((_, domain)) = host.split_once('.').filter(|(_, domain)| domain.contains('.')) else {
        return Error::new(ErrorKind::Connect, message).suggest("check the portal's address");
    };
    let found = probe::look_up(domain, portal.port(), limit).await;
    if found.is_ok_and(|addresses| !addresses.is_empty()) {
        let message = format!("{message}; its domain {domain} exists");
        return Error::new(ErrorKind::Connect, message).suggest("check the company: no portal has this name");
    }
    Error::new(ErrorKind::Connect, format!("{message}; its domain {domain} is not found either")).suggest(
        "check the network and the name servers of this machine, or set HTTPS_PROXY if a proxy is required; if other \
         hosts are found, check the domain",
    )
}

/// Checks that the portal accepts connections.
async fn tcp(portal: &PortalAddress, addresses: &[SocketAddr], limit: Duration) -> Step<Connection> {
    match probe::connect(addresses, limit).await {
        Ok((connection, address)) => (Finding::ok(TCP, format!("connected to {address}")), Some(connection)),
        Err(error) => {
            let message = format!("cannot connect to {}:{}: {error}", portal.host(), portal.port());
            let advice = if portal.is_loopback() {
                "start the sandbox, or correct the port"
            } else {
                "check the network and the firewall, or set HTTPS_PROXY if a proxy is required"
            };
            (Finding::problem(TCP, Error::new(ErrorKind::Connect, message).suggest(advice)), None)
        }
    }
}

/// Checks the certificates of the portal, and which ones are trusted.
async fn tls(endpoint: &mut Endpoint, connection: Option<Connection>) -> Step<Connection> {
    if !endpoint.portal.is_https() {
        let finding = match connection {
            Some(_) => Finding::skipped(TLS, "http to this machine does not use TLS"),
            None => Finding::skipped_after(TLS, TCP),
        };
        return (finding, connection);
    }
    if let Some(error) = endpoint.trust_problem.take() {
        return (Finding::problem(TLS, error), None);
    }
    let Some(connection) = connection else { return (Finding::skipped_after(TLS, TCP), None) };
    let Endpoint { portal, network, timeouts, .. } = &*endpoint;
    let handshake = match probe::secure(connection, portal, network, timeouts.connect).await {
        Ok(handshake) => handshake,
        Err(error) => return (Finding::problem(TLS, error), None),
    };
    let store = probe::store(&network.trust);
    let trusted = shown(&store, &network.trust);
    let issuer = handshake.chain.last().and_then(certificates::issuer);
    let issued_by = issuer.map(|issuer| format!(", issued by {issuer}")).unwrap_or_default();
    let is_alone = handshake.chain.len() == 1;
    let chain = format!("the server sent {}{issued_by}", counted(handshake.chain.len(), "certificate"));
    match handshake.connection {
        Ok(connection) => {
            let message = format!("{chain}; trusted: {trusted}");
            (Finding::ok(TLS, message), Some(connection))
        }
        Err(mut error) => {
            let details = error.details_mut();
            details.message = format!("{}; {chain}; trusted: {trusted}", details.message);
            if is_alone && details.advice.contains(&Advice::TrustAuthority) {
                details.advice.push(
                    "if this is your server, configure it to send its intermediate certificates".into(),
                );
            }
            if store.is_substitute {
                error = error.suggest(NO_STORE);
            }
            (Finding::problem(TLS, error), None)
        }
    }
}

const NO_STORE: &str = "install the CA certificates of the system, often a package named ca-certificates";

/// Returns the trusted certificates in words.
fn shown(store: &probe::Store, trust: &Trust) -> String {
    let roots = store.roots.map(|roots| format!(" with {}", counted(roots, "CA certificate")));
    let origin = if matches!(trust, Trust::Only { .. }) { " instead of the system's" } else { "" };
    format!("{}{}{origin}", store.name, roots.unwrap_or_default())
}

/// Compares this machine's clock with the portal's, by a request without credentials.
async fn time(endpoint: &Endpoint, connection: Connection, clock: &dyn Clock) -> Finding {
    const SET_CLOCK: &str = "set this machine's clock, or synchronize it with a time server";
    let Endpoint { portal, network, timeouts, .. } = endpoint;
    let date = match probe::portal_date(connection, portal, network, timeouts.connect).await {
        Ok(Some(date)) => date,
        Ok(None) => return Finding::skipped(CLOCK, "the portal's response does not have its time"),
        Err(error) => return Finding::problem(CLOCK, error),
    };
    match ClockSkew::of(date, clock.now_ms()) {
        None => Finding::ok(CLOCK, "this machine's clock agrees with the portal's within a minute"),
        Some(skew) if skew.is_accepted() || !endpoint.is_signing => {
            Finding::warning(CLOCK, skew.to_string(), SET_CLOCK)
        }
        Some(skew) => {
            let mut message = format!("{skew}; the portal accepts at most 30 minutes");
            if endpoint.portal.is_loopback() {
                message += "; a sandbox's clock that was advanced does not affect signatures";
            }
            Finding::problem(CLOCK, Error::new(ErrorKind::Authentication, message).suggest(SET_CLOCK))
        }
    }
}
