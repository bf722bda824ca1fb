//! Telemetry as a collector receives it, decoded by the official message types and compared with log lines
//! and responses.
//!
//! Long because each property of the signals is a test on the same process.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use exposition::Exposition;
use http::Method;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, Metric, metric,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use otlp_sink::{OtlpSink, ReceivedBy};
use serde_json::{Value, json};
use signal::metric::{MetricDescription, MetricKind, SeriesLabels};
use signal::{exponential, names};
use telemetry::{Sampler, prometheus};
use test_support::process::{Launch, Process, User};
use test_support::{Answer, TestDatabase, assert_known_attributes};

const PROTOCOLS: [(&str, ReceivedBy); 2] = [("http/protobuf", ReceivedBy::Http), ("grpc", ReceivedBy::Grpc)];

const ITEM: &str = "/v1/organizations/{organization_id}";

/// Attribute names with their values.
type Attributes = BTreeMap<String, Value>;

/// A request and its expected signals.
struct Case {
    method: Method,
    path: &'static str,
    is_authenticated: bool,
    content_type: Option<&'static str>,
    body: Vec<u8>,
    /// `http.request.method`, `http.route` and status; unique for each case.
    expected: (&'static str, &'static str, u16),
    database_spans: usize,
}

fn case(method: Method, path: &'static str, expected: (&'static str, &'static str, u16)) -> Case {
    Case {
        method,
        path,
        is_authenticated: true,
        content_type: None,
        body: Vec::new(),
        expected,
        database_spans: 0,
    }
}

impl Case {
    fn with_body(self, content_type: &'static str, body: &[u8]) -> Self {
        Self { content_type: Some(content_type), body: body.to_vec(), ..self }
    }

    fn anonymous(self) -> Self {
        Self { is_authenticated: false, ..self }
    }

    fn with_database_spans(self, database_spans: usize) -> Self {
        Self { database_spans, ..self }
    }
}

