//! Follows a request through all three stores, and checks the contents of log lines.

use std::collections::BTreeSet;

use reqwest::Client;
use serde_json::Value;
use signal::builtin::HTTP_SERVER_REQUEST_DURATION;
use signal::metric::prometheus_label;

use crate::programs::eventually;
use crate::prometheus::{Prometheus, get, now};

const LOKI: &str = "http://loki:3100";
const TEMPO: &str = "http://tempo:3200";

/// Index labels in Loki; everything else about a line is structured metadata.
const LOKI_LABELS: &[&str] = &["deployment_environment_name", "service_name", "service_namespace"];

/// Fields that Loki adds to lines received over OTLP.
const ADDED_BY_LOKI: &[&str] = &["detected_level", "severity_number", "severity_text", "span_id", "trace_id"];

/// Maximum number of lines in a response of Loki.
pub(crate) const MOST_LINES: usize = 5000;

/// Numbers for the report.
pub(crate) struct Seen {
    pub(crate) streams: usize,
    pub(crate) lines: usize,
    pub(crate) metadata_keys: usize,
    pub(crate) trace_spans: usize,
    pub(crate) exemplars: usize,
}

/// A line with its structured metadata.
pub(crate) struct Line {
    /// Time of writing, in nanoseconds since 1970.
    pub(crate) time: u64,
    pub(crate) text: String,
    pub(crate) metadata: Value,
}

/// Lines of jobs that requests enqueued.
const JOBS_OF_REQUESTS: &str = r#"{service_name="socialize-worker"} | link_trace_id != "" | job_id != """#;

/// Looks up a trace from an exemplar in Prometheus, follows requests that enqueued a job from their line in
/// Loki to their trace in Tempo and on to the job's trace, and checks the contents of lines.
pub(crate) async fn check(client: &Client, prometheus: &Prometheus) -> Seen {
    let streams = check_labels(client).await;
    let (lines, metadata_keys) = check_lines(client).await;
    let trace_spans = check_traces(client).await;
    let exemplars = check_exemplars(prometheus).await;
    Seen { streams, lines, metadata_keys, trace_spans, exemplars }
}

