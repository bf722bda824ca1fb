//! A console that is killed and started again has what it wrote to disk, and the lines of the log files.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use console::store::metrics::{Limits, MetricSource, MetricStore};
use console::store::spans::{SpanSearch, SpanStore};
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use test_support::process::{Launch, Process, eventually, program};

const TOKEN: &str = "a-token-of-tests-0123456789";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "GET /v1/killed";
const INSTANCE: &str = "killed-1";

#[tokio::test]
async fn a_killed_console_has_its_data_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let at = i64::try_from(now.as_millis()).expect("a time of this century");
    let line = format!(
        "{{\"timestamp\":\"{}\",\"level\":\"info\",\"event\":\"http.server.request\",\"trace_id\":\"{TRACE}\",\
         \"service.instance.id\":\"{INSTANCE}\"}}\n",
        console::calendar::for_machines(at)
    );
    fs::write(directory.path().join("api.jsonl"), line).expect("a log file");
    fs::write(directory.path().join("token"), TOKEN).expect("a token");

    let mut console = Console::start(directory.path()).await;
    console.report("/v1/metrics", build_info(now.as_nanos())).await;
    console.report("/v1/traces", span(now.as_nanos())).await;
    console.has_everything().await;
    eventually("that metrics and spans are on disk", async || {
        is_on_disk(&directory.path().join("data"), at).then_some(())
    })
    .await;
    console.process.signal(Signal::SIGKILL);
    console.process.wait_for_exit().await;

    let again = Console::start(directory.path()).await;
    again.has_everything().await;
}

struct Console {
    process: Process,
    receiver: String,
    pages: String,
}

impl Console {
    async fn start(directory: &Path) -> Self {
        let arguments = ["console", "--address", "127.0.0.1:0", "--otlp-address", "127.0.0.1:0"];
        let mut command = program(&arguments);
        command.arg("--data").arg(directory.join("data")).arg("--token-file").arg(directory.join("token"));
        command.arg("--logs").arg(directory.join("api.jsonl"));
        let mut process = Launch::of(command).spawn();
        let (receiver, pages) = eventually("the console's addresses", async || {
            let output = process.standard_error();
            assert!(process.exit_status().is_none(), "it ended at start: {output}");
            let after = |text: &str| Some(output.split_once(text)?.1.split(['\n', '/']).next()?.to_owned());
            Some((after("receives OTLP at http://")?, after("console: http://")?))
        })
        .await;
        Self { process, receiver, pages }
    }

    async fn report(&self, path: &str, body: Vec<u8>) {
        let request = self.process.client().post(format!("http://{}{path}", self.receiver));
        let request = request.header("content-type", "application/x-protobuf").body(body);
        assert_eq!(request.send().await.expect("a response").status(), 200);
    }

    /// Waits for the trace, the line and the process on the pages.
    async fn has_everything(&self) {
        for (path, text) in [
            (format!("/traces/{TRACE}"), SPAN),
            (format!("/requests/{TRACE}"), "http.server.request"),
            ("/about".to_owned(), INSTANCE),
        ] {
            eventually(&format!("that {path} shows {text}"), async || {
                self.page(&path).await.contains(text).then_some(())
            })
            .await;
        }
    }

    async fn page(&self, path: &str) -> String {
        let (_, port) = self.pages.rsplit_once(':').expect("a port");
        let request = self.process.client().get(format!("http://{}{path}", self.pages));
        let request = request.header("cookie", format!("socialize_console_{port}={TOKEN}"));
        request.send().await.expect("a response").text().await.expect("a page")
    }
}

/// Returns whether a copy of the data directory has the metric and the span.
fn is_on_disk(data: &Path, now: i64) -> bool {
    let copy = tempfile::tempdir().expect("a directory");
    for name in ["metrics", "spans"] {
        let to = copy.path().join(name);
        fs::create_dir(&to).expect("a directory");
        for file in fs::read_dir(data.join(name)).into_iter().flatten().flatten() {
            // A file that is replaced meanwhile is missing in this copy.
            let _ = fs::copy(file.path(), to.join(file.file_name()));
        }
    }
    let metrics = MetricStore::open(&copy.path().join("metrics"), Limits::default(), now);
    let spans = SpanStore::open(&copy.path().join("spans")).expect("the spans");
    let every = SpanSearch { most: 1, ..SpanSearch::new(0, u64::MAX) };
    !metrics.expect("the metrics").series("socialize_build_info").is_empty()
        && !spans.search(&every).is_empty()
}

fn build_info(unix_nanoseconds: u128) -> Vec<u8> {
    let point = NumberDataPoint {
        attributes: vec![attribute("version", "1"), attribute("commit", "abc")],
        time_unix_nano: u64::try_from(unix_nanoseconds).expect("a time of this century"),
        value: Some(number_data_point::Value::AsInt(1)),
        ..NumberDataPoint::default()
    };
    let metric = Metric {
        name: "socialize.build.info".to_owned(),
        unit: "{build}".to_owned(),
        data: Some(metric::Data::Gauge(Gauge { data_points: vec![point] })),
        ..Metric::default()
    };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource()), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn span(unix_nanoseconds: u128) -> Vec<u8> {
    let start = u64::try_from(unix_nanoseconds).expect("a time of this century");
    let span = Span {
        trace_id: u128::from_str_radix(TRACE, 16).expect("hexadecimal").to_be_bytes().to_vec(),
        span_id: 1_u64.to_be_bytes().to_vec(),
        name: SPAN.to_owned(),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1_000_000,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans =
        vec![ResourceSpans { resource: Some(resource()), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn resource() -> Resource {
    let attributes =
        [("service.namespace", "socialize"), ("service.name", "api"), ("service.instance.id", INSTANCE)];
    Resource {
        attributes: attributes.map(|(key, value)| attribute(key, value)).to_vec(),
        ..Resource::default()
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}
