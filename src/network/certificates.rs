//! Certificates and private keys in PEM files, read as OpenSSL reads them.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use memchr::memmem;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{ClientCertificate, trust_settings};
use crate::copied;
use crate::error::{Error, Result};

/// The CA bundles of operating systems have less than 1 MiB.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

const BEGIN: &[u8] = b"-----BEGIN ";

/// The start of a text file that Windows programs write.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns the usable CA certificates of a file, or of the files in a folder; else what is wrong with it.
pub(crate) fn ca_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let (found, problem) = if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|error| unreadable(&error))?;
        // The folder may contain other files too.
        let found = entries.flatten().filter_map(|entry| read(&entry.path()).ok());
        (found.flat_map(|pem| certificates(&pem).0).collect(), None)
    } else {
        certificates(&read(path)?)
    };
    // Unusable certificates are ignored unless there are no others: the client would then trust no host.
    let is_usable = |found: &Found| webpki::anchor_from_trusted_cert(&found.certificate).is_ok();
    let (trusted, distrusted): (Vec<_>, Vec<_>) =
        found.into_iter().filter(is_usable).partition(|found| trust_settings::allow_servers(&found.settings));
    // A certificate that is also there without settings is not trusted either.
    let is_distrusted = |found: &Found| distrusted.iter().any(|other| other.certificate == found.certificate);
    let usable: Vec<_> =
        trusted.into_iter().filter(|found| !is_distrusted(found)).map(|found| found.certificate).collect();
    if usable.is_empty() {
        let problem = match problem {
            Some(problem) => problem,
            None if distrusted.is_empty() => "contains no usable PEM certificate",
            None => "contains only certificates that are marked as not trusted for servers",
        };
        return Err(problem.to_owned());
    }
    Ok(usable)
}

/// Returns the file with the system's CA certificates, on systems that have one.
pub(crate) fn system_bundle() -> Option<PathBuf> {
    #[cfg(all(unix, not(target_vendor = "apple")))]
    return openssl_probe::probe().cert_file;
    #[cfg(not(all(unix, not(target_vendor = "apple"))))]
    None
}

/// Returns the client certificate in one file with its private key, or in one file for each.
pub(super) fn client_certificate(chain_path: &Path, key_path: Option<&Path>) -> Result<ClientCertificate> {
    let invalid = |path: &Path, problem: &str| {
        Error::configuration(copied::unusable_path("client_cert", path, problem)).suggest(
            "use one PEM file with the certificate chain and its private key without pass phrase, or two files: \
             (certificate chain, private key)",
        )
    };
    let chain_file = read(chain_path).map_err(|problem| invalid(chain_path, &problem))?;
    let (chain, problem) = certificates(&chain_file);
    // A chain without one of its certificates would be rejected by the portal.
    if let Some(problem) = problem {
        return Err(invalid(chain_path, problem));
    }
    if chain.is_empty() {
        return Err(invalid(chain_path, "contains no PEM certificate"));
    }
    let chain: Vec<_> = chain.into_iter().map(|found| found.certificate).collect();
    let key_path = key_path.unwrap_or(chain_path);
    let key_file = read(key_path).map_err(|problem| invalid(key_path, &problem))?;
    let key = blocks(&key_file).find_map(|block| PrivateKeyDer::from_pem_slice(&normalized(block)).ok());
    let key = key.ok_or_else(|| {
        invalid(key_path, "contains no PEM private key that is readable without pass phrase")
    })?;
    CertifiedKey::from_der(chain.clone(), key.clone_key(), &aws_lc_rs::default_provider()).map_err(
        |error| match error {
            rustls::Error::InconsistentKeys(_) => {
                invalid(chain_path, "the certificate belongs to another private key")
            }
            rustls::Error::InvalidCertificate(_) => invalid(chain_path, "the certificate is malformed"),
            _ => invalid(key_path, "the private key is malformed or of an unsupported kind"),
        },
    )?;
    Ok(ClientCertificate { chain, key: Arc::new(key) })
}

