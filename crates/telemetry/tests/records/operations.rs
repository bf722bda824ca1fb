//! Operations within a request, and job runs.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;

use axum::Router;
use axum::routing::get;
use futures_util::FutureExt;
use http::Method;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use serde_json::Value;
use signal::metric::{HistogramMetric, LONG_DURATION_BOUNDS, Label};
use telemetry::http_server::{
    HttpServer, HttpServerService, HttpServerSettings, RouteDescription, UrlScheme,
};
use telemetry::record;
use telemetry::{
    ClosedSet, DatabaseOutcome, ErrorType, FamilyDescription, Identifier, InstrumentationScope, JobOutcome,
    Key, Operations, SpanContext, SpanId, Telemetry, TraceId, current,
};
use tower::ServiceExt;
use uuid::Uuid;

use crate::requests::{DURATION, assert_nothing_is_active, get_request};
use crate::support::{
    FLAG_IS_REMOTE, FLAG_REMOTE_IS_KNOWN, FLAG_SAMPLED, Line, all_signals, assert_exemplar_names,
    assert_line_equals_point, assert_line_equals_span, hex, nanoseconds_of, take_lines, take_spans,
    used_points,
};

const DATABASE: InstrumentationScope = InstrumentationScope::new(4, "records.database");
const QUEUE: InstrumentationScope = InstrumentationScope::new(5, "records.queue");

const QUERY_DURATION: HistogramMetric<(Query, DatabaseOutcome)> =
    HistogramMetric::histogram("db.client.operation.duration", "Help.", "Question?", LONG_DURATION_BOUNDS)
        .of_operations();

const JOB_DURATION: HistogramMetric<(Job, JobOutcome)> =
    HistogramMetric::histogram("job.run.duration", "Help.", "Question?", LONG_DURATION_BOUNDS)
        .of_operations();

static ROW_ID: Key = Key("row.id");
static ATTEMPT: Key = Key("job.attempt");

#[derive(Clone, Copy, PartialEq, Eq, ClosedSet)]
#[label("db.operation.name")]
enum Query {
    ReadRow,
    InsertRow,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Job;

impl ClosedSet for Job {
    const ALL: &'static [Self] = &[Job];

    fn as_str(self) -> &'static str {
        "tidy_up"
    }

    fn index(self) -> usize {
        0
    }
}

impl Label for Job {
    const KEY: &'static str = "job.name";
}

#[derive(Clone, Copy)]
struct RowId(Uuid);

impl Identifier for RowId {
    fn uuid(self) -> Uuid {
        self.0
    }
}

const ROW: RowId = RowId(Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0001));

fn queries(telemetry: &Telemetry) -> Operations<Query, DatabaseOutcome> {
    let family = FamilyDescription {
        event: "db.client.operation",
        span_kind: record::SpanKind::Client,
        scope: DATABASE,
        attributes: vec![("db.system.name", "postgresql".into())],
    };
    Operations::timed(telemetry, family, &QUERY_DURATION).tallied()
}

fn jobs(telemetry: &Telemetry) -> Operations<Job, JobOutcome> {
    let family = FamilyDescription {
        event: "job.run",
        span_kind: record::SpanKind::Consumer,
        scope: QUEUE,
        attributes: Vec::new(),
    };
    Operations::timed(telemetry, family, &JOB_DURATION)
}

fn request_id_only(_: TraceId) -> axum::response::Response {
    axum::response::IntoResponse::into_response(http::StatusCode::INTERNAL_SERVER_ERROR)
}

/// Builds a router with one route, `/rows`.
fn rows(telemetry: &Telemetry, handler: axum::routing::MethodRouter) -> HttpServerService<Router> {
    let settings = HttpServerSettings {
        trusted_peers: Vec::new(),
        proxies: Vec::new(),
        scheme_of_proxies: UrlScheme::Http,
        unmatched_statuses: vec![404],
        panic_response: request_id_only,
    };
    let described =
        RouteDescription { method: Method::GET, route: "/rows".to_owned(), statuses: vec![200, 409] };
    HttpServer::new(telemetry, settings).observe(Router::new().route("/rows", handler), &[described], &[])
}

/// Returns the line and the span of one operation, after comparing them.
#[track_caller]
fn pair<'a>(lines: &'a [Line], spans: &'a [Span], name: &str) -> (&'a Line, &'a Span) {
    let span = spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}"));
    let line = lines.iter().find(|line| line.text("span_id") == hex(&span.span_id)).expect("its line");
    assert_line_equals_span(line, span);
    (line, span)
}

