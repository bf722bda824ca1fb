//! The configuration of encrypted connections over HTTP.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::super::{SignalSettings, StartError};

/// Creates the TLS configuration with its own cryptography provider. The client would otherwise
/// look for a process-wide provider, which may not be installed.
pub(super) fn tls_configuration(settings: &SignalSettings) -> Result<ClientConfig, StartError> {
    let mut roots = RootCertStore::empty();
    if let Some(trusted) = &settings.trusted_certificates {
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(trusted.pem()).flatten());
    } else if settings.endpoint.is_encrypted() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(StartError::NoPlatformCertificates);
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| StartError::HttpClient)?
        .with_root_certificates(roots);
    let Some(identity) = &settings.client_identity else { return Ok(builder.with_no_client_auth()) };
    let chain = CertificateDer::pem_slice_iter(identity.certificate_pem()).flatten().collect();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem()).map_err(|_| StartError::HttpClient)?;
    builder.with_client_auth_cert(chain, key).map_err(|_| StartError::HttpClient)
}
