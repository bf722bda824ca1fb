//! Other programs with telemetry in the same stores: an Alloy, whose metrics have the application's names,
//! and another service that uses the same collector. No panel and no rule about the application may count
//! them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::programs::eventually;
use crate::prometheus::Prometheus;
use crate::repository;
use crate::signals;

/// Metrics page of a real Alloy.
const ALLOY_PAGE: &str = "crates/monitoring/tests/fixtures/alloy_metrics.txt";

/// Prometheus scrapes it in place of Grafana, which is not available here. The scrape job does not matter:
/// all have the same rule.
const ALLOY_ADDRESS: &str = "grafana:3000";
const ALLOY_JOB: &str = "grafana";

/// Metrics of Alloy's own servers and clients grow by a tenth of the page's value with each scrape.
const RISING: [&str; 2] = ["http_server_", "http_client_"];

pub(crate) const COLLECTOR: &str = "http://alloy:4318";
const LOKI: &str = "http://loki:3100/otlp/v1/logs";

const NAMESPACE: &str = "neighbours";
const SERVICE: &str = "shop";

/// The other service reports this many failed requests per second, and the same rate of all other events.
const MANY: u64 = 1_000_000_000_000_000;

/// Larger than any value of Socialize. A result above it includes the other service.
pub(crate) const IMPOSSIBLE: f64 = 1e14;

/// Trace of all spans of the other service.
const TRACE: &str = "5457000000000000000000000000beef";

/// Export interval of the other service.
const EVERY: Duration = Duration::from_secs(1);

/// Programs whose own metrics Prometheus scrapes, with their pages.
const PAGES: [(&str, &str); 4] = [
    ("the collector", "http://alloy:12345/metrics"),
    ("Prometheus", "http://prometheus:9090/metrics"),
    ("Loki", "http://loki:3100/metrics"),
    ("Tempo", "http://tempo:3200/metrics"),
];

/// Runs both until the runtime ends.
pub(crate) async fn let_loose(client: &Client) {
    serve_alloy_page().await;
    let client = client.clone();
    tokio::spawn(async move {
        let mut sent = 0;
        loop {
            sent += 1;
            let bodies = [
                (format!("{COLLECTOR}/v1/metrics"), points(sent * MANY)),
                (format!("{COLLECTOR}/v1/traces"), span(sent)),
                // The collector has no OTLP receiver for lines.
                (LOKI.to_owned(), line()),
            ];
            for (url, body) in bodies {
                // The programs may be starting, or be stopped by a drill.
                let _ = client.post(url).json(&body).send().await;
            }
            tokio::time::sleep(EVERY).await;
        }
    });
}

async fn serve_alloy_page() {
    let page = std::fs::read_to_string(repository().join(ALLOY_PAGE)).expect("the page of Alloy");
    let state = Arc::new((page, AtomicU64::new(0)));
    let page = async |State(state): State<Arc<(String, AtomicU64)>>| {
        let scrapes = state.1.fetch_add(1, Ordering::Relaxed);
        ([("content-type", "text/plain; version=0.0.4")], risen(&state.0, scrapes))
    };
    let listener = TcpListener::bind(ALLOY_ADDRESS).await.expect("an address");
    let router = Router::new().route("/metrics", get(page)).with_state(state);
    tokio::spawn(async move { axum::serve(listener, router).await });
}

/// The page after this many scrapes.
fn risen(page: &str, scrapes: u64) -> String {
    let factor = 1.0 + scrapes as f64 / 10.0;
    let rise = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let value: f64 = RISING.iter().any(|name| series.starts_with(name)).then(|| value.parse().ok())??;
        Some(format!("{series} {}\n", value * factor))
    };
    page.lines().map(|line| rise(line).unwrap_or_else(|| format!("{line}\n"))).collect()
}

