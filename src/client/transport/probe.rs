//! The steps of a connection one by one, for a diagnosis: each has its own result and its own time limit.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::failure::{CHECK_PROXY_URL, problem_of, rustls_error};
use super::proxy::{ProxyResponse, ProxyServer, Stream, read_head};
use crate::advice::Advice;
use crate::client::tls;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::locked;
use crate::network::{Network, Proxy, Trust, certificates};
use crate::portal::PortalAddress;
use crate::process;

/// A connection, with or without TLS.
pub(crate) type Connection = Box<dyn Stream>;

/// The proxy through which requests go, and the connection that it made to the portal.
pub(crate) struct Tunnel {
    /// Host and port of the proxy.
    pub(crate) address: String,
    /// The setting that names the proxy.
    pub(crate) from: String,
    /// The connection.
    pub(crate) connection: Result<Connection>,
}

/// Connects through the proxy; `None` if there is none.
pub(crate) async fn tunnel(
    portal: &PortalAddress,
    network: &Network,
    limit: Duration,
) -> Result<Option<Tunnel>> {
    let Some(proxy) = ProxyServer::of(portal, &network.route)? else { return Ok(None) };
    let tls = tls::configuration(network)?;
    let address = proxy.address.clone();
    let from = network.proxy().map_or("the system's settings", Proxy::name).to_owned();
    let connection = match within(limit, proxy.tunnel(portal, &tls)).await {
        Ok((ProxyResponse::Status { status: 200, .. }, stream)) => Ok(Box::new(stream) as Connection),
        Ok((response, _)) => {
            let (problem, advice) = problem_of(&response, portal);
            Err(Error::new(ErrorKind::Connect, problem).suggest(advice))
        }
        Err(error) => Err(match rustls_error(&error) {
            Some(problem) => {
                let (problem, advice) = tls::explain(problem, &address, network, CHECK_PROXY_URL);
                Error::new(ErrorKind::Tls, format!("no secure connection to the proxy: {problem}"))
                    .suggest(advice)
            }
            None => Error::new(ErrorKind::Connect, format!("cannot connect to the proxy: {error}"))
                .suggest(CHECK_PROXY_URL),
        }),
    };
    Ok(Some(Tunnel { address, from, connection }))
}

/// Looks a host up.
pub(crate) async fn look_up(host: &str, port: u16, limit: Duration) -> io::Result<Vec<SocketAddr>> {
    let name = host.trim_matches(['[', ']']).to_owned();
    let found = process::blocking(move || (name, port).to_socket_addrs());
    within(limit, async { Ok(found.await??.collect()) }).await
}