/// Returns the bytes of a PEM file.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let describe = |error: std::io::Error| unreadable(&error);
    // Opening a pipe would wait for its writer, and a device may have no end.
    let metadata = std::fs::metadata(path).map_err(describe)?;
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    // One more, so that the end of the file is found without growing.
    let mut pem = Vec::with_capacity(usize::try_from(metadata.len().min(MAX_BYTES)).unwrap_or(0) + 1);
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut pem)).map_err(describe)?;
    if pem.len() as u64 > MAX_BYTES {
        return Err(format!("is larger than {} MiB", MAX_BYTES / 1024 / 1024));
    }
    Ok(pem)
}

fn unreadable(error: &std::io::Error) -> String {
    format!("cannot be read ({error})")
}

/// A certificate in a PEM file.
struct Found {
    certificate: CertificateDer<'static>,
    /// What follows the certificate in a block with the label TRUSTED CERTIFICATE, and may forbid to trust it.
    settings: Vec<u8>,
}

/// Returns the certificates in a PEM file, and the first problem with it. The text of a problem never repeats the file,
/// which may contain a private key.
fn certificates(pem: &[u8]) -> (Vec<Found>, Option<&'static str>) {
    let mut problem = None;
    let mut found = Vec::new();
    for block in blocks(pem) {
        if let Some(der) = ordinary_certificate(block) {
            found.push(split(&der));
            continue;
        }
        for section in CertificateDer::pem_slice_iter(&normalized(block)) {
            match section {
                Ok(certificate) => found.push(split(&certificate)),
                Err(error) => problem = problem.or(Some(describe(&error))),
            }
        }
    }
    (found, problem)
}

/// Splits a PEM file before each BEGIN line, so that a truncated block does not spoil the next. Text before the first
/// is left out.
fn blocks(pem: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_at_line_start = |start: &usize| {
        let before = pem.get(..*start).unwrap_or_default();
        // Each file begins with a mark if several were joined.
        let before = before.strip_suffix(BYTE_ORDER_MARK).unwrap_or(before);
        matches!(before.last(), None | Some(b'\n' | b'\r'))
    };
    let mut starts = memmem::find_iter(pem, BEGIN).filter(is_at_line_start).peekable();
    std::iter::from_fn(move || {
        let start = starts.next()?;
        pem.get(start..starts.peek().copied().unwrap_or(pem.len()))
    })
}

/// Decodes a block that is a certificate in canonical base64, as nearly all are. rustls's parser accepts more, but takes
/// longer for the certificates of an operating system than a handshake takes.
fn ordinary_certificate(block: &[u8]) -> Option<Vec<u8>> {
    let mut lines = lines(block);
    if lines.next()? != b"-----BEGIN CERTIFICATE-----" {
        return None;
    }
    let mut base64 = Vec::with_capacity(block.len());
    for line in lines {
        if line == b"-----END CERTIFICATE-----" {
            return BASE64.decode(base64).ok();
        }
        base64.extend_from_slice(line);
    }
    None
}

/// Writes a block as rustls reads it: with line feeds, and without white space at the ends of lines. The headers that
/// OpenSSL reads as CERTIFICATE become that one.
fn normalized(block: &[u8]) -> Vec<u8> {
    let mut normalized = Vec::with_capacity(block.len() + 1);
    for line in lines(block) {
        // Each file begins with a mark if several were joined.
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        let keyword = [BEGIN, b"-----END "].into_iter().find(|keyword| line.starts_with(keyword));
        if let Some(keyword) = keyword {
            let rest = line.strip_prefix(keyword).unwrap_or(line);
            let label = rest.strip_prefix(b"TRUSTED ").or_else(|| rest.strip_prefix(b"X509 "));
            normalized.extend_from_slice(keyword);
            normalized.extend_from_slice(
                label.filter(|label| label.starts_with(b"CERTIFICATE-----")).unwrap_or(rest),
            );
        } else {
            normalized.extend_from_slice(line);
        }
        normalized.push(b'\n');
    }
    normalized
}

