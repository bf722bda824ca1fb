//! Round trip of generated metric values, sent and scraped: the decoded message and the parsed text
//! equal the snapshot.

use crate::prometheus_text::{Sample, ScrapedFamily, parse};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtocolResource;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message;
use telemetry::builtin::{EXPORTED, HTTP_SERVER_REQUEST_DURATION, LOG_LINES, PANICS, Signal};
use telemetry::catalogue::{
    DATABASE_BOUNDS, DURATION_BOUNDS, MetricDescription, MetricKind, SeriesLabels, Unit,
};
use telemetry::instrumentation_scope::{ScopesOfMetrics, of_metric};
use telemetry::log::Level;
use telemetry::meter::{self, Distribution, FamilySnapshot, Snapshot, SnapshotPosition, Value};
use telemetry::{ClosedSet, Meter, Resource, SpanContext, SpanId, TraceId, metrics_request, prometheus};

const NAMES: [&str; 6] = [
    "http.server.request.duration",
    "socialize.content_items.created",
    "process.memory.usage",
    "telemetry.queue.size",
    "socialize.build.info",
    "db.client.connection.count",
];
const UNITS: [Unit; 4] = [Unit::Seconds, Unit::Bytes, Unit::One, Unit::Count("{thing}")];
const HELPS: [&str; 3] = ["What it is.", "A \\ and\na second line, with \"quotes\".", "Größe: 1 µs"];
/// Scopes of the program's own metrics; the others have those of the crate.
const SCOPES: ScopesOfMetrics = &[
    ("db.", telemetry::InstrumentationScope::new(4, "records.database")),
    ("socialize.content_items.", telemetry::InstrumentationScope::new(5, "records.usage")),
];
const LABEL_KEYS: &[&str] = &["http.route", "error.type", "decision"];

fn any_label_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{1,10}",
        "/v1/[a-z]{1,8}/\\{[a-z_]{1,8}\\}",
        vec(any::<char>(), 0..8).prop_map(String::from_iter)
    ]
}

fn any_labels() -> impl Strategy<Value = SeriesLabels> {
    (vec(option::of(any_label_value()), LABEL_KEYS.len()), option::of(100_u16..600)).prop_map(
        |(values, status)| {
            let labels = LABEL_KEYS.iter().zip(values).filter_map(|(key, value)| Some((*key, value?)));
            labels.chain(status.map(|status| ("http.response.status_code", status.to_string()))).collect()
        },
    )
}

fn any_exemplar() -> impl Strategy<Value = meter::Exemplar> {
    (any::<[u8; 16]>(), any::<[u8; 8]>(), any::<u64>(), any::<u64>()).prop_map(
        |(trace_id, span_id, nanoseconds, unix_nanoseconds)| meter::Exemplar {
            context: SpanContext { trace_id: TraceId(trace_id), span_id: SpanId(span_id), sampled: true },
            nanoseconds,
            unix_nanoseconds,
        },
    )
}

fn any_distribution(bounds: usize) -> impl Strategy<Value = Value> {
    let buckets = vec(prop_oneof![Just(0), 0_u64..1_000, any::<u64>().prop_map(|any| any >> 8)], bounds + 1);
    let exemplars = prop_oneof![Just(Vec::new()), vec(option::of(any_exemplar()), bounds + 1)];
    (buckets, any::<u64>(), exemplars).prop_map(|(buckets, sum_nanoseconds, exemplars)| {
        Value::Distribution(Distribution { buckets, sum_nanoseconds, exemplars })
    })
}

fn any_number() -> impl Strategy<Value = Value> {
    let special =
        prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-0.0), Just(f64::MIN_POSITIVE)];
    prop_oneof![
        any::<i64>().prop_map(Value::Integer),
        any::<f64>()
            .prop_filter("NaN does not equal itself", |number| !number.is_nan())
            .prop_map(Value::Number),
        special.prop_map(Value::Number),
    ]
}

