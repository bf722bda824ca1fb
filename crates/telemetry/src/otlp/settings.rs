//! What the operator decided about sending: where, how, how often.
//!
//! [`OtlpSettings::from_variables`] reads it from the standard `OTEL_*` variables.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use url::Url;

use super::{RetryPauses, SecretHeaders};
use crate::Sampler;
use crate::builtin::Signal;

/// The collector's default limit for one gRPC message; its HTTP receiver allows more.
pub(super) const MAXIMUM_REQUEST_BYTES: usize = 4 * 1024 * 1024;
const DEFAULT_QUEUE_BYTES: usize = 5 * 256 * 1024;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_BATCH_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_METRIC_INTERVAL: Duration = Duration::from_secs(60);

/// Everything that the `OTEL_*` variables decide.
#[derive(Clone, Debug)]
pub struct OtlpSettings {
    /// Where spans go; `None` when they are not exported.
    pub traces: Option<SignalSettings>,
    /// Where metric points go; `None` when they are not exported.
    pub metrics: Option<SignalSettings>,
    /// Which traces are recorded.
    pub sampler: Sampler,
    /// What describes this process in every request.
    pub resource: ResourceSettings,
}

/// How one signal is sent.
#[derive(Clone)]
pub struct SignalSettings {
    /// The URL that requests go to, used as it is.
    pub endpoint: Endpoint,
    /// The encoding of requests.
    pub protocol: Protocol,
    /// Headers (HTTP) or metadata (gRPC) of every request.
    pub headers: SecretHeaders,
    /// How long one request may take, its connection included.
    pub timeout: Duration,
    /// How request bodies are compressed.
    pub compression: Compression,
    /// The only certificates that may vouch for the collector; the platform's trust store when `None`.
    pub trusted_certificates: Option<TrustedCertificates>,
    /// The pause between two collections of the source.
    pub interval: Duration,
    /// How many bytes of memory may wait, the request under way included. What finds no room in the first half of it is packed to a
    /// fraction of its size.
    pub queue_bytes: usize,
    /// The pauses between attempts.
    pub retry: RetryPauses,
}

impl SignalSettings {
    /// The standard's defaults for a signal that goes to the given URL.
    pub fn new(signal: Signal, endpoint: Endpoint, protocol: Protocol) -> Self {
        Self {
            endpoint,
            protocol,
            headers: SecretHeaders::default(),
            timeout: DEFAULT_TIMEOUT,
            compression: Compression::None,
            trusted_certificates: None,
            interval: match signal {
                Signal::Logs | Signal::Traces => DEFAULT_BATCH_INTERVAL,
                Signal::Metrics => DEFAULT_METRIC_INTERVAL,
            },
            queue_bytes: DEFAULT_QUEUE_BYTES,
            retry: RetryPauses::default(),
        }
    }
}

impl fmt::Debug for SignalSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SignalSettings")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("timeout", &self.timeout)
            .field("compression", &self.compression)
            .field("interval", &self.interval)
            .field("queue_bytes", &self.queue_bytes)
            .finish_non_exhaustive()
    }
}

/// The URL of a collector.
///
/// Path and query may hold a token, so only the origin is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Reads a URL that is used as it is, without a path appended.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or("must be a URL that starts with http:// or https://")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not contain a user or a password; put credentials into the headers variable");
        }
        Ok(Self(url))
    }

    /// Scheme, host and port: the part that may be logged.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether the URL names more than an origin, which gRPC has no use for.
    pub(super) fn has_path(&self) -> bool {
        self.0.path() != "/" || self.0.query().is_some()
    }

    /// The same URL with a path below its own.
    pub(super) fn below(&self, path: &str) -> Self {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        Self(url)
    }

    /// The whole URL, which may hold a token: for sending, not for showing.
    pub fn url(&self) -> Url {
        self.0.clone()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.origin())
    }
}

/// How requests are encoded and carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// Protobuf bodies over HTTP/1.1.
    HttpProtobuf,
}

/// How request bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip.
    Gzip,
}

/// Certificates that replace the platform's trust store.
#[derive(Clone)]
pub struct TrustedCertificates {
    pem: Vec<u8>,
}

impl TrustedCertificates {
    /// Reads a file of PEM certificates.
    pub fn read(path: &Path) -> Result<Self, String> {
        let pem = std::fs::read(path)
            .map_err(|error| format!("names a file that cannot be read ({})", error.kind()))?;
        Self::from_pem(pem).map_err(str::to_owned)
    }

    /// Takes PEM certificates.
    pub fn from_pem(pem: Vec<u8>) -> Result<Self, &'static str> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            certificate
                .ok()
                .and_then(|certificate| roots.add(certificate).ok())
                .ok_or("names a file with a malformed certificate; it must hold PEM certificates")?;
        }
        if roots.is_empty() {
            return Err("names a file without a certificate; it must hold PEM certificates");
        }
        Ok(Self { pem })
    }

    pub(super) fn pem(&self) -> &[u8] {
        &self.pem
    }
}

/// What `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say about this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceSettings {
    /// `service.name`, from whichever of the two variables has it; the former wins.
    pub service_name: Option<String>,
    /// All other attributes, each key once.
    pub attributes: Vec<(String, String)>,
}

/// A variable that cannot be used as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct SettingError {
    /// The variable's name.
    pub variable: &'static str,
    /// What is wrong and what would be right, never the value.
    pub problem: Cow<'static, str>,
}
