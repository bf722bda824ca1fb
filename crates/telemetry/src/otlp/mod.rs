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
mod pacing;
mod probe;
mod queue;
mod secret_headers;
mod sender;
mod settings;
mod standard;
mod statistics;
mod transport;
mod variables;

pub use certificates::{ClientIdentity, TrustedCertificates};
pub use pacing::RetryPauses;
pub use probe::{ProbeAnswer, probe};
pub use secret_headers::SecretHeaders;
pub use sender::{
    BatchItems, BatchSource, More, SenderLink, SenderWarning, SignalSender, StartError, shutdown,
};
pub use settings::{
    Compression, Endpoint, HistogramAggregation, OtlpSettings, Protocol, ResourceSettings, SettingError,
    SignalSettings,
};
pub use standard::{STANDARD_VARIABLES, StandardVariables, Treatment};
pub use statistics::{ExportFailure, SenderCounts, SenderStatistics};