fn cases() -> Vec<Case> {
    const LIST: &str = "/v1/organizations";
    const JSON: &str = "application/json";
    let unknown = "/v1/organizations/0190a5a0-0000-7000-8000-000000000000";
    vec![
        // Begin, two inserts, the audit row, commit.
        case(Method::POST, LIST, ("POST", LIST, 201))
            .with_body(JSON, br#"{"name":"A"}"#)
            .with_database_spans(5),
        case(Method::POST, LIST, ("POST", LIST, 400)).with_body(JSON, b"{"),
        case(Method::POST, LIST, ("POST", LIST, 401)).with_body(JSON, br#"{"name":"A"}"#).anonymous(),
        case(Method::POST, LIST, ("POST", LIST, 413)).with_body(JSON, &[b' '; 70_000]),
        case(Method::POST, LIST, ("POST", LIST, 415)).with_body("text/plain", b"name"),
        case(Method::POST, LIST, ("POST", LIST, 422)).with_body(JSON, br#"{"name":" "}"#),
        // Acquiring a connection, and the list.
        case(Method::GET, LIST, ("GET", LIST, 200)).with_database_spans(2),
        case(Method::GET, "/v1/organizations?limit=0", ("GET", LIST, 400)),
        case(Method::PUT, LIST, ("PUT", "", 405)),
        case(Method::GET, unknown, ("GET", ITEM, 404)).with_database_spans(2),
        case(Method::HEAD, ITEM, ("HEAD", ITEM, 401)).anonymous(),
        case(Method::GET, "/wp-login.php?secret=query", ("GET", "", 404)),
    ]
}

async fn send(process: &Process, user: &User, case: &Case) -> Answer {
    let mut request =
        process.client().request(case.method.clone(), format!("http://{}{}", process.public(), case.path));
    if case.is_authenticated {
        request = request.header("authorization", &user.authorization);
    }
    if let Some(content_type) = case.content_type {
        request = request.header("content-type", content_type).body(case.body.clone());
    }
    test_support::process::read(request.send().await.expect("an answer")).await
}

#[tokio::test]
async fn line_span_and_point_of_every_request_agree_over_both_protocols() {
    for (protocol, received_by) in PROTOCOLS {
        let database = TestDatabase::create().await;
        let user = User::insert(database.pool()).await;
        let sink = OtlpSink::start();
        let mut process = Launch::serve(database.url())
            .variables(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint()),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("SOCIALIZE_LOG_LEVEL", "debug"),
            ])
            .start_ready()
            .await;
        let mut answers = Vec::new();
        for case in cases() {
            let answer = send(&process, &user, &case).await;
            answers.push((case, answer));
        }
        let scraped = process.metrics().await;
        // On exit the process exports everything, so no waiting is needed.
        process.stop().await;

        assert!(sink.requests().iter().all(|request| request.protocol == received_by));
        let received = Received::all(&sink);
        let lines = process.lines();
        for (case, answer) in &answers {
            assert_signals_agree(case, answer, &lines, &received);
        }
        assert_database_points_count_their_spans(&received);
        assert_metrics_follow_the_catalogue(&received);
        assert_exposition_follows_the_catalogue(&scraped);
    }
}

fn assert_exposition_follows_the_catalogue(scraped: &Exposition) {
    scraped.assert_series_are_whole();
    let declared = catalogue::metrics::all();
    for family in &scraped.families {
        let declared = declared.iter().find(|metric| metric.prometheus_name() == family.name);
        let declared = declared.unwrap_or_else(|| panic!("{} is not in the catalogue", family.name));
        assert_eq!((&family.help[..], &family.kind[..]), (declared.help, prometheus::page_type(declared)));
    }
}

/// Everything that a collector received from one process.
pub(crate) struct Received {
    pub(crate) spans: Vec<Span>,
    /// The last collection, which contains the final numbers.
    metrics: Vec<Metric>,
}

impl Received {
    pub(crate) fn all(sink: &OtlpSink) -> Self {
        let mut spans = Vec::new();
        for resource_spans in sink.traces().into_iter().flat_map(|request| request.resource_spans) {
            for scope_spans in resource_spans.scope_spans {
                let scope = scope_spans.scope.expect("a scope").name;
                for span in &scope_spans.spans {
                    assert_known_attributes(span);
                    assert_eq!(scope, expected_scope(span), "{}", span.name);
                }
                spans.extend(scope_spans.spans);
            }
        }
        Self { spans, metrics: last_collection(sink.metrics()) }
    }

    fn metric(&self, name: &str) -> &Metric {
        let found = self.metrics.iter().find(|metric| metric.name == name);
        found.unwrap_or_else(|| panic!("no metric {name}"))
    }

    pub(crate) fn histogram(&self, name: &str) -> &[ExponentialHistogramDataPoint] {
        match &self.metric(name).data {
            Some(metric::Data::ExponentialHistogram(histogram)) => &histogram.data_points,
            other => panic!("{name} is no histogram: {other:?}"),
        }
    }

    fn children(&self, of: &Span) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.parent_span_id == of.span_id).collect()
    }
}

/// Returns the part of the program that records such spans.
fn expected_scope(span: &Span) -> &'static str {
    let attributes = values(&span.attributes);
    let has = |name: &str| attributes.contains_key(name);
    match SpanKind::try_from(span.kind) {
        Ok(SpanKind::Server) => "telemetry.http_server",
        Ok(SpanKind::Consumer) => "socialize.queue",
        Ok(SpanKind::Client) if has("db.system.name") => "socialize.database",
        Ok(SpanKind::Client) if has("http.request.method") => "telemetry.http_client",
        Ok(SpanKind::Client) if has("template") => "socialize.email",
        Ok(SpanKind::Client) => "socialize.blobs",
        other => panic!("nothing records spans of the kind {other:?}"),
    }
}

/// A collection is sent in parts, the first of which always starts with the same metric. A metric with many
/// series is split.
pub(crate) fn last_collection(requests: Vec<ExportMetricsServiceRequest>) -> Vec<Metric> {
    let mut collection: Vec<Metric> = Vec::new();
    for request in requests {
        let metrics = request.resource_metrics.into_iter().flat_map(|metrics| metrics.scope_metrics);
        for metric in metrics.flat_map(|metrics| metrics.metrics) {
            if collection.first().is_some_and(|first| first.name == metric.name) {
                collection.clear();
            }
            match collection.iter_mut().find(|begun| begun.name == metric.name) {
                Some(begun) => append(begun, metric),
                None => collection.push(metric),
            }
        }
    }
    collection.iter_mut().for_each(keep_newest);
    collection
}

