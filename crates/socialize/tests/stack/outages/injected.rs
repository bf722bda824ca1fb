//! Telemetry that the application never records is sent to the collector directly, and must not reach any
//! store.

use std::fmt::Write;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};
use http::StatusCode;
use serde_json::{Value, json};
use signal::builtin::Signal;

use super::world::World;
use crate::programs::eventually;
use crate::signals;

/// File with the newest lines of the API.
const LOG_FILE: &str = "/var/log/socialize/api.jsonl";

/// The collector's OTLP endpoint.
const COLLECTOR: &str = "http://alloy:4318";

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// An injected item: its place, its identifying text, and whether it may pass.
struct Injected {
    place: &'static str,
    text: &'static str,
    passes: bool,
}

const fn kept_out(place: &'static str, text: &'static str) -> Injected {
    Injected { place, text, passes: false }
}

const fn let_through(place: &'static str, text: &'static str) -> Injected {
    Injected { place, text, passes: true }
}

/// Items that may pass show that the search works.
const SPANS: &[Injected] = &[
    let_through("an allowed attribute of a span", "injected-user-of-span"),
    kept_out("an attribute of a span", "injected-attribute-of-span"),
    kept_out("text in an allowed attribute of a span", "injected text of span"),
    kept_out("bytes in an allowed attribute of a span", "injected-bytes-of-span"),
    // The allow-list's language cannot reach into links: see docs/PRIVACY.md.
    let_through("an attribute of a span's link", "injected-link"),
    kept_out("an event of a span", "injected-event"),
    kept_out("the message of a span's status", "injected-status"),
    kept_out("an attribute of a span's resource", "injected-resource"),
    kept_out("the name of a span's scope", "injected-scope"),
];

const POINTS: &[Injected] = &[
    let_through("an allowed label of a known metric", "injected-template"),
    kept_out("a label of a known metric", "injected-label"),
    kept_out("text in an allowed label of a known metric", "injected text of label"),
    kept_out("bytes in an allowed label of a known metric", "injected-bytes-of-label"),
    // The same applies to exemplars.
    let_through("an attribute of an exemplar", "injected-exemplar"),
    kept_out("a metric", "injected.metric"),
    kept_out("the description of a known metric", "injected-description"),
];

const LINES: &[Injected] = &[
    let_through("an allowed field of a line", "injected-user-of-line"),
    kept_out("a field of a line", "injected-field"),
    kept_out("a field below an allowed field of a line", "injected-nested"),
    kept_out("text in an allowed field of a line", "injected text of line"),
    kept_out("a line that is no JSON", "injected-plain-line"),
    kept_out("a line over OTLP", "injected-otlp-line"),
];

/// Injects everything and returns the results as a table.
pub(super) async fn table(world: &mut World) -> String {
    let all = [(Signal::Traces, SPANS), (Signal::Metrics, POINTS), (Signal::Logs, LINES)];
    for (signal, injected) in all {
        let texts: Vec<&str> = injected.iter().map(|one| one.text).collect();
        world.store(signal).relay.watch(&texts);
    }
    let sent = [("/v1/traces", spans()), ("/v1/metrics", points()), ("/v1/logs", otlp_line())];
    for (path, body) in sent {
        let request = world.client.post(format!("{COLLECTOR}{path}")).json(&body);
        let status = request.send().await.expect("an answer of the collector").status();
        // There is no receiver for lines.
        let expected = if path == "/v1/logs" { StatusCode::NOT_FOUND } else { StatusCode::OK };
        assert_eq!(status, expected, "{path}");
    }
    append_lines();
    arrived(world).await;

    let mut out = "| injected | reached the store |\n|---|---|\n".to_owned();
    for (signal, injected) in all {
        let store = world.store(signal);
        for Injected { place, text, passes } in injected {
            let requests = store.relay.seen(text);
            let verdict = if requests > 0 { "yes" } else { "no" };
            // Writing to a string cannot fail.
            let _ = writeln!(out, "| {place} | {}: {verdict} |", store.name);
            assert_eq!(requests > 0, *passes, "{place} in what {} was sent", store.name);
        }
    }
    out
}

