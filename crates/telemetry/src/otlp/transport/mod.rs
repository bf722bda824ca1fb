//! One request to the collector, over either protocol.

mod grpc;
mod http;
mod request;
mod response;
mod tls;
mod unreached;

use signal::builtin::Signal;

pub(super) use self::request::{Reply, Transport};
use super::{Protocol, SignalSettings, StartError};

/// Prepares the transport that the settings ask for, without connecting.
pub(super) fn new(signal: Signal, settings: &SignalSettings) -> Result<Box<dyn Transport>, StartError> {
    Ok(match settings.protocol {
        Protocol::Grpc => Box::new(grpc::GrpcTransport::new(signal, settings)?),
        Protocol::HttpProtobuf => Box::new(http::HttpTransport::new(settings)?),
    })
}
