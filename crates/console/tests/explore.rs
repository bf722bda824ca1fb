//! Logs, traces, requests, who is affected and the console itself, through the router with filled stores.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use console::access::{Access, OwnHosts, Token};
use console::pages::router;
use console::state::{Console, Facts, SharedConsole, write};
use console::store::FieldValue;
use console::store::lines::Line;
use console::store::spans::{Link, Span, SpanId, SpanKind, TraceId};
use signal::Level;
use tower::ServiceExt;

const NOW: i64 = 1_796_047_509_000;
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const REQUEST: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const JOB: &str = "5bf92f3577b34da6a3ce929d0e0e4736";
const UNKNOWN: &str = "6bf92f3577b34da6a3ce929d0e0e4736";
const USER: &str = "0193a5b0-7c1e-7d3a-9a52-1f2e3d4c5b6a";
const ORGANIZATION: &str = "0193a5b0-7c1e-7d3a-9a52-000000000001";

fn empty() -> SharedConsole {
    let access = Access {
        hosts: OwnHosts::new("127.0.0.1:3001".parse().expect("address"), &[]),
        token: Token::configured(TOKEN).digest(),
        cookie: "socialize_console_3001".to_owned(),
    };
    let facts = Facts { otlp_address: "127.0.0.1:4318".to_owned(), started_at: NOW, ..Facts::default() };
    Arc::new(Console::new(access, facts, Arc::new(|| NOW)))
}

fn line(level: Level, event: &str, trace: &str, seconds_ago: i64, fields: &[(&str, FieldValue)]) -> Line {
    let mut all: Vec<(Arc<str>, FieldValue)> =
        vec![("trace_id".into(), trace.into()), ("span_id".into(), "0000000000000001".into())];
    all.extend(fields.iter().map(|(name, value)| ((*name).into(), value.clone())));
    Line { at: (NOW - seconds_ago * 1000) * 1000, level, event: event.into(), fields: all }
}

fn failed_request(trace: &str, organization: &str, seconds_ago: i64) -> Line {
    let fields = [
        ("http.request.method", "POST".into()),
        ("http.route", "/v1/content-items".into()),
        ("http.response.status_code", 503.into()),
        ("error.type", "unavailable".into()),
        ("error.cause", "timeout".into()),
        ("error.code", "unavailable".into()),
        ("code.location", "crates/socialize/src/features/content.rs:42".into()),
        ("duration_ms", 38.2.into()),
        ("db.operations", 1.into()),
        ("db.duration_ms", 31.0.into()),
        ("user.id", USER.into()),
        ("organization.id", organization.into()),
    ];
    line(Level::Error, "http.server.request", trace, seconds_ago, &fields)
}

fn span(trace: &str, id: u8, parent: Option<u8>, name: &str, kind: SpanKind, ms: (u64, u64)) -> Span {
    let start = (NOW as u64 - 60_000) * 1_000_000;
    let id_of = |id: u8| SpanId([0, 0, 0, 0, 0, 0, 0, id]);
    Span {
        trace_id: trace.parse().expect("id"),
        span_id: id_of(id),
        parent: parent.map(id_of),
        name: name.into(),
        kind,
        start_ns: start + ms.0 * 1_000_000,
        end_ns: start + ms.1 * 1_000_000,
        failed: kind != SpanKind::Internal,
        attributes: vec![("error.type".into(), "timeout".into())],
        links: Vec::new(),
        events: Vec::new(),
        service: "socialize-api".into(),
        instance: "one".into(),
    }
}

fn filled() -> SharedConsole {
    let console = empty();
    let mut lines = vec![
        failed_request(REQUEST, ORGANIZATION, 60),
        line(Level::Info, "socialize.comments.created", REQUEST, 60, &[("user.id", USER.into())]),
        line(
            Level::Warn,
            "job.run",
            JOB,
            50,
            &[
                ("job.kind", "send_email".into()),
                ("outcome", "retry".into()),
                ("link.trace_id", REQUEST.into()),
            ],
        ),
        line(Level::Info, "panic", UNKNOWN, 40, &[("code.file", "<script>alert(1)</script>".into())]),
    ];
    for number in 0..250 {
        let organization = format!("0193a5b0-7c1e-7d3a-9a52-{:012}", number % 7 + 2);
        lines.push(failed_request(&format!("{:032x}", number + 1000), &organization, 70 + number));
    }
    write(console.lines()).append(lines);
    let mut job = span(JOB, 1, None, "send_email", SpanKind::Consumer, (5_000, 5_100));
    let cause: TraceId = REQUEST.parse().expect("id");
    job.links.push(Link { trace_id: cause, span_id: SpanId([0, 0, 0, 0, 0, 0, 0, 1]) });
    let mut call = span(REQUEST, 2, Some(1), "insert_content_item", SpanKind::Client, (3, 34));
    call.attributes.push(("db.query.summary".into(), "insert_content_item".into()));
    write(console.spans()).append_spans([
        span(REQUEST, 1, None, "POST /v1/content-items", SpanKind::Server, (0, 38)),
        call,
        job,
    ]);
    console
}

