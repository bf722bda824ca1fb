//! Decodes recorded signals as external programs do: OTLP with `opentelemetry-proto`, lines with
//! `serde_json`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogramDataPoint, Metric, exemplar, metric};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Map, Value};
use signal::exponential;
use telemetry::log::{Level, LevelFilter};
use telemetry::otlp::HistogramAggregation;
use telemetry::{Resource, Telemetry, TelemetrySettings, metrics_request};

/// Bits of a span's flags: `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK`,
/// `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK` and the sampled flag.
pub(crate) const FLAG_REMOTE_IS_KNOWN: u32 = 0x100;
pub(crate) const FLAG_IS_REMOTE: u32 = 0x200;
pub(crate) const FLAG_SAMPLED: u32 = 1;

/// Settings that record everything, including the lines of successful database operations.
pub(crate) fn all_signals() -> TelemetrySettings {
    let attributes = vec![("service.name".to_owned(), "records".to_owned())];
    let resource = Resource { attributes, ..Resource::default() };
    TelemetrySettings {
        traces: true,
        levels: LevelFilter::new(Level::Debug.into()),
        resource,
        ..TelemetrySettings::default()
    }
}

/// The text and the fields of one log line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) fields: Map<String, Value>,
}

impl Line {
    #[track_caller]
    pub(crate) fn text(&self, field: &str) -> &str {
        let value = self.fields.get(field).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("no text {field} in {}", self.text))
    }

    /// Returns the duration in exact nanoseconds, which a floating-point number cannot hold for
    /// every duration.
    #[track_caller]
    pub(crate) fn nanoseconds(&self) -> u64 {
        let (_, rest) = self.text.split_once("\"duration_ms\":").expect("a line with a duration");
        let number: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let (milliseconds, decimals) = number.split_once('.').expect("a duration with decimals");
        assert_eq!(decimals.len(), 6, "{number}");
        milliseconds.parse::<u64>().expect("milliseconds") * 1_000_000
            + decimals.parse::<u64>().expect("nanoseconds")
    }

    /// Returns the fields that not every line has.
    fn own_fields(&self) -> BTreeMap<String, Value> {
        let common = ["timestamp", "level", "event", "trace_id", "span_id", "duration_ms", "link.trace_id"];
        let own = self.fields.iter().filter(|(name, _)| !common.contains(&name.as_str()));
        own.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

pub(crate) fn take_lines(telemetry: &Telemetry) -> Vec<Line> {
    let mut bytes = Vec::new();
    telemetry.take_lines(&mut Vec::new(), |piece| bytes.append(piece));
    let text = String::from_utf8(bytes).expect("lines are UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is not whole: {text}");
    let parse = |line: &str| {
        let fields = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Line { text: line.to_owned(), fields }
    };
    text.lines().map(parse).collect()
}

pub(crate) fn take_spans(telemetry: &Telemetry) -> Vec<Span> {
    let taken = telemetry.take_spans(usize::MAX, Vec::new());
    if taken.count == 0 {
        assert!(taken.request.is_empty(), "a request without spans");
        return Vec::new();
    }
    let request = ExportTraceServiceRequest::decode(&taken.request[..]).expect("a decodable request");
    let [resource_spans] = &request.resource_spans[..] else { panic!("one resource: {request:?}") };
    let resource = resource_spans.resource.as_ref().expect("a resource");
    assert_eq!(values(&resource.attributes)["service.name"], Value::from("records"));
    let scopes = resource_spans.scope_spans.iter();
    let names: BTreeSet<_> =
        scopes.clone().map(|scope| &scope.scope.as_ref().expect("a scope").name).collect();
    assert_eq!(names.len(), resource_spans.scope_spans.len(), "each scope once: {names:?}");
    let spans: Vec<Span> = scopes.flat_map(|scope| scope.spans.clone()).collect();
    assert_eq!(spans.len(), taken.count, "as many spans as were counted");
    spans
}

/// Returns every metric that has a point.
pub(crate) fn metrics(telemetry: &Telemetry) -> Vec<Metric> {
    let mut bytes = Vec::new();
    let snapshot = telemetry.meter().snapshot();
    let now = snapshot.started_unix_nanoseconds + 1;
    metrics_request(telemetry.resource(), &snapshot, HistogramAggregation::Exponential, now, &mut bytes);
    let request = ExportMetricsServiceRequest::decode(&bytes[..]).expect("a decodable request");
    let [resource_metrics] = &request.resource_metrics[..] else { panic!("one resource") };
    resource_metrics.scope_metrics.iter().flat_map(|scope| scope.metrics.clone()).collect()
}

/// Returns the series of a histogram that contain recordings.
pub(crate) fn used_points(telemetry: &Telemetry, name: &str) -> Vec<ExponentialHistogramDataPoint> {
    let metric = metrics(telemetry).into_iter().find(|metric| metric.name == name);
    let Some(metric::Data::ExponentialHistogram(histogram)) = metric.and_then(|metric| metric.data) else {
        panic!("no histogram {name}")
    };
    histogram.data_points.into_iter().filter(|point| point.count > 0).collect()
}

/// Returns the value of a counter without labels.
pub(crate) fn count(telemetry: &Telemetry, name: &str) -> i64 {
    telemetry.meter().snapshot().total(name)
}

/// Returns attributes by name. Fails if a name occurs twice.
pub(crate) fn values(attributes: &[KeyValue]) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    for attribute in attributes {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref()).expect("a value");
        let value = match value {
            any_value::Value::StringValue(text) => Value::from(text.as_str()),
            any_value::Value::IntValue(number) => Value::from(*number),
            any_value::Value::DoubleValue(number) => Value::from(*number),
            other => panic!("an attribute of a type that nothing here writes: {other:?}"),
        };
        assert!(values.insert(attribute.key.clone(), value).is_none(), "{} occurs twice", attribute.key);
    }
    values
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn nanoseconds_of(span: &Span) -> u64 {
    span.end_time_unix_nano - span.start_time_unix_nano
}

