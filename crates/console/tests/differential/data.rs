//! Series of two processes as they export them, with restarts, gaps and quiet series.

use std::collections::{BTreeMap, BTreeSet};

use catalogue::metrics;
use monitoring::query::{MatchOperator, Scale};
use monitoring::rules::{WORKFLOW_ACTIONS, Workflow, recordings};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use signal::exponential;
use signal::metric::{Label, MetricDescription, MetricKind, Unit, prometheus_label};

use crate::queries;

pub(crate) const SECOND: i64 = 1000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// A time in 2026.
pub(crate) const START: i64 = 1_780_000_200_000;

/// Cumulative temporality in OTLP.
const CUMULATIVE: i32 = 2;

/// A process that exports.
pub(crate) struct Process {
    pub(crate) instance: &'static str,
    pub(crate) job: &'static str,
    /// Offset of its collections, in milliseconds.
    pub(crate) delay: i64,
    /// Times of its restarts.
    pub(crate) restarts: Vec<i64>,
    /// Times without collections.
    pub(crate) gaps: Vec<(i64, i64)>,
    pub(crate) series: Vec<Stream>,
}

/// One series and its current value.
pub(crate) struct Stream {
    metric: MetricDescription,
    attributes: Vec<KeyValue>,
    random: Random,
    /// Probability of a change between two collections.
    activity: f64,
    value: f64,
    histogram: Observations,
}

#[derive(Default)]
struct Observations {
    sum: f64,
    zero: u64,
    buckets: BTreeMap<i32, u64>,
}

/// Creates a process with at most this many series of each metric.
pub(crate) fn process(instance: &'static str, job: &'static str, most: usize) -> Process {
    let values = values_in_matchers();
    let mut series = Vec::new();
    for metric in metrics::all() {
        for (position, labels) in labels_of(&metric, &values, most).into_iter().enumerate() {
            let seed = format!("{instance} {} {position}", metric.name);
            let mut random = Random::new(&seed);
            // Most series are quiet, as in practice.
            let activity = [0.0, 0.01, 0.2, 0.9][random.below(4)];
            let attributes = labels.into_iter().filter(|(_, value)| !value.is_empty());
            let attributes = attributes.map(|(key, value)| attribute(&key, &value)).collect();
            let histogram = Observations::default();
            series.push(Stream { metric, attributes, random, activity, value: 0.0, histogram });
        }
    }
    Process { instance, job, delay: 0, restarts: Vec::new(), gaps: Vec::new(), series }
}

impl Process {
    /// Returns the export of the process at a time; `None` in a gap.
    pub(crate) fn collect(&mut self, at: i64, since: i64) -> Option<ExportMetricsServiceRequest> {
        if self.restarts.iter().any(|restart| (since..at).contains(restart)) {
            for stream in &mut self.series {
                (stream.value, stream.histogram) = (0.0, Observations::default());
            }
        }
        let mut metrics: Vec<Metric> = Vec::new();
        let at = at + self.delay;
        for stream in &mut self.series {
            stream.advance(at);
            let point = stream.point(at);
            match metrics.last_mut() {
                Some(last) if last.name == stream.metric.name => append(last, point),
                _ => metrics.push(metric_of(&stream.metric, point)),
            }
        }
        if self.gaps.iter().any(|(from, to)| (*from..*to).contains(&at)) {
            return None;
        }
        let attributes = vec![
            attribute("service.namespace", "socialize"),
            attribute("service.name", self.job),
            attribute("service.instance.id", self.instance),
            attribute("deployment.environment.name", "test"),
        ];
        Some(request(attributes, metrics))
    }
}

