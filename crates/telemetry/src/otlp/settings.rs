//! Settings of telemetry export: destinations, protocol and intervals.
//!
//! [`OtlpSettings::from_variables`] reads them from the standard `OTEL_*` variables.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use signal::builtin::Signal;
use url::Url;

use super::{ClientIdentity, RetryPauses, SecretHeaders, TrustedCertificates};
use crate::Sampler;
use crate::histogram_aggregation::HistogramAggregation;

/// Default limit of the collector for one gRPC message. Its HTTP receiver allows more.
pub(super) const MAXIMUM_REQUEST_BYTES: usize = 4 * 1024 * 1024;
const DEFAULT_QUEUE_BYTES: usize = 5 * 256 * 1024;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_BATCH_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_METRIC_INTERVAL: Duration = Duration::from_secs(60);

/// All settings that the `OTEL_*` variables determine.
#[derive(Clone, Debug)]
pub struct OtlpSettings {
    /// Destination of spans; `None` to export none.
    pub traces: Option<SignalSettings>,
    /// Destination of metric points; `None` to export none.
    pub metrics: Option<SignalSettings>,
    /// Form in which histograms are sent.
    pub histograms: HistogramAggregation,
    /// Selects the traces that are recorded.
    pub sampler: Sampler,
    /// If true, histograms name sampled spans as examples.
    pub exemplars: bool,
    /// Attributes that describe this process in every request.
    pub resource: ResourceSettings,
}

/// Destination and limits of one signal.
#[derive(Clone)]
pub struct SignalSettings {
    /// The URL of requests, used without appending a path.
    pub endpoint: Endpoint,
    /// Encoding and transport of requests.
    pub protocol: Protocol,
    /// HTTP headers or gRPC metadata of every request.
    pub headers: SecretHeaders,
    /// Maximum duration of one request, including its connection.
    pub timeout: Duration,
    /// Compression of request bodies.
    pub compression: Compression,
    /// The only certificates that may verify the collector; `None` for the platform's trust store.
    pub trusted_certificates: Option<TrustedCertificates>,
    /// Certificate and key that a collector may ask for.
    pub client_identity: Option<ClientIdentity>,
    /// Time between two collections of the source.
    pub interval: Duration,
    /// Maximum bytes in memory, including the request in flight. Batches beyond the first half are
    /// compressed to a fraction of their size.
    pub queue_bytes: usize,
    /// Pauses between attempts.
    pub retry: RetryPauses,
}

impl SignalSettings {
    /// Returns the standard's defaults for a signal that is sent to the given URL.
    pub fn new(signal: Signal, endpoint: Endpoint, protocol: Protocol) -> Self {
        Self {
            endpoint,
            protocol,
            headers: SecretHeaders::default(),
            timeout: DEFAULT_TIMEOUT,
            compression: Compression::None,
            trusted_certificates: None,
            client_identity: None,
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
    /// Parses a URL that is used as it is, without a path appended.
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

    /// Returns scheme, host and port, the part that may be logged.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Returns whether the connection uses TLS.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Returns whether the URL has more than an origin. gRPC does not use the rest.
    pub(super) fn has_path(&self) -> bool {
        self.0.path() != "/" || self.0.query().is_some()
    }

    /// Returns the URL with a path appended to its own.
    pub(super) fn below(&self, path: &str) -> Self {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        Self(url)
    }

    /// Returns the whole URL for sending. It may contain a token, so do not display it.
    pub fn url(&self) -> Url {
        self.0.clone()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.origin())
    }
}

/// Encoding and transport of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// Protobuf bodies over HTTP/1.1.
    HttpProtobuf,
}

/// Compression of request bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// No compression.
    None,
    /// Compression by gzip.
    Gzip,
}

/// Resource attributes from `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceSettings {
    /// `service.name`, from either variable; `OTEL_SERVICE_NAME` wins.
    pub service_name: Option<String>,
    /// All other attributes, with unique keys.
    pub attributes: Vec<(String, String)>,
}

/// An invalid value of a variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct SettingError {
    /// Name of the variable.
    pub variable: &'static str,
    /// The problem and its remedy, never the value.
    pub problem: Cow<'static, str>,
}
