//! Memory of a Prometheus that receives the metrics of ten API processes for an hour, with exponential histograms
//! and with classic buckets.
//!
//! `./test replicas` runs this with the files of deploy/. The first points are those of a real process; the others
//! are sent without waiting, with the times that they would have.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use otlp_sink::OtlpSink;
use prost::Message;
use reqwest::Client;

use crate::application::{Application, Build};
use crate::compose::Compose;
use crate::programs::Program;
use crate::report::say;
use crate::{compose_file, http_client};

const PROCESSES: usize = 10;
/// An hour of collections.
const COLLECTIONS: u32 = 240;
const INTERVAL: Duration = Duration::from_secs(15);
/// One in so many series changes between two collections.
const CHANGING_ONE_IN: usize = 13;
/// Largest share of the memory for classic buckets, in percent.
const MOST_PERCENT: u64 = 25;

const AGGREGATION: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
const INSTANCE: &str = "service.instance.id";
/// Data directory of Prometheus in deploy/.
const DATA: &str = "/prometheus";
const PROMETHEUS: &str = "http://prometheus:9090";

/// Width of the simulated durations in buckets of an exponential histogram: three octaves.
const DURATION_BUCKETS: u32 = 24;
/// First of these buckets: that of durations above 31 ms.
const FIRST_BUCKET: i32 = -40;
/// Simulated durations in seconds.
const DURATION: f64 = 0.06;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes real programs and a network of its own: `./test replicas` runs it"]
async fn exponential_histograms_take_a_quarter_of_the_memory() {
    let (compose, client) = (compose_file(), http_client());
    let logs = tempfile::tempdir().expect("a directory");
    let mut measured = Vec::new();
    for aggregation in ["explicit_bucket_histogram", "base2_exponential_bucket_histogram"] {
        say(aggregation);
        let collection = collection(&compose, &client, logs.path(), aggregation).await;
        measured.push(simulate(&compose, &client, logs.path(), &collection).await);
    }
    let [classic, exponential] = [&measured[0], &measured[1]];
    say(&format!("\n{}", table(classic, exponential)));
    let percent = exponential.memory * 100 / classic.memory;
    assert!(percent <= MOST_PERCENT, "{percent} % of the memory for classic buckets");
}

/// What Prometheus used, in bytes.
struct Measured {
    series: u64,
    collection: u64,
    memory: u64,
    heap: u64,
    disk: u64,
}

fn table(classic: &Measured, exponential: &Measured) -> String {
    let mut table =
        "| ten API processes, an hour | classic buckets | exponential | share |\n|---|---|---|---|"
            .to_owned();
    let mut row = |what: &str, value: fn(&Measured) -> u64, unit: u64, name: &str| {
        let (before, now) = (value(classic), value(exponential));
        let share = now as f64 / before as f64 * 100.0;
        let text = |value: u64| format!("{:.*}{name}", usize::from(unit > 1), value as f64 / unit as f64);
        table += &format!("\n| {what} | {} | {} | {share:.0} % |", text(before), text(now));
    };
    row("series", |measured| measured.series, 1, "");
    row("one collection of all processes", |measured| measured.collection, 1_000_000, " MB");
    row("resident memory, at most", |measured| measured.memory, 1_000_000, " MB");
    row("heap in use at the end", |measured| measured.heap, 1_000_000, " MB");
    row("data directory", |measured| measured.disk, 1_000_000, " MB");
    table
}

/// Returns the last collection of a real API process.
async fn collection(
    compose: &Compose,
    client: &Client,
    logs: &Path,
    aggregation: &str,
) -> Vec<ExportMetricsServiceRequest> {
    let sink = OtlpSink::start();
    let build = Build {
        otherwise: vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint().to_owned()),
            // Only the first and the last collection are sent.
            ("OTEL_METRIC_EXPORT_INTERVAL", "3600000".to_owned()),
            (AGGREGATION, aggregation.to_owned()),
        ],
        ..Build::of_this_test()
    };
    let mut application = Application::start_build(compose, client, logs, &build).await;
    application.api.stop();
    let mut requests = sink.metrics();
    requests.retain(|request| instance(request) == Some("api"));
    assert!(!requests.is_empty(), "the API has sent no metrics");
    requests.split_off(requests.len() / 2)
}

