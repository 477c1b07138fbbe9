//! One HTTP exchange: no retries, no redirects, and no decision about the outcome.

mod compression;
mod failure;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod idle;
pub(crate) mod probe;
mod proxy;
mod resolver;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use url::Url;

use super::Request;
use crate::advice::Advice;
use crate::clock::Clock;
use crate::credentials::Identity;
use crate::error::{Error, ErrorKind, INTERNAL_ERROR, Result};
use crate::model::RateHeaders;
use crate::process::{OfProcess, PerProcess};
use crate::strict_url;
use compression::compression;
use failure::{chain, failure};
#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::fuzz_headers;
use idle::IdleConnections;
use proxy::{ProxyServer, Refusal};
use resolver::Resolver;

/// A page of 1,000 tokens has well under 1 MB. A longer body costs memory and time, and a smaller page may avoid it.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

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
    /// How a proxy refused the connection, if that is the reason.
    pub(super) refusal: Option<Refusal>,
}

impl TransportFailure {
    /// Returns a failure of a request of which nothing or `maybe_sent` something reached the portal.
    pub fn new(kind: ErrorKind, message: impl Into<String>, maybe_sent: bool) -> Self {
        let (message, advice) = (message.into(), Vec::new());
        Self { kind, message, advice, maybe_sent, status: None, is_too_long: false, refusal: None }
    }

    /// The body is longer than any that this package reads.
    fn too_long(status: u16) -> Self {
        let message = format!("the response is too long: the limit is {MAX_BODY_BYTES} bytes (8 MiB)");
        let failure = Self::new(ErrorKind::Response, message, true);
        Self { status: Some(status), is_too_long: true, ..failure }
    }

    /// Reading the body panicked.
    pub(super) fn unread() -> Self {
        Self::new(ErrorKind::Response, INTERNAL_ERROR, true)
    }

    /// The request could not be built.
    fn not_sent(error: Error) -> Self {
        let failure = Self::new(error.kind(), error.to_string(), false);
        Self { advice: error.into_details().advice, ..failure }
    }
}

/// The connection pool of one client. A forked child builds its own.
#[derive(Debug)]
pub(super) struct Transport {
    user_agent: String,
    http: PerProcess<Http>,
    /// Read once: a new pool needs the same certificates, which may not be readable any more.
    tls: PerProcess<rustls::ClientConfig>,
    idle: IdleConnections,
}

#[derive(Debug)]
struct Http {
    pool: reqwest::Client,
    proxy: Option<ProxyServer>,
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

    /// Sends a request once and reads the whole response. `clock` tells how long connections have been idle. If a proxy
    /// refused the connection, [`Transport::find_reason`] completes the failure.
    pub(super) async fn exchange(
        &self,
        identity: &Identity,
        request: &Request,
        authorization: &str,
        clock: &dyn Clock,
    ) -> Result<RawResponse, TransportFailure> {
        let not_sent = TransportFailure::not_sent;
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
        let mut builder = http.pool.request(method, url).header(AUTHORIZATION, authorization);
        if let Some(body) = &request.body {
            builder = builder.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let failed = |error: &reqwest::Error, status| failure(error, status, identity, http.proxy.as_ref());
        let mut response = builder.send().await.map_err(|error| failed(&error, None))?;
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
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error, Some(status)))? {
            if chunk.len() > MAX_BODY_BYTES - body.len() {
                return Err(TransportFailure::too_long(status));
            }
            body.extend_from_slice(&chunk);
        }
        self.idle.begin(clock.now_ms());
        // The connection returns to the pool in a task of its own. Without this turn, the next request of a fast caller
        // may not find it there.
        tokio::task::yield_now().await;
        let headers = response.headers();
        Ok(RawResponse {
            status,
            date: header(headers, &DATE).and_then(|date| httpdate::parse_http_date(date).ok()),
            rate: rate_headers(headers),
            redirect_host: redirect_host(response.url(), headers),
            compression: compression(headers),
            body: Bytes::from(body),
        })
    }

    /// Completes a failure with the reason for which a proxy refused the connection, which takes up to `limit`.
    pub(super) async fn find_reason(
        &self,
        failure: &mut TransportFailure,
        identity: &Identity,
        limit: Duration,
    ) {
        let Some(refusal) = failure.refusal else { return };
        let (portal, route) = (&identity.portal, &identity.network.route);
        let (Ok(Some(proxy)), Ok(tls)) = (ProxyServer::of(portal, route), self.tls(identity)) else { return };
        let response = proxy.reason(refusal, portal, &tls, limit).await;
        failure::describe_refusal(failure, response.as_ref(), portal, &proxy);
    }

    fn tls(&self, identity: &Identity) -> Result<OfProcess<rustls::ClientConfig>> {
        self.tls.get_or_try_init(|| super::tls::configuration(&identity.network))
    }

    fn build(&self, identity: &Identity) -> Result<Http> {
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
        let proxy = ProxyServer::of(portal, &identity.network.route)?;
        builder = match &proxy {
            Some(proxy) => builder.proxy(proxy.setting()?),
            None => builder.no_proxy(),
        };
        builder = if portal.is_https() {
            builder.tls_backend_preconfigured((*self.tls(identity)?).clone())
        } else {
            // Plain HTTP to loopback: loading the system's certificates would waste milliseconds.
            builder.tls_certs_only([])
        };
        if let Some(addresses) = portal.pinned_addresses() {
            builder = builder.resolve_to_addrs(portal.host(), &addresses);
        }
        let pool = builder.build().map_err(|error| {
            let reason = chain(&error).last().map_or_else(|| error.to_string(), ToString::to_string);
            Error::configuration(format!("cannot set up HTTPS: {reason}"))
        })?;
        Ok(Http { pool, proxy })
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

fn redirect_host(url: &Url, headers: &HeaderMap) -> Option<String> {
    let location = header(headers, &LOCATION)?;
    // What precedes an @ may be a password, even if it looks like a host.
    if location.contains('@') {
        return None;
    }
    let target = match (location.contains("://"), location.starts_with("//")) {
        (true, _) => strict_url::parse(location)?,
        (_, true) => strict_url::parse(&format!("{}:{location}", url.scheme()))?,
        (false, false) => url.clone(),
    };
    target.host_str().map(str::to_owned)
}
