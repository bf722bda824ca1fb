//! Every field that the protocol defines for spans and metric points, with its sent values.
//! `docs/proof/otlp.md` is rendered from this table.

mod conventions;
mod seen;
mod table;

use std::fmt::Write;
use std::path::Path;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use signal::builtin::{HTTP_SERVER_REQUEST_DURATION, QUEUE_SIZE, Signal};
use signal::instrumentation_scope::{HTTP_SERVER, PIPELINE};
use signal::metric::{CounterMetric, GaugeMetric, Unit};
use telemetry::log::Level;
use telemetry::meter;
use telemetry::otlp::HistogramAggregation;
use telemetry::record::{Operation, OperationDescription, OutcomeDescription, Record, SpanKind};
use telemetry::{
    Attributes, ErrorType, Key, SpanContext, SpanId, Telemetry, Timestamp, TraceId, TraceState,
    metrics_request,
};

use crate::support::all_signals;
use seen::Seen;
use table::{NOT_SENT, Sent, TABLE};

static ROWS: Key = Key("rows");
static WAITED: Key = Key("waited_ms");
static CAUSE: Key = Key("error.cause");

/// With the others, one more than a record has room for.
static TOO_MANY: [Key; 10] = [
    Key("a.1"),
    Key("a.2"),
    Key("a.3"),
    Key("a.4"),
    Key("a.5"),
    Key("a.6"),
    Key("a.7"),
    Key("a.8"),
    Key("a.9"),
    Key("a.10"),
];

const CONTEXT: SpanContext =
    SpanContext { trace_id: TraceId([1; 16]), span_id: SpanId([2; 8]), sampled: true };
const START: u64 = 1_700_000_000_000_000_000;
const A_GAUGE: GaugeMetric = GaugeMetric::gauge("a.gauge", Unit::Seconds, "Help.", "Question?");
const A_COUNTER: CounterMetric =
    CounterMetric::counter("a.counter", Unit::Count("{thing}"), "Help.", "Question?");
const AN_OBSERVED_COUNTER: CounterMetric =
    CounterMetric::counter("an.observed.counter", Unit::Seconds, "Help.", "Question?");

/// Records spans of every kind: with and without parent, link, attributes and error.
fn record_spans(telemetry: &Telemetry) {
    let mut described = Attributes::default();
    described.number(&ROWS, 7);
    described.milliseconds(&WAITED, 1_500_000);
    described.name(&CAUSE, ErrorType::Timeout);
    let state = TraceState::parse([&b"rojo=1"[..]]).expect("a list").expect("a member");
    for key in &TOO_MANY {
        described.number(key, 1);
    }
    for kind in [SpanKind::Internal, SpanKind::Server, SpanKind::Client, SpanKind::Consumer] {
        for is_error in [false, true] {
            let attributes = if is_error { described } else { Attributes::default() };
            let operation = Operation::new(OperationDescription {
                event: "http.server.request",
                span_name: "GET /things/{thing_id}".to_owned(),
                kind,
                scope: if is_error { HTTP_SERVER } else { PIPELINE },
                attributes: if is_error { vec![("http.route", "/things/{thing_id}".into())] } else { vec![] },
                outcomes: vec![OutcomeDescription {
                    attributes: if is_error {
                        vec![("http.response.status_code", 500.into())]
                    } else {
                        vec![]
                    },
                    level: Level::Info,
                    is_error,
                    histogram: None,
                    counter: None,
                }],
            });
            telemetry.finish(&Record {
                operation: &operation,
                outcome: 0,
                context: CONTEXT,
                parent: is_error.then_some(SpanId([3; 8])),
                link: (!is_error).then_some(CONTEXT),
                trace_state: is_error.then_some(&state),
                start: Timestamp::from_unix_nanoseconds(START),
                nanoseconds: 5_000_000,
                attributes: &attributes,
            });
        }
    }
}