fn any_family(name: &'static str) -> impl Strategy<Value = FamilySnapshot> {
    let kinds =
        vec![MetricKind::Counter, MetricKind::UpDownCounter, MetricKind::Gauge, MetricKind::Histogram];
    let bounds = vec![DURATION_BOUNDS, DATABASE_BOUNDS, &[]];
    let declaration = (
        proptest::sample::select(kinds),
        proptest::sample::select(&UNITS[..]),
        proptest::sample::select(&HELPS[..]),
        proptest::sample::select(bounds),
    );
    declaration.prop_flat_map(move |(kind, unit, help, bounds)| {
        let value = if kind == MetricKind::Histogram {
            any_distribution(bounds.len()).boxed()
        } else {
            any_number().boxed()
        };
        vec((any_labels(), value), 0..4).prop_map(move |points| FamilySnapshot {
            description: MetricDescription {
                name,
                kind,
                unit,
                help,
                question: "Is it encoded well?",
                label_keys: LABEL_KEYS,
                all_series: None,
                bounds,
            },
            points,
        })
    })
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let families = NAMES.map(|name| option::of(any_family(name)));
    (families, any::<u64>()).prop_map(|(families, started_unix_nanoseconds)| Snapshot {
        families: families.into_iter().flatten().collect(),
        started_unix_nanoseconds,
    })
}

fn any_resource() -> impl Strategy<Value = Resource> {
    vec((any_label_value(), any_label_value()), 0..4)
        .prop_map(|attributes| Resource { attributes, scopes: SCOPES })
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// Returns labels with the types of the conventions: a status code is a number.
fn protocol_labels(labels: &SeriesLabels) -> Vec<KeyValue> {
    let label = |(key, value): &(&str, String)| {
        if *key != "http.response.status_code" {
            return text(key, value);
        }
        let code = any_value::Value::IntValue(value.parse().expect("a status code"));
        KeyValue { value: Some(AnyValue { value: Some(code) }), ..text(key, value) }
    };
    labels.iter().map(label).collect()
}

/// Builds the message that the protocol requires for a snapshot, with the official types.
fn protocol_request(resource: &Resource, snapshot: &Snapshot, now: u64) -> ExportMetricsServiceRequest {
    let start = snapshot.started_unix_nanoseconds;
    let number = |(labels, value): &(SeriesLabels, Value), start: u64| NumberDataPoint {
        attributes: protocol_labels(labels),
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(match value {
            Value::Integer(number) => number_data_point::Value::AsInt(*number),
            Value::Number(number) => number_data_point::Value::AsDouble(*number),
            Value::Distribution(_) => unreachable!("only histograms have distributions here"),
        }),
        ..NumberDataPoint::default()
    };
    let distribution = |(labels, value): &(SeriesLabels, Value), bounds: &[f64]| {
        let Value::Distribution(distribution) = value else { unreachable!("histograms have distributions") };
        let exemplars = distribution.exemplars.iter().flatten().map(|exemplar| Exemplar {
            time_unix_nano: exemplar.unix_nanoseconds,
            span_id: exemplar.context.span_id.0.to_vec(),
            trace_id: exemplar.context.trace_id.0.to_vec(),
            value: Some(exemplar::Value::AsDouble(exemplar.nanoseconds as f64 / 1e9)),
            ..Exemplar::default()
        });
        HistogramDataPoint {
            attributes: protocol_labels(labels),
            start_time_unix_nano: start,
            time_unix_nano: now,
            count: distribution.buckets.iter().sum(),
            sum: Some(distribution.sum_nanoseconds as f64 / 1e9),
            bucket_counts: distribution.buckets.clone(),
            explicit_bounds: bounds.to_vec(),
            exemplars: exemplars.collect(),
            ..HistogramDataPoint::default()
        }
    };
    let cumulative = AggregationTemporality::Cumulative as i32;
    let encoded = |family: &FamilySnapshot| {
        let description = &family.description;
        let points = family.points.iter();
        let data = match description.kind {
            MetricKind::Counter | MetricKind::UpDownCounter => metric::Data::Sum(Sum {
                data_points: points.map(|point| number(point, start)).collect(),
                aggregation_temporality: cumulative,
                is_monotonic: description.kind == MetricKind::Counter,
            }),
            MetricKind::Gauge => {
                metric::Data::Gauge(Gauge { data_points: points.map(|point| number(point, 0)).collect() })
            }
            MetricKind::Histogram => metric::Data::Histogram(Histogram {
                data_points: points.map(|point| distribution(point, description.bounds)).collect(),
                aggregation_temporality: cumulative,
            }),
        };
        Metric {
            name: description.name.to_owned(),
            description: description.help.to_owned(),
            unit: description.unit.as_str().to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    };
    let schema_url = "https://opentelemetry.io/schemas/1.44.0";
    let mut scope_metrics: Vec<ScopeMetrics> = Vec::new();
    for family in snapshot.families.iter().filter(|family| !family.points.is_empty()) {
        let scope = InstrumentationScope {
            name: of_metric(family.description.name, SCOPES).name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope = Some(scope);
        match scope_metrics.iter_mut().find(|known| known.scope == scope) {
            Some(known) => known.metrics.push(encoded(family)),
            None => scope_metrics.push(ScopeMetrics {
                scope,
                metrics: vec![encoded(family)],
                schema_url: schema_url.to_owned(),
            }),
        }
    }
    let attributes = resource.attributes.iter().map(|(key, value)| text(key, value)).collect();
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(ProtocolResource { attributes, ..ProtocolResource::default() }),
            scope_metrics,
            schema_url: schema_url.to_owned(),
        }],
    }
}

