//! TLS settings of every connection. Certificates are always verified, and an error explains what is wrong with one.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, OtherError, RootCertStore};

use crate::advice::Advice;
use crate::error::{Error, Result};
use crate::network::{Network, Trust, certificates};
use crate::process::{self, PerProcess};

/// Builds the TLS configuration of a client's connections.
pub(super) fn configuration(network: &Network) -> Result<ClientConfig> {
    configuration_with(network, verifier(network)?)
}

/// Returns the verifier of the portal's certificates.
pub(super) fn verifier(network: &Network) -> Result<Arc<dyn ServerCertVerifier>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = match &network.trust {
        Trust::System => system_verifier(&provider)?,
        Trust::Only { certificates, folders, .. } => {
            let primary = verifier_with(certificates.iter().cloned(), &provider)?;
            if folders.is_empty() { primary } else { with_folders(primary, certificates, folders, &provider) }
        }
    };
    Ok(Arc::new(ExplainingVerifier(verifier)))
}

/// As [`configuration`], with the given verifier.
pub(super) fn configuration_with(
    network: &Network,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup_failed)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut configuration = match &network.client_certificate {
        Some(own) => builder
            .with_client_auth_cert(own.chain.clone(), own.key.clone_key())
            .map_err(|error| Error::configuration(format!("invalid client certificate: {error}")))?,
        None => builder.with_no_client_auth(),
    };
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}

/// Returns the verifier with the system's CA certificates, or with Mozilla's if the system has none. Loading them takes
/// milliseconds, so it is done once per process.
fn system_verifier(provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    static SYSTEM: PerProcess<Arc<dyn ServerCertVerifier>> = PerProcess::new();
    let verifier = SYSTEM.get_or_try_init(|| {
        let Some(primary) = bundle_verifier(provider) else { return complete_system_verifier(provider) };
        let provider = Arc::clone(provider);
        let read_complete = Box::new(move || complete_system_verifier(&provider));
        Ok(Arc::new(LazyVerifier { primary, complete: PerProcess::new(), read_complete }))
    })?;
    Ok(Arc::clone(&verifier))
}

/// Returns the verifier with the file of the system's CA certificates. Most systems have them in single files as well,
/// which take much longer to read.
fn bundle_verifier(provider: &Arc<CryptoProvider>) -> Option<Arc<dyn ServerCertVerifier>> {
    let certificates = certificates::ca_certificates(&certificates::system_bundle()?).ok()?;
    verifier_with(certificates.into_iter(), provider).ok()
}

/// Returns whether the operating system has CA certificates.
pub(super) fn has_system_store() -> bool {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls_platform_verifier::Verifier::new(provider).is_ok()
}

fn complete_system_verifier(provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    match rustls_platform_verifier::Verifier::new(Arc::clone(provider)) {
        Ok(verifier) => Ok(Arc::new(verifier)),
        // A process without free descriptors sees no certificates: the bundled ones must not take their place.
        Err(_) if process::check_descriptors().is_err() => {
            Err(setup_failed("the system's certificates cannot be read: too many open files"))
        }
        Err(_) => verifier_of(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(), provider),
    }
}

fn with_folders(
    primary: Arc<dyn ServerCertVerifier>,
    certificates: &Arc<Vec<CertificateDer<'static>>>,
    folders: &[PathBuf],
    provider: &Arc<CryptoProvider>,
) -> Arc<dyn ServerCertVerifier> {
    let (certificates, folders) = (Arc::clone(certificates), folders.to_vec());
    let provider = Arc::clone(provider);
    let read_complete = Box::new(move || {
        // A process without free descriptors sees no files in the folders.
        process::check_descriptors()
            .map_err(|error| setup_failed(format_args!("certificates cannot be read: {error}")))?;
        let in_folders = folders.iter().flat_map(|folder| certificates::ca_certificates(folder));
        verifier_with(certificates.iter().cloned().chain(in_folders.flatten()), &provider)
    });
    Arc::new(LazyVerifier { primary, complete: PerProcess::new(), read_complete })
}

fn verifier_with(
    certificates: impl Iterator<Item = CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    verifier_of(roots, provider)
}

fn verifier_of(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    verifier.map(|verifier| verifier as Arc<dyn ServerCertVerifier>).map_err(setup_failed)
}

fn setup_failed(error: impl std::fmt::Display) -> Error {
    Error::configuration(format!("cannot set up TLS: {error}"))
}

/// Verifies signatures of handshakes with the verifier in a field.
macro_rules! verify_signatures_with {
    ($field:tt) => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &rustls::pki_types::CertificateDer<'_>,
            signature: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            self.$field.verify_tls12_signature(message, certificate, signature)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &rustls::pki_types::CertificateDer<'_>,
            signature: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            self.$field.verify_tls13_signature(message, certificate, signature)
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            self.$field.supported_verify_schemes()
        }
    };
}
pub(super) use verify_signatures_with;

/// A verifier that reads its complete set of certificates when the primary ones do not suffice.
struct LazyVerifier {
    primary: Arc<dyn ServerCertVerifier>,
    complete: PerProcess<Arc<dyn ServerCertVerifier>>,
    read_complete: Box<dyn Fn() -> Result<Arc<dyn ServerCertVerifier>> + Send + Sync>,
}