/// Asserts that both have arrived, that no scrape has a metric name of the application, and that recording
/// rules count only the application. Returns the numbers of compared names and programs.
pub(crate) async fn check(
    client: &Client,
    prometheus: &Prometheus,
    ours: &BTreeSet<String>,
) -> (usize, usize) {
    let arrived = [
        format!(r#"max(alloy_build_info{{job="{ALLOY_JOB}"}})"#),
        format!(
            "sum(histogram_count(rate(http_server_request_duration_seconds{{job=\"{NAMESPACE}/{SERVICE}\"}}[1m]))) \
             > {IMPOSSIBLE}"
        ),
    ];
    for query in &arrived {
        eventually("that the strangers are in Prometheus", async || prometheus.number(query).await).await;
    }
    let lines = format!(r#"{{service_namespace="{NAMESPACE}"}}"#);
    eventually("that the other service's lines are in Loki", async || {
        let start = (since_1970() - Duration::from_secs(3600)).as_nanos() as u64;
        let found = signals::lines_after(client, &lines, start, "backward").await?;
        if found.is_empty() { Err("no lines".to_owned()) } else { Ok(()) }
    })
    .await;
    eventually("that the other service's span is in Tempo", async || signals::spans(client, TRACE).await)
        .await;

    let scraped = format!(r#"{{__name__=~".+", job!~"socialize/.+|{NAMESPACE}/{SERVICE}"}}"#);
    let scraped = prometheus.names(&scraped).await.expect("the names of what was scraped");
    let shared: Vec<&String> = scraped.intersection(ours).collect();
    assert!(shared.is_empty(), "scraped, and under names of the application: {shared:?}");

    // Evaluated once a minute.
    let recorded = eventually("that rules record something", async || {
        prometheus.number(r#"max({__name__=~"socialize:.+"})"#).await
    })
    .await;
    assert!(recorded < IMPOSSIBLE, "a recording rule has counted the other service: {recorded}");
    pages(client).await
}

/// Number of names on the programs' own pages.
async fn pages(client: &Client) -> (usize, usize) {
    let mut names = BTreeSet::new();
    for (program, url) in PAGES {
        let page = client.get(url).send().await.unwrap_or_else(|error| panic!("{program}: {error:?}"));
        let page = page.text().await.unwrap_or_else(|error| panic!("{program}: {error:?}"));
        let series = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let of_it: BTreeSet<String> =
            series.map(|line| line.split(['{', ' ']).next().unwrap_or_default().to_owned()).collect();
        assert!(of_it.len() > 20, "{program} has {} metrics", of_it.len());
        names.extend(of_it);
    }
    (names.len(), PAGES.len())
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970")
}

fn now() -> String {
    since_1970().as_nanos().to_string()
}

fn text(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

fn resource() -> Value {
    json!({"attributes": [
        text("service.namespace", NAMESPACE),
        text("service.name", SERVICE),
        text("service.instance.id", "shop-1"),
        text("deployment.environment.name", "production"),
    ]})
}

/// Points of failed requests of 16 to 32 seconds, and the same for database operations and calls.
fn points(count: u64) -> Value {
    let started = "1700000000000000000";
    let attributes = |more: &[(&str, &str)]| -> Vec<Value> {
        more.iter().map(|(name, value)| text(name, value)).collect()
    };
    let histogram = |name: &str, more: &[(&str, &str)]| {
        json!({"name": name, "unit": "s", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [{
            "timeUnixNano": now(), "startTimeUnixNano": started, "count": count.to_string(),
            "sum": count as f64 * 30.0, "scale": 0, "zeroCount": "0",
            "positive": {"offset": 4, "bucketCounts": [count.to_string()]}, "attributes": attributes(more),
        }]}})
    };
    let level = |name: &str, unit: &str| {
        json!({"name": name, "unit": unit, "sum": {"aggregationTemporality": 2, "isMonotonic": false, "dataPoints": [{
            "timeUnixNano": now(), "startTimeUnixNano": started, "asInt": (MANY * 100).to_string(),
            "attributes": [],
        }]}})
    };
    let request = [
        ("http.route", "/basket"),
        ("http.request.method", "GET"),
        ("http.response.status_code", "500"),
        ("error.type", "internal"),
    ];
    let metrics = json!([
        histogram("http.server.request.duration", &request),
        histogram("http.client.request.duration", &[("error.type", "timeout")]),
        histogram("db.client.operation.duration", &[("error.type", "timeout")]),
        level("http.server.active_requests", "{request}"),
        level("process.memory.usage", "By"),
    ]);
    json!({"resourceMetrics": [{"resource": resource(), "scopeMetrics": [{"scope": {}, "metrics": metrics}]}]})
}

/// A span of a request that failed after half a minute.
pub(crate) fn span(number: u64) -> Value {
    let started = (since_1970() - Duration::from_secs(30)).as_nanos().to_string();
    let span = json!({
        "traceId": TRACE, "spanId": format!("{number:016x}"), "name": "GET /basket", "kind": 2,
        "startTimeUnixNano": started, "endTimeUnixNano": now(),
        "attributes": [text("http.route", "/basket"), text("error.type", "internal")],
        "status": {"code": 2},
    });
    json!({"resourceSpans": [{"resource": resource(), "scopeSpans": [{"scope": {}, "spans": [span]}]}]})
}

/// The request's log line.
fn line() -> Value {
    let line = json!({
        "timeUnixNano": now(), "severityNumber": 17, "severityText": "error",
        "body": {"stringValue": "http.server.request"}, "attributes": [text("http.route", "/basket")],
    });
    json!({"resourceLogs": [{"resource": resource(), "scopeLogs": [{"scope": {}, "logRecords": [line]}]}]})
}

/// Returns whether a store's result belongs to the other service.
pub(crate) fn is_in(shown: &Value) -> bool {
    let shown = shown.to_string();
    shown.contains(&format!("\"{NAMESPACE}\"")) || shown.contains(&format!("\"{SERVICE}\""))
}

#[test]
fn what_alloy_counts_rises_and_the_rest_of_its_page_stays() {
    let page = "# TYPE x counter\nhttp_server_request_duration_seconds_count{a=\"b c\"} 20\nother 20\n";
    let after_five = "# TYPE x counter\nhttp_server_request_duration_seconds_count{a=\"b c\"} 30\nother 20\n";
    assert_eq!(risen(page, 5), after_five);
}
