//! Records which fields of the official messages are set.
//!
//! All patterns omit `..`, so a field that a later version of the protocol adds does not compile
//! until the table has it.
//!
//! Long because it names every field of the official messages.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, status::StatusCode};

use otlp_sink::conventions;

use super::table::rows;
use crate::support::{FLAG_IS_REMOTE, FLAG_REMOTE_IS_KNOWN, FLAG_SAMPLED};

/// Number of messages with and without each field.
#[derive(Default)]
pub(super) struct Seen(pub(super) BTreeMap<(&'static str, &'static str), (usize, usize)>);

impl Seen {
    fn field(&mut self, message: &'static str, field: &'static str, is_set: bool) {
        let (set, unset) = self.0.entry((message, field)).or_default();
        *(if is_set { set } else { unset }) += 1;
    }

    fn fields<const N: usize>(&mut self, message: &'static str, fields: [(&'static str, bool); N]) {
        for (field, is_set) in fields {
            self.field(message, field, is_set);
        }
    }

    pub(super) fn traces(&mut self, request: &ExportTraceServiceRequest) {
        let ExportTraceServiceRequest { resource_spans } = request;
        self.fields("ExportTraceServiceRequest", [("resource_spans", resource_spans.len() == 1)]);
        for ResourceSpans { resource, scope_spans, schema_url } in resource_spans {
            self.fields(
                "ResourceSpans",
                [
                    ("resource", resource.is_some()),
                    ("scope_spans", !scope_spans.is_empty()),
                    ("schema_url", is_schema_url(schema_url)),
                ],
            );
            self.resource(resource.as_ref());
            for ScopeSpans { scope, spans, schema_url } in scope_spans {
                self.fields(
                    "ScopeSpans",
                    [
                        ("scope", scope.is_some()),
                        ("spans", !spans.is_empty()),
                        ("schema_url", is_schema_url(schema_url)),
                    ],
                );
                self.scope(scope.as_ref());
                spans.iter().for_each(|span| self.span(span));
            }
        }
    }

    fn span(&mut self, span: &Span) {
        let Span {
            trace_id,
            span_id,
            trace_state,
            parent_span_id,
            flags,
            name,
            kind,
            start_time_unix_nano,
            end_time_unix_nano,
            attributes,
            dropped_attributes_count,
            events,
            dropped_events_count,
            links,
            dropped_links_count,
            status,
        } = span;
        assert!(end_time_unix_nano >= start_time_unix_nano, "{span:?}");
        assert!(
            flags & !(FLAG_SAMPLED | FLAG_REMOTE_IS_KNOWN | FLAG_IS_REMOTE) == 0,
            "reserved flags: {span:?}"
        );
        assert!(parent_span_id.is_empty() || is_id::<8>(parent_span_id), "{span:?}");
        let kind = SpanKind::try_from(*kind).expect("a kind of the protocol");
        self.fields(
            "Span",
            [
                ("trace_id", is_id::<16>(trace_id)),
                ("span_id", is_id::<8>(span_id)),
                ("trace_state", !trace_state.is_empty()),
                ("parent_span_id", !parent_span_id.is_empty()),
                ("flags", flags & FLAG_REMOTE_IS_KNOWN != 0 && flags & FLAG_SAMPLED != 0),
                ("name", !name.is_empty()),
                ("kind", kind != SpanKind::Unspecified),
                ("start_time_unix_nano", *start_time_unix_nano != 0),
                ("end_time_unix_nano", *end_time_unix_nano != 0),
                ("attributes", !attributes.is_empty()),
                ("dropped_attributes_count", *dropped_attributes_count != 0),
                ("events", !events.is_empty()),
                ("dropped_events_count", *dropped_events_count != 0),
                ("links", !links.is_empty()),
                ("dropped_links_count", *dropped_links_count != 0),
                ("status", status.is_some()),
            ],
        );
        self.attributes(attributes);
        for Link { trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags } in links {
            self.fields(
                "Link",
                [
                    ("trace_id", is_id::<16>(trace_id)),
                    ("span_id", is_id::<8>(span_id)),
                    ("trace_state", !trace_state.is_empty()),
                    ("attributes", !attributes.is_empty()),
                    ("dropped_attributes_count", *dropped_attributes_count != 0),
                    ("flags", flags & FLAG_REMOTE_IS_KNOWN != 0 && flags & FLAG_IS_REMOTE != 0),
                ],
            );
        }
        if let Some(Status { message, code }) = status {
            let is_error = *code == StatusCode::Error as i32;
            self.fields("Status", [("message", !message.is_empty()), ("code", is_error)]);
        }
    }

    pub(super) fn metrics(&mut self, request: &ExportMetricsServiceRequest) {
        let ExportMetricsServiceRequest { resource_metrics } = request;
        self.fields("ExportMetricsServiceRequest", [("resource_metrics", resource_metrics.len() == 1)]);
        for ResourceMetrics { resource, scope_metrics, schema_url } in resource_metrics {
            self.fields(
                "ResourceMetrics",
                [
                    ("resource", resource.is_some()),
                    ("scope_metrics", !scope_metrics.is_empty()),
                    ("schema_url", is_schema_url(schema_url)),
                ],
            );
            self.resource(resource.as_ref());
            for ScopeMetrics { scope, metrics, schema_url } in scope_metrics {
                self.fields(
                    "ScopeMetrics",
                    [
                        ("scope", scope.is_some()),
                        ("metrics", !metrics.is_empty()),
                        ("schema_url", is_schema_url(schema_url)),
                    ],
                );
                self.scope(scope.as_ref());
                metrics.iter().for_each(|metric| self.metric(metric));
            }
        }
    }

    fn metric(&mut self, metric: &Metric) {
        let Metric { name, description, unit, metadata, data } = metric;
        let data = data.as_ref().expect("a metric without data says nothing");
        self.fields(
            "Metric",
            [
                ("name", !name.is_empty()),
                ("description", !description.is_empty()),
                ("unit", !unit.is_empty()),
                ("metadata", !metadata.is_empty()),
                ("gauge", matches!(data, metric::Data::Gauge(_))),
                ("sum", matches!(data, metric::Data::Sum(_))),
                ("histogram", matches!(data, metric::Data::Histogram(_))),
                ("exponential_histogram", matches!(data, metric::Data::ExponentialHistogram(_))),
                ("summary", matches!(data, metric::Data::Summary(_))),
            ],
        );
        let is_cumulative = |temporality: i32| temporality == AggregationTemporality::Cumulative as i32;
        match data {
            metric::Data::Gauge(Gauge { data_points }) => {
                self.fields("Gauge", [("data_points", !data_points.is_empty())]);
                data_points.iter().for_each(|point| self.number(point));
            }
            metric::Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic }) => {
                self.fields(
                    "Sum",
                    [
                        ("data_points", !data_points.is_empty()),
                        ("aggregation_temporality", is_cumulative(*aggregation_temporality)),
                        ("is_monotonic", *is_monotonic),
                    ],
                );
                data_points.iter().for_each(|point| self.number(point));
            }
            metric::Data::Histogram(Histogram { data_points, aggregation_temporality }) => {
                self.fields(
                    "Histogram",
                    [
                        ("data_points", !data_points.is_empty()),
                        ("aggregation_temporality", is_cumulative(*aggregation_temporality)),
                    ],
                );
                data_points.iter().for_each(|point| self.distribution(point));
            }
            metric::Data::ExponentialHistogram(ExponentialHistogram {
                data_points,
                aggregation_temporality,
            }) => {
                self.fields(
                    "ExponentialHistogram",
                    [
                        ("data_points", !data_points.is_empty()),
                        ("aggregation_temporality", is_cumulative(*aggregation_temporality)),
                    ],
                );
                data_points.iter().for_each(|point| self.exponential(point));
            }
            other => panic!("the table says that this is never sent: {other:?}"),
        }
    }

    fn number(&mut self, point: &NumberDataPoint) {
        let NumberDataPoint { attributes, start_time_unix_nano, time_unix_nano, exemplars, flags, value } =
            point;
        assert!(time_unix_nano >= start_time_unix_nano, "{point:?}");
        self.fields(
            "NumberDataPoint",
            [
                ("attributes", !attributes.is_empty()),
                ("start_time_unix_nano", *start_time_unix_nano != 0),
                ("time_unix_nano", *time_unix_nano != 0),
                ("as_double", matches!(value, Some(number_data_point::Value::AsDouble(_)))),
                ("as_int", matches!(value, Some(number_data_point::Value::AsInt(_)))),
                ("exemplars", !exemplars.is_empty()),
                ("flags", *flags != 0),
            ],
        );
        assert!(value.is_some(), "a point without a value: {point:?}");
        self.attributes(attributes);
    }

    fn distribution(&mut self, point: &HistogramDataPoint) {
        let HistogramDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            count,
            sum,
            bucket_counts,
            explicit_bounds,
            exemplars,
            flags,
            min,
            max,
        } = point;
        assert!(time_unix_nano >= start_time_unix_nano, "{point:?}");
        assert_eq!(*count, bucket_counts.iter().sum::<u64>(), "{point:?}");
        self.fields(
            "HistogramDataPoint",
            [
                ("attributes", !attributes.is_empty()),
                ("start_time_unix_nano", *start_time_unix_nano != 0),
                ("time_unix_nano", *time_unix_nano != 0),
                ("count", *count != 0),
                ("sum", sum.is_some()),
                ("bucket_counts", bucket_counts.len() == explicit_bounds.len() + 1),
                ("explicit_bounds", explicit_bounds.is_sorted_by(|one, next| one < next)),
                ("exemplars", !exemplars.is_empty()),
                ("flags", *flags != 0),
                ("min", min.is_some()),
                ("max", max.is_some()),
            ],
        );
        self.attributes(attributes);
        self.exemplars(exemplars);
    }

    fn exponential(&mut self, point: &ExponentialHistogramDataPoint) {
        let ExponentialHistogramDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            count,
            sum,
            scale,
            zero_count,
            positive,
            negative,
            flags,
            exemplars,
            min,
            max,
            zero_threshold,
        } = point;
        assert!(time_unix_nano >= start_time_unix_nano, "{point:?}");
        let counts = positive.as_ref().map(|buckets| &buckets.bucket_counts[..]).unwrap_or_default();
        assert_eq!(*count, zero_count + counts.iter().sum::<u64>(), "{point:?}");
        assert!(counts.first() != Some(&0) && counts.last() != Some(&0), "{point:?}");
        self.fields(
            "ExponentialHistogramDataPoint",
            [
                ("attributes", !attributes.is_empty()),
                ("start_time_unix_nano", *start_time_unix_nano != 0),
                ("time_unix_nano", *time_unix_nano != 0),
                ("count", *count != 0),
                ("sum", sum.is_some()),
                ("scale", *scale == 3),
                ("zero_count", *zero_count != 0),
                ("positive", positive.is_some()),
                ("negative", negative.is_some()),
                ("flags", *flags != 0),
                ("exemplars", !exemplars.is_empty()),
                ("min", min.is_some()),
                ("max", max.is_some()),
                ("zero_threshold", *zero_threshold != 0.0),
            ],
        );
        if let Some(Buckets { offset, bucket_counts }) = positive {
            self.fields("Buckets", [("offset", *offset != 0), ("bucket_counts", !bucket_counts.is_empty())]);
        }
        self.attributes(attributes);
        self.exemplars(exemplars);
    }

    fn exemplars(&mut self, exemplars: &[Exemplar]) {
        for Exemplar { filtered_attributes, time_unix_nano, span_id, trace_id, value } in exemplars {
            self.fields(
                "Exemplar",
                [
                    ("filtered_attributes", !filtered_attributes.is_empty()),
                    ("time_unix_nano", *time_unix_nano != 0),
                    ("as_double", matches!(value, Some(exemplar::Value::AsDouble(_)))),
                    ("as_int", matches!(value, Some(exemplar::Value::AsInt(_)))),
                    ("span_id", is_id::<8>(span_id)),
                    ("trace_id", is_id::<16>(trace_id)),
                ],
            );
        }
    }

    fn resource(&mut self, resource: Option<&Resource>) {
        let Some(Resource { attributes, dropped_attributes_count, entity_refs }) = resource else {
            return;
        };
        self.fields(
            "Resource",
            [
                ("attributes", attributes.iter().any(|attribute| attribute.key == "service.name")),
                ("dropped_attributes_count", *dropped_attributes_count != 0),
                ("entity_refs", !entity_refs.is_empty()),
            ],
        );
        self.attributes(attributes);
    }

    fn scope(&mut self, scope: Option<&InstrumentationScope>) {
        let Some(InstrumentationScope { name, version, attributes, dropped_attributes_count }) = scope else {
            return;
        };
        self.fields(
            "InstrumentationScope",
            [
                ("name", name.starts_with("telemetry.")),
                ("version", !version.is_empty()),
                ("attributes", !attributes.is_empty()),
                ("dropped_attributes_count", *dropped_attributes_count != 0),
            ],
        );
    }

    fn attributes(&mut self, attributes: &[KeyValue]) {
        let mut keys: Vec<&str> = attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), attributes.len(), "a key occurs twice: {attributes:?}");
        for KeyValue { key, value, key_strindex } in attributes {
            self.fields(
                "KeyValue",
                [("key", !key.is_empty()), ("value", value.is_some()), ("key_strindex", *key_strindex != 0)],
            );
            let Some(AnyValue { value }) = value else { continue };
            let value = value.as_ref().expect("an attribute without a value");
            // A `match`, so that a new type of value does not compile until the table has it.
            let sent = match value {
                any_value::Value::StringValue(_) => "string_value",
                any_value::Value::BoolValue(_) => "bool_value",
                any_value::Value::IntValue(_) => "int_value",
                any_value::Value::DoubleValue(_) => "double_value",
                any_value::Value::ArrayValue(_) => "array_value",
                any_value::Value::KvlistValue(_) => "kvlist_value",
                any_value::Value::BytesValue(_) => "bytes_value",
                any_value::Value::StringValueStrindex(_) => "string_value_strindex",
            };
            for (field, _, _) in rows("AnyValue") {
                self.field("AnyValue", field, *field == sent);
            }
        }
    }
}

fn is_id<const LENGTH: usize>(bytes: &[u8]) -> bool {
    bytes.len() == LENGTH && bytes.iter().any(|byte| *byte != 0)
}

fn is_schema_url(text: &str) -> bool {
    text == conventions::SCHEMA_URL
}
