//! The number of series of each process, and the size of their collection.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use monitoring::metrics_document::{SERIES_PER_API_PROCESS, SERIES_PER_WORKER};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use otlp_sink::{Export, OtlpSink};
use signal::metric::MetricKind;
use test_support::TestDatabase;
use test_support::process::Launch;

use crate::telemetry_over_otlp::last_collection;

/// Longer than any test, so that only the first and the last collection are sent.
const NEVER: (&str, &str) = ("OTEL_METRIC_EXPORT_INTERVAL", "3600000");

/// More bytes than this of one collection are a mistake somewhere.
const MOST_BYTES: usize = 500_000;
const MOST_BYTES_COMPRESSED: usize = 40_000;

#[tokio::test]
async fn the_document_says_how_many_series_a_process_has() {
    let database = TestDatabase::create().await;
    let mut counted = Vec::new();
    for role in ["serve", "work"] {
        let sink = OtlpSink::start();
        let mut process = Launch::role(role, database.url())
            .without_worker()
            .variables(&[("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint()), NEVER])
            .start_ready()
            .await;
        let page = process.metrics().await;
        process.stop().await;

        let points: usize = last_collection(sink.metrics())
            .iter()
            .map(|metric| match metric.data.as_ref().expect("data") {
                Data::Sum(sum) => sum.data_points.len(),
                Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
                // Gauges have no series while nobody knows their value.
                _ => 0,
            })
            .sum();
        let gauges = catalogue::metrics::all().into_iter().filter(|metric| metric.kind == MetricKind::Gauge);
        let registered = gauges.filter(|gauge| {
            let name = gauge.prometheus_name();
            page.families.iter().any(|family| family.name == name)
        });
        let gauges: usize = registered.map(|gauge| gauge.all_series.map_or(1, |all| all().len())).sum();
        counted.push(points + gauges);
    }
    assert_eq!(
        counted,
        [SERIES_PER_API_PROCESS, SERIES_PER_WORKER],
        "constants of monitoring::metrics_document"
    );
}

#[tokio::test]
async fn a_collection_is_small() {
    let database = TestDatabase::create().await;
    let sink = OtlpSink::start();
    let mut process = Launch::serve(database.url())
        .variables(&[("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint()), NEVER])
        .start_ready()
        .await;
    process.stop().await;
    let bodies: Vec<_> = sink
        .requests()
        .into_iter()
        .filter(|request| matches!(request.export, Export::Metrics(_)))
        .map(|request| request.raw)
        .collect();
    let compressed = |body: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).expect("room");
        encoder.finish().expect("an end").len()
    };
    // The first and the last collection.
    let plain = bodies.iter().map(|body| body.len()).sum::<usize>() / 2;
    let packed = bodies.iter().map(|body| compressed(body)).sum::<usize>() / 2;
    println!("one collection: {plain} bytes, {packed} compressed, in {} requests", bodies.len() / 2);
    assert!(plain <= MOST_BYTES, "{plain} bytes");
    assert!(packed <= MOST_BYTES_COMPRESSED, "{packed} bytes");
}
