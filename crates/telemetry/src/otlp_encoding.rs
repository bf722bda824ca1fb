//! OTLP export requests, encoded as protobuf bytes without intermediate structures.
//!
//! Field numbers: `opentelemetry/proto/{trace,metrics,common,resource}/v1` and `collector/*/v1` of
//! opentelemetry-proto 1.x.

use crate::catalogue::{MetricKind, SeriesLabels};
use crate::meter::{Distribution, Exemplar, FamilySnapshot, Snapshot, Value};
use crate::protobuf::{
    bytes_field, double_field, fixed64_field, message_field, packed_fixed64_field, string_attribute,
    uint_field, varint,
};

/// Version of the semantic conventions that the attribute names follow.
pub(crate) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

const CUMULATIVE: u64 = 2;

/// The entity that produces telemetry: `service.name`, `service.version` and so on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    /// Attribute names and values.
    pub attributes: Vec<(String, String)>,
}

impl Resource {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        for (key, value) in &self.attributes {
            string_attribute(&mut out, 1, key, value);
        }
        out
    }
}

fn scope() -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    bytes_field(&mut out, 1, env!("CARGO_PKG_NAME").as_bytes());
    bytes_field(&mut out, 2, env!("CARGO_PKG_VERSION").as_bytes());
    out
}

/// Head and tail of an export request, around its spans or metrics; both kinds of request number
/// their fields alike. The payload is written between both parts, so it need not be copied.
pub(crate) struct RequestFrame {
    head: Vec<u8>,
    /// Position of the scope's length in the head. The resource's length follows the first tag.
    scope_length_at: usize,
    schema: Vec<u8>,
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
        let scope_length_at = begin_message(&mut head, 2);
        bytes_field(&mut head, 1, &scope());
        let mut schema = Vec::with_capacity(64);
        bytes_field(&mut schema, 3, SCHEMA_URL.as_bytes());
        Self { head, scope_length_at, schema }
    }

    /// Returns the length of the head in bytes.
    pub(crate) fn head_length(&self) -> usize {
        self.head.len()
    }

    /// Begins a request in an empty buffer.
    pub(crate) fn begin(&self, request: &mut Vec<u8>) {
        debug_assert!(request.is_empty(), "lengths are found by their positions");
        request.extend_from_slice(&self.head);
    }

    /// Completes the request after its payload was appended.
    pub(crate) fn complete(&self, request: &mut Vec<u8>) {
        for length_at in [self.scope_length_at, RESOURCE_LENGTH_AT] {
            request.extend_from_slice(&self.schema);
            end_message(request, length_at);
        }
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
pub fn metrics_request(
    resource: &Resource,
    snapshot: &Snapshot,
    now_unix_nanoseconds: u64,
    out: &mut Vec<u8>,
) -> usize {
    let frame = RequestFrame::new(resource);
    let mut points = 0;
    let times = Times { start: snapshot.started_unix_nanoseconds, now: now_unix_nanoseconds };
    frame.begin(out);
    // Leave out metrics without points: they say nothing, and some receivers reject them.
    for family in snapshot.families.iter().filter(|family| !family.points.is_empty()) {
        points += family.points.len();
        message_field(out, 2, |out| encode_metric(out, family, times));
    }
    frame.complete(out);
    points
}

#[derive(Clone, Copy)]
struct Times {
    start: u64,
    now: u64,
}

fn encode_metric(out: &mut Vec<u8>, family: &FamilySnapshot, times: Times) {
    let description = &family.description;
    bytes_field(out, 1, description.name.as_bytes());
    bytes_field(out, 2, description.help.as_bytes());
    bytes_field(out, 3, description.unit.as_str().as_bytes());
    match description.kind {
        MetricKind::Gauge => message_field(out, 5, |out| encode_numbers(out, family, times)),
        MetricKind::Counter | MetricKind::UpDownCounter => message_field(out, 7, |out| {
            encode_numbers(out, family, times);
            uint_field(out, 2, CUMULATIVE);
            uint_field(out, 3, u64::from(description.kind == MetricKind::Counter));
        }),
        MetricKind::Histogram => message_field(out, 9, |out| {
            for (labels, value) in &family.points {
                if let Value::Distribution(distribution) = value {
                    message_field(out, 1, |out| {
                        encode_distribution(out, labels, description.bounds, distribution, times);
                    });
                }
            }
            uint_field(out, 2, CUMULATIVE);
        }),
    }
}

fn encode_numbers(out: &mut Vec<u8>, family: &FamilySnapshot, times: Times) {
    for (labels, value) in &family.points {
        message_field(out, 1, |out| {
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
        });
    }
}

fn encode_distribution(
    out: &mut Vec<u8>,
    labels: &SeriesLabels,
    bounds: &[f64],
    distribution: &Distribution,
    times: Times,
) {
    fixed64_field(out, 2, times.start);
    fixed64_field(out, 3, times.now);
    fixed64_field(out, 4, distribution.count());
    double_field(out, 5, distribution.sum_nanoseconds as f64 / 1e9);
    packed_fixed64_field(out, 6, distribution.buckets.iter().copied());
    packed_fixed64_field(out, 7, bounds.iter().map(|bound| bound.to_bits()));
    for exemplar in distribution.exemplars.iter().flatten() {
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
            ("http.response.status_code", Ok(code)) => {
                crate::protobuf::integer_attribute(out, field, key, code)
            }
            _ => string_attribute(out, field, key, value),
        }
    }
}
