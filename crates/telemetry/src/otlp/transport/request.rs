//! The interface of a transport: one request and its result.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::otlp::ExportFailure;

/// Identifies the sender, in the form that the OTLP specification requires.
pub(super) const USER_AGENT: &str = concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"));

/// Sends encoded requests. It neither waits nor retries nor counts; the sender does.
pub(in crate::otlp) trait Transport: Send {
    /// Sends one encoded export request. Dropping the future cancels the request.
    fn send(&mut self, body: Bytes) -> BoxFuture<'static, Reply>;

    /// Closes connections after the collector behind them stopped responding.
    fn reconnect(&mut self);
}

/// Result of one request.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::otlp) enum Reply {
    /// The collector accepted the request, except for some of its items.
    Accepted { rejected_items: u64 },
    /// The collector cannot accept the request now.
    TryLater { status: u16, pause: Option<Duration> },
    /// The collector rejected the request permanently.
    Rejected { status: u16 },
    /// The collector, or something in front of it, asked to send the request elsewhere. Redirects
    /// are not followed, because the headers are secrets.
    Redirected { status: u16 },
    /// The response reports success but is not OTLP. A login page is an example.
    NotOtlp { status: u16 },
    /// There was no response, for this reason.
    Unreachable(ExportFailure),
    /// The request timed out. Set by the sender, which owns the deadline.
    TimedOut,
}