/// Records points of every kind: with and without labels, exemplars and values.
fn record_points(telemetry: &Telemetry) {
    let meter = telemetry.meter();
    meter.gauge(&A_GAUGE).set((), 1.5);
    meter.counter(&A_COUNTER).add((), 3);
    meter.observe(&AN_OBSERVED_COUNTER, |()| Some(2.5));
    let _waiting = meter.up_down_counter(&QUEUE_SIZE).enter(Signal::Traces);
    let labels = |status: u16| {
        let status = status.to_string();
        vec![("http.request.method", "GET".to_owned()), ("http.response.status_code", status)]
    };
    let used = meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, labels(200));
    let exemplar = meter::Exemplar { context: CONTEXT, nanoseconds: 7_000_000, unix_nanoseconds: START };
    used.record(7_000_000, Some(exemplar));
    used.record(70_000_000, None);
    used.record(0, None);
    meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, labels(204)).record(1, None);
    meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, labels(304)).record(1_050_000_000, None);
    meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, labels(500)).record(0, None);
    meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, labels(404));
    meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, Vec::new());
}

/// Returns the encoder's output for all of them, with points in both forms, decoded with the
/// official types.
fn everything() -> (ExportTraceServiceRequest, [ExportMetricsServiceRequest; 2]) {
    let telemetry = Telemetry::new(all_signals());
    record_spans(&telemetry);
    record_points(&telemetry);
    let taken = telemetry.take_spans(usize::MAX, Vec::new());
    let snapshot = telemetry.meter().snapshot();
    let now = snapshot.started_unix_nanoseconds + 1;
    let points = [HistogramAggregation::Exponential, HistogramAggregation::Explicit].map(|histograms| {
        let mut points = Vec::new();
        metrics_request(telemetry.resource(), &snapshot, histograms, now, &mut points);
        ExportMetricsServiceRequest::decode(&points[..]).expect("a decodable request")
    });
    (ExportTraceServiceRequest::decode(&taken.request[..]).expect("a decodable request"), points)
}

#[test]
fn every_field_of_the_protocol_is_sent_as_the_table_says() {
    let (spans, points) = everything();
    let mut seen = Seen::default();
    seen.traces(&spans);
    points.iter().for_each(|points| seen.metrics(points));
    for (message, rows) in TABLE {
        for (field, sent, _) in *rows {
            let found = seen.0.remove(&(*message, *field));
            let (set, unset) = found.unwrap_or_else(|| panic!("no {message} with a field {field} was sent"));
            let really = match (set, unset) {
                (0, _) => Sent::Never,
                (_, 0) => Sent::Always,
                _ => Sent::Sometimes,
            };
            assert_eq!(really, *sent, "{message}.{field} was set in {set} messages and not in {unset}");
        }
    }
    assert!(seen.0.is_empty(), "the table lacks {:?}", seen.0.keys());
}

#[test]
fn the_document_is_the_table() {
    let mut text = String::from(
        "# Every field of OTLP\n\
         \n\
         Which fields that `opentelemetry-proto` 1.x defines for spans and metric points does Socialize send?\n\
         \n\
         A test (`crates/telemetry/tests/records/conformance`) decodes what the encoder writes with the\n\
         official messages. It fails where a field is not sent as said here, and does not compile when the\n\
         protocol has a field that is not listed. [OTLP.md](../OTLP.md) says how to configure sending.\n",
    );
    for (message, rows) in TABLE {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "\n## {message}\n\n| field | sent | what, or why not |\n|---|---|---|\n");
        for (field, sent, what) in *rows {
            let sent = format!("{sent:?}").to_lowercase();
            let _ = writeln!(text, "| `{field}` | {sent} | {what} |");
        }
    }
    text.push_str("\n## Messages that are not sent\n\n| message | why not |\n|---|---|\n");
    for (message, why) in NOT_SENT {
        let _ = writeln!(text, "| `{message}` | {why} |");
    }
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/proof/otlp.md");
    if std::fs::read_to_string(committed).unwrap_or_default() != text {
        let rendered = Path::new(env!("CARGO_TARGET_TMPDIR")).join("otlp.md");
        std::fs::write(&rendered, text).expect("a file");
        panic!("docs/proof/otlp.md is not what the table says: copy {} there", rendered.display());
    }
}
