//! Network settings: trusted CA certificates, client certificate, proxy.
//!
//! All settings are read and checked when a client is created, so an invalid one fails before anything is sent.

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

/// Network settings of a caller. A setting that is `None` is read from the environment.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// CA bundle: a PEM file of certificates, or a folder of such files, trusted instead of the system's certificates.
    pub ca_bundle: Option<PathBuf>,
    /// Client certificate: one PEM file with the certificate chain and its private key, or one file for each.
    pub client_cert: Option<(PathBuf, Option<PathBuf>)>,
    /// The URL of a proxy, with user name and password if it requires them.
    pub proxy: Option<Secret>,
}

/// Checked network settings.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// The trusted CA certificates.
    pub trust: Trust,
    /// The client certificate, for portals that require one.
    pub client_certificate: Option<ClientCertificate>,
    /// The proxy.
    pub proxy: Option<Proxy>,
}

/// The trusted CA certificates.
#[derive(Debug, Clone, Default)]
pub enum Trust {
    /// The system's; Mozilla's bundled ones if the system has none.
    #[default]
    System,
    /// These and no others.
    Only(Arc<Vec<CertificateDer<'static>>>),
}

/// A client certificate.
#[derive(Clone)]
pub struct ClientCertificate {
    /// The certificate, followed by its intermediate certificates.
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
    /// Its URL, including its credentials.
    pub url: Secret,
    /// Host and port, for messages.
    pub host: String,
    /// The hosts that bypass it, in the format of `NO_PROXY`. Empty for a proxy that the caller set.
    pub exceptions: String,
}

impl Network {
    /// Reads and checks all settings.
    pub fn resolve(arguments: &Arguments, environment: &dyn Environment) -> Result<Self> {
        Ok(Self {
            trust: trust(arguments, environment)?,
            client_certificate: arguments.client_cert.as_ref().map(client_certificate).transpose()?,
            proxy: proxy(arguments, environment)?,
        })
    }
}

/// Returns the certificates of the argument, else of the first environment variables that are set.
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
        certificates.extend(ca_certificates(name, path)?);
    }
    Ok(Trust::Only(Arc::new(certificates)))
}

/// Returns the paths in a variable. `SSL_CERT_DIR` is a list, as in OpenSSL: missing folders are skipped unless all are
/// missing.
fn paths(name: &str, value: &str) -> Vec<PathBuf> {
    if name != "SSL_CERT_DIR" || Path::new(value).exists() {
        return vec![PathBuf::from(value)];
    }
    let existing: Vec<PathBuf> = std::env::split_paths(value).filter(|path| path.exists()).collect();
    if existing.is_empty() { vec![PathBuf::from(value)] } else { existing }
}

fn ca_certificates(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let invalid = |problem: String| {
        Err(Error::configuration(format!("invalid {name} ({}): {problem}", path.display())).suggest(
            "use a PEM file of CA certificates or a folder of such files, or leave the setting out to trust the \
             system's certificates",
        ))
    };
    let certificates: Vec<CertificateDer<'static>> = if path.is_dir() {
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return invalid(format!("cannot be read ({error})")),
        };
        // The folder may contain other files too.
        let readable = entries.flatten().filter_map(|entry| CertificateDer::pem_file_iter(entry.path()).ok());
        readable.flat_map(|certificates| certificates.filter_map(std::result::Result::ok)).collect()
    } else {
        let read =
            CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
        match read {
            Ok(certificates) => certificates,
            Err(error) => return invalid(format!("cannot be read ({error})")),
        }
    };
    // Unusable certificates are ignored unless there are no others: the client would then trust no host.
    if !certificates.iter().any(|certificate| webpki::anchor_from_trusted_cert(certificate).is_ok()) {
        return invalid("contains no usable PEM certificate".to_owned());
    }
    Ok(certificates)
}

fn client_certificate((chain_path, key_path): &(PathBuf, Option<PathBuf>)) -> Result<ClientCertificate> {
    let invalid = |path: &Path, problem: String| {
        Error::configuration(format!("invalid client_cert ({}): {problem}", path.display())).suggest(
            "use one PEM file with the certificate chain and its private key without pass phrase, or two files: \
             (certificate chain, private key)",
        )
    };
    let chain = CertificateDer::pem_file_iter(chain_path)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|error| invalid(chain_path, format!("cannot be read ({error})")))?;
    if chain.is_empty() {
        return Err(invalid(chain_path, "contains no PEM certificate".to_owned()));
    }
    let key_path = key_path.as_ref().unwrap_or(chain_path);
    let key = PrivateKeyDer::from_pem_file(key_path).map_err(|_| {
        invalid(key_path, "contains no PEM private key that is readable without pass phrase".to_owned())
    })?;
    CertifiedKey::from_der(chain.clone(), key.clone_key(), &aws_lc_rs::default_provider()).map_err(
        |error| {
            let problem = match error {
                rustls::Error::InconsistentKeys(_) => {
                    "the certificate belongs to another private key".to_owned()
                }
                other => other.to_string(),
            };
            invalid(chain_path, problem)
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
            // As in other tools, the variable may contain host and port only.
            let url = if url.contains("://") { url } else { format!("http://{url}") };
            return checked_proxy(name, Secret::new(url), exceptions.unwrap_or_default()).map(Some);
        }
    }
    Ok(None)
}

/// Checks a proxy's URL. The error does not repeat it: it may contain a password.
fn checked_proxy(name: &str, url: Secret, exceptions: String) -> Result<Proxy> {
    let parsed = Url::parse(url.reveal()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let host = parsed.as_ref().and_then(|url| {
        let host = url.host_str().filter(|host| !host.is_empty())?;
        Some(format!("{host}:{}", url.port_or_known_default()?))
    });
    match host {
        Some(host) => Ok(Proxy { url, host, exceptions }),
        None => Err(Error::configuration(format!("invalid {name}: not the URL of a proxy")).suggest(
            "use http://HOST:PORT or https://HOST:PORT, with USER:PASSWORD@ before HOST if required",
        )),
    }
}
