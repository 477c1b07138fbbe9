//! Network settings: trusted CA certificates, client certificate, proxy.
//!
//! Arguments are checked when a client is created, variables only if requests to its portal need them: a proxy or a CA
//! bundle that the environment names must not stop a call to loopback, or a signature.

pub(crate) mod certificates;
mod proxy;
mod trust_settings;

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::copied;
use crate::credentials::Environment;
use crate::error::{Error, Result};
use crate::portal::PortalAddress;
use crate::secret::Secret;

pub(crate) use proxy::Proxy;

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
    /// The way to the portal.
    pub route: Route,
}

/// The trusted CA certificates.
#[derive(Debug, Clone, Default)]
pub enum Trust {
    /// The system's; Mozilla's bundled ones if the system has none.
    #[default]
    System,
    /// These and no others.
    Only {
        /// Certificates of files.
        certificates: Arc<Vec<CertificateDer<'static>>>,
        /// Folders with more, read for an issuer that is not among them. OpenSSL does so too.
        folders: Vec<PathBuf>,
        /// The settings that name them, each with its path.
        from: String,
    },
}

/// The way to the portal.
#[derive(Debug, Clone, Default)]
pub enum Route {
    /// As the operating system's proxy settings say.
    #[default]
    System,
    /// Without a proxy.
    Direct,
    /// Through this proxy.
    Proxy(Proxy),
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

impl Network {
    /// Checks the arguments.
    pub fn of_arguments(arguments: &Arguments) -> Result<Self> {
        let trust = match &arguments.ca_bundle {
            Some(path) => trust_only(&[vec![("ca_bundle", path.clone())]])?,
            None => Trust::System,
        };
        let client_certificate = match &arguments.client_cert {
            Some((chain, key)) => Some(certificates::client_certificate(chain, key.as_deref())?),
            None => None,
        };
        let route = match &arguments.proxy {
            Some(url) => Route::Proxy(Proxy::parse("proxy", url.reveal())?),
            None => Route::System,
        };
        Ok(Self { trust, client_certificate, route })
    }

    /// Completes the settings for requests to a portal. Reads the variables that those need and no argument replaces.
    pub fn completed(mut self, portal: &PortalAddress, environment: &dyn Environment) -> Result<Self> {
        self.complete_trust(portal, environment)?;
        self.complete_route(portal, environment)?;
        Ok(self)
    }

    /// Completes the trusted CA certificates.
    pub(crate) fn complete_trust(
        &mut self,
        portal: &PortalAddress,
        environment: &dyn Environment,
    ) -> Result<()> {
        if portal.is_https() && matches!(self.trust, Trust::System) {
            self.trust = trust(environment)?;
        }
        Ok(())
    }

    /// Completes the way to the portal.
    pub(crate) fn complete_route(
        &mut self,
        portal: &PortalAddress,
        environment: &dyn Environment,
    ) -> Result<()> {
        self.route = match &self.route {
            _ if portal.is_loopback() => Route::Direct,
            Route::Proxy(proxy) => Route::Proxy(proxy.clone().supported()?),
            Route::System | Route::Direct => route(portal, environment)?,
        };
        Ok(())
    }

    /// Returns the proxy through which requests to the portal go, if it is known.
    #[must_use]
    pub fn proxy(&self) -> Option<&Proxy> {
        match &self.route {
            Route::Proxy(proxy) => Some(proxy),
            Route::System | Route::Direct => None,
        }
    }
}

/// A file or folder of certificates, and the setting that names it.
type Source<'a> = (&'a str, PathBuf);

/// Returns the certificates that the environment names.
fn trust(environment: &dyn Environment) -> Result<Trust> {
    // OpenSSL reads the first two together. A later group counts only if those before have no certificate.
    let groups = [&["SSL_CERT_FILE", "SSL_CERT_DIR"][..], &["REQUESTS_CA_BUNDLE"], &["CURL_CA_BUNDLE"]];
    let mut sources = Vec::new();
    for names in groups {
        let mut group = Vec::new();
        for name in names {
            let value = environment.os_variable(name)?.filter(|value| !value.is_empty());
            group.extend(value.iter().flat_map(|value| paths(name, value)).map(|path| (*name, path)));
        }
        sources.push(group);
    }
    if sources.iter().all(Vec::is_empty) {
        return Ok(Trust::System);
    }
    trust_only(&sources)
}

/// Returns the paths in a variable. `SSL_CERT_DIR` is a list, as in OpenSSL.
fn paths(name: &str, value: &OsStr) -> Vec<PathBuf> {
    if name != "SSL_CERT_DIR" || Path::new(value).exists() {
        return vec![PathBuf::from(value)];
    }
    std::env::split_paths(value).filter(|path| !path.as_os_str().is_empty()).collect()
}

/// Returns the certificates of the first group of sources that has any.
fn trust_only(groups: &[Vec<Source<'_>>]) -> Result<Trust> {
    let mut problems = Vec::new();
    for group in groups {
        let (mut certificates, mut folders) = (Vec::new(), Vec::new());
        for (name, path) in group {
            if !certificates.is_empty() && path.is_dir() {
                folders.push(path.clone());
                continue;
            }
            match certificates::ca_certificates(path) {
                Ok(found) => certificates.extend(found),
                Err(problem) => problems.push(copied::unusable_path(name, path, &problem)),
            }
        }
        if !certificates.is_empty() {
            let from: Vec<String> =
                group.iter().map(|(name, path)| format!("{name} ({})", path.display())).collect();
            return Ok(Trust::Only {
                certificates: Arc::new(certificates),
                folders,
                from: from.join(" and "),
            });
        }
    }
    Err(Error::configuration(problems.join("; ")).suggest(
        "use a PEM file of CA certificates or a folder of such files, or leave the setting out to trust the system's \
         certificates",
    ))
}

/// Returns the way to a portal that the environment describes.
fn route(portal: &PortalAddress, environment: &dyn Environment) -> Result<Route> {
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        // Its text is read only if it is needed.
        let value = environment.os_variable(name)?;
        if value.is_none_or(|url| url.to_string_lossy().trim_ascii().is_empty()) {
            continue;
        }
        let exceptions = match environment.unchecked("NO_PROXY")? {
            Some(exceptions) => Some(exceptions),
            None => environment.unchecked("no_proxy")?,
        };
        if proxy::is_excepted(portal, &exceptions.unwrap_or_default()) {
            return Ok(Route::Direct);
        }
        let url = environment.filled(name)?.unwrap_or_default();
        // As in other tools, the variable may contain host and port only.
        let url = url.trim_ascii();
        let url = if url.contains("://") {
            Secret::new(url.to_owned())
        } else {
            Secret::new(format!("http://{url}"))
        };
        return Ok(Route::Proxy(Proxy::parse(name, url.reveal())?.supported()?));
    }
    Ok(Route::System)
}
