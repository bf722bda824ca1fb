//! OTLP export requests, encoded as protobuf bytes without intermediate structures.
//!
//! Field numbers: `opentelemetry/proto/{trace,metrics,common,resource}/v1` and `collector/*/v1` of
//! opentelemetry-proto 1.x.

use signal::exponential;
use signal::instrumentation_scope::{InstrumentationScope, ScopesOfMetrics, of_metric};
use signal::metric::{MetricKind, SeriesLabels};

use crate::histogram_aggregation::HistogramAggregation;
use crate::meter::{Distribution, Exemplar, FamilySnapshot, Snapshot, Value};
use crate::protobuf::{
    bytes_field, double_field, fixed64_field, integer_attribute, message_field, packed_fixed64_field,
    packed_varint_field, signed_field, string_attribute, uint_field, varint,
};

/// Version of the semantic conventions that the attribute names follow.
pub(crate) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

const CUMULATIVE: u64 = 2;

/// The entity that produces telemetry: `service.name`, `service.version` and so on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    /// Attribute names and values.
    pub attributes: Vec<(String, String)>,
    /// Scopes of the program's own metrics, the more precise first.
    pub scopes: ScopesOfMetrics,
}

/// Resource attributes that the conventions define as numbers.
const NUMBERS: &[&str] = &["process.pid"];

impl Resource {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        for (key, value) in &self.attributes {
            match value.parse() {
                Ok(number) if NUMBERS.contains(&key.as_str()) => integer_attribute(&mut out, 1, key, number),
                _ => string_attribute(&mut out, 1, key, value),
            }
        }
        out
    }

    /// Returns the value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Start and end of an export request, around the spans or metrics of its scopes. Both kinds of request use
/// the same field numbers.
pub(crate) struct RequestFrame {
    head: Vec<u8>,
    schema: Vec<u8>,
}

/// An instrumentation scope within a request that is being written.
#[must_use = "a scope must be ended"]
pub(crate) struct OpenScope {
    length_at: usize,
}

/// Position of the resource's length in the head.
const RESOURCE_LENGTH_AT: usize = 1;

/// Bytes reserved for a length that is written later, as a padded varint of maximum size.
const PADDED_LENGTH: usize = 5;

impl RequestFrame {
    pub(crate) fn new(resource: &Resource) -> Self {
        let mut head = Vec::with_capacity(512);
        begin_message(&mut head, 1);
        bytes_field(&mut head, 1, &resource.encode());
        let mut schema = Vec::with_capacity(64);
        bytes_field(&mut schema, 3, SCHEMA_URL.as_bytes());
        Self { head, schema }
    }

    /// Begins a request in an empty buffer.
    pub(crate) fn begin(&self, request: &mut Vec<u8>) {
        debug_assert!(request.is_empty(), "lengths are found by their positions");
        request.extend_from_slice(&self.head);
    }

    /// Begins a scope, whose spans or metrics are appended next.
    pub(crate) fn begin_scope(&self, request: &mut Vec<u8>, scope: InstrumentationScope) -> OpenScope {
        let length_at = begin_message(request, 2);
        message_field(request, 1, |out| {
            bytes_field(out, 1, scope.name().as_bytes());
            bytes_field(out, 2, env!("CARGO_PKG_VERSION").as_bytes());
        });
        OpenScope { length_at }
    }

    pub(crate) fn end_scope(&self, request: &mut Vec<u8>, scope: OpenScope) {
        request.extend_from_slice(&self.schema);
        end_message(request, scope.length_at);
    }

    /// Completes the request after its last scope.
    pub(crate) fn complete(&self, request: &mut Vec<u8>) {
        request.extend_from_slice(&self.schema);
        end_message(request, RESOURCE_LENGTH_AT);
    }
}

/// Appends a tag and space for the length, and returns the position of that length.
fn begin_message(out: &mut Vec<u8>, field: u32) -> usize {
    varint(out, u64::from(field << 3 | 2));
    let length_at = out.len();
    out.extend_from_slice(&[0; PADDED_LENGTH]);
    length_at
}