/// Returns the expected scrape of the snapshot, in order.
fn scraped(snapshot: &Snapshot) -> Vec<ScrapedFamily> {
    let family = |family: &FamilySnapshot| {
        let description = &family.description;
        let name = description.prometheus_name();
        let samples = family.points.iter().flat_map(|(labels, value)| {
            let labels: Vec<_> =
                labels.iter().map(|(key, value)| (key.replace('.', "_"), value.clone())).collect();
            let sample = |suffix: &str, value: f64| Sample {
                name: format!("{name}{suffix}"),
                labels: labels.clone(),
                value,
            };
            match value {
                Value::Integer(number) => vec![sample("", *number as f64)],
                Value::Number(number) => vec![sample("", *number)],
                Value::Distribution(distribution) => {
                    let mut count = 0;
                    let bounds = description.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
                    let buckets = bounds.zip(&distribution.buckets).map(|(bound, bucket)| {
                        count += bucket;
                        let mut bucket = sample("_bucket", count as f64);
                        bucket.labels.push(("le".to_owned(), bound));
                        bucket
                    });
                    let mut samples: Vec<_> = buckets.collect();
                    samples.push(sample("_sum", distribution.sum_nanoseconds as f64 / 1e9));
                    samples.push(sample("_count", count as f64));
                    samples
                }
            }
        });
        let kind = match description.kind {
            MetricKind::Counter => "counter",
            MetricKind::UpDownCounter | MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let (help, kind) = (description.help.to_owned(), kind.to_owned());
        ScrapedFamily { samples: samples.collect(), name, help, kind }
    };
    snapshot.families.iter().map(family).collect()
}

proptest! {
    #[test]
    fn every_snapshot_is_sent_as_it_is(snapshot in any_snapshot(), resource in any_resource(), now in any::<u64>()) {
        let mut bytes = Vec::new();
        let points = metrics_request(&resource, &snapshot, now, &mut bytes);
        let decoded = ExportMetricsServiceRequest::decode(&bytes[..]).expect("a decodable request");
        prop_assert_eq!(decoded, protocol_request(&resource, &snapshot, now));
        prop_assert_eq!(points, snapshot.families.iter().map(|family| family.points.len()).sum::<usize>());
    }

    #[test]
    fn every_snapshot_is_scraped_as_it_is(snapshot in any_snapshot()) {
        prop_assert_eq!(parse(&prometheus::render(&snapshot)), scraped(&snapshot));
    }

    #[test]
    fn every_duration_is_counted_below_the_next_bound(durations in vec(0_u64..12_000_000_000, 0..50)) {
        let meter = Meter::default();
        let histogram = meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, Vec::new());
        // A value equal to a bound belongs to the bucket below it.
        let bounds = DURATION_BOUNDS.iter().map(|seconds| (seconds * 1e9).round() as u64);
        let durations: Vec<u64> = durations.into_iter().chain(bounds).collect();
        for nanoseconds in &durations {
            histogram.record(*nanoseconds, None);
        }
        let mut expected = vec![0; DURATION_BOUNDS.len() + 1];
        for nanoseconds in &durations {
            let seconds = *nanoseconds as f64 / 1e9;
            expected[DURATION_BOUNDS.iter().filter(|bound| seconds > **bound).count()] += 1;
        }
        let snapshot = meter.snapshot();
        let Some(Value::Distribution(distribution)) = snapshot.value("http.server.request.duration", &[]) else {
            panic!("no distribution")
        };
        prop_assert_eq!(&distribution.buckets, &expected);
        prop_assert_eq!(distribution.sum_nanoseconds, durations.iter().sum::<u64>());
    }
}

