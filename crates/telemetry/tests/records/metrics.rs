//! Round trip of generated metric values, sent and scraped: the decoded message and the parsed text
//! equal the snapshot.
//!
//! Long because expected message and expected text are written out for every kind of metric.

use exposition::{Sample, ScrapedFamily, parse};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtocolResource;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message;
use signal::builtin::{EXPORTED, HTTP_SERVER_REQUEST_DURATION, LOG_LINES, PANICS, Signal};
use signal::exponential;
use signal::instrumentation_scope::{ScopesOfMetrics, of_metric};
use signal::metric::{
    Carrier, DATABASE_BOUNDS, DURATION_BOUNDS, MetricDescription, MetricKind, SeriesLabels, Unit,
};
use telemetry::log::Level;
use telemetry::meter::{self, Distribution, FamilySnapshot, Snapshot, SnapshotReader, Value};
use telemetry::otlp::HistogramAggregation;
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

fn any_distribution() -> impl Strategy<Value = Value> {
    let count = || prop_oneof![Just(0), 0_u64..1_000, any::<u64>().prop_map(|any| any >> 12)];
    let counts = vec((exponential::FIRST..=exponential::LAST, count()), 0..20);
    let exemplars = vec(any_exemplar(), 0..3);
    (count(), counts, any::<u64>(), exemplars).prop_map(|(zero, counts, sum_nanoseconds, exemplars)| {
        let mut distribution = Distribution { zero, exemplars, ..Distribution::default() };
        for (index, count) in counts {
            distribution.add(index, count);
        }
        if distribution.count() > 0 {
            distribution.sum_nanoseconds = sum_nanoseconds;
        } else {
            distribution.exemplars.clear();
        }
        Value::Distribution(distribution)
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
        let value =
            if kind == MetricKind::Histogram { any_distribution().boxed() } else { any_number().boxed() };
        (vec((any_labels(), value), 0..4), 0..4_usize).prop_map(move |(points, new)| FamilySnapshot {
            description: MetricDescription {
                name,
                kind,
                unit,
                help,
                question: "Is it encoded well?",
                label_keys: LABEL_KEYS,
                all_series: None,
                carrier: Carrier::Points,
                bounds,
            },
            new_points: new.min(points.len()),
            points,
        })
    })
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let families = NAMES.map(|name| option::of(any_family(name)));
    let times = (any::<u64>(), option::of(any::<u64>()));
    (families, times).prop_map(|(families, (started_unix_nanoseconds, previous_unix_nanoseconds))| Snapshot {
        families: families.into_iter().flatten().collect(),
        started_unix_nanoseconds,
        previous_unix_nanoseconds,
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

/// The points of a metric with their times. A series that counted something since it began has a zero
/// before.
fn timed(family: &FamilySnapshot, previous: Option<u64>, now: u64) -> Vec<(&SeriesLabels, Value, u64)> {
    let counts = matches!(family.description.kind, MetricKind::Counter | MetricKind::Histogram);
    let known = family.points.len() - family.new_points;
    let mut timed = Vec::new();
    for (position, (labels, value)) in family.points.iter().enumerate() {
        let zero = match value {
            Value::Integer(_) => Value::Integer(0),
            Value::Number(_) => Value::Number(0.0),
            Value::Distribution(_) => Value::Distribution(Distribution::default()),
        };
        let is_zero = match value {
            Value::Distribution(distribution) => distribution.count() == 0,
            value => *value == zero,
        };
        if let Some(previous) = previous.filter(|previous| *previous < now)
            && counts
            && position >= known
            && !is_zero
        {
            timed.push((labels, zero, previous));
        }
        timed.push((labels, value.clone(), now));
    }
    timed
}

/// Builds the message that the protocol requires for a snapshot, with the official types.
fn protocol_request(
    resource: &Resource,
    snapshot: &Snapshot,
    histograms: HistogramAggregation,
    now: u64,
) -> ExportMetricsServiceRequest {
    let start = snapshot.started_unix_nanoseconds;
    let number = |(labels, value, time): &(&SeriesLabels, Value, u64), start: u64| NumberDataPoint {
        attributes: protocol_labels(labels),
        start_time_unix_nano: start,
        time_unix_nano: *time,
        value: Some(match value {
            Value::Integer(number) => number_data_point::Value::AsInt(*number),
            Value::Number(number) => number_data_point::Value::AsDouble(*number),
            Value::Distribution(_) => unreachable!("only histograms have distributions here"),
        }),
        ..NumberDataPoint::default()
    };
    let exemplars = |distribution: &Distribution| -> Vec<Exemplar> {
        let exemplar = |exemplar: &meter::Exemplar| Exemplar {
            time_unix_nano: exemplar.unix_nanoseconds,
            span_id: exemplar.context.span_id.0.to_vec(),
            trace_id: exemplar.context.trace_id.0.to_vec(),
            value: Some(exemplar::Value::AsDouble(exemplar.nanoseconds as f64 / 1e9)),
            ..Exemplar::default()
        };
        distribution.exemplars.iter().map(exemplar).collect()
    };
    let exponential = |(labels, value, time): &(&SeriesLabels, Value, u64)| {
        let Value::Distribution(distribution) = value else { unreachable!("histograms have distributions") };
        let buckets = || Buckets { offset: distribution.first, bucket_counts: distribution.buckets.clone() };
        ExponentialHistogramDataPoint {
            attributes: protocol_labels(labels),
            start_time_unix_nano: start,
            time_unix_nano: *time,
            count: distribution.zero + distribution.buckets.iter().sum::<u64>(),
            sum: (distribution.count() > 0).then_some(distribution.sum_nanoseconds as f64 / 1e9),
            scale: 3,
            zero_count: distribution.zero,
            positive: (!distribution.buckets.is_empty()).then(buckets),
            exemplars: exemplars(distribution),
            ..ExponentialHistogramDataPoint::default()
        }
    };
    let explicit = |(labels, value, time): &(&SeriesLabels, Value, u64), bounds: &[f64]| {
        let Value::Distribution(distribution) = value else { unreachable!("histograms have distributions") };
        let mut bucket_counts = vec![0; bounds.len() + 1];
        bucket_counts[0] = distribution.zero;
        for (index, count) in (distribution.first..).zip(&distribution.buckets) {
            // A bucket is below a bound if its upper bound is.
            let upper = exponential::upper_bound(index);
            bucket_counts[bounds.iter().filter(|bound| upper > **bound).count()] += count;
        }
        HistogramDataPoint {
            attributes: protocol_labels(labels),
            start_time_unix_nano: start,
            time_unix_nano: *time,
            count: bucket_counts.iter().sum(),
            sum: Some(distribution.sum_nanoseconds as f64 / 1e9),
            bucket_counts,
            explicit_bounds: bounds.to_vec(),
            exemplars: exemplars(distribution),
            ..HistogramDataPoint::default()
        }
    };
    let cumulative = AggregationTemporality::Cumulative as i32;
    let encoded = |family: &FamilySnapshot| {
        let description = &family.description;
        let points = timed(family, snapshot.previous_unix_nanoseconds, now);
        let points = points.iter();
        let data = match description.kind {
            MetricKind::Counter | MetricKind::UpDownCounter => metric::Data::Sum(Sum {
                data_points: points.map(|point| number(point, start)).collect(),
                aggregation_temporality: cumulative,
                is_monotonic: description.kind == MetricKind::Counter,
            }),
            MetricKind::Gauge => {
                metric::Data::Gauge(Gauge { data_points: points.map(|point| number(point, 0)).collect() })
            }
            MetricKind::Histogram if histograms == HistogramAggregation::Explicit => {
                metric::Data::Histogram(Histogram {
                    data_points: points.map(|point| explicit(point, description.bounds)).collect(),
                    aggregation_temporality: cumulative,
                })
            }
            MetricKind::Histogram => metric::Data::ExponentialHistogram(ExponentialHistogram {
                data_points: points.map(exponential).collect(),
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
                // Series without counts are omitted.
                Value::Distribution(distribution) if distribution.count() == 0 => Vec::new(),
                Value::Distribution(distribution) => {
                    let bounds = description.bounds.iter().copied().chain([f64::INFINITY]);
                    let bucket = |bound: f64| {
                        let below = (distribution.first..)
                            .zip(&distribution.buckets)
                            .take_while(|(index, _)| exponential::upper_bound(*index) <= bound);
                        let count = distribution.zero + below.map(|(_, count)| count).sum::<u64>();
                        let mut bucket = sample("_bucket", count as f64);
                        let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
                        bucket.labels.push(("le".to_owned(), bound));
                        bucket
                    };
                    let mut samples: Vec<_> = bounds.map(bucket).collect();
                    let count = distribution.count();
                    samples.push(sample("_sum", distribution.sum_nanoseconds as f64 / 1e9));
                    samples.push(sample("_count", count as f64));
                    samples
                }
            }
        });
        let kind = match description.kind {
            MetricKind::Counter => "counter",
            // The suffix is reserved for histograms.
            MetricKind::UpDownCounter | MetricKind::Gauge if name.ends_with("_count") => "untyped",
            MetricKind::UpDownCounter | MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let (help, kind) = (description.help.to_owned(), kind.to_owned());
        ScrapedFamily { samples: samples.collect(), name, help, kind }
    };
    let families = snapshot.families.iter().map(family);
    families.filter(|family| family.kind != "histogram" || !family.samples.is_empty()).collect()
}

proptest! {
    #[test]
    fn every_snapshot_is_sent_as_it_is(snapshot in any_snapshot(), resource in any_resource(), now in any::<u64>()) {
        for histograms in [HistogramAggregation::Exponential, HistogramAggregation::Explicit] {
            let mut bytes = Vec::new();
            let points = metrics_request(&resource, &snapshot, histograms, now, &mut bytes);
            let decoded = ExportMetricsServiceRequest::decode(&bytes[..]).expect("a decodable request");
            prop_assert_eq!(decoded, protocol_request(&resource, &snapshot, histograms, now));
            let previous = snapshot.previous_unix_nanoseconds;
            let expected = snapshot.families.iter().map(|family| timed(family, previous, now).len());
            prop_assert_eq!(points, expected.sum::<usize>());
        }
    }

    #[test]
    fn every_snapshot_is_scraped_as_it_is(snapshot in any_snapshot()) {
        prop_assert_eq!(parse(&prometheus::render(&snapshot)), scraped(&snapshot));
    }

    #[test]
    fn every_duration_is_counted_in_its_bucket(
        durations in vec(prop_oneof![0_u64..20_000_000_000, any::<u64>().prop_map(|any| any >> 3)], 0..50),
    ) {
        let meter = Meter::default();
        let histogram = meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, Vec::new());
        // A value equal to a bound belongs to the bucket below it.
        let bounds = DURATION_BOUNDS.iter().map(|seconds| (seconds * 1e9).round() as u64);
        let durations: Vec<u64> = durations.into_iter().chain(bounds).chain([0, 1, u64::MAX >> 8]).collect();
        let mut expected = Distribution::default();
        for nanoseconds in &durations {
            histogram.record(*nanoseconds, None);
            match exponential::index(*nanoseconds as f64 / 1e9) {
                Some(index) => expected.add(index, 1),
                None => expected.zero += 1,
            }
            expected.sum_nanoseconds = expected.sum_nanoseconds.wrapping_add(*nanoseconds);
        }
        let snapshot = meter.snapshot();
        let Some(Value::Distribution(distribution)) = snapshot.value("http.server.request.duration", &[]) else {
            panic!("no distribution")
        };
        prop_assert_eq!(distribution, &expected);
        prop_assert_eq!(histogram.count(), durations.len() as u64);
        // Powers of two cut exactly.
        for bound in DURATION_BOUNDS {
            let within = durations.iter().filter(|nanoseconds| **nanoseconds as f64 / 1e9 <= *bound).count();
            prop_assert_eq!(distribution.within(*bound), within as u64);
        }
        let classic = distribution.classic_buckets(DURATION_BOUNDS);
        prop_assert_eq!(classic.iter().sum::<u64>(), durations.len() as u64);
    }

    #[test]
    fn distributions_add_up_and_subtract(
        earlier in vec(0_u64..40_000_000_000, 0..30),
        later in vec(0_u64..40_000_000_000, 0..30),
    ) {
        let meter = Meter::default();
        let histogram = meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, Vec::new());
        let read = || match meter.snapshot().value("http.server.request.duration", &[]) {
            Some(Value::Distribution(distribution)) => distribution.clone(),
            other => panic!("{other:?}"),
        };
        earlier.iter().for_each(|nanoseconds| histogram.record(*nanoseconds, None));
        let before = read();
        later.iter().for_each(|nanoseconds| histogram.record(*nanoseconds, None));
        let after = read();
        let newer = after.since(&before);
        prop_assert_eq!(newer.count(), later.len() as u64);
        let mut sum = before;
        sum.add_all(&newer);
        prop_assert_eq!(sum, after);
    }
}

/// Returns the smallest duration that a share of them does not exceed.
fn exact_quantile(durations: &mut [u64], share: f64) -> f64 {
    durations.sort_unstable();
    let rank = (share * durations.len() as f64).ceil() as usize;
    durations[rank.saturating_sub(1)] as f64 / 1e9
}

/// Two numbers with a normal distribution from two with a uniform one (Box and Muller).
fn normal(one: f64, other: f64) -> [f64; 2] {
    let radius = (-2.0 * one.ln()).sqrt();
    [radius * (std::f64::consts::TAU * other).cos(), radius * (std::f64::consts::TAU * other).sin()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    /// Encodes recordings like a process, and computes quantiles from the decoded data.
    #[test]
    fn quantiles_are_right_within_a_twentieth(
        seeds in vec((f64::MIN_POSITIVE..1.0, 0.0..1.0), 2_000),
        median in 0.0005..2.0,
        spread in 0.2..1.5,
        slow_share in 0.06..0.5,
    ) {
        let (median, spread): (f64, f64) = (median, spread);
        let log_normal = |factor: f64| move |normal: f64| (median * factor * (spread * normal).exp() * 1e9) as u64;
        let numbers: Vec<f64> = seeds.iter().flat_map(|(one, other)| normal(*one, *other)).collect();
        let slow = (numbers.len() as f64 * slow_share) as usize;
        // Ordinary requests, and as many requests of two kinds, one of which is thirty times slower.
        let usual: Vec<u64> = numbers.iter().copied().map(log_normal(1.0)).collect();
        let bimodal = numbers[..slow].iter().copied().map(log_normal(30.0));
        let bimodal: Vec<u64> = bimodal.chain(numbers[slow..].iter().copied().map(log_normal(1.0))).collect();
        for mut durations in [usual, bimodal] {
            let meter = Meter::default();
            let histogram = meter.histogram_series(&HTTP_SERVER_REQUEST_DURATION, Vec::new());
            durations.iter().for_each(|nanoseconds| histogram.record(*nanoseconds, None));
            let mut bytes = Vec::new();
            metrics_request(&Resource::default(), &meter.snapshot(), HistogramAggregation::Exponential, 1, &mut bytes);
            let request = ExportMetricsServiceRequest::decode(&bytes[..]).expect("a decodable request");
            let Some(metric::Data::ExponentialHistogram(histogram)) =
                &request.resource_metrics[0].scope_metrics[0].metrics[0].data
            else {
                panic!("{request:?}")
            };
            let positive = histogram.data_points[0].positive.clone().expect("buckets");
            let received = Distribution {
                zero: histogram.data_points[0].zero_count,
                first: positive.offset,
                buckets: positive.bucket_counts,
                ..Distribution::default()
            };
            for share in [0.5, 0.9, 0.95, 0.99] {
                let exact = exact_quantile(&mut durations, share);
                let read = received.quantile(share).expect("durations");
                // Half a bucket is 4.4 %; a bucket's width is 9.05 %.
                prop_assert!((read / exact - 1.0).abs() <= 0.0906, "p{share}: {read} for {exact}");
                if share == 0.95 {
                    prop_assert!((read / exact - 1.0).abs() <= 0.05, "p95: {read} for {exact}");
                }
            }
        }
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
        let mut reader = SnapshotReader::default();
        let mut parts = Vec::new();
        loop {
            let part = points(meter.snapshot_part(&mut reader, most_points));
            assert!(part.len() <= most_points);
            parts.extend(part);
            if reader.is_at_start() {
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
            carrier: Carrier::Points,
            bounds: &[],
        };
        assert_eq!(description.prometheus_name(), expected);
    }
}
