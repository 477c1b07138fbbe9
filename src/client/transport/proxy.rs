//! The proxy of a client's connections, and why it refused one.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::HeaderValue;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::failure::chain;
use crate::error::{Error, Result};
use crate::network::{Proxy, Route};
use crate::portal::PortalAddress;
use crate::process;
use crate::secret::Secret;

/// A proxy as a client uses it.
#[derive(Debug)]
pub(super) struct ProxyServer {
    uri: Uri,
    /// Host and port.
    pub(super) address: String,
    /// The value of `Proxy-Authorization`.
    authorization: Option<Secret>,
}

/// How a proxy refused a connection, as far as reqwest tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::client) enum Refusal {
    /// With status 407.
    Credentials,
    Other,
}

/// A proxy's response to CONNECT. The text of the proxy is left out, since it may repeat a password.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyResponse {
    #[error("the proxy closed the connection without a response")]
    Missing,
    #[error("the proxy closed the connection before the end of its response")]
    Incomplete,
    #[error("the proxy's response is not HTTP")]
    NotHttp,
    #[error("the proxy returned status {status}")]
    Status {
        status: u16,
        /// The authentication schemes that it offers.
        schemes: Vec<&'static str>,
    },
}

impl ProxyServer {
    /// Returns the proxy through which requests to the portal go; `None` if they go directly.
    pub(super) fn of(portal: &PortalAddress, route: &Route) -> Result<Option<Self>> {
        match route {
            Route::Direct => Ok(None),
            Route::Proxy(proxy) => Self::given(proxy).map(Some),
            Route::System => Self::of_system(portal.base_url()),
        }
    }

    fn given(proxy: &Proxy) -> Result<Self> {
        let scheme = if proxy.is_https() { "https" } else { "http" };
        let authorization = proxy.credentials().map(|(user, password)| {
            let pair = format!("{user}:{}", password.reveal());
            Secret::new(format!("Basic {}", BASE64.encode(pair)))
        });
        let uri = format!("{scheme}://{}/", proxy.address()).parse().map_err(|_| invalid())?;
        Ok(Self { uri, address: proxy.address().to_owned(), authorization })
    }

    /// Returns the proxy that the operating system's settings name.
    fn of_system(base_url: &str) -> Result<Option<Self>> {
        let found = base_url.parse().ok().and_then(|uri| Matcher::from_system().intercept(&uri));
        let Some(found) = found else { return Ok(None) };
        let uri = found.uri().clone();
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(Error::configuration("the system's proxy is not supported: it is a SOCKS proxy"));
        }
        let authorization = found.basic_auth().and_then(|value| value.to_str().ok());
        let authorization = authorization.map(|value| Secret::new(value.to_owned()));
        let address = format!("{}:{}", uri.host().unwrap_or_default(), port_of(&uri));
        Ok(Some(Self { uri, address, authorization }))
    }

    /// Returns the setting of a client that uses this proxy for all requests.
    pub(super) fn setting(&self) -> Result<reqwest::Proxy> {
        let proxy = reqwest::Proxy::all(self.uri.to_string()).map_err(|_| invalid())?;
        let Some(authorization) = &self.authorization else { return Ok(proxy) };
        let mut value = HeaderValue::try_from(authorization.reveal()).map_err(|_| invalid())?;
        value.set_sensitive(true);
        Ok(proxy.custom_http_auth(value))
    }

    /// Returns the proxy's response to a connection that it refused; `None` if it cannot be learned within `limit`.
    /// reqwest does not tell it, so the proxy is asked once more.
    pub(super) async fn reason(
        &self,
        refusal: Refusal,
        portal: &PortalAddress,
        tls: &ClientConfig,
        limit: Duration,
    ) -> Option<ProxyResponse> {
        // Repeated wrong passwords may lock the account.
        let authorization = self.authorization.as_ref().filter(|_| refusal != Refusal::Credentials);
        let asking = self.ask(portal, tls, authorization);
        let asked = tokio::time::timeout(limit, asking).await.ok().and_then(std::io::Result::ok);
        let response = asked.map(|(response, _)| response);
        let is_407 = matches!(response, Some(ProxyResponse::Status { status: 407, .. }));
        let is_success = matches!(response, Some(ProxyResponse::Status { status: 200, .. }));
        match refusal {
            Refusal::Credentials if !is_407 => {
                Some(ProxyResponse::Status { status: 407, schemes: Vec::new() })
            }
            Refusal::Other if is_success => None,
            Refusal::Credentials | Refusal::Other => response,
        }
    }

    /// Asks for a connection to the portal, which exists if the status is 200. Fails if the proxy cannot be reached.
    async fn ask(
        &self,
        portal: &PortalAddress,
        tls: &ClientConfig,
        authorization: Option<&Secret>,
    ) -> std::io::Result<(ProxyResponse, BufReader<Box<dyn Stream>>)> {
        let mut stream = BufReader::new(self.connect(tls).await?);
        let target = format!("{}:{}", portal.host(), portal.port());
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(authorization) = authorization {
            request.push_str("Proxy-Authorization: ");
            request.push_str(authorization.reveal());
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        let exchange = async {
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await?;
            ProxyResponse::read(&mut stream).await
        };
        let response = exchange.await.unwrap_or(ProxyResponse::Missing);
        Ok((response, stream))
    }

    /// Asks for a connection to the portal as a request does.
    pub(super) async fn tunnel(
        &self,
        portal: &PortalAddress,
        tls: &ClientConfig,
    ) -> std::io::Result<(ProxyResponse, BufReader<Box<dyn Stream>>)> {
        self.ask(portal, tls, self.authorization.as_ref()).await
    }

    async fn connect(&self, tls: &ClientConfig) -> std::io::Result<Box<dyn Stream>> {
        let host = self.uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let (name, port) = (host.clone(), port_of(&self.uri));
        let addresses = process::blocking(move || (name, port).to_socket_addrs()).await??;
        let addresses: Vec<SocketAddr> = addresses.collect();
        let stream = TcpStream::connect(addresses.as_slice()).await?;
        if self.uri.scheme_str() != Some("https") {
            return Ok(Box::new(stream));
        }
        let mut tls = tls.clone();
        tls.alpn_protocols.clear();
        let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
        Ok(Box::new(TlsConnector::from(Arc::new(tls)).connect(name, stream).await?))
    }
}