/// Writes the length of a message that ends at the end of `out`.
fn end_message(out: &mut [u8], length_at: usize) {
    let content = length_at + PADDED_LENGTH;
    let mut length = out.len() - content;
    let (last, others) = out[length_at..content].split_last_mut().expect("there is room for a length");
    for byte in others {
        *byte = length as u8 | 0x80;
        length >>= 7;
    }
    *last = length as u8;
}

/// Encodes a snapshot as a complete `ExportMetricsServiceRequest` into an empty buffer, and returns
/// its number of points.
///
/// A series that counts and has begun since the previous snapshot gets two points: zero at that time, and its
/// value. Otherwise rates would miss its first events, such as all failures of a short outage. If the request
/// is lost, so is the zero.
pub fn metrics_request(
    resource: &Resource,
    snapshot: &Snapshot,
    histograms: HistogramAggregation,
    now_unix_nanoseconds: u64,
    out: &mut Vec<u8>,
) -> usize {
    let frame = RequestFrame::new(resource);
    let mut points = 0;
    let times = Times {
        start: snapshot.started_unix_nanoseconds,
        previous: snapshot.previous_unix_nanoseconds,
        now: now_unix_nanoseconds,
    };
    frame.begin(out);
    // Leave out metrics without points: they say nothing, and some receivers reject them.
    let families: Vec<_> = snapshot.families.iter().filter(|family| !family.points.is_empty()).collect();
    let scope_of = |family: &FamilySnapshot| of_metric(family.description.name, resource.scopes);
    let mut scopes: Vec<InstrumentationScope> = Vec::new();
    for family in &families {
        let scope = scope_of(family);
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    for scope in scopes {
        let open = frame.begin_scope(out, scope);
        for family in families.iter().filter(|family| scope_of(family) == scope) {
            message_field(out, 2, |out| points += encode_metric(out, family, histograms, times));
        }
        frame.end_scope(out, open);
    }
    frame.complete(out);
    points
}

#[derive(Clone, Copy)]
struct Times {
    start: u64,
    /// Time of the previous snapshot.
    previous: Option<u64>,
    now: u64,
}

/// Passes the points of a metric to `encode`, with zeros before those of new series. Returns their
/// number.
fn encode_points(
    out: &mut Vec<u8>,
    family: &FamilySnapshot,
    times: Times,
    encode: impl Fn(&mut Vec<u8>, &SeriesLabels, &Value, Times),
) -> usize {
    let is_monotonic = matches!(family.description.kind, MetricKind::Counter | MetricKind::Histogram);
    // The clock may have been set back.
    let previous = times.previous.filter(|previous| is_monotonic && *previous < times.now);
    let known = family.points.len() - family.new_points;
    let mut count = 0;
    let mut point = |labels: &SeriesLabels, value: &Value, times: Times| {
        count += 1;
        message_field(out, 1, |out| encode(out, labels, value, times));
    };
    for (position, (labels, value)) in family.points.iter().enumerate() {
        if position >= known
            && let Some(previous) = previous
            && let Some(zero) = zero_before(value)
        {
            point(labels, &zero, Times { now: previous, ..times });
        }
        point(labels, value, times);
    }
    count
}

/// Returns the zero from which a value rose, or `None` for zero itself.
fn zero_before(value: &Value) -> Option<Value> {
    match value {
        Value::Integer(number) => (*number != 0).then_some(Value::Integer(0)),
        Value::Number(number) => (*number != 0.0).then_some(Value::Number(0.0)),
        Value::Distribution(distribution) => {
            (distribution.count() > 0).then(|| Value::Distribution(Distribution::default()))
        }
    }
}

/// Encodes a metric and returns its number of points.
fn encode_metric(
    out: &mut Vec<u8>,
    family: &FamilySnapshot,
    histograms: HistogramAggregation,
    times: Times,
) -> usize {
    let description = &family.description;
    let mut points = 0;
    bytes_field(out, 1, description.name.as_bytes());
    bytes_field(out, 2, description.help.as_bytes());
    bytes_field(out, 3, description.unit.as_str().as_bytes());
    match description.kind {
        MetricKind::Gauge => message_field(out, 5, |out| points = encode_numbers(out, family, times)),
        MetricKind::Counter | MetricKind::UpDownCounter => message_field(out, 7, |out| {
            points = encode_numbers(out, family, times);
            uint_field(out, 2, CUMULATIVE);
            uint_field(out, 3, u64::from(description.kind == MetricKind::Counter));
        }),
        MetricKind::Histogram => {
            let field = match histograms {
                HistogramAggregation::Exponential => 10,
                HistogramAggregation::Explicit => 9,
            };
            message_field(out, field, |out| {
                points = encode_points(out, family, times, |out, labels, value, times| {
                    let Value::Distribution(distribution) = value else { return };
                    match histograms {
                        HistogramAggregation::Exponential => {
                            encode_exponential(out, labels, distribution, times);
                        }
                        HistogramAggregation::Explicit => {
                            encode_explicit(out, labels, description.bounds, distribution, times);
                        }
                    }
                });
                uint_field(out, 2, CUMULATIVE);
            });
        }
    }
    points
}

fn encode_numbers(out: &mut Vec<u8>, family: &FamilySnapshot, times: Times) -> usize {
    encode_points(out, family, times, |out, labels, value, times| {
        encode_labels(out, 7, labels);
        // A gauge has no start time.
        if family.description.kind != MetricKind::Gauge {
            fixed64_field(out, 2, times.start);
        }
        fixed64_field(out, 3, times.now);
        match value {
            Value::Integer(number) => fixed64_field(out, 6, *number as u64),
            Value::Number(number) => double_field(out, 4, *number),
            Value::Distribution(_) => {}
        }
    })
}

/// Encodes a point with buckets by powers of two. While it has counted nothing, it has no buckets and
/// no sum, because most series never count anything.
fn encode_exponential(out: &mut Vec<u8>, labels: &SeriesLabels, distribution: &Distribution, times: Times) {
    encode_labels(out, 1, labels);
    fixed64_field(out, 2, times.start);
    fixed64_field(out, 3, times.now);
    signed_field(out, 6, exponential::SCALE);
    let count = distribution.count();
    if count == 0 {
        return;
    }
    fixed64_field(out, 4, count);
    double_field(out, 5, distribution.sum_nanoseconds as f64 / 1e9);
    if distribution.zero > 0 {
        fixed64_field(out, 7, distribution.zero);
    }
    if !distribution.buckets.is_empty() {
        message_field(out, 8, |out| {
            signed_field(out, 1, distribution.first);
            packed_varint_field(out, 2, &distribution.buckets);
        });
    }
    for exemplar in &distribution.exemplars {
        message_field(out, 11, |out| encode_exemplar(out, exemplar));
    }
}

/// Encodes a point with the classic buckets of its metric.
fn encode_explicit(
    out: &mut Vec<u8>,
    labels: &SeriesLabels,
    bounds: &[f64],
    distribution: &Distribution,
    times: Times,
) {
    let count = distribution.count();
    fixed64_field(out, 2, times.start);
    fixed64_field(out, 3, times.now);
    fixed64_field(out, 4, count);
    double_field(out, 5, distribution.sum_nanoseconds as f64 / 1e9);
    packed_fixed64_field(out, 6, distribution.classic_buckets(bounds).into_iter());
    packed_fixed64_field(out, 7, bounds.iter().map(|bound| bound.to_bits()));
    for exemplar in &distribution.exemplars {
        message_field(out, 8, |out| encode_exemplar(out, exemplar));
    }
    encode_labels(out, 9, labels);
}

fn encode_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    fixed64_field(out, 2, exemplar.unix_nanoseconds);
    double_field(out, 3, exemplar.nanoseconds as f64 / 1e9);
    bytes_field(out, 4, &exemplar.context.span_id.0);
    bytes_field(out, 5, &exemplar.context.trace_id.0);
}

fn encode_labels(out: &mut Vec<u8>, field: u32, labels: &SeriesLabels) {
    for (key, value) in labels {
        match (*key, value.parse()) {
            // The conventions define the status code as a number.
            ("http.response.status_code", Ok(code)) => integer_attribute(out, field, key, code),
            _ => string_attribute(out, field, key, value),
        }
    }
}