async fn check_labels(client: &Client) -> usize {
    let (start, end) = window();
    let parameters = [("match[]", r#"{service_namespace="socialize"}"#), ("start", &*start), ("end", &*end)];
    let body = get(client, &format!("{LOKI}/loki/api/v1/series"), &parameters).await.expect("streams");
    let streams = body["data"].as_array().expect("streams");
    let mut services = BTreeSet::new();
    for stream in streams {
        let labels: BTreeSet<&str> = stream.as_object().expect("labels").keys().map(String::as_str).collect();
        assert_eq!(labels, BTreeSet::from_iter(LOKI_LABELS.iter().copied()), "{stream}");
        services.insert(stream["service_name"].as_str().expect("a name"));
    }
    assert_eq!(services, BTreeSet::from(["socialize-api", "socialize-worker"]), "the services with lines");
    streams.len()
}

/// Checks that a line contains only the name of its event and the application's allowed fields.
async fn check_lines(client: &Client) -> (usize, usize) {
    let allowed: BTreeSet<String> = catalogue::recorded::line_fields()
        .into_iter()
        .chain(catalogue::recorded::resource::ALL)
        .map(prometheus_label)
        .chain(ADDED_BY_LOKI.iter().map(|key| (*key).to_owned()))
        .collect();
    let lines = lines(client, r#"{service_namespace="socialize"}"#).await.expect("lines");
    assert!(lines.len() > 500, "only {} lines", lines.len());
    let mut seen = BTreeSet::new();
    for line in &lines {
        let is_event =
            line.text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c));
        assert!(is_event && !line.text.is_empty(), "a line that is no event: {}", line.text);
        for (key, value) in line.metadata.as_object().expect("structured metadata") {
            assert!(allowed.contains(key), "{key} in a line of {}", line.text);
            let value = value.as_str().unwrap_or_default();
            assert!(!value.contains('@') && value != "redacted", "{key} of {}: {value}", line.text);
            seen.insert(key.clone());
        }
    }
    for key in ["trace_id", "span_id", "severity_text", "http_route", "duration_ms", "service_instance_id"] {
        assert!(seen.contains(key), "no line has {key}: {seen:?}");
    }
    (lines.len(), seen.len())
}

/// A job's line names the request that enqueued it.
async fn check_traces(client: &Client) -> usize {
    let what = "a request and the job that it enqueued, in Loki and in Tempo";
    eventually(what, async || {
        let jobs = lines(client, JOBS_OF_REQUESTS).await?;
        let mut reason = format!("{} lines of jobs with a link", jobs.len());
        for job in jobs.iter().take(20) {
            let field = |name: &str| job.metadata[name].as_str().unwrap_or_default().to_owned();
            match follow(client, &field("link_trace_id"), &field("trace_id")).await {
                Ok(spans) => return Ok(spans),
                Err(error) => reason = error,
            }
        }
        Err(reason)
    })
    .await
}

/// Returns the id of a recent request whose job has run.
pub(crate) async fn request_with_job(client: &Client) -> String {
    let jobs = lines(client, JOBS_OF_REQUESTS).await.expect("lines");
    let link = jobs.iter().find_map(|job| job.metadata["link_trace_id"].as_str());
    link.expect("a job that a request enqueued").to_owned()
}

/// Checks the request's line, its trace with spans of the request and of the database, and the job's trace,
/// which links to the request and has database spans as well. Returns the number of spans of both traces.
async fn follow(client: &Client, request: &str, job: &str) -> Result<usize, String> {
    let query =
        format!(r#"{{service_name="socialize-api"}} | trace_id="{request}" |= "http.server.request""#);
    let found = lines(client, &query).await?;
    let line = found.first().ok_or_else(|| format!("no line of the request {request}"))?;
    let span_of_line = line.metadata["span_id"].as_str().unwrap_or_default();

    let spans_of_request = spans(client, request).await?;
    let server = spans_of_request
        .iter()
        .find(|span| span.id == span_of_line)
        .ok_or_else(|| format!("no span {span_of_line} in the trace {request}"))?;
    if server.kind != "SPAN_KIND_SERVER" || server.service != "socialize-api" {
        return Err(format!("the span of a request is a {} of {}", server.kind, server.service));
    }
    let is_below = |span: &&Span, parent: &str| span.parent == parent && span.has("db.query.summary");
    if !spans_of_request.iter().any(|span| is_below(&span, &server.id)) {
        return Err(format!("no database span below the request {request}"));
    }
    let spans_of_job = spans(client, job).await?;
    let run = spans_of_job
        .iter()
        .find(|span| span.has("job.id") && span.links.iter().any(|link| link == request))
        .ok_or_else(|| format!("no span of a job in {job} links to {request}"))?;
    if run.service != "socialize-worker" {
        return Err(format!("a job of {}", run.service));
    }
    if !spans_of_job.iter().any(|span| is_below(&span, &run.id)) {
        return Err(format!("no database span below the job {job}"));
    }
    Ok(spans_of_request.len() + spans_of_job.len())
}

/// Checks that exemplars of durations name traces in Tempo of such requests. Returns the number of exemplars.
async fn check_exemplars(prometheus: &Prometheus) -> usize {
    let (start, end) = ((now() - 3600).to_string(), (now() + 60).to_string());
    let metric = HTTP_SERVER_REQUEST_DURATION.description().prometheus_name();
    eventually("a duration in Prometheus whose trace is in Tempo", async || {
        let parameters = [("query", &*metric), ("start", &*start), ("end", &*end)];
        let series = prometheus.get("/api/v1/query_exemplars", &parameters).await?;
        let exemplars: Vec<&Value> = series
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|series| series["exemplars"].as_array().into_iter().flatten())
            .collect();
        let mut reason = format!("{} durations with a trace", exemplars.len());
        for exemplar in exemplars.iter().rev().take(20) {
            let trace = exemplar["labels"]["trace_id"].as_str().unwrap_or_default();
            match spans(&prometheus.client, trace).await {
                Ok(_) => return Ok(exemplars.len()),
                Err(error) => reason = error,
            }
        }
        Err(reason)
    })
    .await
}

pub(crate) struct Span {
    pub(crate) id: String,
    parent: String,
    kind: String,
    service: String,
    attributes: Vec<String>,
    links: Vec<String>,
}

impl Span {
    fn has(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|key| key == attribute)
    }
}

