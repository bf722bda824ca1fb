//! Check of the collector: sends one span and one point, and reports its responses.

use telemetry::builtin::Signal;
use telemetry::otlp::{OtlpSettings, ProbeAnswer, SignalSettings, probe};
use telemetry::{ClosedSet, Resource};

use super::finding::Finding;
use crate::start::VERSION;

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
    let (signal_name, origin) = (signal.as_str(), settings.endpoint.origin());
    let answer = match probe(signal, resource(), settings).await {
        Ok(answer) => answer,
        Err(error) => {
            return Finding::failed(check, error.to_string(), "correct the OTEL_EXPORTER_OTLP_* variables");
        }
    };
    let failed = |detail: &str, remedy: &str| Finding::failed(check, format!("{origin} {detail}"), remedy);
    match answer {
        ProbeAnswer::Accepted => Finding::ok(check, format!("{origin} accepted what was sent")),
        ProbeAnswer::Refused => failed("refuses what was sent", "read the collector's log"),
        ProbeAnswer::TryLater(status) => {
            failed(&format!("answers {status}: try later"), "see whether the collector's queues are full")
        }
        ProbeAnswer::Rejected(status) => failed(
            &format!("answers {status}"),
            &format!(
                "see whether the path is right (/v1/{signal_name} for HTTP), OTEL_EXPORTER_OTLP_PROTOCOL fits, and \
                 OTEL_EXPORTER_OTLP_HEADERS carries the credentials"
            ),
        ),
        ProbeAnswer::Unreachable => failed(
            "cannot be reached, or ends the connection",
            "start the collector; 4317 is usually gRPC and 4318 HTTP, which OTEL_EXPORTER_OTLP_PROTOCOL has to match",
        ),
        ProbeAnswer::TimedOut => failed(
            "does not answer in time",
            "see whether a firewall drops the connection, or the collector hangs",
        ),
    }
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
    Resource { attributes, scopes: domain::scopes::OF_METRICS }
}