/// Returns how the proxy refused the connection, if that is the error. A connection that the proxy closes after it has
/// got the password is refused too.
pub(super) fn refusal(error: &reqwest::Error) -> Option<Refusal> {
    match tunnel_problem(error)?.as_str() {
        "proxy authorization required" => Some(Refusal::Credentials),
        "unsuccessful"
        | "unexpected end of file"
        | "proxy response headers too long"
        | "io error establishing tunnel" => Some(Refusal::Other),
        _ => None,
    }
}

/// Returns whether the connection to the proxy itself failed.
pub(super) fn is_to_proxy(error: &reqwest::Error) -> bool {
    let problems = ["failed to create underlying connection", "io error establishing tunnel"];
    tunnel_problem(error).is_some_and(|problem| problems.contains(&problem.as_str()))
}

/// Returns what failed on the way through a proxy. The type of hyper-util's error is not public, only its message.
fn tunnel_problem(error: &reqwest::Error) -> Option<String> {
    chain(error).find_map(|cause| cause.to_string().strip_prefix("tunnel error: ").map(str::to_owned))
}

fn port_of(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 })
}

fn invalid() -> Error {
    Error::configuration("invalid proxy: not the URL of a proxy")
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl ProxyResponse {
    /// Reads the head of the response to CONNECT.
    async fn read(stream: &mut BufReader<Box<dyn Stream>>) -> std::io::Result<Self> {
        let Some(head) = read_head(stream).await? else { return Ok(Self::NotHttp) };
        Ok(match Self::of_head(&head) {
            // Without its end, a success is not one.
            Some(Self::Status { status: 200, .. }) if !is_whole(head.as_bytes()) => Self::Incomplete,
            response => response.unwrap_or(Self::NotHttp),
        })
    }

    fn of_head(head: &str) -> Option<Self> {
        const SCHEMES: [&str; 6] = ["Basic", "Digest", "NTLM", "Negotiate", "Kerberos", "Bearer"];
        let mut lines = head.lines();
        let mut parts = lines.next()?.split_ascii_whitespace();
        parts.next().filter(|version| version.starts_with("HTTP/1."))?;
        let status = parts.next().filter(|status| status.len() == 3)?.parse().ok()?;
        let offered: Vec<String> = lines
            .filter_map(|line| line.split_once(':'))
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("proxy-authenticate"))
            .flat_map(|(_, value)| offered_schemes(value))
            .collect();
        let is_offered = |scheme: &&str| offered.iter().any(|word| word.eq_ignore_ascii_case(scheme));
        Some(Self::Status { status, schemes: SCHEMES.into_iter().filter(is_offered).collect() })
    }
}

/// Reads the head of a final HTTP response, or what there is of it; `None` if it is too long.
pub(super) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<String>> {
    const MAX_BYTES: usize = 64 * 1024;
    let mut head = Vec::new();
    loop {
        if is_whole(&head) {
            // Informational responses precede the final one.
            if !head.starts_with(b"HTTP/1.1 1") {
                break;
            }
            head.clear();
        }
        match stream.read_u8().await {
            Ok(byte) if head.len() < MAX_BYTES => head.push(byte),
            Ok(_) => return Ok(None),
            Err(_) if !head.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

fn is_whole(head: &[u8]) -> bool {
    head.ends_with(b"\r\n\r\n") || head.ends_with(b"\n\n")
}

/// Returns the first word of each challenge in `Proxy-Authenticate`. One header may have several challenges, and commas
/// also separate their parameters.
fn offered_schemes(value: &str) -> Vec<String> {
    // Text in quotation marks may contain anything.
    let unquoted: String = value.replace("\\\"", "").split('"').step_by(2).collect();
    let word = |part: &str| {
        let (word, rest) = part.trim().split_once([' ', '\t']).unwrap_or((part.trim(), ""));
        let is_parameter = word.contains('=') || rest.trim_start().starts_with('=');
        (!is_parameter).then(|| word.to_owned())
    };
    unquoted.split(',').filter_map(word).collect()
}