/// Returns the results of rules at a time: values of all recordings, and states of two alerts.
pub(crate) fn recorded(at: i64, random: &mut Random) -> ExportMetricsServiceRequest {
    let mut metrics = Vec::new();
    for rule in recordings(Scale::REAL).rules {
        let values = if rule.name.contains("actions") { 2.0 } else { 20.0 };
        let labels = if rule.name == WORKFLOW_ACTIONS.name {
            ["review", "publish"].map(|value| vec![attribute(Workflow::KEY, value)]).to_vec()
        } else {
            vec![Vec::new()]
        };
        for attributes in labels {
            metrics.push(gauge(rule.name, attributes, at, random.share() * values));
        }
    }
    if (at / HOUR) % 3 == 0 {
        for (name, severity) in [("Canary", "none"), ("ApiDown", "critical")] {
            let labels = [("alertname", name), ("alertstate", "firing"), ("severity", severity)];
            let attributes = labels.map(|(key, value)| attribute(key, value)).to_vec();
            metrics.push(gauge("ALERTS", attributes, at, 1.0));
        }
    }
    request(Vec::new(), metrics)
}

impl Stream {
    fn advance(&mut self, at: i64) {
        if self.random.share() >= self.activity {
            return;
        }
        let amount = (1.0 + self.random.share() * 9.0).floor();
        match self.metric.kind {
            MetricKind::Histogram => {
                for _ in 0..amount as usize {
                    self.histogram.observe(&mut self.random);
                }
            }
            MetricKind::Counter if self.metric.unit == Unit::Seconds => self.value += amount / 7.0,
            MetricKind::Counter => self.value += amount,
            MetricKind::Gauge if self.metric.name.contains("time") => {
                self.value = (at - self.random.below(100_000) as i64) as f64 / 1000.0;
            }
            MetricKind::Gauge if self.metric.unit == Unit::One => self.value = self.random.share(),
            MetricKind::Gauge | MetricKind::UpDownCounter => {
                self.value = (self.value + amount - 4.0).max(0.0);
            }
        }
    }

    fn point(&self, at: i64) -> Point {
        let time_unix_nano = at.cast_unsigned() * 1_000_000;
        if self.metric.kind == MetricKind::Histogram {
            return Point::Histogram(self.histogram.point(self.attributes.clone(), time_unix_nano));
        }
        Point::Number(NumberDataPoint {
            attributes: self.attributes.clone(),
            time_unix_nano,
            value: Some(number_data_point::Value::AsDouble(self.value)),
            ..NumberDataPoint::default()
        })
    }
}

impl Observations {
    fn observe(&mut self, random: &mut Random) {
        // A few observations of zero, and durations from a millisecond to a minute.
        let value = if random.share() < 0.02 { 0.0 } else { (random.share() * 16.0 - 10.0).exp2() };
        self.sum += value;
        match exponential::index(value) {
            Some(index) => *self.buckets.entry(index).or_default() += 1,
            None => self.zero += 1,
        }
    }

    fn point(&self, attributes: Vec<KeyValue>, time_unix_nano: u64) -> ExponentialHistogramDataPoint {
        let offset = self.buckets.keys().next().copied().unwrap_or_default();
        let end = self.buckets.keys().last().map_or(offset, |last| last + 1);
        let counts = (offset..end).map(|index| self.buckets.get(&index).copied().unwrap_or_default());
        let bucket_counts: Vec<u64> = counts.collect();
        ExponentialHistogramDataPoint {
            attributes,
            time_unix_nano,
            count: self.zero + bucket_counts.iter().sum::<u64>(),
            sum: Some(self.sum),
            scale: exponential::SCALE,
            zero_count: self.zero,
            positive: Some(Buckets { offset, bucket_counts }),
            ..ExponentialHistogramDataPoint::default()
        }
    }
}

enum Point {
    Number(NumberDataPoint),
    Histogram(ExponentialHistogramDataPoint),
}

fn metric_of(description: &MetricDescription, point: Point) -> Metric {
    let sum = |is_monotonic| Sum { aggregation_temporality: CUMULATIVE, is_monotonic, ..Sum::default() };
    let data = match description.kind {
        MetricKind::Counter => metric::Data::Sum(sum(true)),
        MetricKind::UpDownCounter => metric::Data::Sum(sum(false)),
        MetricKind::Gauge => metric::Data::Gauge(Gauge::default()),
        MetricKind::Histogram => metric::Data::ExponentialHistogram(ExponentialHistogram {
            aggregation_temporality: CUMULATIVE,
            ..ExponentialHistogram::default()
        }),
    };
    let mut metric = Metric {
        name: description.name.to_owned(),
        unit: description.unit.as_str().to_owned(),
        data: Some(data),
        ..Metric::default()
    };
    append(&mut metric, point);
    metric
}