/// Removes the zeros before series that began late.
fn keep_newest(metric: &mut Metric) {
    fn newest<P>(points: &mut Vec<P>, attributes: impl Fn(&P) -> &[KeyValue]) {
        let mut seen = BTreeSet::new();
        points.reverse();
        points.retain(|point| seen.insert(format!("{:?}", attributes(point))));
        points.reverse();
    }
    match metric.data.as_mut() {
        Some(metric::Data::Sum(sum)) => newest(&mut sum.data_points, |point| &point.attributes),
        Some(metric::Data::ExponentialHistogram(histogram)) => {
            newest(&mut histogram.data_points, |point| &point.attributes);
        }
        _ => {}
    }
}

fn append(begun: &mut Metric, rest: Metric) {
    match (&mut begun.data, rest.data) {
        (Some(metric::Data::Sum(begun)), Some(metric::Data::Sum(rest))) => {
            begun.data_points.extend(rest.data_points);
        }
        (Some(metric::Data::Gauge(begun)), Some(metric::Data::Gauge(rest))) => {
            begun.data_points.extend(rest.data_points);
        }
        (Some(metric::Data::ExponentialHistogram(begun)), Some(metric::Data::ExponentialHistogram(rest))) => {
            begun.data_points.extend(rest.data_points);
        }
        (begun, rest) => panic!("{begun:?} goes on as {rest:?}"),
    }
}

/// Compares response, line, span and metric point of a request and of its database operations.
fn assert_signals_agree(case: &Case, answer: &Answer, lines: &[Value], received: &Received) {
    let (method, route, status) = case.expected;
    let what = format!("{method} {route} {status}");
    assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.body);
    let request_id = answer.header("x-request-id").expect("every answer has a request id");
    if status >= 400 && case.method != Method::HEAD {
        assert_eq!(answer.body["request_id"], request_id, "{what}");
    }

    let line = only(
        &what,
        lines.iter().filter(|line| line["trace_id"] == request_id && line["event"] == "http.server.request"),
    );
    let span = only(
        &what,
        received
            .spans
            .iter()
            .filter(|span| hex(&span.trace_id) == request_id && span.kind == SpanKind::Server as i32),
    );
    assert_eq!(line["http.request.method"], method, "{line}");
    let route = (!route.is_empty()).then_some(route);
    assert_eq!(line.get("http.route").and_then(Value::as_str), route, "{line}");
    assert_eq!((&line["url.scheme"], &line["network.protocol.version"]), (&json!("http"), &json!("1.1")));
    assert_eq!(line["http.response.status_code"], status, "{line}");
    assert_eq!(line["level"], "info", "a refusal is no failure: {line}");
    assert_eq!(line.get("error.type"), None, "{line}");
    assert_eq!(span.status, None, "{what}");
    assert!(span.parent_span_id.is_empty() && span.links.is_empty(), "{what}");
    assert_line_equals_span(line, span);

    let mut labels = vec![
        ("http.request.method", method.into()),
        ("url.scheme", "http".into()),
        ("http.response.status_code", status.into()),
    ];
    labels.extend(route.map(|route| ("http.route", route.into())));
    let labels = attributes_of(&labels);
    let points = received.histogram("http.server.request.duration");
    let point = only(&what, points.iter().filter(|point| values(&point.attributes) == labels));
    assert_eq!(point.count, 1, "{what}");
    let seconds = point.sum.expect("a sum");
    assert_eq!((seconds * 1e9).round() as u64, span.end_time_unix_nano - span.start_time_unix_nano, "{what}");
    let exemplar = only(&what, point.exemplars.iter());
    assert_eq!((&exemplar.trace_id, &exemplar.span_id), (&span.trace_id, &span.span_id), "{what}");

    let children = received.children(span);
    assert_eq!(children.len(), case.database_spans, "{what}: {children:?}");
    let counted = line.get("db.operations").map_or(0, |count| count.as_u64().expect("a number"));
    assert_eq!(counted, children.len() as u64, "{line}");
    let mut nanoseconds = 0;
    for child in children {
        assert_eq!((&child.trace_id, child.kind), (&span.trace_id, SpanKind::Client as i32));
        let is_its_line = |line: &&Value| line["span_id"] == hex(&child.span_id);
        let line = only(&child.name, lines.iter().filter(is_its_line));
        assert_eq!(line["event"], "db.client.operation");
        assert_eq!(line["db.query.summary"], child.name);
        assert_line_equals_span(line, child);
        assert!(span.start_time_unix_nano <= child.start_time_unix_nano, "{}", child.name);
        assert!(child.end_time_unix_nano <= span.end_time_unix_nano, "{}", child.name);
        nanoseconds += child.end_time_unix_nano - child.start_time_unix_nano;
    }
    if case.database_spans > 0 {
        assert_eq!(milliseconds_as_nanoseconds(&line["db.duration_ms"]), nanoseconds, "{line}");
    }
}