async fn open(console: &SharedConsole, path: &str) -> (StatusCode, String) {
    let request = Request::get(path)
        .header(header::HOST, "localhost:3001")
        .header(header::COOKIE, format!("socialize_console_3001={TOKEN}"))
        .body(Body::empty())
        .expect("request");
    let response = router(SharedConsole::clone(console)).oneshot(request).await.expect("response");
    let status = response.status();
    let location =
        response.headers().get(header::LOCATION).map(|value| value.to_str().expect("text").to_owned());
    let body = to_bytes(response.into_body(), 8 << 20).await.expect("body");
    (status, location.unwrap_or(String::from_utf8(body.to_vec()).expect("text")))
}

/// Opens a page and asserts that it contains each text.
async fn shows(console: &SharedConsole, path: &str, texts: &[&str]) -> String {
    let (status, page) = open(console, path).await;
    assert_eq!(status, StatusCode::OK, "{path}");
    for text in texts {
        assert!(page.contains(text), "{path} does not show {text}:\n{page}");
    }
    assert!(!page.contains("style=") && !page.contains("<script>"), "{path} has inline code");
    page
}

#[tokio::test]
async fn lines_are_shown_newest_first_in_pages() {
    let console = filled();
    let page =
        shows(&console, "/logs", &["254 lines in the last 1 h", "These are the newest 100", "Older lines"])
            .await;
    assert!(page.contains("&#60;script&#62;alert(1)"), "untrusted text is escaped");
    let newest = page.find("class=\"event\">panic<").expect("newest");
    assert!(newest < page.find("class=\"event\">socialize.comments").expect("older"));
    let older = page.split("href=\"").find(|part| part.contains("before=")).expect("link");
    let older = older.split('"').next().expect("address").replace("&#38;", "&");
    shows(&console, &older, &["These are the next 100", "Back to the newest lines"]).await;
}

#[tokio::test]
async fn lines_are_filtered() {
    let console = filled();
    let cases = [
        ("/logs?level=warn&event=job.run", "1 line in"),
        ("/logs?outcome=retry", "1 line in"),
        ("/logs?text=COMMENTS", "1 line in"),
        (&format!("/logs?id={REQUEST}"), "3 lines in"),
        (&format!("/logs?id={ORGANIZATION}"), "1 line in"),
        ("/logs?route=/v1/content-items&where=error.type:unavailable", "251 lines in"),
        ("/logs?from=2026-11-30T14:04&until=2026-11-30T14:05", "lines from 2026-11-30"),
    ];
    for (path, text) in cases {
        shows(&console, path, &[text]).await;
    }
}

#[tokio::test]
async fn traces_are_listed_and_drawn() {
    let console = filled();
    shows(&console, "/traces", &["2 traces in the last 1 h", "POST /v1/content-items", "38 ms"]).await;
    shows(&console, "/traces?sort=slowest&least=50ms", &["send_email", "slowest first"]).await;
    let texts = [
        "POST /v1/content-items took 38 ms and failed: timeout.",
        "insert_content_item failed within it after 31 ms: timeout.",
        "1 database operation took 31 ms of it (82 %)",
        "socialize.comments.created",
        "What it caused later",
        "send_email",
        &format!("/traces/{JOB}"),
    ];
    shows(&console, &format!("/traces/{REQUEST}"), &texts).await;
    shows(&console, &format!("/traces/{JOB}"), &["What caused it", &format!("/traces/{REQUEST}")]).await;
    let (status, location) = open(&console, &format!("/traces?id={REQUEST}&range=6h")).await;
    assert_eq!((status, location), (StatusCode::SEE_OTHER, format!("/traces/{REQUEST}?range=6h")));
}