#[tokio::test]
async fn children_name_their_request_and_are_added_up_in_it() {
    let telemetry = Telemetry::new(all_signals());
    let queries = std::sync::Arc::new(queries(&telemetry));
    let handler = async move || {
        queries
            .observe_with(Query::ReadRow, |attributes| attributes.id(&ROW_ID, ROW), async {
                ((), DatabaseOutcome::Ok, None)
            })
            .await;
        // Let another task use the thread in between, as every real query does.
        tokio::task::yield_now().await;
        let failed = async { ((), DatabaseOutcome::Conflict, Some(ErrorType::UniqueViolation)) };
        queries.observe(Query::InsertRow, failed).await;
        current::set(|attributes| attributes.id(&ROW_ID, ROW));
        http::StatusCode::CONFLICT
    };
    let router = rows(&telemetry, get(handler));
    router.oneshot(get_request("/rows")).await.expect("an answer");

    let (lines, spans) = (take_lines(&telemetry), take_spans(&telemetry));
    assert_eq!((lines.len(), spans.len()), (3, 3), "{lines:?}");
    let (_, request) = pair(&lines, &spans, "GET /rows");
    let (read_line, read) = pair(&lines, &spans, "read_row");
    let (insert_line, insert) = pair(&lines, &spans, "insert_row");
    for child in [read, insert] {
        assert_eq!(child.trace_id, request.trace_id);
        assert_eq!(child.parent_span_id, request.span_id);
        assert_eq!(child.kind, SpanKind::Client as i32);
        assert_eq!(child.flags, FLAG_REMOTE_IS_KNOWN | FLAG_SAMPLED, "its parent is in this process");
        assert!(child.start_time_unix_nano >= request.start_time_unix_nano);
        assert!(child.end_time_unix_nano <= request.end_time_unix_nano);
    }
    assert_ne!(read.span_id, insert.span_id);

    assert_eq!(read_line.text("row.id"), ROW.0.to_string());
    assert!(!read_line.fields.contains_key("error.type"), "{}", read_line.text);
    assert_eq!(insert_line.text("error.type"), "conflict");
    assert_eq!(insert_line.text("error.cause"), "unique_violation");
    for (line, span) in [(read_line, read), (insert_line, insert)] {
        let points = used_points(&telemetry, "db.client.operation.duration");
        let point = points.iter().find(|point| point.exemplars[0].span_id == span.span_id);
        let point = point.expect("a point with the span as its exemplar");
        assert_line_equals_point(line, point);
        assert_exemplar_names(point, span);
    }

    let (line, _) = pair(&lines, &spans, "GET /rows");
    assert_eq!(line.text("row.id"), ROW.0.to_string());
    assert_eq!(line.fields["db.operations"], 2);
    let together = (nanoseconds_of(read) + nanoseconds_of(insert)) as f64 / 1e6;
    assert_eq!(line.fields["db.duration_ms"], together);
}

#[tokio::test]
async fn a_child_whose_request_was_abandoned_is_recorded_before_it() {
    let telemetry = Telemetry::new(all_signals());
    let queries = std::sync::Arc::new(queries(&telemetry));
    let handler = async move || queries.observe(Query::ReadRow, std::future::pending::<((), _, _)>()).await;
    let router = rows(&telemetry, get(handler));
    {
        let mut response = pin!(router.oneshot(get_request("/rows")));
        let first = std::future::poll_fn(|context| Poll::Ready(response.as_mut().poll(context))).await;
        assert!(first.is_pending());
    }
    let (lines, spans) = (take_lines(&telemetry), take_spans(&telemetry));
    assert_eq!((lines.len(), spans.len()), (2, 2), "{lines:?}");
    let (query_line, query) = pair(&lines, &spans, "read_row");
    let (request_line, request) = pair(&lines, &spans, "GET /rows");
    assert_eq!(query.parent_span_id, request.span_id);
    assert_eq!(query_line.text("error.type"), "cancelled");
    assert_eq!(request_line.text("error.type"), "cancelled");
    assert!(query.end_time_unix_nano <= request.end_time_unix_nano);
    assert_nothing_is_active(&telemetry);
}

#[tokio::test]
async fn children_of_concurrent_requests_on_one_thread_stay_apart() {
    let telemetry = Telemetry::new(all_signals());
    let queries = std::sync::Arc::new(queries(&telemetry));
    let handler = async move || {
        for _ in 0..3 {
            let work = async {
                tokio::task::yield_now().await;
                ((), DatabaseOutcome::Ok, None)
            };
            queries.observe(Query::ReadRow, work).await;
        }
    };
    let router = rows(&telemetry, get(handler));
    let requests = (0..10).map(|_| router.clone().oneshot(get_request("/rows")));
    futures_util::future::join_all(requests).await;

    let spans = take_spans(&telemetry);
    let servers: Vec<_> = spans.iter().filter(|span| span.name == "GET /rows").collect();
    assert_eq!(servers.len(), 10);
    for server in servers {
        let children = spans.iter().filter(|span| span.parent_span_id == server.span_id);
        let of_the_same_trace = children.filter(|child| child.trace_id == server.trace_id);
        assert_eq!(of_the_same_trace.count(), 3);
    }
    let lines = take_lines(&telemetry);
    let requests = lines.iter().filter(|line| line.text("event") == "http.server.request");
    assert!(requests.into_iter().all(|line| line.fields["db.operations"] == 3));
    assert_eq!(used_points(&telemetry, DURATION)[0].count, 10);
}