fn assert_line_equals_span(line: &Value, span: &Span) {
    assert_eq!(line["trace_id"], hex(&span.trace_id));
    assert_eq!(line["span_id"], hex(&span.span_id));
    assert_eq!(
        milliseconds_as_nanoseconds(&line["duration_ms"]),
        span.end_time_unix_nano - span.start_time_unix_nano,
        "{line}"
    );
    let written = DateTime::parse_from_rfc3339(line["timestamp"].as_str().expect("a timestamp"));
    let microseconds = written.expect("an RFC 3339 time").timestamp_micros();
    assert_eq!(microseconds as u64, span.end_time_unix_nano / 1_000, "the line carries the end of the span");
    let common = [names::LINE_HEAD, &["duration_ms", "link.trace_id"]].concat();
    let fields = line.as_object().expect("an object").iter();
    let own = fields.filter(|(name, _)| !common.contains(&name.as_str()));
    let own: Attributes = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    assert_eq!(own, values(&span.attributes), "{line}");
}

/// Each recorded database operation has one span.
fn assert_database_points_count_their_spans(received: &Received) {
    let mut spans: BTreeMap<&str, u64> = BTreeMap::new();
    for span in received.spans.iter().filter(|span| span.kind == SpanKind::Client as i32) {
        *spans.entry(&span.name).or_default() += 1;
    }
    let mut points: BTreeMap<String, u64> = BTreeMap::new();
    for point in received.histogram("db.client.operation.duration") {
        let name = values(&point.attributes)["db.query.summary"].as_str().expect("a name").to_owned();
        *points.entry(name).or_default() += point.count;
    }
    points.retain(|_, count| *count > 0);
    let spans: BTreeMap<String, u64> =
        spans.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    assert!(spans.len() >= 6, "{spans:?}");
    assert_eq!(spans, points);
}

/// Metrics without a point until a worker has sampled the database or run a job.
const SAMPLED: &[&str] = &[
    "socialize.job.queue.depth",
    "socialize.job.queue.oldest_age",
    "socialize.job.queue.dead",
    "socialize.job.last_success.time",
    "socialize.loop.last_success.time",
    "socialize.content_items",
    "socialize.content_items.stale_in_approval",
    "socialize.feedback_reports",
    "socialize.workspace_invites.pending",
    "socialize.workspaces.active",
    "socialize.sampler.last_success.time",
    "socialize.gauge.drift",
    "socialize.quota.largest_share",
];

/// Metrics that nothing registers yet.
const OF_WORKERS: &[&str] = &["socialize.job.run.duration", "socialize.email.deliveries"];

fn assert_metrics_follow_the_catalogue(received: &Received) {
    let catalogue = catalogue::metrics::all();
    let declared: BTreeSet<&str> = catalogue.iter().map(|metric| metric.name).collect();
    let names: BTreeSet<&str> = received.metrics.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names.len(), received.metrics.len(), "each metric once");
    assert_eq!(names.difference(&declared).next(), None, "nothing that is not in the catalogue");
    let absent = |name: &&&str| !SAMPLED.contains(name) && !OF_WORKERS.contains(name);
    assert_eq!(declared.difference(&names).find(absent), None, "everything that is in the catalogue");
    for description in catalogue {
        if names.contains(description.name) {
            assert_follows(received.metric(description.name), &description);
        }
    }
    assert_every_documented_answer_has_a_series(received.histogram("http.server.request.duration"));
}

