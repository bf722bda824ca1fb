//! One request to the collector, over either protocol.

mod answer;
mod grpc;
mod http;
mod unreached;

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use signal::builtin::Signal;

use super::{ExportFailure, Protocol, SignalSettings, StartError};

/// Identifies the sender, in the form that the OTLP specification requires.
const USER_AGENT: &str = concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"));

/// Sends encoded requests. It neither waits nor retries nor counts; the sender does.
pub(super) trait Transport: Send {
    /// Sends one encoded export request. Dropping the future cancels the request.
    fn send(&mut self, body: Bytes) -> BoxFuture<'static, Reply>;

    /// Closes connections after the collector behind them stopped responding.
    fn reconnect(&mut self);
}

/// Result of one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
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

/// Prepares the transport that the settings ask for, without connecting.
pub(super) fn new(signal: Signal, settings: &SignalSettings) -> Result<Box<dyn Transport>, StartError> {
    Ok(match settings.protocol {
        Protocol::Grpc => Box::new(grpc::GrpcTransport::new(signal, settings)?),
        Protocol::HttpProtobuf => Box::new(http::HttpTransport::new(settings)?),
    })
}