#[test]
fn the_parts_of_a_snapshot_are_the_whole() {
    let meter = Meter::default();
    meter.counter(&LOG_LINES).add(Level::Warn, 3);
    // Two of its three series are absent.
    meter.observe(&EXPORTED, |signal| (signal == Signal::Traces).then_some(1.0));
    meter.counter(&PANICS);
    let points = |snapshot: Snapshot| -> Vec<_> {
        let families = snapshot.families.into_iter();
        families
            .flat_map(|family| family.points.into_iter().map(move |point| (family.description.name, point)))
            .collect()
    };
    let whole = points(meter.snapshot());
    assert_eq!(whole.len(), Level::ALL.len() + 1 + 1);
    for most_points in 1..=whole.len() + 1 {
        let mut position = SnapshotPosition::default();
        let mut parts = Vec::new();
        loop {
            let part = points(meter.snapshot_part(&mut position, most_points));
            assert!(part.len() <= most_points);
            parts.extend(part);
            if position.is_start() {
                break;
            }
        }
        assert_eq!(parts, whole, "{most_points} at a time");
    }
}

#[test]
fn names_are_translated_as_prometheus_translates_them() {
    use MetricKind::{Counter, Gauge, Histogram, UpDownCounter};
    let cases = [
        ("http.server.request.duration", Histogram, Unit::Seconds, "http_server_request_duration_seconds"),
        (
            "http.server.active_requests",
            UpDownCounter,
            Unit::Count("{request}"),
            "http_server_active_requests",
        ),
        ("process.cpu.time", Counter, Unit::Seconds, "process_cpu_time_seconds_total"),
        ("process.memory.usage", UpDownCounter, Unit::Bytes, "process_memory_usage_bytes"),
        ("socialize.comments.created", Counter, Unit::Count("{comment}"), "socialize_comments_created_total"),
        ("socialize.dependency.up", Gauge, Unit::One, "socialize_dependency_up_ratio"),
        ("socialize.batches.total", Counter, Unit::One, "socialize_batches_total"),
    ];
    for (name, kind, unit, expected) in cases {
        let description = MetricDescription {
            name,
            kind,
            unit,
            help: "Help.",
            question: "Question?",
            label_keys: &[],
            all_series: None,
            bounds: &[],
        };
        assert_eq!(description.prometheus_name(), expected);
    }
}