fn assert_follows(metric: &Metric, description: &MetricDescription) {
    let name = description.name;
    assert_eq!(metric.unit, description.unit.as_str(), "{name}");
    assert_eq!(metric.description, description.help, "{name}");
    let cumulative = AggregationTemporality::Cumulative as i32;
    let series: Vec<Attributes> = match (&metric.data, description.kind) {
        (Some(metric::Data::Sum(sum)), MetricKind::Counter | MetricKind::UpDownCounter) => {
            assert_eq!(sum.aggregation_temporality, cumulative, "{name}");
            assert_eq!(sum.is_monotonic, description.kind == MetricKind::Counter, "{name}");
            let known_since = |point: u64, now: u64| assert!(0 < point && point <= now, "{name}");
            sum.data_points.iter().for_each(|p| known_since(p.start_time_unix_nano, p.time_unix_nano));
            sum.data_points.iter().map(|point| values(&point.attributes)).collect()
        }
        (Some(metric::Data::Gauge(gauge)), MetricKind::Gauge) => {
            gauge.data_points.iter().map(|point| values(&point.attributes)).collect()
        }
        (Some(metric::Data::ExponentialHistogram(histogram)), MetricKind::Histogram) => {
            assert_eq!(histogram.aggregation_temporality, cumulative, "{name}");
            for point in &histogram.data_points {
                let buckets = point.positive.as_ref().map(|positive| &positive.bucket_counts[..]);
                let counted = buckets.unwrap_or_default().iter().sum::<u64>() + point.zero_count;
                assert_eq!((counted, point.scale), (point.count, exponential::SCALE), "{name}");
            }
            histogram.data_points.iter().map(|point| values(&point.attributes)).collect()
        }
        (data, kind) => panic!("{name} is a {kind:?} and arrived as {data:?}"),
    };
    let keys = |labels: &Attributes| labels.keys().all(|key| description.label_keys.contains(&key.as_str()));
    assert!(series.iter().all(keys), "{name}: {series:?}");
    let Some(all_series) = description.all_series else { return };
    let all: Vec<Attributes> = all_series().iter().map(series_attributes).collect();
    if description.kind == MetricKind::Gauge {
        // A gauge that is not measured has no value, which is better than a wrong one.
        assert!(series.iter().all(|labels| all.contains(labels)), "{name}: {series:?}");
    } else {
        assert_eq!(series, all, "{name}: every series exists from the start");
    }
}

/// Asserts that the series of requests are exactly those that the OpenAPI document implies.
fn assert_every_documented_answer_has_a_series(points: &[ExponentialHistogramDataPoint]) {
    let known: BTreeSet<String> =
        points.iter().map(|point| format!("{:?}", values(&point.attributes))).collect();
    assert_eq!(known.len(), points.len(), "each series once");
    let mut expected = BTreeSet::new();
    let mut expect = |method: &str, route: &str, status: Option<u16>, error_type: Option<&str>| {
        let mut labels = vec![("http.request.method", method.into()), ("url.scheme", "http".into())];
        labels.extend((!route.is_empty()).then(|| ("http.route", route.into())));
        labels.extend(status.map(|status| ("http.response.status_code", Value::from(status))));
        labels.extend(error_type.map(|error_type| ("error.type", Value::from(error_type))));
        expected.insert(format!("{:?}", attributes_of(&labels)));
    };
    let document = serde_json::to_value(socialize::run::router::document()).expect("a document");
    let methods_without_route =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY", "_OTHER"];
    let mut described: Vec<(String, String, Vec<u16>)> = methods_without_route
        .map(|method| (method.to_owned(), String::new(), vec![400, 404, 405, 408, 431]))
        .to_vec();
    for (route, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let statuses = operation["responses"].as_object().expect("responses").keys();
            let statuses = statuses.map(|status| status.parse().expect("a status"));
            let statuses: Vec<u16> = statuses.filter(|status| *status < 500).collect();
            if method == "get" && route == ITEM {
                // The only route that was asked for by HEAD, whose series begin with the first request.
                described.push(("HEAD".to_owned(), route.clone(), statuses.clone()));
            }
            described.push((method.to_uppercase(), route.clone(), statuses));
        }
    }
    for (method, route, statuses) in &described {
        statuses.iter().for_each(|status| expect(method, route, Some(*status), None));
        expect(method, route, None, Some("cancelled"));
        expect(method, route, None, Some("internal"));
        expect(method, route, Some(500), Some("internal"));
        expect(method, route, Some(500), Some("panic"));
        expect(method, route, Some(503), Some("unavailable"));
        expect(method, route, Some(503), Some("timeout"));
    }
    assert_eq!(known, expected);
}

