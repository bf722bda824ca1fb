//! Logs, traces, requests, who is affected and the console itself, through the router with filled stores.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use console::pages::router;
use console::state::{SharedConsole, write};
use signal::Level;
use support::*;
use tower::ServiceExt;

mod environments;
mod support;

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
    let form = [
        "<form class=\"find\" method=\"get\" action=\"/requests\"",
        "<input type=\"hidden\" name=\"range\" value=\"6h\">",
    ];
    shows(&console, "/alerts?range=6h", &form).await;
    let (status, location) = open(&console, &format!("/requests?id={REQUEST}&range=6h")).await;
    assert_eq!((status, location), (StatusCode::SEE_OTHER, format!("/requests/{REQUEST}?range=6h")));
}

#[tokio::test]
async fn affected_customers_are_counted() {
    let console = filled();
    let texts = ["8 organizations and 1 user met 251 lines of at least level error", ORGANIZATION, "Errors"];
    shows(&console, "/affected?route=/v1/content-items", &texts).await;
    shows(&console, "/affected?level=fatal", &["Nobody", "Include warnings"]).await;
}

#[tokio::test]
async fn an_alert_leads_to_those_whom_it_is_about() {
    let console = filled();
    let met = "8 organizations and 1 user met 251 lines";
    let texts = [met, "By what the alert HighErrorRate is about.", "event=http.server.request", ORGANIZATION];
    let page = shows(&console, "/affected?alert=HighErrorRate", &texts).await;
    // Lines are searched with the conditions; causes narrow the same page further.
    assert!(
        !page.contains("/logs?alert=") && page.contains("/affected?alert=HighErrorRate&#38;level="),
        "{page}"
    );
    let narrower = "/affected?alert=HighErrorRate&where=error.type:conflict";
    shows(&console, narrower, &["Nobody", "with error.type conflict"]).await;
    shows(&console, "/affected?alert=JobsFailing", &["Nobody"]).await;
    for (name, text) in
        [("Nonsense", "is no alert"), ("Watchdog", "No log line belongs to the alert Watchdog")]
    {
        let (status, page) = open(&console, &format!("/affected?alert={name}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{name}");
        assert!(page.contains(text) && page.contains("Lines can tell about"), "{page}");
        assert!(page.contains("HighErrorRate,"), "{page}");
    }
    let link = "href=\"/affected?alert=HighErrorRate\">Who is affected</a>";
    shows(&console, "/alerts/HighErrorRate", &[link]).await;
    let page = shows(&console, "/alerts/Watchdog", &[]).await;
    assert!(!page.contains("Who is affected"), "{page}");
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
    shows(&console, "/about", &["254 lines", "3 spans", "Nothing: all received data was stored"]).await;
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

#[tokio::test]
async fn a_clock_that_was_set_back_is_said_until_it_has_caught_up() {
    use console::store::metrics::{Labels, Origin, Sample, Value};
    let console = filled();
    let collect = |at: i64| {
        let labels = Labels::new([("instance".into(), "api".into())]);
        let sample = Sample { name: "a".into(), labels, value: Value::Number(at as f64) };
        write(console.metrics()).append(&Origin::process("socialize", "api"), at, [sample])
    };
    assert_eq!(collect(NOW).accepted, 1);
    assert_eq!(collect(NOW - 3_600_000).accepted, 0);
    let texts = [
        "Clock of api",
        "It was set back by 1 h. Since then, 1 sample older than the newest one of 2026-11-30 14:05:09 UTC",
        "as after its clock was set back",
    ];
    shows(&console, "/about", &texts).await;
    assert_eq!(collect(NOW + 15_000).accepted, 1);
    let page = shows(&console, "/about", &["as after its clock was set back"]).await;
    assert!(!page.contains("Clock of api"), "{page}");
}