/// Compares all information that a line and a span share.
#[track_caller]
pub(crate) fn assert_line_equals_span(line: &Line, span: &Span) {
    assert_eq!(line.text("trace_id"), hex(&span.trace_id));
    assert_eq!(line.text("span_id"), hex(&span.span_id));
    assert_eq!(line.own_fields(), values(&span.attributes), "{}", line.text);
    assert_eq!(line.nanoseconds(), nanoseconds_of(span), "{}", line.text);
    let written = DateTime::parse_from_rfc3339(line.text("timestamp")).expect("an RFC 3339 time");
    let microseconds = u64::try_from(written.timestamp_micros()).expect("a time after 1970");
    assert_eq!(microseconds, span.end_time_unix_nano / 1_000, "the line carries the end of the span");
    let link = line.fields.get("link.trace_id").and_then(Value::as_str).map(str::to_owned);
    assert_eq!(link, span.links.first().map(|link| hex(&link.trace_id)));
}

/// Compares all information that a line and the only recording of a histogram series share.
#[track_caller]
pub(crate) fn assert_line_equals_point(line: &Line, point: &ExponentialHistogramDataPoint) {
    assert_eq!(point.count, 1, "{point:?}");
    for (name, label) in values(&point.attributes) {
        assert_eq!(line.fields.get(&name), Some(&label), "{name} in {}", line.text);
    }
    let seconds = point.sum.expect("a sum");
    assert_eq!((seconds * 1e9).round() as u64, line.nanoseconds(), "{}", line.text);
    let Some(positive) = &point.positive else {
        assert_eq!((point.zero_count, seconds), (1, 0.0));
        return;
    };
    assert_eq!((point.scale, &positive.bucket_counts[..]), (exponential::SCALE, &[1][..]));
    assert_eq!(Some(positive.offset), exponential::index(seconds));
}

/// Compares a point's only exemplar with the span it refers to.
#[track_caller]
pub(crate) fn assert_exemplar_names(point: &ExponentialHistogramDataPoint, span: &Span) {
    let [exemplar] = &point.exemplars[..] else { panic!("one exemplar: {point:?}") };
    assert_eq!(hex(&exemplar.trace_id), hex(&span.trace_id));
    assert_eq!(hex(&exemplar.span_id), hex(&span.span_id));
    assert_eq!(exemplar.time_unix_nano, span.end_time_unix_nano);
    assert_eq!(exemplar.value, Some(exemplar::Value::AsDouble(point.sum.expect("a sum"))));
}