#[tokio::test]
async fn the_resource_says_who_is_sending() {
    let database = TestDatabase::create().await;
    let roles = [
        ("serve", "socialize-api", None),
        ("work", "socialize-worker", None),
        ("serve", "socialize-eu", Some("service.version=9,k8s.pod.name=web%201,service.name=ignored")),
    ];
    let mut instances = BTreeSet::new();
    for (role, service_name, attributes) in roles {
        let sink = OtlpSink::start();
        let mut launch = Launch::role(role, database.url())
            .variable("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint())
            .variable("SOCIALIZE_ENVIRONMENT", "staging");
        if let Some(attributes) = attributes {
            launch = launch.variable("OTEL_RESOURCE_ATTRIBUTES", attributes);
            launch = launch.variable("OTEL_SERVICE_NAME", service_name);
        }
        let mut process = launch.start().await;
        if role == "serve" {
            process.get("/nothing").await.expect(404);
        }
        process.stop().await;

        let of_traces = sink.traces().into_iter().flat_map(|request| request.resource_spans);
        let of_metrics = sink.metrics().into_iter().flat_map(|request| request.resource_metrics);
        let resources: Vec<Resource> = of_traces
            .map(|spans| spans.resource.expect("a resource"))
            .chain(of_metrics.map(|metrics| metrics.resource.expect("a resource")))
            .collect();
        assert!(resources.windows(2).all(|pair| pair[0] == pair[1]), "all signals have one resource");
        assert!(resources.len() > usize::from(role == "serve"), "both signals have arrived");
        let mut resource = values(&resources[0].attributes);
        let instance = resource.remove("service.instance.id").expect("an instance").to_string();
        assert!(instances.insert(instance), "no two processes are the same instance");
        assert_eq!(resource.remove("process.pid"), Some(process.id().into()));
        let created = resource.remove("process.creation.time").expect("a start time");
        DateTime::parse_from_rfc3339(created.as_str().expect("a text")).expect("an RFC 3339 time");
        let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
        assert_eq!(resource.remove("host.name"), Some(host_name.trim().into()));
        let mut expected = attributes_of(&[
            ("service.name", service_name.into()),
            ("service.namespace", "socialize".into()),
            ("service.version", env!("CARGO_PKG_VERSION").into()),
            ("deployment.environment.name", "staging".into()),
            ("telemetry.sdk.name", "socialize-telemetry".into()),
            ("telemetry.sdk.language", "rust".into()),
            ("telemetry.sdk.version", env!("CARGO_PKG_VERSION").into()),
        ]);
        if attributes.is_some() {
            expected.insert("service.version".to_owned(), "9".into());
            expected.insert("k8s.pod.name".to_owned(), "web 1".into());
        }
        assert_eq!(resource, expected, "{role}");
    }
}

#[tokio::test]
async fn a_disabled_sdk_sends_nothing_and_starts_nothing() {
    let database = TestDatabase::create().await;
    let sink = OtlpSink::start();
    let mut process = Launch::serve(database.url())
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint())
        .variable("OTEL_SDK_DISABLED", "true")
        .start()
        .await;
    assert_eq!(process.threads_named("otlp-"), 0);
    let answer = process.get("/nothing").await.expect(404);
    process.stop().await;
    assert!(sink.requests().is_empty());
    let is_its_line = |line: &Value| line["trace_id"] == answer.header("x-request-id").unwrap_or_default();
    assert!(process.lines().iter().any(is_its_line), "lines do not depend on the SDK");
}

