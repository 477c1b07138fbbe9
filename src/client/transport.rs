//! One HTTP exchange: no retries, no redirects, and no decision about the outcome.

mod compression;
mod idle;
mod resolver;

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue,
};

use super::Request;
use crate::advice::Advice;
use crate::clock::Clock;
use crate::credentials::Identity;
use crate::error::{Error, ErrorKind, INTERNAL_ERROR, Result};
use crate::model::RateHeaders;
use crate::process::{self, PerProcess};
use compression::compression;
use idle::IdleConnections;
use resolver::{NoThread, Resolver};

/// A page of 1,000 tokens has well under 1 MB. A longer body costs memory and time, and a smaller page may avoid it.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// hyper-util's message for a 407; the type of its error is not public.
const PROXY_AUTHENTICATION_REQUIRED: &str = "proxy authorization required";

const X_VERSION: HeaderName = HeaderName::from_static("x-version");

/// A complete response of any status.
#[derive(Clone)]
pub struct RawResponse {
    /// HTTP status.
    pub status: u16,
    /// The portal's clock (the `Date` header).
    pub date: Option<SystemTime>,
    /// The three rate-limit headers, if all are present and valid.
    pub rate: Option<RateHeaders>,
    /// The host that a redirect points to.
    pub redirect_host: Option<String>,
    /// How the body is compressed, although no request accepts that.
    pub compression: Option<String>,
    /// The body.
    pub body: Bytes,
}

impl std::fmt::Debug for RawResponse {
    /// Leaves the body out: the response to a create contains the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// The reason why no complete response arrived.
#[derive(Debug)]
pub struct TransportFailure {
    /// The kind of the error.
    pub kind: ErrorKind,
    /// What happened. Repeats no URL and no header.
    pub message: String,
    /// What to do next.
    pub advice: Vec<Advice>,
    /// Whether any byte of the request may have reached the portal.
    pub maybe_sent: bool,
    /// The status of a response that broke off after its head, or of a proxy's response.
    pub status: Option<u16>,
    /// Whether the body exceeds the limit.
    pub is_too_long: bool,
}

impl TransportFailure {
    /// The body is longer than any that this package reads.
    fn too_long(status: u16) -> Self {
        Self {
            kind: ErrorKind::Response,
            message: format!("the response is too long: the limit is {MAX_BODY_BYTES} bytes (8 MiB)"),
            advice: Vec::new(),
            maybe_sent: true,
            status: Some(status),
            is_too_long: true,
        }
    }

    /// Reading the body panicked.
    pub(super) fn unread() -> Self {
        Self {
            kind: ErrorKind::Response,
            message: INTERNAL_ERROR.to_owned(),
            advice: Vec::new(),
            maybe_sent: true,
            status: None,
            is_too_long: false,
        }
    }
}

/// The connection pool of one client. A forked child builds its own.
#[derive(Debug)]
pub(super) struct Transport {
    user_agent: String,
    http: PerProcess<reqwest::Client>,
    /// Read once: a new pool needs the same certificates, which may not be readable any more.
    tls: PerProcess<rustls::ClientConfig>,
    idle: IdleConnections,
}

impl Transport {
    pub(super) fn new(user_agent: String) -> Self {
        Self { user_agent, http: PerProcess::new(), tls: PerProcess::new(), idle: IdleConnections::default() }
    }

    /// Closes the idle connections. The next request opens new ones.
    pub(super) fn close(&self) {
        self.http.clear();
        self.tls.clear();
    }

