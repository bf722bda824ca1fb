//! Shared helpers of the sender tests: a source of real requests, and settings that lead to a sink.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use signal::builtin::Signal;
use telemetry::otlp::{
    BatchItems, BatchSource, More, OtlpSettings, Protocol, RetryPauses, SenderCounts, SenderLink,
    SenderWarning, SignalSender, SignalSettings,
};

pub(crate) const PROTOCOLS: [Protocol; 2] = [Protocol::HttpProtobuf, Protocol::Grpc];

/// Long enough for the slowest machine; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than any test may take, so a test that waits for it fails.
pub(crate) const FOREVER: Duration = Duration::from_secs(3600);

/// Waits until the condition holds, and panics after a minute.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} never happened");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A source of prepared requests.
#[derive(Default)]
pub(crate) struct Source {
    pending: Mutex<VecDeque<(Vec<u8>, u64)>>,
    produced_items: AtomicU64,
}

impl Source {
    pub(crate) fn produce(&self, request: Vec<u8>, items: u64) {
        self.produced_items.fetch_add(items, Ordering::Relaxed);
        self.pending.lock().unwrap().push_back((request, items));
    }

    pub(crate) fn produced_items(&self) -> u64 {
        self.produced_items.load(Ordering::Relaxed)
    }
}

impl BatchSource for Source {
    fn take(&self, into: &mut Vec<u8>) -> BatchItems {
        let mut pending = self.pending.lock().unwrap();
        let Some((request, items)) = pending.pop_front() else { return BatchItems::default() };
        into.extend_from_slice(&request);
        let more = if pending.is_empty() { More::Nothing } else { More::AtOnce };
        BatchItems { items, more }
    }
}

/// Builds a trace request with `spans` spans whose names start with `name`.
pub(crate) fn trace_request(name: &str, spans: u64) -> ExportTraceServiceRequest {
    let span = |number: u64| Span {
        name: name.to_owned(),
        trace_id: [7; 16].to_vec(),
        span_id: (number + 1).to_be_bytes().to_vec(),
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_000_000_001 + number,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: (0..spans).map(span).collect(), ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
    }
}

/// Returns the number of spans in a trace request.
pub(crate) fn span_count(request: &ExportTraceServiceRequest) -> u64 {
    request
        .resource_spans
        .iter()
        .flat_map(|spans| &spans.scope_spans)
        .map(|spans| spans.spans.len() as u64)
        .sum()
}

/// Builds a metrics request with one point.
pub(crate) fn metrics_request(value: f64) -> ExportMetricsServiceRequest {
    let point = NumberDataPoint {
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    };
    let metric = Metric {
        name: "socialize.test".to_owned(),
        data: Some(metric::Data::Gauge(Gauge { data_points: vec![point] })),
        ..Metric::default()
    };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }],
    }
}

/// Builds typical settings, except that collections happen only when a test wakes the sender.
pub(crate) fn settings(
    signal: Signal,
    protocol: Protocol,
    endpoint: &str,
    variables: &[(&str, &str)],
) -> SignalSettings {
    let protocol = match protocol {
        Protocol::Grpc => "grpc",
        Protocol::HttpProtobuf => "http/protobuf",
    };
    let general = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)];
    let settings = OtlpSettings::from_variables(&|name| {
        let found = general.iter().chain(variables).find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    });
    let settings = settings.unwrap().unwrap();
    let signal_settings = match signal {
        Signal::Traces => settings.traces,
        _ => settings.metrics,
    };
    SignalSettings {
        interval: FOREVER,
        timeout: PATIENCE,
        retry: RetryPauses { first: Duration::from_millis(1), longest: Duration::from_millis(4) },
        ..signal_settings.unwrap()
    }
}

/// A sender of one signal, with its source, link and warnings.
pub(crate) struct Rig {
    pub(crate) source: Arc<Source>,
    pub(crate) link: SenderLink,
    pub(crate) warnings: Arc<Mutex<Vec<SenderWarning>>>,
    sender: SignalSender,
}

impl Rig {
    pub(crate) fn start(signal: Signal, settings: &SignalSettings) -> Self {
        let source = Arc::new(Source::default());
        let link = SenderLink::default();
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let warn = {
            let warnings = Arc::clone(&warnings);
            move |warning| warnings.lock().unwrap().push(warning)
        };
        let sender = SignalSender::start(signal, settings, source.clone(), &link, warn).unwrap();
        Self { source, link, warnings, sender }
    }

    /// Starts a sender of traces over one protocol, as most tests need.
    pub(crate) fn traces(protocol: Protocol, endpoint: &str) -> Self {
        Self::start(Signal::Traces, &settings(Signal::Traces, protocol, endpoint, &[]))
    }

    /// Hands over a request with `spans` spans.
    pub(crate) fn produce_spans(&self, name: &str, spans: u64) {
        self.source.produce(trace_request(name, spans).encode_to_vec(), spans);
        self.link.wake();
    }

    pub(crate) fn produce_point(&self, value: f64) {
        self.source.produce(metrics_request(value).encode_to_vec(), 1);
        self.link.wake();
    }

    pub(crate) fn counts(&self) -> SenderCounts {
        let counts = self.link.statistics().counts();
        assert_eq!(
            counts.taken_items,
            counts.sent_items + counts.dropped_items() + counts.pending_items,
            "{counts:?}"
        );
        counts
    }

    /// Waits until the counts satisfy the condition.
    pub(crate) fn wait_for_counts(
        &self,
        what: &str,
        condition: impl Fn(&SenderCounts) -> bool,
    ) -> SenderCounts {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let counts = self.counts();
            if condition(&counts) {
                return counts;
            }
            assert!(Instant::now() < deadline, "{what} never happened: {counts:?}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Shuts the sender down and returns the final counts.
    pub(crate) fn shutdown(self, deadline: Duration) -> SenderCounts {
        telemetry::otlp::shutdown([self.sender], Instant::now() + deadline);
        let counts = self.link.statistics().counts();
        assert_eq!(counts.taken_items, self.source.produced_items(), "everything was taken: {counts:?}");
        assert_eq!(
            counts.taken_items,
            counts.sent_items + counts.dropped_items(),
            "nothing is left: {counts:?}"
        );
        counts
    }

    pub(crate) fn into_sender(self) -> SignalSender {
        self.sender
    }
}