#[tokio::test]
async fn the_sampler_decides_about_spans_and_about_nothing_else() {
    let database = TestDatabase::create().await;
    let sink = OtlpSink::start();
    let mut process = Launch::serve(database.url())
        .without_worker()
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint())
        .variable("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        .variable("OTEL_TRACES_SAMPLER_ARG", "0.25")
        .start()
        .await;
    let mut sampled = BTreeSet::new();
    let mut all = BTreeSet::new();
    for _ in 0..100 {
        let answer = process.get("/nothing").await.expect(404);
        let request_id = answer.header("x-request-id").expect("a request id").to_owned();
        let sampler = Sampler { ratio: 0.25, parent_based: true };
        if sampler.decide(telemetry::TraceId(bytes_of(&request_id)), None) {
            sampled.insert(request_id.clone());
        }
        all.insert(request_id);
    }
    process.stop().await;
    let received = Received::all(&sink);
    // Database operations of the startup may be sampled as well.
    let requests = received.spans.iter().filter(|span| span.kind == SpanKind::Server as i32);
    let spans: BTreeSet<String> = requests.map(|span| hex(&span.trace_id)).collect();
    assert_eq!(spans, sampled);
    let lines: BTreeSet<String> = process
        .events("http.server.request")
        .iter()
        .map(|line| line["trace_id"].as_str().expect("a trace id").to_owned())
        .collect();
    assert_eq!(lines, all);
    let points = received.histogram("http.server.request.duration");
    assert_eq!(points.iter().map(|point| point.count).sum::<u64>(), 100);
}

#[tokio::test]
async fn headers_accompany_every_request_and_nothing_else() {
    let database = TestDatabase::create().await;
    for (protocol, received_by) in PROTOCOLS {
        let sink = OtlpSink::start();
        let mut process = Launch::serve(database.url())
            .variables(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint()),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20collector-password,x-tenant=a"),
                ("SOCIALIZE_LOG_LEVEL", "trace"),
            ])
            .start()
            .await;
        process.get("/nothing").await.expect(404);
        process.stop().await;
        let requests = sink.requests();
        assert!(requests.len() >= 2, "traces and metrics");
        for request in requests {
            assert_eq!(request.protocol, received_by);
            assert_eq!(request.headers["authorization"], "Basic collector-password");
            assert_eq!(request.headers["x-tenant"], "a");
            assert!(request.reaction.accepts());
        }
        assert!(!process.line_texts().concat().contains("collector-password"));
    }
}

#[track_caller]
fn only<T: std::fmt::Debug>(what: &str, mut all: impl Iterator<Item = T>) -> T {
    let first = all.next().unwrap_or_else(|| panic!("{what}: there is none"));
    let second = all.next();
    assert!(second.is_none(), "{what}: there is more than one: {first:?}, {second:?}");
    first
}

fn attributes_of(pairs: &[(&str, Value)]) -> Attributes {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

/// Labels as a collector receives them: the status code is a number.
fn series_attributes(labels: &SeriesLabels) -> Attributes {
    labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect()
}

/// Attributes by name; none may occur twice.
pub(crate) fn values(attributes: &[KeyValue]) -> Attributes {
    let mut values = Attributes::new();
    for attribute in attributes {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref()).expect("a value");
        let value = match value {
            any_value::Value::StringValue(text) => Value::from(text.as_str()),
            any_value::Value::IntValue(number) => Value::from(*number),
            any_value::Value::DoubleValue(number) => Value::from(*number),
            other => panic!("an attribute of a type that nothing writes: {other:?}"),
        };
        assert!(values.insert(attribute.key.clone(), value).is_none(), "{} occurs twice", attribute.key);
    }
    values
}

/// Durations have six decimals, so they are exact to the nanosecond.
fn milliseconds_as_nanoseconds(milliseconds: &Value) -> u64 {
    (milliseconds.as_f64().expect("a duration") * 1e6).round() as u64
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(hex: &str) -> [u8; 16] {
    u128::from_str_radix(hex, 16).expect("hexadecimal digits").to_be_bytes()
}