    /// Sends a request once and reads the whole response. `clock` tells how long connections have been idle.
    pub(super) async fn exchange(
        &self,
        identity: &Identity,
        request: &Request,
        authorization: &str,
        clock: &dyn Clock,
    ) -> Result<RawResponse, TransportFailure> {
        let not_sent = |error: Error| TransportFailure {
            kind: error.kind(),
            message: error.to_string(),
            advice: error.into_details().advice,
            maybe_sent: false,
            status: None,
            is_too_long: false,
        };
        if self.idle.are_stale(clock.now_ms()) {
            self.http.clear();
        }
        let http = self.http.get_or_try_init(|| self.build(identity)).map_err(not_sent)?;
        let mut authorization = HeaderValue::try_from(authorization).map_err(|_| {
            not_sent(Error::credentials(
                "the credentials contain characters that are not allowed in a header",
            ))
        })?;
        authorization.set_sensitive(true);

        let query: Vec<(&str, &str)> =
            request.query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let url = identity.portal.url(&request.resource_path, &query);
        let method = match request.method {
            super::Method::Get => reqwest::Method::GET,
            super::Method::Post => reqwest::Method::POST,
            super::Method::Patch => reqwest::Method::PATCH,
            super::Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = http.request(method, url).header(AUTHORIZATION, authorization);
        if let Some(body) = &request.body {
            builder = builder.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let failed = |error: reqwest::Error, status| failure(error, status, identity);
        let mut response = builder.send().await.map_err(|error| failed(error, None))?;
        let status = response.status().as_u16();
        if self.idle.learn(response.headers()) {
            // The pool's limit cannot be changed, so that a new pool replaces it.
            self.http.clear();
        }
        // Most responses announce their length.
        let announced = usize::try_from(response.content_length().unwrap_or_default()).unwrap_or(usize::MAX);
        if announced > MAX_BODY_BYTES {
            return Err(TransportFailure::too_long(status));
        }
        let mut body = Vec::with_capacity(announced);
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(error, Some(status)))? {
            if chunk.len() > MAX_BODY_BYTES - body.len() {
                return Err(TransportFailure::too_long(status));
            }
            body.extend_from_slice(&chunk);
        }
        self.idle.begin(clock.now_ms());
        let headers = response.headers();
        Ok(RawResponse {
            status,
            date: header(headers, &DATE).and_then(|date| httpdate::parse_http_date(date).ok()),
            rate: rate_headers(headers),
            redirect_host: redirect_host(&response),
            compression: compression(headers),
            body: Bytes::from(body),
        })
    }

    fn build(&self, identity: &Identity) -> Result<reqwest::Client> {
        let portal = &identity.portal;
        let idle_limit = self.idle.limit();
        let mut headers = HeaderMap::new();
        headers.insert(X_VERSION, HeaderValue::from_static("3"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        // Without this header, a server may choose any compression.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut builder = reqwest::Client::builder()
            .user_agent(&self.user_agent)
            .default_headers(headers)
            .http1_only()
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .pool_idle_timeout(idle_limit)
            .pool_max_idle_per_host(if idle_limit.is_zero() { 0 } else { usize::MAX })
            .connect_timeout(identity.timeouts.connect)
            .dns_resolver(Resolver::new())
            .timeout(identity.timeouts.total);
        match &identity.network.proxy {
            _ if portal.is_loopback() => builder = builder.no_proxy(),
            Some(proxy) => {
                let exceptions = reqwest::NoProxy::from_string(&proxy.exceptions);
                let proxy = reqwest::Proxy::all(proxy.url.reveal())
                    .map_err(|_| Error::configuration("invalid proxy URL"))?;
                builder = builder.proxy(proxy.no_proxy(exceptions));
            }
            // reqwest then follows the proxy settings of the operating system.
            None => {}
        }
        builder = if portal.base_url().starts_with("https:") {
            let tls = self.tls.get_or_try_init(|| super::tls::configuration(&identity.network))?;
            builder.tls_backend_preconfigured((*tls).clone())
        } else {
            // Plain HTTP to loopback: loading the system's certificates would waste milliseconds.
            builder.tls_certs_only([])
        };
        if let Some(addresses) = portal.pinned_addresses() {
            builder = builder.resolve_to_addrs(portal.host(), &addresses);
        }
        builder
            .build()
            .map_err(|error| Error::configuration(format!("cannot set up HTTPS: {}", innermost(&error))))
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Reads all three headers or none: an incomplete or invalid set says nothing reliable.
fn rate_headers(headers: &HeaderMap) -> Option<RateHeaders> {
    const LIMIT: HeaderName = HeaderName::from_static("x-rate-limit-limit");
    const REMAINING: HeaderName = HeaderName::from_static("x-rate-limit-remaining");
    const WINDOW: HeaderName = HeaderName::from_static("x-rate-limit-window");
    let number = |name: HeaderName| header(headers, &name).and_then(|value| value.trim().parse::<u64>().ok());
    let (limit, remaining, window) = (number(LIMIT)?, number(REMAINING)?, number(WINDOW)?);
    (limit > 0 && remaining <= limit && window > 0 && window <= 86_400).then(|| RateHeaders {
        limit,
        remaining,
        window: Duration::from_secs(window),
    })
}

fn redirect_host(response: &reqwest::Response) -> Option<String> {
    let location = header(response.headers(), &reqwest::header::LOCATION)?;
    response.url().join(location).ok()?.host_str().map(str::to_owned)
}

/// Describes a failure without the URL, whose query may hold private data, and says whether the request may have been
/// sent.
fn failure(error: reqwest::Error, status: Option<u16>, identity: &Identity) -> TransportFailure {
    let host = identity.portal.host();
    let error = error.without_url();
    let problem = tls_problem(&error);
    let is_rejected_in_handshake = problem.is_some_and(super::tls::is_client_certificate_rejected);
    let maybe_sent = !(error.is_connect() || error.is_builder() || is_rejected_in_handshake);
    let timeouts = identity.timeouts;
    let reason = innermost(&error);
    let through = identity.network.proxy.as_ref().filter(|_| !identity.portal.is_loopback());
    let via = through.map(|proxy| format!(" (through the proxy {})", proxy.host)).unwrap_or_default();
    let (kind, message, advice): (_, _, Option<Advice>) = if let Some(advice) = resource_advice(&error) {
        (ErrorKind::Connect, format!("cannot connect to {host}{via}: {reason}"), Some(advice.into()))
    } else if error.is_dns() {
        let advice = if through.is_some() {
            "check the company, the domain (unless it is logicmonitor.com) and the proxy's host"
        } else {
            "check the company and the domain (unless it is logicmonitor.com)"
        };
        (ErrorKind::Connect, format!("cannot find the host {host}{via}: {reason}"), Some(advice.into()))
    } else if !maybe_sent && through.is_some() && reason.ends_with(PROXY_AUTHENTICATION_REQUIRED) {
        let problem = "the proxy requires a user name and a password, or rejected the given ones";
        let message = format!("cannot connect to {host}{via}: {problem}");
        return TransportFailure {
            kind: ErrorKind::Connect,
            message,
            advice: vec![Advice::ProxyCredentials],
            maybe_sent,
            status: Some(407),
            is_too_long: false,
        };
    } else if error.is_timeout() && !maybe_sent {
        let limit = timeouts.connect.as_secs_f64();
        let advice = "check the network and the proxy settings, or allow a longer timeout";
        (
            ErrorKind::RequestTimeout,
            format!("no connection to {host}{via} within {limit} s"),
            Some(advice.into()),
        )
    } else if error.is_timeout() {
        let limit = timeouts.total.as_secs_f64();
        (ErrorKind::RequestTimeout, format!("no complete response from {host} within {limit} s"), None)
    } else if let Some(problem) = problem {
        let (problem, advice) = super::tls::explain(problem, host);
        (ErrorKind::Tls, format!("no secure connection to {host}{via}: {problem}"), Some(advice))
    } else if !maybe_sent {
        (ErrorKind::Connect, format!("cannot connect to {host}{via}: {reason}"), None)
    } else {
        (ErrorKind::Transport, format!("lost the connection to {host}: {reason}"), None)
    };
    let advice = advice.into_iter().collect();
    TransportFailure { kind, message, advice, maybe_sent, status, is_too_long: false }
}

/// Returns advice if the operating system refused the thread or the descriptor that a new connection needs.
fn resource_advice(error: &reqwest::Error) -> Option<&'static str> {
    chain(error).filter(|_| error.is_connect()).find_map(|cause| {
        let thread =
            cause.downcast_ref::<NoThread>().and_then(|NoThread(cause)| process::thread_advice(cause));
        thread.or_else(|| cause.downcast_ref::<std::io::Error>().and_then(process::descriptor_advice))
    })
}

fn tls_problem(error: &reqwest::Error) -> Option<&rustls::Error> {
    chain(error).find_map(rustls_error)
}

/// Finds a TLS error, also inside I/O errors: those hide their inner error from `source`, and may be nested.
fn rustls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref::<rustls::Error>().or_else(|| {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)?;
        rustls_error(inner)
    })
}

fn innermost(error: &reqwest::Error) -> String {
    chain(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |error: &&(dyn std::error::Error + 'static)| (*error).source())
}