/// Waits until the allowed items are in the stores, and with them everything sent together.
async fn arrived(world: &World) {
    eventually("the injected span in Tempo", async || signals::spans(&world.client, TRACE).await).await;
    eventually("the injected point in Prometheus", async || {
        world.prometheus.number(r#"socialize_email_deliveries_total{template="injected-template"}"#).await
    })
    .await;
    let line = format!(r#"{{service_name="socialize-api"}} | trace_id="{TRACE}""#);
    // An invalid JSON line is replaced by a note of its existence.
    let unparsed = r#"{service_name="socialize-api"} |= "unparsed log line""#;
    for query in [&*line, unparsed] {
        eventually("the injected lines in Loki", async || {
            let start = nanoseconds() - 3_600_000_000_000;
            let found = signals::lines_after(&world.client, query, start, "backward").await?;
            if found.is_empty() { Err(format!("{query} finds nothing")) } else { Ok(()) }
        })
        .await;
    }
}

fn nanoseconds() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    since_1970.as_nanos() as u64
}

fn attribute(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

/// Bytes, encoded as base64 in JSON.
fn bytes_attribute(name: &str, value: &str) -> Value {
    use base64::Engine;
    json!({"key": name, "value": {"bytesValue": base64::engine::general_purpose::STANDARD.encode(value)}})
}

fn resource() -> Value {
    json!({"attributes": [
        attribute("service.namespace", "socialize"),
        attribute("service.name", "socialize-injected"),
        attribute("injected", "injected-resource"),
    ]})
}

fn spans() -> Value {
    let span = json!({
        "traceId": TRACE,
        "spanId": "b7ad6b7169203331",
        "name": "GET /v1/me",
        "kind": 2,
        "startTimeUnixNano": nanoseconds().to_string(),
        "endTimeUnixNano": nanoseconds().to_string(),
        "attributes": [
            attribute("user.id", "injected-user-of-span"),
            attribute("injected", "injected-attribute-of-span"),
            attribute("http.route", "injected text of span"),
            bytes_attribute("outcome", "injected-bytes-of-span"),
        ],
        "links": [{
            "traceId": TRACE,
            "spanId": "00f067aa0ba902b7",
            "attributes": [attribute("injected", "injected-link")],
        }],
        "events": [{"timeUnixNano": nanoseconds().to_string(), "name": "injected-event"}],
        "status": {"code": 2, "message": "injected-status"},
    });
    let scope = json!({"scope": {"name": "injected-scope"}, "spans": [span]});
    json!({"resourceSpans": [{"resource": resource(), "scopeSpans": [scope]}]})
}

fn points() -> Value {
    let point = json!({
        "timeUnixNano": nanoseconds().to_string(),
        "startTimeUnixNano": nanoseconds().to_string(),
        "asInt": "1",
        "attributes": [
            attribute("template", "injected-template"),
            attribute("injected", "injected-label"),
            attribute("outcome", "injected text of label"),
            bytes_attribute("reason", "injected-bytes-of-label"),
        ],
        "exemplars": [{
            "timeUnixNano": nanoseconds().to_string(),
            "asInt": "1",
            "filteredAttributes": [attribute("injected", "injected-exemplar")],
        }],
    });
    let sum = json!({"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [point]});
    let known = json!({
        "name": "socialize.email.deliveries", "unit": "{attempt}", "description": "injected-description", "sum": sum,
    });
    let unknown = json!({"name": "injected.metric", "unit": "1", "sum": sum});
    let scope = json!({"scope": {"name": "injected-scope"}, "metrics": [known, unknown]});
    json!({"resourceMetrics": [{"resource": resource(), "scopeMetrics": [scope]}]})
}

fn otlp_line() -> Value {
    let line =
        json!({"timeUnixNano": nanoseconds().to_string(), "body": {"stringValue": "injected-otlp-line"}});
    json!({"resourceLogs": [{"resource": resource(), "scopeLogs": [{"logRecords": [line]}]}]})
}

/// Appends to the API's log file.
fn append_lines() {
    let now = DateTime::from_timestamp_nanos(nanoseconds().cast_signed());
    let line = json!({
        "timestamp": now.to_rfc3339_opts(SecondsFormat::Micros, true),
        "level": "info",
        "event": "injected",
        "trace_id": TRACE,
        "span_id": "b7ad6b7169203331",
        "user.id": "injected-user-of-line",
        "injected": "injected-field",
        "template": {"injected": "injected-nested"},
        "outcome": "injected text of line",
    });
    let mut file = OpenOptions::new().append(true).open(LOG_FILE).expect("the log file");
    // The line that arrives follows the forbidden one.
    let lines = format!("injected-plain-line\n{line}\n");
    file.write_all(lines.as_bytes()).expect("room");
}
