//! Counters visibly start at zero: the first collection is exported before the first request or job.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::free_loopback_port;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};
use otlp_sink::OtlpSink;
use test_support::TestDatabase;
use test_support::process::Launch;
use tokio::time::Instant;

/// Longer than any test, so that only the first and the last collection are exported.
const NEVER: (&str, &str) = ("OTEL_METRIC_EXPORT_INTERVAL", "3600000");

/// Metrics of the startup itself and of the operating system.
const OF_THE_START: &[&str] = &["telemetry.", "process."];

/// Number of events of each counter and histogram in a collection, over all its series.
fn events(sink: &OtlpSink) -> BTreeMap<String, f64> {
    let metrics = sink.metrics().into_iter().flat_map(|request| request.resource_metrics);
    let metrics = metrics.flat_map(|metrics| metrics.scope_metrics).flat_map(|metrics| metrics.metrics);
    let mut events = BTreeMap::new();
    for metric in metrics {
        if let Some(count) = count(&metric) {
            *events.entry(metric.name).or_default() += count;
        }
    }
    events.retain(|name: &String, _| !OF_THE_START.iter().any(|start| name.starts_with(start)));
    events
}

fn count(metric: &Metric) -> Option<f64> {
    match metric.data.as_ref()? {
        metric::Data::Sum(sum) if sum.is_monotonic => {
            let value = |value: &Option<number_data_point::Value>| match value {
                Some(number_data_point::Value::AsInt(value)) => *value as f64,
                Some(number_data_point::Value::AsDouble(value)) => *value,
                None => 0.0,
            };
            Some(sum.data_points.iter().map(|point| value(&point.value)).sum())
        }
        metric::Data::ExponentialHistogram(histogram) => {
            Some(histogram.data_points.iter().map(|point| point.count as f64).sum())
        }
        _ => None,
    }
}

#[track_caller]
fn assert_all_zero(first: &BTreeMap<String, f64>) {
    let counted: Vec<_> = first.iter().filter(|(_, count)| **count != 0.0).collect();
    assert!(counted.is_empty(), "{counted:?}");
}

#[tokio::test]
async fn failures_before_the_second_collection_are_an_increase() {
    let database = TestDatabase::create().await;
    for protocol in ["http/protobuf", "grpc"] {
        let sink = OtlpSink::start();
        let mut process = Launch::serve(database.url())
            .without_worker()
            .variables(&[("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint()), NEVER])
            .variable("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .start()
            .await;
        // A client that reads the startup line may send the first request.
        let first = events(&sink);
        for _ in 0..40 {
            process.get("/v1/organizations").await.expect(401);
        }
        process.stop().await;

        let last = events(&sink);
        assert!(first.len() > 20, "{first:?}");
        assert_eq!(first.keys().collect::<Vec<_>>(), last.keys().collect::<Vec<_>>());
        assert_all_zero(&first);
        for metric in ["http.server.request.duration", "socialize.auth.failures"] {
            assert_eq!((first[metric], last[metric]), (0.0, 40.0), "{metric}");
        }
    }
}

#[tokio::test]
async fn what_a_worker_does_first_is_an_increase() {
    let database = TestDatabase::create().await;
    let sink = OtlpSink::start();
    let mut process = Launch::role("work", database.url())
        .variables(&[("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint()), NEVER])
        .start()
        .await;
    // Loops start at once, so only the values distinguish the first collection from later ones.
    process.stop().await;
    let claims = |count: f64| count > 0.0;
    let parts = sink.metrics();
    let whole = events(&sink);
    assert!(claims(whole["db.client.operation.duration"]), "it looked for jobs: {whole:?}");
    let first = &parts[0].resource_metrics[0].scope_metrics[0].metrics[0].name;
    let begins =
        |request: &&opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest| {
            request.resource_metrics[0].scope_metrics[0].metrics[0].name == *first
        };
    assert_eq!(parts.iter().filter(begins).count(), 2, "there is a first and a last collection");
    let length = parts.iter().skip(1).position(|request| begins(&request)).expect("a last collection") + 1;
    let counted: f64 = parts[..length]
        .iter()
        .flat_map(|request| &request.resource_metrics[0].scope_metrics[0].metrics)
        .filter(|metric| !OF_THE_START.iter().any(|start| metric.name.starts_with(start)))
        .filter_map(count)
        .sum();
    assert_eq!(counted, 0.0, "the first collection was taken before the loops began");
}

#[tokio::test]
async fn a_collector_that_is_absent_or_hangs_hardly_delays_the_start() {
    let database = TestDatabase::create().await;
    let hanging = OtlpSink::start();
    hanging.react_always(otlp_sink::Reaction::Hang);
    let absent = format!("http://127.0.0.1:{}", free_loopback_port().expect("a free port"));
    let start = async |endpoint: Option<&str>| {
        let began = Instant::now();
        let mut launch = Launch::serve(database.url());
        if let Some(endpoint) = endpoint {
            launch = launch.variable("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        }
        let mut process = launch.start_ready().await;
        let took = began.elapsed();
        process.stop().await;
        took
    };
    let without = start(None).await;
    for endpoint in [&absent, hanging.endpoint()] {
        let took = start(Some(endpoint)).await;
        // The limit is one second; a second more allows for a busy machine.
        assert!(took < without + Duration::from_secs(2), "{endpoint}: {took:?} instead of {without:?}");
    }
}
