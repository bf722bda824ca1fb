//! Reasons why a sender cannot start.

/// Reasons why a sender cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The platform's trust store is empty, so the collector cannot be verified.
    #[error(
        "the platform's trust store holds no certificate to verify the collector with: install it \
         (on Debian: ca-certificates) or name a file in OTEL_EXPORTER_OTLP_CERTIFICATE"
    )]
    NoPlatformCertificates,
    /// The HTTP client rejected its configuration.
    #[error("the HTTP client for the collector could not be set up")]
    HttpClient,
    /// The gRPC client rejected its configuration.
    #[error("the gRPC client for the collector could not be set up")]
    GrpcClient,
    /// The system refused to create the thread or its event loop.
    #[error("the thread that sends to the collector could not be started ({0})")]
    Thread(std::io::ErrorKind),
}
