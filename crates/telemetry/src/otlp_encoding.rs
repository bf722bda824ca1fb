//! Export requests of OTLP, written as protobuf bytes without intermediate structures.
//!
//! Field numbers: `opentelemetry/proto/{trace,metrics,common,resource}/v1` and `collector/*/v1` of opentelemetry-proto 1.x.

use crate::catalogue::{MetricKind, SeriesLabels};
use crate::meter::{Distribution, Exemplar, FamilySnapshot, Snapshot, Value};
use crate::protobuf::{
    bytes_field, double_field, fixed64_field, message_field, packed_fixed64_field, string_attribute,
    uint_field, varint, varint_length,
};

/// The version of the semantic conventions whose names are used.
pub(crate) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

const CUMULATIVE: u64 = 2;

/// Who is recording: `service.name`, `service.version` and so on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    /// Attribute names with their values.
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

/// Wraps encoded spans (elements of `ScopeSpans.spans`) into a complete `ExportTraceServiceRequest`.
pub fn trace_request(resource: &Resource, spans: &[u8], out: &mut Vec<u8>) {
    wrap(resource, spans, out);
}

/// Encodes a snapshot as a complete `ExportMetricsServiceRequest` and returns how many points it holds.
pub fn metrics_request(
    resource: &Resource,
    snapshot: &Snapshot,
    now_unix_nanoseconds: u64,
    out: &mut Vec<u8>,
) -> usize {
    let mut metrics = Vec::with_capacity(64 << 10);
    let mut points = 0;
    let times = Times { start: snapshot.started_unix_nanoseconds, now: now_unix_nanoseconds };
    // A metric without points says nothing and some receivers object to it.
    for family in snapshot.families.iter().filter(|family| !family.points.is_empty()) {
        points += family.points.len();
        message_field(&mut metrics, 2, |out| encode_metric(out, family, times));
    }
    wrap(resource, &metrics, out);
    points
}

/// Request, resource and scope around spans or metrics: both requests number their fields alike. The lengths are known, so
/// the payload is copied once.
fn wrap(resource: &Resource, payload: &[u8], out: &mut Vec<u8>) {
    let resource = resource.encode();
    let scope = scope();

    let mut scope_head = Vec::with_capacity(scope.len() + 8);
    bytes_field(&mut scope_head, 1, &scope);
    let mut schema = Vec::with_capacity(SCHEMA_URL.len() + 8);
    bytes_field(&mut schema, 3, SCHEMA_URL.as_bytes());
    let scope_length = scope_head.len() + payload.len() + schema.len();

    let mut resource_head = Vec::with_capacity(resource.len() + 16);
    bytes_field(&mut resource_head, 1, &resource);
    uint_tag_length(&mut resource_head, 2, scope_length);
    let resource_length = resource_head.len() + scope_length + schema.len();

    out.reserve(resource_length + 2 + varint_length(resource_length as u64));
    uint_tag_length(out, 1, resource_length);
    out.extend_from_slice(&resource_head);
    out.extend_from_slice(&scope_head);
    out.extend_from_slice(payload);
    out.extend_from_slice(&schema);
    out.extend_from_slice(&schema);
}

/// Tag and length of a length-delimited field whose content follows.
fn uint_tag_length(out: &mut Vec<u8>, field: u32, length: usize) {
    varint(out, u64::from(field << 3 | 2));
    varint(out, length as u64);
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
            // A gauge is a value of now and has no start.
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
            // The conventions make the status code a number.
            ("http.response.status_code", Ok(code)) => {
                crate::protobuf::integer_attribute(out, field, key, code)
            }
            _ => string_attribute(out, field, key, value),
        }
    }
}
