//! Translation of OTLP metrics to series, as Prometheus' OTLP receiver does it.

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, Exemplar as OtlpExemplar, ExponentialHistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, exemplar, number_data_point,
};
use signal::exponential;

use super::names::{MetricKind, metric_name};
use super::refusals::{Refusal, Refusals};
use super::resource::Sender;
use super::sink::Collection;
use crate::store::metrics::{Exemplar, Exemplars, Histogram, STALE, Sample, Value};

/// Points later than this are refused: after one of them, the store would refuse all that follow.
const FUTURE_MS: i64 = 10 * 60 * 1000;

const NO_RECORDED_VALUE: u32 = DataPointFlags::NoRecordedValueMask as u32;

/// Translated metrics of one process.
#[derive(Debug, Default)]
pub(super) struct Translated {
    /// Samples, oldest first. A new series has a zero at the time of the previous collection.
    pub(super) collections: Vec<Collection>,
    pub(super) exemplars: Vec<Exemplars>,
}

/// Translates the metrics of one process. `now` is a Unix time in milliseconds.
pub(super) fn translate(metrics: &ResourceMetrics, now: i64, refusals: &mut Refusals) -> Translated {
    let mut translation = Translation {
        sender: Sender::new(metrics.resource.as_ref()),
        now,
        samples: BTreeMap::new(),
        exemplars: Vec::new(),
        refusals,
    };
    for metric in metrics.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
        translation.metric(metric);
    }
    translation.add_target_info();
    let origin = translation.sender.origin();
    let collection = |(at, samples)| Collection { origin: origin.clone(), at, samples };
    Translated {
        collections: translation.samples.into_iter().map(collection).collect(),
        exemplars: translation.exemplars,
    }
}

struct Translation<'a> {
    sender: Sender,
    now: i64,
    samples: BTreeMap<i64, Vec<Sample>>,
    exemplars: Vec<Exemplars>,
    refusals: &'a mut Refusals,
}

impl Translation<'_> {
    fn metric(&mut self, metric: &Metric) {
        let Some(data) = &metric.data else { return };
        let (points, temporality, kind) = match data {
            Data::Gauge(gauge) => (gauge.data_points.len(), None, MetricKind::Gauge),
            Data::Sum(sum) => {
                let kind = if sum.is_monotonic { MetricKind::Counter } else { MetricKind::Other };
                (sum.data_points.len(), Some(sum.aggregation_temporality), kind)
            }
            Data::ExponentialHistogram(histogram) => {
                (histogram.data_points.len(), Some(histogram.aggregation_temporality), MetricKind::Other)
            }
            Data::Histogram(histogram) => {
                let points = histogram.data_points.len();
                return self.refusals.add(Refusal::ExplicitBuckets, &metric.name, points);
            }
            Data::Summary(summary) => {
                return self.refusals.add(Refusal::Summary, &metric.name, summary.data_points.len());
            }
        };
        if temporality.is_some_and(|temporality| temporality != AggregationTemporality::Cumulative as i32) {
            return self.refusals.add(Refusal::Delta, &metric.name, points);
        }
        let Some(name) = metric_name(&metric.name, &metric.unit, kind) else {
            return self.refusals.add(Refusal::NoName, &metric.name, points);
        };
        let name: Arc<str> = name.into();
        match data {
            Data::Gauge(gauge) => self.numbers(&metric.name, &name, &gauge.data_points),
            Data::Sum(sum) => self.numbers(&metric.name, &name, &sum.data_points),
            Data::ExponentialHistogram(histogram) => {
                self.histograms(&metric.name, &name, &histogram.data_points);
            }
            Data::Histogram(_) | Data::Summary(_) => {}
        }
    }

    fn numbers(&mut self, metric: &str, name: &Arc<str>, points: &[NumberDataPoint]) {
        for point in points {
            let value = match number_of(point) {
                Some(number) => Ok(Value::Number(number)),
                None => Err(Refusal::NoValue),
            };
            self.point(metric, name, point.time_unix_nano, &point.attributes, value, &point.exemplars);
        }
    }

    fn histograms(&mut self, metric: &str, name: &Arc<str>, points: &[ExponentialHistogramDataPoint]) {
        for point in points {
            let value = histogram_of(point).map(|histogram| Value::Histogram(Arc::new(histogram)));
            self.point(metric, name, point.time_unix_nano, &point.attributes, value, &point.exemplars);
        }
    }

    fn point(
        &mut self,
        metric: &str,
        name: &Arc<str>,
        time: u64,
        attributes: &[KeyValue],
        value: Result<Value, Refusal>,
        exemplars: &[OtlpExemplar],
    ) {
        match value.and_then(|value| Ok((self.time(time)?, value))) {
            Err(refusal) => self.refusals.add(refusal, metric, 1),
            Ok((at, value)) => {
                let labels = self.sender.labels(attributes);
                let exemplars: Vec<Exemplar> = exemplars.iter().filter_map(exemplar_of).collect();
                if !exemplars.is_empty() {
                    let (name, labels) = (name.clone(), labels.clone());
                    self.exemplars.push(Exemplars { name, labels, exemplars });
                }
                self.samples.entry(at).or_default().push(Sample { name: name.clone(), labels, value });
            }
        }
    }

    fn time(&self, nanoseconds: u64) -> Result<i64, Refusal> {
        match milliseconds(nanoseconds) {
            0 => Err(Refusal::NoTime),
            at if at > self.now.saturating_add(FUTURE_MS) => Err(Refusal::InFuture),
            at => Ok(at),
        }
    }

    fn add_target_info(&mut self) {
        let Some(mut newest) = self.samples.last_entry() else { return };
        let Some(labels) = self.sender.target_info() else { return };
        newest.get_mut().push(Sample { name: "target_info".into(), labels, value: Value::Number(1.0) });
    }
}

