//! How the portal is reached: time limits, whose certificates are trusted, a certificate of our own, a proxy.
//!
//! Everything is read and checked when a client is made: what cannot be used is an error before anything is sent.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use url::Url;

use crate::credentials::Environment;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// What a caller may give; what is `None` is looked for in the environment.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// A file of certificates in PEM, or a folder of such files, to trust instead of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// A file with a certificate chain and its private key in PEM, or one for each.
    pub client_cert: Option<(PathBuf, Option<PathBuf>)>,
    /// The URL of a proxy, with user name and password where it demands them.
    pub proxy: Option<Secret>,
}

/// How the portal is reached.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Whose certificates are trusted.
    pub trust: Trust,
    /// The certificate that we show.
    pub client_certificate: Option<ClientCertificate>,
    /// What stands between.
    pub proxy: Option<Proxy>,
}

/// Whose certificates are trusted.
#[derive(Debug, Clone, Default)]
pub enum Trust {
    /// The system's; the bundled ones of Mozilla where the system has none.
    #[default]
    System,
    /// These, and no others.
    Only(Arc<Vec<CertificateDer<'static>>>),
}

/// A certificate of our own.
#[derive(Clone)]
pub struct ClientCertificate {
    /// The certificate, then those that vouch for it.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: Arc<PrivateKeyDer<'static>>,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate")
    }
}

/// A proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Its URL, with its credentials.
    pub url: Secret,
    /// Host and port, for people.
    pub host: String,
    /// The hosts that are reached without it, as `NO_PROXY` lists them; empty for a proxy that was given.
    pub exceptions: String,
}

impl Network {
    /// Reads and checks everything.
    pub fn resolve(arguments: &Arguments, environment: &dyn Environment) -> Result<Self> {
        Ok(Self {
            trust: trust(arguments, environment)?,
            client_certificate: arguments.client_cert.as_ref().map(client_certificate).transpose()?,
            proxy: proxy(arguments, environment)?,
        })
    }
}

/// The argument, else the first of the variables that the ecosystem knows.
fn trust(arguments: &Arguments, environment: &dyn Environment) -> Result<Trust> {
    let paths =
        |name: &str| Ok(environment.filled(name)?.map(|value| paths(name, &value)).unwrap_or_default());
    let mut sources: Vec<(&str, PathBuf)> = Vec::new();
    if let Some(bundle) = &arguments.ca_bundle {
        sources.push(("ca_bundle", bundle.clone()));
    } else {
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            sources.extend(paths(name)?.into_iter().map(|path| (name, path)));
        }
        for name in ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
            if sources.is_empty() {
                sources.extend(paths(name)?.into_iter().map(|path| (name, path)));
            }
        }
    }
    if sources.is_empty() {
        return Ok(Trust::System);
    }
    let mut certificates = Vec::new();
    for (name, path) in &sources {
        certificates.extend(certificates_at(name, path)?);
    }
    Ok(Trust::Only(Arc::new(certificates)))
}

/// `SSL_CERT_DIR` is a list, as OpenSSL reads it: what of it is not there is passed over, unless nothing is.
fn paths(name: &str, value: &str) -> Vec<PathBuf> {
    if name != "SSL_CERT_DIR" || Path::new(value).exists() {
        return vec![PathBuf::from(value)];
    }
    let existing: Vec<PathBuf> = std::env::split_paths(value).filter(|path| path.exists()).collect();
    if existing.is_empty() { vec![PathBuf::from(value)] } else { existing }
}

fn certificates_at(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let refuse = |problem: String| {
        Err(Error::configuration(format!("{name} ({}) {problem}", path.display())).suggest(
            "accepted is a file of certificates in PEM, or a folder of such files; without it the system's certificates \
             are used",
        ))
    };
    let certificates: Vec<CertificateDer<'static>> = if path.is_dir() {
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return refuse(format!("cannot be read: {error}")),
        };
        // A folder of certificates may hold other files too.
        let readable = entries.flatten().filter_map(|entry| CertificateDer::pem_file_iter(entry.path()).ok());
        readable.flat_map(|certificates| certificates.filter_map(std::result::Result::ok)).collect()
    } else {
        let read =
            CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
        match read {
            Ok(certificates) => certificates,
            Err(error) => return refuse(format!("cannot be read: {error}")),
        }
    };
    // A store of many may hold some that are too odd to be used; one of nothing else would trust nobody.
    if !certificates.iter().any(|certificate| webpki::anchor_from_trusted_cert(certificate).is_ok()) {
        return refuse("holds no usable certificate in PEM".to_owned());
    }
    Ok(certificates)
}

fn client_certificate((chain_path, key_path): &(PathBuf, Option<PathBuf>)) -> Result<ClientCertificate> {
    let refuse = |path: &Path, problem: String| {
        Error::configuration(format!("client_cert ({}) {problem}", path.display())).suggest(
            "accepted is a file with a certificate chain and its private key in PEM, without pass phrase, or a tuple of \
             two files: (certificate chain, private key)",
        )
    };
    let chain = CertificateDer::pem_file_iter(chain_path)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|error| refuse(chain_path, format!("cannot be read: {error}")))?;
    if chain.is_empty() {
        return Err(refuse(chain_path, "holds no certificate in PEM".to_owned()));
    }
    let key_path = key_path.as_ref().unwrap_or(chain_path);
    let key = PrivateKeyDer::from_pem_file(key_path).map_err(|_| {
        refuse(key_path, "holds no private key in PEM that can be read without pass phrase".to_owned())
    })?;
    CertifiedKey::from_der(chain.clone(), key.clone_key(), &aws_lc_rs::default_provider()).map_err(
        |error| {
            let problem = match error {
                rustls::Error::InconsistentKeys(_) => "holds a certificate of another private key".to_owned(),
                other => format!("cannot be used: {other}"),
            };
            refuse(chain_path, problem)
        },
    )?;
    Ok(ClientCertificate { chain, key: Arc::new(key) })
}

fn proxy(arguments: &Arguments, environment: &dyn Environment) -> Result<Option<Proxy>> {
    if let Some(url) = &arguments.proxy {
        return checked_proxy("proxy", url.clone(), String::new()).map(Some);
    }
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        if let Some(url) = environment.filled(name)? {
            let exceptions = match environment.filled("NO_PROXY")? {
                Some(exceptions) => Some(exceptions),
                None => environment.filled("no_proxy")?,
            };
            // As elsewhere, a variable may name host and port only.
            let url = if url.contains("://") { url } else { format!("http://{url}") };
            return checked_proxy(name, Secret::new(url), exceptions.unwrap_or_default()).map(Some);
        }
    }
    Ok(None)
}

/// The message repeats nothing of the URL, which may hold a password.
fn checked_proxy(name: &str, url: Secret, exceptions: String) -> Result<Proxy> {
    let parsed = Url::parse(url.reveal()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let host = parsed.as_ref().and_then(|url| {
        let host = url.host_str().filter(|host| !host.is_empty())?;
        Some(format!("{host}:{}", url.port_or_known_default()?))
    });
    match host {
        Some(host) => Ok(Proxy { url, host, exceptions }),
        None => Err(Error::configuration(format!("{name} is not the URL of a proxy")).suggest(
            "accepted are http://HOST:PORT and https://HOST:PORT, with USER:PASSWORD@ before the host",
        )),
    }
}
