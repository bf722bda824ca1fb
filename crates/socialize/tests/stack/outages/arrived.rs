//! Contents of the stores.

use std::collections::{BTreeMap, BTreeSet};

use catalogue::metrics;
use futures_util::{StreamExt, stream};
use reqwest::Client;
use serde_json::Value;
use signal::metric::MetricDescription;

use super::written::LineId;
use crate::prometheus::{Prometheus, get, now};
use crate::signals::{self, MOST_LINES};

/// Number of points that the collector had accepted before this collection, according to the API.
const EXPORTED: &str = r#"telemetry_items_exported_total{job="socialize/socialize-api", signal="metrics"}"#;

/// Number of dropped points, according to the API.
const DROPPED: &str =
    r#"sum(telemetry_items_dropped_total{job="socialize/socialize-api", signal="metrics"})"#;

/// Number of requests counted by the API.
const REQUESTS: &str =
    r#"sum(histogram_count(http_server_request_duration_seconds{job="socialize/socialize-api"}))"#;

/// Longer than the test.
const ALWAYS: &str = "2h";

/// Maximum number of traces that are requested one by one. If there are more, a search has to find some.
const MOST_ASKED_FOR: usize = 700;

/// Number of concurrent trace requests.
const AT_ONCE: usize = 8;

/// Lines in Loki written at this time or later, with the number of copies.
pub(super) async fn lines(client: &Client, since: u64) -> Result<BTreeMap<LineId, usize>, String> {
    let mut all = BTreeMap::new();
    let mut start = since;
    loop {
        let page =
            signals::lines_after(client, r#"{service_namespace="socialize"}"#, start, "forward").await?;
        let last = page.iter().map(|line| line.time).max().unwrap_or_default();
        let is_last_page = page.len() < MOST_LINES;
        for line in &page {
            // Other lines may share the time of the last one, so the next page begins with it.
            if is_last_page || line.time < last {
                let id = |name: &str| line.metadata[name].as_str().unwrap_or_default().to_owned();
                let line = (line.time, line.text.clone(), id("trace_id"), id("span_id"));
                *all.entry(line).or_default() += 1;
            }
        }
        if is_last_page {
            return Ok(all);
        }
        if last == start {
            return Err(format!("{MOST_LINES} lines at one time"));
        }
        start = last;
    }
}

/// Spans in Tempo, by trace.
#[derive(Default)]
pub(super) struct Spans(BTreeMap<String, BTreeSet<String>>);

impl Spans {
    /// Searches Tempo for the API's spans since this time, in nanoseconds, requests traces that are too
    /// recent for a search, and returns the number of expected spans found.
    pub(super) async fn look(
        &mut self,
        client: &Client,
        since: u64,
        expected: &BTreeMap<String, u64>,
    ) -> Result<u64, String> {
        for (trace, spans) in search(client, since).await? {
            self.0.entry(trace).or_default().extend(spans);
        }
        let is_incomplete = |(trace, spans): &(&String, &u64)| self.found(trace) < **spans;
        let incomplete: Vec<&String> =
            expected.iter().filter(is_incomplete).map(|(trace, _)| trace).collect();
        if incomplete.len() <= MOST_ASKED_FOR {
            let asked = stream::iter(incomplete)
                .map(async |trace| (trace.clone(), signals::spans(client, trace).await))
                .buffer_unordered(AT_ONCE);
            for (trace, spans) in asked.collect::<Vec<_>>().await {
                // A trace without any span in the store is an error.
                let ids = spans.unwrap_or_default().into_iter().map(|span| span.id);
                self.0.entry(trace).or_default().extend(ids);
            }
        }
        Ok(expected.keys().map(|trace| self.found(trace)).sum())
    }

    fn found(&self, trace: &str) -> u64 {
        self.0.get(trace).map_or(0, |spans| spans.len() as u64)
    }
}

/// All spans of the API that a search finds, by trace.
async fn search(client: &Client, since: u64) -> Result<Vec<(String, Vec<String>)>, String> {
    let (start, end) = ((since / 1_000_000_000).to_string(), (now() + 60).to_string());
    let parameters = [
        ("q", r#"{resource.service.name="socialize-api"}"#),
        ("start", &*start),
        ("end", &*end),
        // More traces than exist, with the maximum number of spans of each.
        ("limit", "100000"),
        ("spss", "100"),
    ];
    let found = get(client, "http://tempo:3200/api/search", &parameters).await?;
    let id = |id: &Value, digits: usize| format!("{:0>digits$}", id.as_str().unwrap_or_default());
    let traces = found["traces"].as_array().into_iter().flatten();
    let spans = |trace: &Value| {
        let sets = trace["spanSets"].as_array().into_iter().flatten();
        let spans = sets.flat_map(|set| set["spans"].as_array().into_iter().flatten());
        spans.map(|span| id(&span["spanID"], 16)).collect()
    };
    Ok(traces.map(|trace| (id(&trace["traceID"], 32), spans(trace))).collect())
}

/// Points of the API in Prometheus, and their expected number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Points {
    /// Accepted by the collector before the newest collection in the store, according to the API.
    pub(super) accepted: u64,
    /// Dropped before that.
    pub(super) dropped: u64,
    /// In the store and older than that collection.
    pub(super) arrived: u64,
    /// Requests counted by that collection.
    pub(super) requests: u64,
}

impl Points {
    pub(super) async fn read(prometheus: &Prometheus) -> Result<Self, String> {
        let newest = prometheus.instant(&format!("{EXPORTED}[{ALWAYS}]")).await?;
        let samples = newest.first().and_then(|series| series["values"].as_array());
        let newest = samples.and_then(|samples| samples.last()).ok_or("no collection has arrived")?;
        let time = newest[0].as_f64().ok_or("a sample without a time")?;
        let accepted = number(&newest[1])?;
        let arrived = at(prometheus, &all_points(), time - 0.001).await?;
        let dropped = at(prometheus, DROPPED, time).await?;
        Ok(Self { accepted, dropped, arrived, requests: at(prometheus, REQUESTS, time).await? })
    }
}

/// Number of the API's points: one per sample.
fn all_points() -> String {
    let of_metric = |metric: &MetricDescription| {
        let name = metric.prometheus_name();
        format!(r#"(sum(count_over_time({name}{{job="socialize/socialize-api"}}[{ALWAYS}])) or vector(0))"#)
    };
    let metrics = metrics::all();
    let counts: Vec<String> = metrics.iter().map(of_metric).collect();
    counts.join(" + ")
}

/// Value of a query at a time; 0 if it has none.
async fn at(prometheus: &Prometheus, query: &str, time: f64) -> Result<u64, String> {
    let time = format!("{time:.3}");
    let data = prometheus.get("/api/v1/query", &[("query", query), ("time", &*time)]).await?;
    data["result"][0]["value"].get(1).map_or(Ok(0), number)
}

fn number(value: &Value) -> Result<u64, String> {
    let number: Option<f64> = value.as_str().and_then(|text| text.parse().ok());
    number.map(|number| number as u64).ok_or_else(|| format!("{value} is no number"))
}
