//! Transport of encoded telemetry to a collector.
//!
//! The rest of the crate encodes spans and metric points as complete OTLP requests; this module
//! only moves those bytes. Each signal has its own operating system thread, because a collector
//! that hangs for one signal must not delay the other. No request ever awaits anything here: the
//! application fills buffers, and a sender empties them.
//!
//! Every item is accounted for: it is sent, dropped for one
//! [`DropReason`](signal::builtin::DropReason), or still pending. [`SenderStatistics`] shows the
//! three counts at one instant.
//!
//! Three features are absent on purpose. Proxies: `HTTP_PROXY` and its relatives are not read,
//! because a collector is nearby and its headers are secrets. Redirects: they would send those
//! headers elsewhere. And the JSON encoding.

mod certificates;
mod export_loop;
mod link;
mod pacing;
mod probe;
mod queue;
mod secret_headers;
mod sender;
mod settings;
mod source;
mod standard;
mod start_error;
mod statistics;
mod transport;
mod variables;

pub use certificates::{ClientIdentity, TrustedCertificates};
pub use export_loop::SenderWarning;
pub use link::SenderLink;
pub use pacing::RetryPauses;
pub use probe::{ProbeResult, probe};
pub use secret_headers::SecretHeaders;
pub use sender::{SignalSender, shutdown};
pub use settings::{
    Compression, Endpoint, OtlpSettings, Protocol, ResourceSettings, SettingError, SignalSettings,
};
pub use source::{BatchItems, BatchSource, More};
pub use standard::{STANDARD_VARIABLES, StandardVariables, Treatment};
pub use start_error::StartError;
pub use statistics::{ExportFailure, SenderCounts, SenderStatistics};

pub use crate::histogram_aggregation::HistogramAggregation;