fn milliseconds(nanoseconds: u64) -> i64 {
    (nanoseconds / 1_000_000).cast_signed()
}

fn number_of(point: &NumberDataPoint) -> Option<f64> {
    if point.flags & NO_RECORDED_VALUE != 0 {
        return Some(STALE);
    }
    match point.value? {
        number_data_point::Value::AsDouble(number) => Some(number),
        number_data_point::Value::AsInt(number) => Some(number as f64),
    }
}

fn histogram_of(point: &ExponentialHistogramDataPoint) -> Result<Histogram, Refusal> {
    if point.flags & NO_RECORDED_VALUE != 0 {
        return Ok(Histogram { sum: STALE, ..Histogram::default() });
    }
    if point.scale != exponential::SCALE {
        return Err(Refusal::OtherScale);
    }
    if point.negative.as_ref().is_some_and(|negative| negative.bucket_counts.iter().any(|count| *count > 0)) {
        return Err(Refusal::NegativeObservations);
    }
    let buckets = point.positive.as_ref().map_or(Ok(Vec::new()), buckets_of)?;
    let sum = point.sum.unwrap_or_default();
    let in_buckets: f64 = buckets.iter().map(|(_, count)| count).sum();
    let (count, zero_count) = (point.count as f64, point.zero_count as f64);
    // NaN observations are in no bucket, but make the sum NaN.
    if in_buckets + zero_count > count || (in_buckets + zero_count < count && !sum.is_nan()) {
        return Err(Refusal::InvalidBuckets);
    }
    Ok(Histogram { count, sum, zero_count, buckets })
}

/// Returns the non-empty buckets.
fn buckets_of(buckets: &Buckets) -> Result<Vec<(i32, f64)>, Refusal> {
    let mut counts = Vec::new();
    for (position, count) in buckets.bucket_counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let index = i32::try_from(position).ok().and_then(|position| buckets.offset.checked_add(position));
        let in_range = |index: &i32| (exponential::FIRST..=exponential::LAST).contains(index);
        counts.push((index.filter(in_range).ok_or(Refusal::InvalidBuckets)?, *count as f64));
    }
    Ok(counts)
}

/// Returns an exemplar; `None` if it has no span.
fn exemplar_of(exemplar: &OtlpExemplar) -> Option<Exemplar> {
    let value = match exemplar.value? {
        exemplar::Value::AsDouble(number) => number,
        exemplar::Value::AsInt(number) => number as f64,
    };
    Some(Exemplar {
        at: milliseconds(exemplar.time_unix_nano),
        value,
        trace_id: exemplar.trace_id.as_slice().try_into().ok()?,
        span_id: exemplar.span_id.as_slice().try_into().ok()?,
    })
}
