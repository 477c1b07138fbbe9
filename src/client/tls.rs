//! TLS as every connection uses it: certificates are always checked, and a refusal says why.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};

use crate::error::{Error, Result};
use crate::network::{Network, Trust};
use crate::process::PerProcess;

/// The configuration for a client's connections.
pub(super) fn configuration(network: &Network) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = match &network.trust {
        Trust::System => system_verifier(&provider)?,
        Trust::Only(certificates) => verifier_of(certificates.iter().cloned(), &provider)?,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(cannot)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Explaining(verifier)));
    let mut configuration = match &network.client_certificate {
        Some(own) => builder
            .with_client_auth_cert(own.chain.clone(), own.key.clone_key())
            .map_err(|error| Error::configuration(format!("client_cert cannot be used: {error}")))?,
        None => builder.with_no_client_auth(),
    };
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}

/// The system's certificates, read once a process: it takes milliseconds.
fn system_verifier(provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    static SYSTEM: PerProcess<Arc<dyn ServerCertVerifier>> = PerProcess::new();
    let verifier =
        SYSTEM.get_or_try_init(|| match rustls_platform_verifier::Verifier::new(Arc::clone(provider)) {
            Ok(verifier) => Ok(Arc::new(verifier)),
            Err(_) => verifier_of(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned(), provider),
        })?;
    Ok(Arc::clone(&verifier))
}

fn verifier_of(
    certificates: impl Iterator<Item = CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    verifier.map(|verifier| verifier as Arc<dyn ServerCertVerifier>).map_err(cannot)
}

fn cannot(error: impl std::fmt::Display) -> Error {
    Error::configuration(format!("cannot set up TLS: {error}"))
}

/// Verifies as the verifier within, and tells a certificate that vouches for itself from one of an unknown issuer.
#[derive(Debug)]
struct Explaining(Arc<dyn ServerCertVerifier>);

/// The certificate is its own issuer.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is self-signed")]
struct SelfSigned;

impl ServerCertVerifier for Explaining {
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
                let unexplained = matches!(
                    error,
                    rustls::Error::InvalidCertificate(
                        CertificateError::UnknownIssuer | CertificateError::Other(_)
                    )
                );
                if unexplained && is_self_signed(end_entity) {
                    return rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(
                        SelfSigned,
                    ))));
                }
                error
            },
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    webpki::EndEntityCert::try_from(certificate)
        .is_ok_and(|certificate| certificate.issuer() == certificate.subject())
}

/// Whether a server refused our certificate, or that there is none: which it does before it reads any request, although
/// TLS 1.3 lets us learn of it only after one was written.
pub(super) fn refuses_our_certificate(error: &rustls::Error) -> bool {
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

/// What is wrong with a connection's TLS, and what to do, in words.
pub(super) fn explain(error: &rustls::Error, host: &str) -> (String, &'static str) {
    const INSPECTION: &str =
        "if a company's proxy inspects TLS, give its certificate as ca_bundle= or in SSL_CERT_FILE";
    if matches!(error, rustls::Error::AlertReceived(AlertDescription::CertificateRequired)) {
        return ("it demands a certificate of the client".to_owned(), "give one as client_cert=");
    }
    if refuses_our_certificate(error) {
        return (
            format!("it refuses the certificate of the client ({error})"),
            "check the certificate that is given as client_cert=",
        );
    }
    let rustls::Error::InvalidCertificate(problem) = error else {
        return (error.to_string(), "check that this is the portal's address, and what stands between");
    };
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "its certificate has expired".to_owned(),
            "check this machine's clock; if it is right, whoever runs the host must renew the certificate",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("its certificate is not valid yet".to_owned(), "check this machine's clock")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            format!("its certificate is for another name than {host}"),
            "check company and domain: this host is not the one that the certificate was made for",
        ),
        CertificateError::Other(other) if other.0.is::<SelfSigned>() => {
            ("its certificate is self-signed".to_owned(), INSPECTION)
        }
        CertificateError::UnknownIssuer => {
            ("its certificate comes from an issuer that is not trusted here".to_owned(), INSPECTION)
        }
        other => (format!("its certificate was refused: {other}"), INSPECTION),
    }
}