/// Connects to the address that accepts first.
pub(crate) async fn connect(
    addresses: &[SocketAddr],
    limit: Duration,
) -> io::Result<(Connection, SocketAddr)> {
    let connecting = async {
        let mut attempts = JoinSet::new();
        for address in addresses.iter().copied() {
            attempts.spawn(async move { TcpStream::connect(address).await.map(|stream| (stream, address)) });
        }
        let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
        while let Some(attempt) = attempts.join_next().await {
            match attempt.map_err(io::Error::other).flatten() {
                Ok((stream, address)) => return Ok((Box::new(stream) as Connection, address)),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    };
    within(limit, connecting).await
}

/// A handshake of TLS.
pub(crate) struct Handshake {
    /// The certificates that the server sent, its own first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The secure connection.
    pub(crate) connection: Result<Connection>,
}

/// Makes a connection to the portal secure.
pub(crate) async fn secure(
    connection: Connection,
    portal: &PortalAddress,
    network: &Network,
    limit: Duration,
) -> Result<Handshake> {
    const CHECK: &str = "check the portal's address and the proxy; the server may not use TLS";
    let recorder = Arc::new(RecordingVerifier { verifier: tls::verifier(network)?, chain: Mutex::default() });
    let tls = tls::configuration_with(network, Arc::clone(&recorder) as Arc<dyn ServerCertVerifier>)?;
    let host = portal.host().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host.clone())
        .map_err(|_| Error::configuration("the portal's host is not a name that a certificate can have"))?;
    let handshake = TlsConnector::from(Arc::new(tls)).connect(name, connection);
    let connection = match within(limit, handshake).await {
        Ok(stream) => Ok(Box::new(stream) as Connection),
        Err(error) => {
            let (problem, advice) = explain(&error, &host, network, CHECK);
            Err(Error::new(ErrorKind::Tls, format!("no secure connection to {host}: {problem}"))
                .suggest(advice))
        }
    };
    let chain = std::mem::take(&mut *locked(&recorder.chain));
    Ok(Handshake { chain, connection })
}

/// Describes an error of a secure connection to a host, and returns advice: `check`, unless TLS knows better.
fn explain(error: &io::Error, host: &str, network: &Network, check: &'static str) -> (String, Advice) {
    match rustls_error(error) {
        Some(problem) => tls::explain(problem, host, network, check),
        None => (error.to_string(), check.into()),
    }
}

/// Returns the portal's clock: the `Date` of its response to a request without credentials.
pub(crate) async fn portal_date(
    mut connection: Connection,
    portal: &PortalAddress,
    network: &Network,
    limit: Duration,
) -> Result<Option<SystemTime>> {
    const CHECK: &str = "check the portal's address and the proxy";
    // A request to the API would count as one with rejected credentials.
    let request = format!(
        "HEAD / HTTP/1.1\r\nHost: {}\r\nUser-Agent: lmtokens/{}\r\nConnection: close\r\n\r\n",
        portal.url("", &[]).authority(),
        crate::VERSION
    );
    let asking = async {
        connection.write_all(request.as_bytes()).await?;
        connection.flush().await?;
        read_head(&mut connection).await
    };
    let head = within(limit, asking).await.map_err(|error| {
        // With TLS 1.3, a server may require a client certificate after the handshake only.
        let (problem, advice) = explain(&error, portal.host(), network, CHECK);
        Error::new(ErrorKind::Transport, format!("no response from the portal: {problem}")).suggest(advice)
    })?;
    let head = head.unwrap_or_default();
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let date = fields.find(|(name, _)| name.eq_ignore_ascii_case("date"));
    Ok(date.and_then(|(_, date)| httpdate::parse_http_date(date.trim()).ok()))
}

/// The trusted CA certificates, in words.
pub(crate) struct Store {
    /// Where they are from.
    pub(crate) name: String,
    /// Their number, if it is known without the operating system's help.
    pub(crate) roots: Option<usize>,
    /// Whether the system has none, so that the ones in this package are used.
    pub(crate) is_substitute: bool,
}

/// Describes the trusted CA certificates.
pub(crate) fn store(trust: &Trust) -> Store {
    match trust {
        Trust::Only { certificates, from, folders } => Store {
            name: from.clone(),
            roots: folders.is_empty().then_some(certificates.len()),
            is_substitute: false,
        },
        Trust::System => {
            let bundle = certificates::system_bundle();
            let found = bundle.and_then(|path| Some((certificates::ca_certificates(&path).ok()?, path)));
            if let Some((roots, path)) = found {
                let name = format!("the system's file {}", path.display());
                return Store { name, roots: Some(roots.len()), is_substitute: false };
            }
            if tls::has_system_store() {
                return Store { name: "the system's store".to_owned(), roots: None, is_substitute: false };
            }
            let roots = Some(webpki_roots::TLS_SERVER_ROOTS.len());
            Store {
                name: "Mozilla's list in this package, since the system has none,".to_owned(),
                roots,
                is_substitute: true,
            }
        }
    }
}

/// Runs a step for a limited time.
async fn within<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| {
        let message = format!("no response within {} s", limit.as_secs_f64());
        Err(io::Error::new(io::ErrorKind::TimedOut, message))
    };
    tokio::time::timeout(limit, step).await.unwrap_or_else(late)
}

/// Delegates to another verifier and keeps the certificates that the server sent, also those that are rejected.
#[derive(Debug)]
struct RecordingVerifier {
    verifier: Arc<dyn ServerCertVerifier>,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for RecordingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        *locked(&self.chain) = chain.map(|certificate| certificate.clone().into_owned()).collect();
        self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    tls::verify_signatures_with!(verifier);
}