#[tokio::test]
async fn an_operation_outside_any_request_is_a_root() {
    let telemetry = Telemetry::new(all_signals());
    queries(&telemetry).observe(Query::ReadRow, async { ((), DatabaseOutcome::Ok, None) }).await;
    let (lines, spans) = (take_lines(&telemetry), take_spans(&telemetry));
    let (_, query) = pair(&lines, &spans, "read_row");
    assert!(query.parent_span_id.is_empty());
}

/// Returns the context of the request that enqueued a job, as the queue stores it.
fn enqueued_by() -> SpanContext {
    SpanContext { trace_id: TraceId([7; 16]), span_id: SpanId([8; 8]), sampled: true }
}

#[tokio::test]
async fn a_run_links_to_its_cause_and_is_the_parent_of_what_it_does() {
    let telemetry = Telemetry::new(all_signals());
    let (jobs, queries) = (jobs(&telemetry), queries(&telemetry));
    let work = async {
        queries.observe(Query::ReadRow, async { ((), DatabaseOutcome::Ok, None) }).await;
        current::set(|attributes| attributes.id(&ROW_ID, ROW));
        ((), JobOutcome::Retry, Some(ErrorType::ConnectionRefused))
    };
    jobs.run(Job, Some(enqueued_by()), |attributes| attributes.number(&ATTEMPT, 2), work).await;

    let (lines, spans) = (take_lines(&telemetry), take_spans(&telemetry));
    assert_eq!((lines.len(), spans.len()), (2, 2), "{lines:?}");
    let (line, run) = pair(&lines, &spans, "tidy_up");
    let (_, query) = pair(&lines, &spans, "read_row");
    assert_eq!(run.kind, SpanKind::Consumer as i32);
    assert!(run.parent_span_id.is_empty());
    assert_ne!(run.trace_id, [7; 16]);
    let [link] = &run.links[..] else { panic!("one link: {run:?}") };
    assert_eq!((&link.trace_id[..], &link.span_id[..]), (&[7; 16][..], &[8; 8][..]));
    assert_eq!(link.flags, FLAG_REMOTE_IS_KNOWN | FLAG_IS_REMOTE | FLAG_SAMPLED);
    assert_eq!((&query.trace_id, &query.parent_span_id), (&run.trace_id, &run.span_id));

    assert_eq!(line.text("level"), "warn");
    assert_eq!(line.text("outcome"), "retry");
    assert_eq!(line.text("error.cause"), "connection_refused");
    assert_eq!(line.text("row.id"), ROW.0.to_string());
    assert_eq!(line.fields["job.attempt"], 2);
    assert_eq!(line.fields["db.operations"], 1);
    assert_eq!(line.fields["db.duration_ms"], nanoseconds_of(query) as f64 / 1e6);
    assert_eq!(run.status.as_ref().expect("a status").code, 2);
    let points = used_points(&telemetry, "job.run.duration");
    assert_line_equals_point(line, &points[0]);
    assert_exemplar_names(&points[0], run);
}

#[tokio::test]
async fn a_run_that_is_dropped_was_handed_back() {
    let telemetry = Telemetry::new(all_signals());
    let jobs = jobs(&telemetry);
    let describe = |attributes: &mut telemetry::Attributes| attributes.number(&ATTEMPT, 1);
    let work = async {
        current::set(|attributes| attributes.id(&ROW_ID, ROW));
        std::future::pending::<((), _, _)>().await
    };
    {
        let mut run = pin!(jobs.run(Job, None, describe, work));
        let first = std::future::poll_fn(|context| Poll::Ready(run.as_mut().poll(context))).await;
        assert!(first.is_pending());
    }
    let (lines, spans) = (take_lines(&telemetry), take_spans(&telemetry));
    let (line, run) = pair(&lines, &spans, "tidy_up");
    assert_eq!(line.text("outcome"), "handed_back");
    assert_eq!(line.fields["job.attempt"], 1);
    assert_eq!(line.text("row.id"), ROW.0.to_string(), "what it had found out is not lost");
    assert!(run.links.is_empty());
}

#[tokio::test]
async fn a_run_whose_work_panics_is_recorded_and_leaves_no_scope_behind() {
    let telemetry = Telemetry::new(all_signals());
    let jobs = jobs(&telemetry);
    let work = async { panic!("the work's own text, which must appear nowhere") };
    let ended = |never: Infallible| -> ((), JobOutcome, Option<ErrorType>) { match never {} };
    AssertUnwindSafe(jobs.run(Job, None, |_| (), work.map(ended)))
        .catch_unwind()
        .await
        .expect_err("the panic goes on to the caller");
    assert_eq!(current::context(), None);
    let (lines, spans) = (take_lines(&telemetry), take_spans(&telemetry));
    let (line, _) = pair(&lines, &spans, "tidy_up");
    assert_eq!(line.fields["outcome"], Value::from("handed_back"));
    assert!(!line.text.contains("own text"), "{}", line.text);
}