impl std::fmt::Debug for LazyVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LazyVerifier")
    }
}

impl ServerCertVerifier for LazyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verify = |verifier: &dyn ServerCertVerifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        verify(&*self.primary).or_else(|_| match self.complete.get_or_try_init(&self.read_complete) {
            Ok(complete) => verify(&**complete),
            Err(error) => Err(rustls::Error::Other(OtherError(Arc::new(error)))),
        })
    }

    verify_signatures_with!(primary);
}

/// Delegates to another verifier and reports self-signed certificates as such, instead of as an unknown issuer or a
/// wrong signature.
#[derive(Debug)]
struct ExplainingVerifier(Arc<dyn ServerCertVerifier>);

/// A certificate that names itself as its issuer.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is self-signed")]
struct SelfSigned;

impl ServerCertVerifier for ExplainingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).map_err(
            |error| {
                // A trusted CA with the same name does not match its signature.
                let is_untrusted = matches!(
                    error,
                    rustls::Error::InvalidCertificate(
                        CertificateError::UnknownIssuer
                            | CertificateError::BadSignature
                            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
                    )
                );
                if is_untrusted && is_self_signed(end_entity) {
                    return rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(
                        SelfSigned,
                    ))));
                }
                error
            },
        )
    }

    verify_signatures_with!(0);
}

fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    webpki::EndEntityCert::try_from(certificate)
        .is_ok_and(|certificate| certificate.issuer() == certificate.subject())
}

fn is_ca_certificate(error: &OtherError) -> bool {
    matches!(error.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Returns whether a server rejected the client certificate or the lack of one. It does so before it reads a request,
/// although with TLS 1.3 the client may learn of it only after it has written one.
pub(super) fn is_client_certificate_rejected(error: &rustls::Error) -> bool {
    use AlertDescription as Alert;
    matches!(
        error,
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
        )
    )
}

/// Describes an alert by which a host ended a handshake, and returns advice. The alert proves that the host uses TLS.
fn explain_alert(error: &rustls::Error, alert: AlertDescription, network: &Network) -> (String, Advice) {
    match alert {
        AlertDescription::CertificateRequired => {
            ("it requires a client certificate".to_owned(), Advice::SupplyClientCertificate)
        }
        AlertDescription::ProtocolVersion => (
            "it accepts neither TLS 1.2 nor TLS 1.3".to_owned(),
            "the host's operator must enable TLS 1.2 or TLS 1.3".into(),
        ),
        _ if network.client_certificate.is_some() && is_client_certificate_rejected(error) => (
            format!("it rejected the client certificate ({error})"),
            "check the client certificate (client_cert)".into(),
        ),
        // With TLS 1.2, the lack of a client certificate is a failure like any other.
        _ => (
            error.to_string(),
            "check the address; if it is right, ask the host's operator what the host requires, such as a client \
             certificate (client_cert)"
                .into(),
        ),
    }
}

/// Describes a TLS error of a connection to a host, and returns advice: `check`, unless the host sent an alert or a
/// certificate is the problem.
pub(super) fn explain(
    error: &rustls::Error,
    host: &str,
    network: &Network,
    check: &'static str,
) -> (String, Advice) {
    if let rustls::Error::AlertReceived(alert) = error {
        return explain_alert(error, *alert, network);
    }
    if let rustls::Error::Other(OtherError(problem)) = error {
        return (problem.to_string(), check.into());
    }
    let rustls::Error::InvalidCertificate(problem) = error else {
        return (error.to_string(), check.into());
    };
    let operator: Advice = "the host's operator must replace the certificate".into();
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "its certificate has expired".to_owned(),
            "check this machine's clock; if it is right, the host's operator must renew the certificate"
                .into(),
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("its certificate is not valid yet".to_owned(), "check this machine's clock".into())
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            format!("its certificate is not valid for {host}"),
            "check the company and the domain; the certificate belongs to another host".into(),
        ),
        CertificateError::Other(other) if other.0.is::<SelfSigned>() => {
            ("its certificate is self-signed".to_owned(), Advice::TrustAuthority)
        }
        CertificateError::Other(other) if is_ca_certificate(other) => {
            ("it uses a CA certificate as its own, which is not accepted".to_owned(), operator)
        }
        CertificateError::UnknownIssuer => {
            ("its certificate was issued by an unknown CA".to_owned(), Advice::TrustAuthority)
        }
        // Other errors are shown with their numbers and bytes by rustls.
        CertificateError::BadEncoding => ("its certificate is malformed".to_owned(), operator),
        CertificateError::BadSignature => ("its certificate has a wrong signature".to_owned(), operator),
        CertificateError::Revoked => ("its certificate was revoked".to_owned(), operator),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            ("its certificate is not one of a server".to_owned(), operator)
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            ("its certificate is signed with an unsupported algorithm".to_owned(), operator)
        }
        CertificateError::Other(other) => {
            (format!("its certificate was rejected: {other}"), Advice::TrustAuthority)
        }
        _ => ("its certificate was rejected".to_owned(), Advice::TrustAuthority),
    }
}
