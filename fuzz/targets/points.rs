//! Arbitrary metrics: the official messages and a strict parser of the Prometheus format decode exactly what
//! was counted.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use prost::Message;
use signal::exponential;
use signal::metric::{Carrier, DURATION_BOUNDS, MetricDescription, MetricKind, Unit};
use telemetry::meter::{Distribution, Exemplar, FamilySnapshot, Snapshot, Value};
use telemetry::otlp::HistogramAggregation;
use telemetry::{Resource, SpanContext, SpanId, TraceId, metrics_request, prometheus};

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
    zero: u32,
    buckets: Vec<(u16, u32)>,
    sum_nanoseconds: u64,
    exemplar: Option<([u8; 16], [u8; 8], u64, u64)>,
}

fuzz_target!(|input: Input| {
    let families: Vec<FamilySnapshot> = input
        .families
        .iter()
        .take(NAMES.len())
        .zip(NAMES)
        .map(|(family, name)| snapshot(family, name))
        .collect();
    // Without zeros before new series, so that points and series correspond; a property test has them.
    let snapshot =
        Snapshot { families, started_unix_nanoseconds: input.started, previous_unix_nanoseconds: None };
    let mut bytes = Vec::new();
    let histograms = HistogramAggregation::Exponential;
    let points = metrics_request(&Resource::default(), &snapshot, histograms, input.now, &mut bytes);
    let request = ExportMetricsServiceRequest::decode(&bytes[..]).expect("a decodable request");
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let with_points: Vec<_> = snapshot.families.iter().filter(|family| !family.points.is_empty()).collect();
    assert_eq!(metrics.len(), with_points.len());
    let mut read = 0;
    for (family, metric) in with_points.iter().zip(metrics) {
        assert_eq!(family.description.name, metric.name);
        match metric.data.as_ref().expect("data") {
            metric::Data::ExponentialHistogram(histogram) => {
                read += histogram.data_points.len();
                for ((labels, value), point) in family.points.iter().zip(&histogram.data_points) {
                    let Value::Distribution(distribution) = value else { panic!("no distribution") };
                    let is_used = distribution.count() > 0;
                    let positive = point.positive.clone().unwrap_or_default();
                    assert_eq!(point.attributes.len(), labels.len());
                    assert_eq!(point.count, distribution.count());
                    assert_eq!(point.zero_count, distribution.zero);
                    assert_eq!(point.sum, is_used.then_some(distribution.sum_nanoseconds as f64 / 1e9));
                    assert_eq!(positive.bucket_counts, distribution.buckets);
                    assert!(positive.bucket_counts.is_empty() || positive.offset == distribution.first);
                    assert_eq!(point.exemplars.len(), if is_used { distribution.exemplars.len() } else { 0 });
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

    let scraped = exposition::parse(&prometheus::render(&snapshot));
    let mut scraped = scraped.iter();
    for family in &snapshot.families {
        let counted_nothing =
            |value: &Value| matches!(value, Value::Distribution(distribution) if distribution.count() == 0);
        let points: Vec<_> = family.points.iter().filter(|(_, value)| !counted_nothing(value)).collect();
        if family.description.kind == MetricKind::Histogram && points.is_empty() {
            continue;
        }
        let scraped = scraped.next().expect("a metric with samples");
        let is_histogram = family.description.kind == MetricKind::Histogram;
        let lines = if is_histogram { family.description.bounds.len() + 3 } else { 1 };
        assert_eq!(scraped.samples.len(), points.len() * lines);
        for ((labels, value), samples) in points.into_iter().zip(scraped.samples.chunks(lines)) {
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
                Value::Distribution(distribution) => assert_eq!(count, distribution.count() as f64),
            }
        }
    }
    assert!(scraped.next().is_none());
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
            carrier: Carrier::Points,
            bounds: if kind == MetricKind::Histogram { DURATION_BOUNDS } else { &[] },
        },
        points: points.collect(),
        new_points: 0,
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
    let mut distribution = Distribution { zero: u64::from(point.zero), ..Distribution::default() };
    let range = exponential::LAST - exponential::FIRST + 1;
    for (index, count) in point.buckets {
        distribution.add(exponential::FIRST + i32::from(index) % range, u64::from(count));
    }
    if distribution.count() > 0 {
        distribution.sum_nanoseconds = point.sum_nanoseconds;
        distribution.exemplars.extend(point.exemplar.map(
            |(trace_id, span_id, nanoseconds, unix_nanoseconds)| {
                let context =
                    SpanContext { trace_id: TraceId(trace_id), span_id: SpanId(span_id), sampled: true };
                Exemplar { context, nanoseconds, unix_nanoseconds }
            },
        ));
    }
    Value::Distribution(distribution)
}
