//! Certificates for encrypted connections to the collector.

use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};

/// Certificates that replace the platform's trust store.
#[derive(Clone)]
pub struct TrustedCertificates {
    pem: Vec<u8>,
}

impl TrustedCertificates {
    /// Reads a file of PEM certificates. The error is a sentence for the operator.
    pub fn read(path: &Path) -> Result<Self, String> {
        Self::from_pem(read(path)?).map_err(str::to_owned)
    }

    /// Parses PEM certificates. Fails if there is none or one is malformed.
    pub fn from_pem(pem: Vec<u8>) -> Result<Self, &'static str> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&pem)? {
            roots.add(certificate).map_err(|_| MALFORMED_CERTIFICATE)?;
        }
        Ok(Self { pem })
    }

    pub(super) fn pem(&self) -> &[u8] {
        &self.pem
    }
}

/// Certificate and private key with which this process authenticates to the collector.
///
/// The key is a secret: the type has no `Debug`, `Display` or `Serialize`.
#[derive(Clone)]
pub struct ClientIdentity {
    certificate_pem: Vec<u8>,
    key_pem: Vec<u8>,
}

/// The reason why a [`ClientIdentity`] cannot be used. The text is a sentence for the operator.
pub(super) enum IdentityError {
    Certificate(String),
    Key(String),
}

impl ClientIdentity {
    /// Reads a file with a PEM certificate chain, and one with its private key.
    pub(super) fn read(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let certificate_pem = read(certificate).map_err(IdentityError::Certificate)?;
        let key_pem = read(key).map_err(IdentityError::Key)?;
        let chain = certificates(&certificate_pem)
            .map_err(|problem| IdentityError::Certificate(problem.to_owned()))?;
        let refused = |problem: &str| IdentityError::Key(problem.to_owned());
        let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| {
            refused("names a file without a private key; it must hold an unencrypted key in PEM")
        })?;
        let key = rustls::crypto::ring::default_provider()
            .key_provider
            .load_private_key(key)
            .map_err(|_| refused("names a file with a private key of an unknown kind"))?;
        match CertifiedKey::new(chain, key).keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(refused("names a private key that does not belong to the client certificate"));
            }
            Err(_) => return Err(IdentityError::Certificate(MALFORMED_CERTIFICATE.to_owned())),
        }
        Ok(Self { certificate_pem, key_pem })
    }

    pub(super) fn certificate_pem(&self) -> &[u8] {
        &self.certificate_pem
    }

    /// Returns the private key. Do not display it.
    pub(super) fn key_pem(&self) -> &[u8] {
        &self.key_pem
    }
}

const MALFORMED_CERTIFICATE: &str =
    "names a file with a malformed certificate; it must hold PEM certificates";

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("names a file that cannot be read ({})", error.kind()))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Err(_) => Err(MALFORMED_CERTIFICATE),
        Ok(none) if none.is_empty() => {
            Err("names a file without a certificate; it must hold PEM certificates")
        }
        Ok(certificates) => Ok(certificates),
    }
}
