//! One request to the collector, over either protocol.

mod answer;
mod grpc;
mod http;

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Protocol, SignalSettings, StartError};
use crate::builtin::Signal;

/// Tells collectors who sends, in the form that the OTLP specification asks for.
const USER_AGENT: &str = concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"));

/// Carries encoded requests. It neither waits nor repeats nor counts: the sender does.
pub(super) trait Transport: Send {
    /// Sends one encoded export request. Dropping the future gives the request up.
    fn send(&mut self, body: Bytes) -> BoxFuture<'static, Reply>;

    /// Forgets open connections, because the collector behind them stopped answering.
    fn reconnect(&mut self);
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The collector took the request, except for some of its items.
    Accepted { rejected_items: u64 },
    /// The collector cannot take the request now.
    TryLater { status: u16, pause: Option<Duration> },
    /// The collector will never take this request.
    Rejected { status: u16 },
    /// There was no connection, or it broke before the answer.
    Unreachable,
    /// There was no answer in time; said by the sender, which measures the time.
    TimedOut,
}

/// Prepares the transport that the settings ask for, without connecting.
pub(super) fn new(signal: Signal, settings: &SignalSettings) -> Result<Box<dyn Transport>, StartError> {
    Ok(match settings.protocol {
        Protocol::Grpc => Box::new(grpc::GrpcTransport::new(signal, settings)?),
        Protocol::HttpProtobuf => Box::new(http::HttpTransport::new(settings)?),
    })
}
