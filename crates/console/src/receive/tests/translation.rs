//! Translation of exports to series.

use std::sync::Arc;

use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
};

use super::super::refusals::Refusals;
use super::super::translate::{Translated, translate};
use super::{NOW, attribute, export, gauge, metric, number};
use crate::store::metrics::{self, Origin, Value, is_stale};

const CUMULATIVE: i32 = 2;
const DELTA: i32 = 1;

fn translated(metrics: Vec<Metric>) -> (Translated, Refusals) {
    let mut refusals = Refusals::default();
    let translated = translate(&export(metrics), NOW, &mut refusals);
    (translated, refusals)
}

fn labels_of(sample: &metrics::Sample) -> String {
    sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

fn histogram_point(count: u64, offset: i32, bucket_counts: Vec<u64>) -> ExponentialHistogramDataPoint {
    ExponentialHistogramDataPoint {
        time_unix_nano: NOW as u64 * 1_000_000,
        count,
        sum: Some(0.5),
        scale: 3,
        positive: Some(Buckets { offset, bucket_counts }),
        ..ExponentialHistogramDataPoint::default()
    }
}

fn histogram(point: ExponentialHistogramDataPoint) -> Metric {
    let data = ExponentialHistogram { data_points: vec![point], aggregation_temporality: CUMULATIVE };
    metric("work.duration", "s", Data::ExponentialHistogram(data))
}

#[test]
fn series_have_the_labels_of_their_process() {
    let mut point = number(NOW, 3.0);
    let attributes = [("http.route", "/a"), ("a.b", "2"), ("a_b", "1"), ("job", "mine"), ("empty", "")];
    point.attributes = attributes.into_iter().map(|(key, value)| attribute(key, value)).collect();
    let sum = Sum { data_points: vec![point], aggregation_temporality: CUMULATIVE, is_monotonic: true };
    let (translated, refusals) = translated(vec![metric("http.requests", "{request}", Data::Sum(sum))]);
    assert_eq!(refusals.points(), 0);
    let [collection] = translated.collections.as_slice() else { panic!("one time") };
    assert_eq!(collection.origin, Origin::process("shop/socialize", "one"));
    assert_eq!(collection.at, NOW);
    let [sample, target_info] = collection.samples.as_slice() else { panic!("two series") };
    assert_eq!(&*sample.name, "http_requests_total");
    assert_eq!(sample.value, Value::Number(3.0));
    assert_eq!(
        labels_of(sample),
        "a_b=2;1 deployment_environment_name=test http_route=/a instance=one job=shop/socialize"
    );
    assert_eq!(&*target_info.name, "target_info");
    assert_eq!(
        labels_of(target_info),
        "deployment_environment_name=test instance=one job=shop/socialize service_version=1.2.3"
    );
}

#[test]
fn a_zero_before_a_new_series_is_a_collection_of_its_own() {
    let data_points = vec![number(NOW - 15_000, 0.0), number(NOW, 4.0)];
    let sum = Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: true };
    let (translated, _) = translated(vec![metric("failures", "", Data::Sum(sum))]);
    let times: Vec<_> = translated.collections.iter().map(|c| (c.at, c.samples.len())).collect();
    assert_eq!(times, [(NOW - 15_000, 1), (NOW, 2)], "target_info has only the newest time");
}

#[test]
fn histograms_keep_the_buckets_that_are_not_empty() {
    let (translated, refusals) = translated(vec![histogram(histogram_point(6, -3, vec![1, 0, 5]))]);
    assert_eq!(refusals.message(), "");
    let sample = &translated.collections[0].samples[0];
    assert_eq!(&*sample.name, "work_duration_seconds");
    let expected =
        metrics::Histogram { count: 6.0, sum: 0.5, zero_count: 0.0, buckets: vec![(-3, 1.0), (-1, 5.0)] };
    assert_eq!(sample.value, Value::Histogram(Arc::new(expected)));
}

#[test]
fn a_point_without_a_recorded_value_ends_its_series() {
    let number = NumberDataPoint { flags: 1, value: None, ..number(NOW, 0.0) };
    let sum = Sum { data_points: vec![number], aggregation_temporality: CUMULATIVE, is_monotonic: true };
    let ended = ExponentialHistogramDataPoint { flags: 1, ..histogram_point(0, 0, vec![]) };
    let (translated, refusals) = translated(vec![metric("a", "", Data::Sum(sum)), histogram(ended)]);
    assert_eq!(refusals.points(), 0);
    let samples = &translated.collections[0].samples;
    assert!(matches!(samples[0].value, Value::Number(number) if is_stale(number)));
    assert!(matches!(&samples[1].value, Value::Histogram(histogram) if is_stale(histogram.sum)));
}