#[tokio::test]
async fn a_request_tells_what_happened_and_to_whom() {
    let console = filled();
    let texts = [
        "POST /v1/content-items answered 503 after 38.2 ms.",
        "The user saw the code unavailable. It failed with unavailable, caused by timeout.",
        "features/content.rs:42",
        "1 operation in 31 ms (81 %)",
        USER,
        ORGANIZATION,
        "22 requests failed on this route with unavailable within the minute around it, from 8 organizations.",
        "job.run",
        "Open its trace",
    ];
    shows(&console, &format!("/requests/{REQUEST}"), &texts).await;
    let texts = ["No line of the request", "The console has lines since", "which log files are followed"];
    shows(&console, &format!("/requests/{UNKNOWN}").replace("6bf", "7bf"), &texts).await;
    let (status, location) = open(&console, &format!("/requests?id=%20{}", REQUEST.to_uppercase())).await;
    assert_eq!((status, location), (StatusCode::SEE_OTHER, format!("/requests/{REQUEST}")));
}

#[tokio::test]
async fn affected_customers_are_counted() {
    let console = filled();
    let texts = ["8 organizations and 1 user met 251 lines of at least level error", ORGANIZATION, "Errors"];
    shows(&console, "/affected?route=/v1/content-items", &texts).await;
    shows(&console, "/affected?level=fatal", &["Nobody", "Include warnings"]).await;
}

#[tokio::test]
async fn a_search_without_a_result_says_what_to_try() {
    let cases = [
        ("/logs", "The console has received no lines yet."),
        ("/traces", "The console has received no spans yet."),
        (&format!("/traces/{REQUEST}"), "No span of the trace"),
        (&format!("/requests/{REQUEST}"), "No line of the request"),
        ("/affected", "Nobody"),
        ("/about", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ];
    let console = empty();
    for (path, text) in cases {
        shows(&console, path, &[text]).await;
    }
    let console = filled();
    shows(
        &console,
        "/logs?event=nothing&level=error",
        &["with event nothing and level at least error", "without event"],
    )
    .await;
    shows(
        &console,
        "/logs?from=2026-11-01T00:00&until=2026-11-02T00:00",
        &["Search everything that is kept"],
    )
    .await;
    shows(&console, "/about", &["254 lines", "3 spans", "Nothing. Everything that arrived was kept"]).await;
}

#[tokio::test]
async fn wrong_parameters_are_explained() {
    let console = filled();
    let cases = [
        ("/logs?level=loud", "Levels are trace, debug"),
        ("/logs?where=x", "where=error.type:timeout"),
        ("/logs?before=x", "position"),
        ("/logs?id=12", "32 hexadecimal digits"),
        ("/logs/tail?level=loud", "Levels are"),
        ("/traces?least=fast", "250ms"),
        ("/traces?kind=x", "request, job, call"),
        ("/traces?before=1-x", "position"),
        ("/traces/xyz", "32 hexadecimal digits"),
        ("/requests/%3Cscript%3E", "is not an id"),
        ("/requests", "is not an id"),
        ("/affected?level=9", "Levels are"),
    ];
    for (path, text) in cases {
        let (status, page) = open(&console, path).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(page.contains(text), "{path}: {page}");
        assert!(!page.contains("<script>"), "{path}");
    }
}

#[tokio::test]
async fn the_tail_sends_new_lines_and_is_limited() {
    let console = filled();
    let tail = async |path: &str| {
        let request = Request::get(path)
            .header(header::HOST, "localhost:3001")
            .header(header::COOKIE, format!("socialize_console_3001={TOKEN}"))
            .body(Body::empty())
            .expect("request");
        router(SharedConsole::clone(&console)).oneshot(request).await.expect("response")
    };
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(tail("/logs/tail?event=job.run").await);
    }
    assert_eq!(tail("/logs/tail").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let response = streams.remove(0);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut body = response.into_body();
    assert_eq!(next(&mut body).await, ": following\n\n");
    write(console.lines()).append([
        line(Level::Info, "panic", UNKNOWN, 0, &[]),
        line(Level::Info, "job.run", UNKNOWN, 0, &[("job.kind", "<b>".into())]),
    ]);
    let event = next(&mut body).await;
    assert!(event.starts_with("data: ") && event.ends_with("\n\n"), "{event}");
    assert!(event.contains("job.run") && !event.contains("panic") && !event.contains("<b>"), "{event}");
}

async fn next(body: &mut Body) -> String {
    use hyper::body::Body as _;
    let frame = std::future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_frame(context)).await;
    let bytes = frame.expect("frame").expect("no error").into_data().expect("data");
    String::from_utf8(bytes.to_vec()).expect("text")
}