/// Returns the lines of a text, whichever line breaks it has, without white space at their ends. Between a carriage
/// return and a line feed is an empty one.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (line, after) = match memchr::memchr2(b'\n', b'\r', text) {
            Some(end) => (text.get(..end)?, text.get(end + 1..)),
            None => (text, None),
        };
        rest = after;
        Some(line.trim_ascii_end())
    })
}

fn describe(error: &PemError) -> &'static str {
    match error {
        PemError::MissingSectionEnd { .. } => "is truncated: a PEM block has no END line",
        PemError::IllegalSectionStart { .. } => "is not valid PEM: a BEGIN line is malformed",
        PemError::Base64Decode(_) => "is not valid PEM: a block is not base64",
        _ => "is not valid PEM",
    }
}

/// Splits the bytes of a block after the certificate, its outermost ASN.1 sequence.
fn split(der: &[u8]) -> Found {
    let length = trust_settings::element(der).map_or(der.len(), |element| der.len() - element.rest.len());
    let (certificate, settings) = der.split_at(length);
    Found { certificate: CertificateDer::from(certificate.to_vec()), settings: settings.to_vec() }
}

/// Returns the name of a certificate's issuer: its common name, else its organization.
pub(crate) fn issuer(certificate: &CertificateDer<'_>) -> Option<String> {
    const COMMON_NAME: &[u8] = b"\x55\x04\x03";
    const ORGANIZATION: &[u8] = b"\x55\x04\x0a";
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    // A sequence of sets of pairs.
    let sets = trust_settings::elements(certificate.issuer())?;
    let pairs = sets.iter().filter_map(|set| trust_settings::elements(set.content)).flatten();
    let members: Vec<_> = pairs.filter_map(|pair| trust_settings::elements(pair.content)).collect();
    let text = |kind: &[u8]| {
        members.iter().find_map(|member| match member.as_slice() {
            [name, value] if name.content == kind => {
                Some(String::from_utf8_lossy(value.content).into_owned())
            }
            _ => None,
        })
    };
    text(COMMON_NAME).or_else(|| text(ORGANIZATION))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pem(der: &[u8], width: usize, line_break: &str) -> String {
        let text = BASE64.encode(der);
        let lines = text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap());
        let lines = std::iter::once("-----BEGIN CERTIFICATE-----").chain(lines);
        lines.chain(["-----END CERTIFICATE-----", ""]).collect::<Vec<_>>().join(line_break)
    }

    fn by_rustls(block: &[u8]) -> Option<Vec<u8>> {
        CertificateDer::from_pem_slice(&normalized(block)).ok().map(|der| der.to_vec())
    }

    proptest! {
        #[test]
        fn certificates_in_canonical_base64_are_decoded_without_rustls(
            der in prop::collection::vec(any::<u8>(), 1..200),
            width in 1_usize..100,
            line_break in prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n", " \t\n"]),
        ) {
            let text = pem(&der, width, line_break);
            let blocks: Vec<_> = blocks(text.as_bytes()).collect();
            prop_assert_eq!(&blocks, &[text.as_bytes()]);
            prop_assert_eq!(ordinary_certificate(blocks[0]), Some(der.clone()));
            prop_assert_eq!(by_rustls(blocks[0]), Some(der));
        }

        #[test]
        fn what_is_decoded_without_rustls_is_what_rustls_decodes(
            der in prop::collection::vec(any::<u8>(), 1..20),
            at in any::<prop::sample::Index>(),
            replaced in 0_usize..30,
            by in prop::sample::select(vec!["", "=", "==", "A", "-", "-----", "\n", " ", "\n-----END CERTIFICATE-----\n"]),
        ) {
            let mut text = pem(&der, 16, "\n").into_bytes();
            let start = at.index(text.len());
            text.splice(start..(start + replaced).min(text.len()), by.bytes());
            for block in blocks(&text) {
                if let Some(decoded) = ordinary_certificate(block) {
                    prop_assert_eq!(by_rustls(block), Some(decoded));
                }
            }
        }
    }
}
