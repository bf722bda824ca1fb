//! One test request to a collector, with which an operator checks before a release that telemetry
//! would arrive.

use std::io;

use bytes::Bytes;
use signal::builtin::{self, Signal};
use signal::{Level, instrumentation_scope};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::transport::{self, Reply};
use super::{Endpoint, ExportFailure, HistogramAggregation, Protocol, SignalSettings, StartError};
use crate::otlp_encoding::metrics_request;
use crate::record::{Operation, OperationDescription, OutcomeDescription, SpanKind};
use crate::{Measurement, Resource, Telemetry, TelemetrySettings};

/// Name of the event and the span, for finding a probe in the store.
const PROBE: &str = "telemetry.probe";

/// Result of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// The collector accepted the whole request.
    Accepted,
    /// The request failed.
    Failed {
        /// The kind of failure.
        failure: ExportFailure,
        /// The HTTP status or gRPC code of the response, if there was one.
        status: Option<u16>,
    },
}

/// Sends one span or one point, without retries.
///
/// # Errors
/// Returns an error if no sender can be started with these settings.
pub async fn probe(
    signal: Signal,
    resource: Resource,
    settings: &SignalSettings,
) -> Result<ProbeResult, StartError> {
    let telemetry =
        Telemetry::new(TelemetrySettings { traces: true, resource, ..TelemetrySettings::default() });
    let mut transport = transport::new(signal, settings)?;
    let reply = transport.send(Bytes::from(request(signal, &telemetry)));
    let (failure, status) = match timeout(settings.timeout, reply).await.unwrap_or(Reply::TimedOut) {
        Reply::Accepted { rejected_items: 0 } => return Ok(ProbeResult::Accepted),
        Reply::Accepted { .. } => (ExportFailure::PartlyRejected, None),
        Reply::TryLater { status, .. } => (ExportFailure::Unavailable, Some(status)),
        Reply::Rejected { status } => (ExportFailure::Rejected, Some(status)),
        Reply::Redirected { status } => (ExportFailure::Redirected, Some(status)),
        Reply::NotOtlp { status } => (ExportFailure::NotOtlp, Some(status)),
        Reply::Unreachable(ExportFailure::Connection) if should_speak_http2(settings) => {
            let speaks_http1 = timeout(settings.timeout, speaks_http1(&settings.endpoint)).await;
            let is_other = speaks_http1.is_ok_and(|result| result.unwrap_or(false));
            (if is_other { ExportFailure::WrongProtocol } else { ExportFailure::Connection }, None)
        }
        Reply::Unreachable(failure) => (failure, None),
        Reply::TimedOut => (ExportFailure::Timeout, None),
    };
    Ok(ProbeResult::Failed { failure, status })
}

fn should_speak_http2(settings: &SignalSettings) -> bool {
    settings.protocol == Protocol::Grpc && !settings.endpoint.is_encrypted()
}

/// Returns whether a peer answers the first bytes of HTTP/2 with a response of HTTP/1.
///
/// A server of HTTP/1 may close the connection before the gRPC client has sent its request. The
/// client then fails to write and does not read the response.
async fn speaks_http1(endpoint: &Endpoint) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const VERSION: &[u8] = b"HTTP/1.";
    let url = endpoint.url();
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Ok(false) };
    // A URL writes IPv6 addresses in brackets.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut stream = TcpStream::connect((host, port)).await?;
    stream.write_all(PREFACE).await?;
    let mut start = [0; VERSION.len()];
    stream.read_exact(&mut start).await?;
    Ok(start == VERSION)
}

fn request(signal: Signal, telemetry: &Telemetry) -> Vec<u8> {
    let mut request = Vec::new();
    if signal == Signal::Metrics {
        telemetry.meter().observe(&builtin::PROCESS_UPTIME, |()| Some(0.0));
        let now = telemetry.now().unix_nanoseconds();
        let snapshot = telemetry.meter().snapshot();
        metrics_request(telemetry.resource(), &snapshot, HistogramAggregation::default(), now, &mut request);
        return request;
    }
    let done = OutcomeDescription {
        attributes: Vec::new(),
        level: Level::Info,
        is_error: false,
        histogram: None,
        counter: None,
    };
    let operation = Operation::new(OperationDescription {
        event: PROBE,
        span_name: PROBE.to_owned(),
        kind: SpanKind::Internal,
        scope: instrumentation_scope::PIPELINE,
        attributes: Vec::new(),
        outcomes: vec![done],
    });
    Measurement::begin(telemetry, &operation, 0).finish(0);
    telemetry.take_spans(usize::MAX, request).request
}
