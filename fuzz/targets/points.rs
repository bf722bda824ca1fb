//! Arbitrary metrics: the official messages and a strict parser of the Prometheus format decode exactly what
//! was counted.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use prost::Message;
use telemetry::catalogue::{DURATION_BOUNDS, MetricDescription, MetricKind, Unit};
use telemetry::meter::{Distribution, Exemplar, FamilySnapshot, Snapshot, Value};
use telemetry::{Resource, SpanContext, SpanId, TraceId, metrics_request, prometheus};

#[path = "../../crates/telemetry/tests/records/prometheus_text.rs"]
mod prometheus_text;

const NAMES: [&str; 3] =
    ["http.server.request.duration", "socialize.content_items.created", "process.memory.usage"];
const LABEL_KEYS: &[&str] = &["http.route", "error.type"];

#[derive(Arbitrary, Debug)]
struct Input {
    families: Vec<Family>,
    started: u64,
    now: u64,
}

#[derive(Arbitrary, Debug)]
struct Family {
    kind: u8,
    points: Vec<(Option<String>, Option<String>, Point)>,
}

#[derive(Arbitrary, Debug)]
struct Point {
    integer: i64,
    number: Option<f64>,
    buckets: [u32; 8],
    sum_nanoseconds: u64,
    exemplar: Option<(u8, [u8; 16], [u8; 8], u64, u64)>,
}

fuzz_target!(|input: Input| {
    let families: Vec<FamilySnapshot> = input
        .families
        .iter()
        .take(NAMES.len())
        .zip(NAMES)
        .map(|(family, name)| snapshot(family, name))
        .collect();
    let snapshot = Snapshot { families, started_unix_nanoseconds: input.started };
    let mut bytes = Vec::new();
    let points = metrics_request(&Resource::default(), &snapshot, input.now, &mut bytes);
    let request = ExportMetricsServiceRequest::decode(&bytes[..]).expect("a decodable request");
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let with_points: Vec<_> = snapshot.families.iter().filter(|family| !family.points.is_empty()).collect();
    assert_eq!(metrics.len(), with_points.len());
    let mut read = 0;
    for (family, metric) in with_points.iter().zip(metrics) {
        assert_eq!(family.description.name, metric.name);
        match metric.data.as_ref().expect("data") {
            metric::Data::Histogram(histogram) => {
                read += histogram.data_points.len();
                for ((labels, value), point) in family.points.iter().zip(&histogram.data_points) {
                    let Value::Distribution(distribution) = value else { panic!("no distribution") };
                    assert_eq!(point.attributes.len(), labels.len());
                    assert_eq!(point.bucket_counts, distribution.buckets);
                    assert_eq!(point.count, distribution.buckets.iter().sum::<u64>());
                    assert_eq!(point.sum, Some(distribution.sum_nanoseconds as f64 / 1e9));
                    assert_eq!(point.explicit_bounds, family.description.bounds);
                    assert_eq!(point.exemplars.len(), distribution.exemplars.iter().flatten().count());
                    assert_eq!(
                        (point.start_time_unix_nano, point.time_unix_nano),
                        (input.started, input.now)
                    );
                }
            }
            metric::Data::Sum(sum) => {
                read += sum.data_points.len();
                compare(family, sum.data_points.iter().map(|point| point.value));
            }
            metric::Data::Gauge(gauge) => {
                read += gauge.data_points.len();
                compare(family, gauge.data_points.iter().map(|point| point.value));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(read, points);

    let scraped = prometheus_text::parse(&prometheus::render(&snapshot));
    assert_eq!(scraped.len(), snapshot.families.len());
    for (family, scraped) in snapshot.families.iter().zip(&scraped) {
        let is_histogram = family.description.kind == MetricKind::Histogram;
        let lines = if is_histogram { family.description.bounds.len() + 3 } else { 1 };
        assert_eq!(scraped.samples.len(), family.points.len() * lines);
        for ((labels, value), samples) in family.points.iter().zip(scraped.samples.chunks(lines)) {
            for sample in samples {
                let texts: Vec<&str> = sample.labels.iter().map(|(_, value)| value.as_str()).collect();
                assert!(
                    labels.iter().map(|(_, value)| value.as_str()).eq(texts[..labels.len()].iter().copied())
                );
            }
            let count = samples.last().expect("a sample").value;
            match value {
                Value::Integer(number) => assert_eq!(count, *number as f64),
                Value::Number(number) => assert_eq!(count.to_bits(), number.to_bits()),
                Value::Distribution(distribution) => {
                    assert_eq!(count, distribution.buckets.iter().sum::<u64>() as f64);
                }
            }
        }
    }
});

fn compare(family: &FamilySnapshot, points: impl Iterator<Item = Option<number_data_point::Value>>) {
    for ((_, value), point) in family.points.iter().zip(points) {
        match (value, point.expect("a value")) {
            (Value::Integer(number), number_data_point::Value::AsInt(read)) => assert_eq!(*number, read),
            (Value::Number(number), number_data_point::Value::AsDouble(read)) => {
                assert_eq!(number.to_bits(), read.to_bits());
            }
            other => panic!("{other:?}"),
        }
    }
}

fn snapshot(family: &Family, name: &'static str) -> FamilySnapshot {
    let kinds = [MetricKind::Counter, MetricKind::UpDownCounter, MetricKind::Gauge, MetricKind::Histogram];
    let kind = kinds[usize::from(family.kind) % kinds.len()];
    let points = family.points.iter().map(|(route, error_type, point)| {
        let labels = LABEL_KEYS.iter().zip([route, error_type]);
        let labels = labels.filter_map(|(key, value)| Some((*key, value.clone()?))).collect();
        (labels, value(point, kind))
    });
    FamilySnapshot {
        description: MetricDescription {
            name,
            kind,
            unit: Unit::Seconds,
            help: "Größe \\ and\na second line, with \"quotes\".",
            question: "Is it encoded well?",
            label_keys: LABEL_KEYS,
            all_series: None,
            bounds: if kind == MetricKind::Histogram { DURATION_BOUNDS } else { &[] },
        },
        points: points.collect(),
    }
}

fn value(point: &Point, kind: MetricKind) -> Value {
    if kind != MetricKind::Histogram {
        // NaN has many bit patterns but a single text.
        return match point.number.filter(|number| !number.is_nan()) {
            Some(number) => Value::Number(number),
            None => Value::Integer(point.integer),
        };
    }
    let buckets: Vec<u64> = (0..=DURATION_BOUNDS.len())
        .map(|bucket| u64::from(point.buckets[bucket % point.buckets.len()]))
        .collect();
    let mut exemplars = Vec::new();
    if let Some((bucket, trace_id, span_id, nanoseconds, unix_nanoseconds)) = point.exemplar {
        exemplars = vec![None; buckets.len()];
        let context = SpanContext { trace_id: TraceId(trace_id), span_id: SpanId(span_id), sampled: true };
        exemplars[usize::from(bucket) % buckets.len()] =
            Some(Exemplar { context, nanoseconds, unix_nanoseconds });
    }
    Value::Distribution(Distribution { buckets, sum_nanoseconds: point.sum_nanoseconds, exemplars })
}
