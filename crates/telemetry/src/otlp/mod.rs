//! How encoded telemetry reaches a collector.
//!
//! The rest of the crate encodes spans and metric points as complete OTLP requests; this module only moves those bytes.
//! Each signal has an operating system thread of its own, because a collector that hangs for one signal must not delay
//! the other. Nothing here is ever awaited by a request: the application fills buffers, and a sender empties them.
//!
//! Every item is accounted for: what a source handed over is sent, dropped for one [`DropReason`](crate::builtin::DropReason), or still pending,
//! and [`SenderStatistics`] shows the three at one instant.
//!
//! What is absent on purpose: proxies (`HTTP_PROXY` and its relatives are not read, as a collector is a neighbour and
//! its headers are secrets), redirects (they would carry those headers elsewhere), and the JSON encoding.

mod export_loop;
mod pacing;
mod probe;
mod queue;
mod secret_headers;
mod sender;
mod settings;
mod statistics;
mod transport;
mod variables;

pub use pacing::RetryPauses;
pub use probe::{ProbeAnswer, probe};
pub use secret_headers::SecretHeaders;
pub use sender::{
    BatchItems, BatchSource, More, SenderLink, SenderWarning, SignalSender, StartError, shutdown,
};
pub use settings::{
    Compression, Endpoint, OtlpSettings, Protocol, ResourceSettings, SettingError, SignalSettings,
    TrustedCertificates,
};
pub use statistics::{ExportFailure, SenderCounts, SenderStatistics};
