//! Check of the collector: sends one span and one point, and reports its responses.

use signal::builtin::Signal;
use telemetry::otlp::{ExportFailure, OtlpSettings, ProbeResult, Protocol, SignalSettings, probe};
use telemetry::{ClosedSet, Resource};

use crate::platform::finding::Finding;
use crate::platform::version::VERSION;

/// Sends a span and a point to their endpoints.
pub(super) async fn check(settings: Option<&OtlpSettings>) -> [Finding; 2] {
    let traces = settings.and_then(|otlp| otlp.traces.as_ref());
    let metrics = settings.and_then(|otlp| otlp.metrics.as_ref());
    [
        check_signal("otlp_traces", Signal::Traces, traces).await,
        check_signal("otlp_metrics", Signal::Metrics, metrics).await,
    ]
}

async fn check_signal(check: &'static str, signal: Signal, settings: Option<&SignalSettings>) -> Finding {
    let Some(settings) = settings else {
        return Finding::skipped(check, "no endpoint in OTEL_EXPORTER_OTLP_ENDPOINT: nothing is sent");
    };
    let origin = settings.endpoint.origin();
    let result = match probe(signal, resource(), settings).await {
        Ok(result) => result,
        Err(error) => {
            return Finding::failed(check, error.to_string(), "correct the OTEL_EXPORTER_OTLP_* variables");
        }
    };
    match result {
        ProbeResult::Accepted => Finding::ok(check, format!("{origin} accepted what was sent")),
        ProbeResult::Failed { failure, status } => {
            let (detail, remedy) = explain(failure, status, signal, settings.protocol);
            Finding::failed(check, format!("{origin} {detail}"), remedy)
        }
    }
}

/// Returns the state of the collector, with a remedy.
fn explain(
    failure: ExportFailure,
    status: Option<u16>,
    signal: Signal,
    protocol: Protocol,
) -> (String, String) {
    let signal = signal.as_str();
    let status = status.unwrap_or_default();
    let (detail, remedy): (&str, &str) = match failure {
        ExportFailure::Timeout => {
            ("does not answer in time", "see whether a firewall drops the connection, or the collector hangs")
        }
        ExportFailure::NameResolution => (
            "cannot be found: its name leads to no address",
            "correct the host name in OTEL_EXPORTER_OTLP_ENDPOINT, or the name server of this machine",
        ),
        ExportFailure::ConnectionRefused => (
            "refuses the connection: nothing listens on this port",
            "start the collector, or correct the port; 4318 is usually HTTP and 4317 gRPC",
        ),
        ExportFailure::Tls => (
            "has no trusted TLS connection for us",
            "see whether its certificate is for this host name, not expired, and issued by an authority in \
             OTEL_EXPORTER_OTLP_CERTIFICATE (by default those of the platform); whether it demands a certificate \
             (OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and _CLIENT_KEY); and whether it speaks TLS at all: if not, the \
             endpoint starts with http://",
        ),
        ExportFailure::WrongProtocol => match protocol {
            Protocol::HttpProtobuf => (
                "does not answer with HTTP/1.1: this is probably its port for gRPC",
                "name its port for HTTP, usually 4318, or set OTEL_EXPORTER_OTLP_PROTOCOL=grpc; if it speaks TLS, the \
                 endpoint starts with https://",
            ),
            Protocol::Grpc => (
                "does not answer with HTTP/2: this is probably its port for HTTP",
                "name its port for gRPC, usually 4317, or set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf; if it speaks \
                 TLS, the endpoint starts with https://",
            ),
        },
        ExportFailure::Connection => (
            "cannot be reached, or ends the connection",
            "see whether there is a route to the collector, and whether the port is right: 4318 is usually HTTP and \
             4317 gRPC, which OTEL_EXPORTER_OTLP_PROTOCOL has to match; with https://, whether it demands a client \
             certificate",
        ),
        ExportFailure::Unavailable => {
            return (
                format!("answers {status}: try later"),
                "see whether the collector's queues are full".to_owned(),
            );
        }
        ExportFailure::Rejected => {
            return (
                format!("answers {status}"),
                format!(
                    "see whether the path is right (/v1/{signal} for HTTP), OTEL_EXPORTER_OTLP_PROTOCOL fits, and \
                     OTEL_EXPORTER_OTLP_HEADERS carries the credentials"
                ),
            );
        }
        ExportFailure::Redirected => {
            return (
                format!(
                    "answers {status}: it redirects, which is not followed because the headers are secret"
                ),
                "name the address to which it redirects, often the same with https://".to_owned(),
            );
        }
        ExportFailure::NotOtlp => {
            return (
                format!("answers {status} with something that is not OTLP, such as a login page"),
                format!(
                    "see whether a proxy or another program answers in place of the collector, and whether the path is \
                     right (/v1/{signal} for HTTP)"
                ),
            );
        }
        ExportFailure::PartlyRejected => ("refuses what was sent", "read the collector's log"),
    };
    (detail.to_owned(), remedy.to_owned())
}

/// Returns a resource that is none of the roles: an alert on missing telemetry must not mistake the
/// check for a live process.
fn resource() -> Resource {
    let attributes = [
        ("service.name", "socialize-doctor"),
        ("service.namespace", "socialize"),
        ("service.version", VERSION),
    ];
    let attributes = attributes.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    Resource { attributes, scopes: catalogue::scopes::OF_METRICS }
}