fn append(metric: &mut Metric, point: Point) {
    match (metric.data.as_mut(), point) {
        (Some(metric::Data::Sum(sum)), Point::Number(point)) => sum.data_points.push(point),
        (Some(metric::Data::Gauge(gauge)), Point::Number(point)) => gauge.data_points.push(point),
        (Some(metric::Data::ExponentialHistogram(histogram)), Point::Histogram(point)) => {
            histogram.data_points.push(point);
        }
        _ => panic!("{} has points of another kind", metric.name),
    }
}

fn gauge(name: &str, attributes: Vec<KeyValue>, at: i64, value: f64) -> Metric {
    let point = NumberDataPoint {
        attributes,
        time_unix_nano: at.cast_unsigned() * 1_000_000,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    };
    let data = Some(metric::Data::Gauge(Gauge { data_points: vec![point] }));
    Metric { name: name.to_owned(), data, ..Metric::default() }
}

fn request(attributes: Vec<KeyValue>, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Values of labels that queries select, so that they find something.
fn values_in_matchers() -> BTreeMap<String, BTreeSet<String>> {
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for expression in queries::all_parts().values() {
        expression.for_each_selection(&mut |selection| {
            for matcher in &selection.matchers {
                let found = values.entry(matcher.label.clone()).or_default();
                let is_pattern =
                    matches!(matcher.operator, MatchOperator::Matches | MatchOperator::MatchesNot);
                let value = matcher.value.replace(".+", "x").replace("..", "04");
                let split: Vec<&str> = if is_pattern { value.split('|').collect() } else { vec![&value] };
                let plain = split.into_iter().filter(|value| !value.contains(['$', '*', '(', '[', '\\']));
                found.extend(plain.map(str::to_owned));
            }
        });
    }
    for (label, more) in [
        ("http_route", &["/v1/items/{id}", "/v1/items"][..]),
        ("http_request_method", &["GET", "POST"]),
        ("http_response_status_code", &["200", "404", "500", "503"]),
    ] {
        values.entry(label.to_owned()).or_default().extend(more.iter().map(|value| (*value).to_owned()));
    }
    values
}

/// Returns the labels of some series of a metric.
fn labels_of(
    metric: &MetricDescription,
    values: &BTreeMap<String, BTreeSet<String>>,
    most: usize,
) -> Vec<Vec<(String, String)>> {
    let all: Vec<Vec<(String, String)>> = match metric.all_series {
        Some(all_series) => {
            let owned = |labels: Vec<(&str, String)>| {
                labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            };
            all_series().into_iter().map(owned).collect()
        }
        None => {
            let mut all: Vec<Vec<(String, String)>> = vec![Vec::new()];
            for key in metric.label_keys {
                let found = values.get(&prometheus_label(key));
                let mut candidates: Vec<&str> = found.into_iter().flatten().map(String::as_str).collect();
                candidates.push("other");
                let extended = all.iter().flat_map(|labels| {
                    candidates.iter().map(|value| {
                        let mut labels = labels.clone();
                        labels.push(((*key).to_owned(), (*value).to_owned()));
                        labels
                    })
                });
                all = extended.take(5_000).collect();
            }
            all
        }
    };
    // A step that is coprime to the number of values visits all of them.
    let step = (all.len() / most).max(1) | 1;
    let count = all.len().min(most);
    let chosen: BTreeSet<usize> = (0..count).map(|position| position * step % all.len()).collect();
    chosen.into_iter().map(|position| all[position].clone()).collect()
}

/// Repeatable random numbers.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: &str) -> Self {
        let hash = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(seed.bytes().fold(0xcbf2_9ce4_8422_2325, hash) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.share() * bound as f64) as usize
    }
}
