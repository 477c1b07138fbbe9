//! Descriptions of failed requests: without the URL, whose query may hold private data, and true to what was done.

use std::error::Error as StdError;

use super::TransportFailure;
use super::proxy::{ProxyResponse, ProxyServer, is_to_proxy, refusal};
use super::resolver::LookupFailed;
use crate::advice::Advice;
use crate::client::tls;
use crate::credentials::Identity;
use crate::error::ErrorKind;
use crate::network::Route;
use crate::portal::PortalAddress;
use crate::process;

pub(super) const CHECK_PROXY_URL: &str =
    "check the proxy's URL: its scheme (http:// or https://), host and port";

/// Describes an error of a request, and says whether the request may have been sent. `proxy` is the one that was used.
pub(super) fn failure(
    error: &reqwest::Error,
    status: Option<u16>,
    identity: &Identity,
    proxy: Option<&ProxyServer>,
) -> TransportFailure {
    let host = identity.portal.host();
    let proxy_address = proxy.map(|proxy| proxy.address.as_str());
    let via = via(proxy);
    let problem = chain(error).find_map(rustls_error);
    let is_rejected_in_handshake = problem.is_some_and(tls::is_client_certificate_rejected);
    let maybe_sent = !(error.is_connect() || error.is_builder() || is_rejected_in_handshake);
    let reason = chain(error).last().map(ToString::to_string).unwrap_or_default();
    // rustls adds the address of its manual, which is for programmers who use it.
    let reason = reason.split(": https://docs.rs/").next().unwrap_or_default();
    let is_to_proxy = proxy.is_some() && is_to_proxy(error);
    let refusal = refusal(error).filter(|_| problem.is_none());
    let is_lookup = chain(error).any(|cause| matches!(cause.downcast_ref(), Some(LookupFailed::NotFound(_))));
    let (kind, message, advice): (_, _, Option<Advice>) = if let Some(advice) = resource_advice(error) {
        (ErrorKind::Connect, format!("cannot connect to {host}{via}: {reason}"), Some(advice.into()))
    } else if is_lookup {
        let (subject, advice) = if is_to_proxy {
            ("the proxy's host", "check the proxy's URL")
        } else {
            ("the host", "check the company and the domain (unless it is logicmonitor.com)")
        };
        let message = format!("cannot find {subject} for {host}{via}: {reason}");
        (ErrorKind::Connect, message, Some(advice.into()))
    } else if error.is_timeout() && !maybe_sent {
        let limit = identity.timeouts.connect.as_secs_f64();
        let message = format!("no connection to {host}{via} within {limit} s");
        (ErrorKind::RequestTimeout, message, Some(advice_for_timeout(identity, proxy).into()))
    } else if error.is_timeout() {
        let limit = identity.timeouts.total.as_secs_f64();
        (ErrorKind::RequestTimeout, format!("no complete response from {host} within {limit} s"), None)
    } else if let Some(problem) = problem.filter(|_| is_to_proxy) {
        let (problem, advice) =
            tls::explain(problem, proxy_address.unwrap_or_default(), &identity.network, CHECK_PROXY_URL);
        let message = format!("no secure connection to the proxy for {host}{via}: {problem}");
        (ErrorKind::Tls, message, Some(advice))
    } else if let Some(problem) = problem {
        let check = if proxy.is_some() {
            "check the portal's address and the proxy's URL"
        } else {
            "check the portal's address; its server may not use TLS"
        };
        let (problem, advice) = tls::explain(problem, host, &identity.network, check);
        (ErrorKind::Tls, format!("no secure connection to {host}{via}: {problem}"), Some(advice))
    } else if !maybe_sent {
        let advice = proxy.map(|_| CHECK_PROXY_URL.into());
        (ErrorKind::Connect, format!("cannot connect to {host}{via}: {reason}"), advice)
    } else {
        (ErrorKind::Transport, format!("lost the connection to {host}: {reason}"), None)
    };
    let advice = advice.into_iter().collect();
    TransportFailure { advice, status, refusal, ..TransportFailure::new(kind, message, maybe_sent) }
}

/// Describes a proxy's refusal to connect to the portal. `response` is what it returned, if that is known.
pub(super) fn describe_refusal(
    failure: &mut TransportFailure,
    response: Option<&ProxyResponse>,
    portal: &PortalAddress,
    proxy: &ProxyServer,
) {
    let (problem, advice) = match response {
        Some(response) => problem_of(response, portal),
        None => ("the proxy refused the connection".to_owned(), CHECK_PROXY_URL.into()),
    };
    failure.message = format!("cannot connect to {}{}: {problem}", portal.host(), via(Some(proxy)));
    failure.advice = vec![advice];
    if let Some(ProxyResponse::Status { status, .. }) = response {
        failure.status = Some(*status);
    }
}

/// Names the proxy, after the name of the portal's host.
fn via(proxy: Option<&ProxyServer>) -> String {
    proxy.map(|proxy| format!(" (through the proxy {})", proxy.address)).unwrap_or_default()
}

fn advice_for_timeout(identity: &Identity, proxy: Option<&ProxyServer>) -> &'static str {
    match (&identity.network.route, proxy) {
        (_, Some(_)) => "check the network and the proxy settings, or allow a longer timeout",
        (Route::System, None) if !identity.portal.is_loopback() => {
            "check the network (HTTPS_PROXY names a proxy, if one is required), or allow a longer timeout"
        }
        _ => "check the network, or allow a longer timeout",
    }
}

/// Describes a proxy's response, and returns advice.
pub(super) fn problem_of(response: &ProxyResponse, portal: &PortalAddress) -> (String, Advice) {
    let portal = format!("{}:{}", portal.host(), portal.port());
    let ProxyResponse::Status { status, schemes } = response else {
        return (response.to_string(), CHECK_PROXY_URL.into());
    };
    let advice: Advice = match status {
        407 if schemes.is_empty() || schemes.contains(&"Basic") => {
            let problem =
                "the proxy requires a user name and a password, or rejected the given ones (status 407)";
            return (problem.to_owned(), Advice::ProxyCredentials);
        }
        407 => {
            let problem = format!(
                "the proxy returned status 407: it requires {}, and only Basic is supported",
                schemes.join(" or ")
            );
            let advice = "use a proxy that accepts Basic, or a local one that authenticates with yours (such as Px or Cntlm)";
            return (problem, advice.into());
        }
        401 | 403 => {
            format!("ask the proxy's administrator to allow connections to {portal}, or use another proxy")
                .into()
        }
        500..=599 => {
            format!("the proxy cannot reach {portal}: check the company and the domain, or try again later")
                .into()
        }
        _ => CHECK_PROXY_URL.into(),
    };
    (response.to_string(), advice)
}

/// Returns advice if the operating system refused the thread or the descriptor that a new connection needs.
fn resource_advice(error: &reqwest::Error) -> Option<&'static str> {
    chain(error).filter(|_| error.is_connect()).find_map(|cause| match cause.downcast_ref() {
        Some(LookupFailed::NoThread(cause)) => process::thread_advice(cause),
        Some(LookupFailed::NotFound(cause)) => process::descriptor_advice(cause),
        None => cause.downcast_ref().and_then(process::descriptor_advice),
    })
}

/// Finds a TLS error, also inside I/O errors: those hide their inner error from `source`, and may be nested.
pub(super) fn rustls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref::<rustls::Error>().or_else(|| {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)?;
        rustls_error(inner)
    })
}

/// Returns the causes of an error, the innermost last.
pub(super) fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |error: &&(dyn StdError + 'static)| (*error).source())
}
