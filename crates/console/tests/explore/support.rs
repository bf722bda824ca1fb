//! Consoles with known lines and spans, and requests to them.

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

pub(crate) const NOW: i64 = 1_796_047_509_000;
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const REQUEST: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(crate) const JOB: &str = "5bf92f3577b34da6a3ce929d0e0e4736";
pub(crate) const UNKNOWN: &str = "6bf92f3577b34da6a3ce929d0e0e4736";
pub(crate) const USER: &str = "0193a5b0-7c1e-7d3a-9a52-1f2e3d4c5b6a";
pub(crate) const ORGANIZATION: &str = "0193a5b0-7c1e-7d3a-9a52-000000000001";

/// Creates a console without data.
pub(crate) fn empty() -> SharedConsole {
    with_facts(facts())
}

/// Returns the facts of a console.
pub(crate) fn facts() -> Facts {
    Facts { otlp_address: "127.0.0.1:4318".to_owned(), started_at: NOW, ..Facts::default() }
}

/// Creates a console with these facts and without data.
pub(crate) fn with_facts(facts: Facts) -> SharedConsole {
    let access = Access {
        hosts: OwnHosts::new("127.0.0.1:3001".parse().expect("address"), &[]),
        token: Token::configured(TOKEN).digest(),
        cookie: "socialize_console_3001".to_owned(),
    };
    Arc::new(Console::new(access, facts, Arc::new(|| NOW)))
}

pub(crate) fn line(
    level: Level,
    event: &str,
    trace: &str,
    seconds_ago: i64,
    fields: &[(&str, FieldValue)],
) -> Line {
    let mut all: Vec<(Arc<str>, FieldValue)> =
        vec![("trace_id".into(), trace.into()), ("span_id".into(), "0000000000000001".into())];
    all.extend(fields.iter().map(|(name, value)| ((*name).into(), value.clone())));
    Line { at: (NOW - seconds_ago * 1000) * 1000, level, event: event.into(), fields: all }
}

pub(crate) fn failed_request(trace: &str, organization: &str, seconds_ago: i64) -> Line {
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

/// Creates a span between two times in milliseconds.
pub(crate) fn span(
    trace: &str,
    id: u8,
    parent: Option<u8>,
    name: &str,
    kind: SpanKind,
    ms: (u64, u64),
) -> Span {
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

/// Creates a console with lines and spans.
pub(crate) fn filled() -> SharedConsole {
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

/// Opens a page. Returns its status, and its text or where it leads.
pub(crate) async fn open(console: &SharedConsole, path: &str) -> (StatusCode, String) {
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
pub(crate) async fn shows(console: &SharedConsole, path: &str, texts: &[&str]) -> String {
    let (status, page) = open(console, path).await;
    assert_eq!(status, StatusCode::OK, "{path}");
    for text in texts {
        assert!(page.contains(text), "{path} does not show {text}:\n{page}");
    }
    assert!(!page.contains("style=") && !page.contains("<script>"), "{path} has inline code");
    page
}