/// Returns the instance that deploy/ gives the process.
fn instance(request: &ExportMetricsServiceRequest) -> Option<&str> {
    let attributes = &request.resource_metrics.first()?.resource.as_ref()?.attributes;
    let attribute = attributes.iter().find(|attribute| attribute.key == INSTANCE)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// Sends the collections of all processes to a new Prometheus.
async fn simulate(
    compose: &Compose,
    client: &Client,
    logs: &Path,
    collection: &[ExportMetricsServiceRequest],
) -> Measured {
    let mut command = compose.command("prometheus", "prometheus");
    // It would hide how much memory is needed.
    command.env_remove("GOMEMLIMIT");
    let mut prometheus = Program::start("prometheus", command, logs);
    prometheus.ready(client, &format!("{PROMETHEUS}/-/ready")).await;

    let mut processes: Vec<_> = (0..PROCESSES).map(|number| Process::new(collection, number)).collect();
    let end = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let (mut memory, mut bytes) = (0, 0);
    for number in 0..COLLECTIONS {
        let at = end - INTERVAL * (COLLECTIONS - number);
        bytes = 0;
        for process in &mut processes {
            process.advance(number, at);
            for request in &process.requests {
                let body = request.encode_to_vec();
                bytes += body.len() as u64;
                send(client, body).await;
            }
        }
        memory = memory.max(prometheus.usage().bytes);
        if (number + 1).is_multiple_of(COLLECTIONS / 6) {
            say(&format!("{:>4} collections, at most {:.0} MB", number + 1, memory as f64 / 1e6));
        }
    }
    let page = client.get(format!("{PROMETHEUS}/metrics")).send().await.expect("its metrics");
    let page = page.text().await.expect("text");
    let measured = Measured {
        series: metric(&page, "prometheus_tsdb_head_series"),
        collection: bytes,
        memory,
        heap: metric(&page, "go_memstats_heap_inuse_bytes"),
        disk: bytes_below(DATA),
    };
    prometheus.stop();
    empty(DATA);
    measured
}

async fn send(client: &Client, body: Vec<u8>) {
    let request = client.post(format!("{PROMETHEUS}/api/v1/otlp/v1/metrics"));
    let response = request.header("content-type", "application/x-protobuf").body(body).send().await;
    let response = response.expect("a response of Prometheus");
    let status = response.status();
    assert!(status.is_success(), "{status}: {}", response.text().await.unwrap_or_default());
}

fn metric(page: &str, name: &str) -> u64 {
    let mut values = page.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    values.next().unwrap_or_else(|| panic!("Prometheus has no {name}")) as u64
}

fn bytes_below(directory: &str) -> u64 {
    let used = Command::new("du").args(["--summarize", "--block-size=1", directory]).output().expect("du");
    let used = String::from_utf8(used.stdout).expect("text");
    used.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).expect("a number")
}

fn empty(directory: &str) {
    for entry in std::fs::read_dir(directory).expect("the directory") {
        let path = entry.expect("an entry").path();
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.expect("a file that is not used");
    }
}

/// A simulated process, with the requests of its newest collection.
struct Process {
    requests: Vec<ExportMetricsServiceRequest>,
}

impl Process {
    fn new(collection: &[ExportMetricsServiceRequest], number: usize) -> Self {
        let mut requests = collection.to_vec();
        let resources = requests.iter_mut().flat_map(|request| &mut request.resource_metrics);
        let attributes = resources.filter_map(|metrics| metrics.resource.as_mut());
        for attribute in attributes.flat_map(|resource| &mut resource.attributes) {
            if attribute.key == INSTANCE {
                let value = Value::StringValue(format!("api-{number}"));
                attribute.value.get_or_insert_default().value = Some(value);
            }
        }
        Self { requests }
    }

    /// Makes it the next collection: some of the series count one more event.
    fn advance(&mut self, collection: u32, at: Duration) {
        let at = u64::try_from(at.as_nanos()).expect("a time before 2554");
        let mut series = 0;
        let mut changes = || {
            series += 1;
            series % CHANGING_ONE_IN == 0
        };
        let resources = self.requests.iter_mut().flat_map(|request| &mut request.resource_metrics);
        let metrics = resources.flat_map(|resource| &mut resource.scope_metrics);
        for metric in metrics.flat_map(|scope| &mut scope.metrics) {
            match metric.data.as_mut().expect("data") {
                Data::Gauge(gauge) => {
                    for point in &mut gauge.data_points {
                        point.time_unix_nano = at;
                    }
                }
                Data::Sum(sum) => {
                    for point in &mut sum.data_points {
                        point.time_unix_nano = at;
                        match &mut point.value {
                            Some(Number::AsInt(count)) => *count += i64::from(changes()),
                            Some(Number::AsDouble(sum)) => *sum += f64::from(u8::from(changes())),
                            None => {}
                        }
                    }
                }
                Data::Histogram(histogram) => {
                    for point in &mut histogram.data_points {
                        point.time_unix_nano = at;
                        if changes() {
                            // The bounds are powers of two, and the durations vary by three of them.
                            let bucket = point.bucket_counts.len() / 2 + collection as usize % 3;
                            point.bucket_counts[bucket] += 1;
                            point.count += 1;
                            *point.sum.get_or_insert_default() += DURATION;
                        }
                    }
                }
                Data::ExponentialHistogram(histogram) => {
                    for point in &mut histogram.data_points {
                        point.time_unix_nano = at;
                        if changes() {
                            let buckets = point.positive.get_or_insert_default();
                            if buckets.bucket_counts.is_empty() {
                                let bucket_counts = vec![0; DURATION_BUCKETS as usize];
                                *buckets = Buckets { offset: FIRST_BUCKET, bucket_counts };
                            }
                            let bucket = collection as usize % buckets.bucket_counts.len();
                            buckets.bucket_counts[bucket] += 1;
                            point.count += 1;
                            *point.sum.get_or_insert_default() += DURATION;
                        }
                    }
                }
                Data::Summary(_) => {}
            }
        }
    }
}