#[test]
fn integers_and_exemplars_are_read() {
    let value = Some(number_data_point::Value::AsInt(-5));
    let integer = NumberDataPoint { value, ..number(NOW, 0.0) };
    let sum = Sum { data_points: vec![integer], aggregation_temporality: CUMULATIVE, is_monotonic: false };
    let seen = |trace_id: Vec<u8>| Exemplar {
        time_unix_nano: NOW as u64 * 1_000_000,
        trace_id,
        span_id: vec![2; 8],
        value: Some(exemplar::Value::AsDouble(0.25)),
        ..Exemplar::default()
    };
    let mut point = histogram_point(1, 0, vec![1]);
    point.exemplars = vec![seen(vec![1; 16]), seen(vec![])];
    let (translated, _) = translated(vec![metric("a", "", Data::Sum(sum)), histogram(point)]);
    assert_eq!(translated.collections[0].samples[0].value, Value::Number(-5.0));
    let [exemplars] = translated.exemplars.as_slice() else { panic!("examples of one series") };
    assert_eq!(&*exemplars.name, "work_duration_seconds");
    let expected = metrics::Exemplar { at: NOW, value: 0.25, trace_id: [1; 16], span_id: [2; 8] };
    assert_eq!(exemplars.exemplars, [expected]);
}

#[test]
fn what_the_store_cannot_hold_is_refused_with_a_reason() {
    let sum = |aggregation_temporality| {
        let data_points = vec![number(NOW, 1.0), number(NOW, 2.0)];
        Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true })
    };
    let explicit = Histogram { data_points: vec![HistogramDataPoint::default()], aggregation_temporality: 2 };
    let delta_histogram = ExponentialHistogram {
        data_points: vec![histogram_point(0, 0, vec![])],
        aggregation_temporality: DELTA,
    };
    let summary = Summary { data_points: vec![SummaryDataPoint::default()] };
    let negative = Some(Buckets { offset: 0, bucket_counts: vec![1] });
    let scale = |scale| ExponentialHistogramDataPoint { scale, ..histogram_point(1, 0, vec![1]) };
    let no_value = NumberDataPoint { value: None, ..number(NOW, 0.0) };
    let no_value =
        Sum { data_points: vec![no_value], aggregation_temporality: CUMULATIVE, is_monotonic: true };
    let cases = [
        (metric("a", "", sum(DELTA)), 2, "no deltas"),
        (metric("a", "", sum(0)), 2, "no deltas"),
        (metric("a", "", Data::ExponentialHistogram(delta_histogram)), 1, "no deltas"),
        (metric("a", "", Data::Histogram(explicit)), 1, "base2_exponential_bucket_histogram"),
        (metric("a", "", Data::Summary(summary)), 1, "Summaries"),
        (metric("a", "", Data::Sum(no_value)), 1, "no value"),
        (gauge("..", "", NOW, 1.0), 1, "no letter"),
        (gauge("a", "", 0, 1.0), 1, "no time"),
        (gauge("a", "", NOW + 601_000, 1.0), 1, "future"),
        (histogram(scale(4)), 1, "scale 3"),
        (histogram(scale(-1)), 1, "scale 3"),
        (histogram(histogram_point(2, 0, vec![1])), 1, "add up"),
        (histogram(histogram_point(1, 0, vec![2])), 1, "add up"),
        (histogram(histogram_point(1, i32::MAX, vec![0, 1])), 1, "add up"),
        (histogram(histogram_point(1, 4000, vec![1])), 1, "add up"),
        (
            histogram(ExponentialHistogramDataPoint { negative, ..histogram_point(2, 0, vec![1]) }),
            1,
            "negative",
        ),
    ];
    for (metric, points, text) in cases {
        let name = metric.name.clone();
        let (translated, refusals) = translated(vec![metric]);
        assert_eq!(refusals.points(), points, "{text}");
        assert!(refusals.message().contains(text), "{}", refusals.message());
        assert!(refusals.message().contains(&name), "{}", refusals.message());
        assert!(translated.collections.is_empty(), "{text}");
    }
}

#[test]
fn a_process_without_a_name_has_no_target_info() {
    let mut metrics = export(vec![gauge("a", "", NOW, 1.0)]);
    metrics.resource = None;
    let translated = translate(&metrics, NOW, &mut Refusals::default());
    assert_eq!(translated.collections[0].samples.len(), 1);
    assert_eq!(labels_of(&translated.collections[0].samples[0]), "");
}