pub(crate) async fn spans(client: &Client, trace: &str) -> Result<Vec<Span>, String> {
    let body = get(client, &format!("{TEMPO}/api/v2/traces/{trace}"), &[]).await?;
    let resources = body["trace"]["resourceSpans"].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for resource in &resources {
        let attributes = resource["resource"]["attributes"].as_array().into_iter().flatten();
        let service = attributes.clone().find(|attribute| attribute["key"] == "service.name");
        let service =
            service.and_then(|attribute| attribute["value"]["stringValue"].as_str()).unwrap_or_default();
        let scopes = resource["scopeSpans"].as_array().into_iter().flatten();
        for span in scopes.flat_map(|scope| scope["spans"].as_array().into_iter().flatten()) {
            let keys = span["attributes"].as_array().into_iter().flatten();
            let links = span["links"].as_array().into_iter().flatten();
            found.push(Span {
                id: hexadecimal(&span["spanId"]),
                parent: hexadecimal(&span["parentSpanId"]),
                kind: span["kind"].as_str().unwrap_or_default().to_owned(),
                service: service.to_owned(),
                attributes: keys
                    .filter_map(|attribute| attribute["key"].as_str().map(str::to_owned))
                    .collect(),
                links: links.map(|link| hexadecimal(&link["traceId"])).collect(),
            });
        }
    }
    if found.is_empty() { Err(format!("no trace {trace}")) } else { Ok(found) }
}

/// Decodes an id that Tempo encodes like bytes in protobuf's JSON.
fn hexadecimal(id: &Value) -> String {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(id.as_str().unwrap_or_default());
    bytes.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The newest lines that match.
async fn lines(client: &Client, query: &str) -> Result<Vec<Line>, String> {
    lines_after(client, query, (now() - 3600) * 1_000_000_000, "backward").await
}

/// One response of lines written at this time or later: the oldest (`forward`) or the newest (`backward`).
pub(crate) async fn lines_after(
    client: &Client,
    query: &str,
    start: u64,
    direction: &str,
) -> Result<Vec<Line>, String> {
    let (start, (_, end)) = (start.to_string(), window());
    let mut url: url::Url = format!("{LOKI}/loki/api/v1/query_range").parse().expect("a URL");
    url.query_pairs_mut().extend_pairs([
        ("query", query),
        ("start", &start),
        ("end", &end),
        ("limit", &MOST_LINES.to_string()),
        ("direction", direction),
    ]);
    // Without it Loki merges structured metadata into the labels.
    let request = client.get(url).header("X-Loki-Response-Encoding-Flags", "categorize-labels");
    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
    let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
    let body: Value = serde_json::from_str(&text).map_err(|_| format!("{query}: {text}"))?;
    let streams = body["data"]["result"].as_array().into_iter().flatten();
    let values = streams.flat_map(|stream| stream["values"].as_array().into_iter().flatten());
    Ok(values
        .map(|value| Line {
            time: value[0].as_str().and_then(|time| time.parse().ok()).unwrap_or_default(),
            text: value[1].as_str().unwrap_or_default().to_owned(),
            metadata: value[2]["structuredMetadata"].clone(),
        })
        .collect())
}

/// The whole time of the test, in nanoseconds.
fn window() -> (String, String) {
    (format!("{}000000000", now() - 3600), format!("{}000000000", now() + 60))
}
