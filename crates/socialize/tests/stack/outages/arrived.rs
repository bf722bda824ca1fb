//! What the stores have.

use std::collections::{BTreeMap, BTreeSet};

use domain::catalogue;
use futures_util::{StreamExt, stream};
use reqwest::Client;
use serde_json::Value;
use telemetry::catalogue::{MetricDescription, MetricKind};

use super::written::LineId;
use crate::prometheus::{Prometheus, get, now};
use crate::signals::{self, MOST_LINES};

/// How many points the collector had accepted before this collection, by the API's account.
const EXPORTED: &str = r#"telemetry_items_exported_total{job="socialize/socialize-api", signal="metrics"}"#;

/// How many points will never arrive, by the API's account.
const DROPPED: &str =
    r#"sum(telemetry_items_dropped_total{job="socialize/socialize-api", signal="metrics"})"#;

/// Requests that the API has counted.
const REQUESTS: &str = r#"sum(http_server_request_duration_seconds_count{job="socialize/socialize-api"})"#;

/// Longer than the test lasts.
const ALWAYS: &str = "2h";

/// So many traces are asked for one by one. Of more a search has to find some.
const MOST_ASKED_FOR: usize = 700;

/// How many traces are asked for at once.
const AT_ONCE: usize = 8;

/// The lines in Loki that were written at this time or later, each as often as Loki shows it.
pub(super) async fn lines(client: &Client, since: u64) -> Result<BTreeMap<LineId, usize>, String> {
    let mut all = BTreeMap::new();
    let mut start = since;
    loop {
        let page =
            signals::lines_after(client, r#"{service_namespace="socialize"}"#, start, "forward").await?;
        let last = page.iter().map(|line| line.time).max().unwrap_or_default();
        let is_last_page = page.len() < MOST_LINES;
        for line in &page {
            // Others may share the time of the last one, so the next page begins with it.
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
    /// Searches Tempo for the API's spans since this time, in nanoseconds, asks for traces that are so young that no search finds them
    /// yet, and says how many of the expected ones there are.
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
                // A trace of which nothing has arrived is an error.
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
        // More traces than there are, and as many spans of each as are handed out.
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

/// Points of the API in Prometheus, and how many there should be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Points {
    /// That the collector had accepted before the newest collection which has arrived, by the API's account.
    pub(super) accepted: u64,
    /// That had been dropped until then.
    pub(super) dropped: u64,
    /// That are there and older than that collection.
    pub(super) arrived: u64,
    /// Requests that this collection had counted.
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

/// How many points of the API there are: a sample each, and several of a histogram, of which one is counted.
fn all_points() -> String {
    let of_metric = |metric: &MetricDescription| {
        let suffix = if metric.kind == MetricKind::Histogram { "_count" } else { "" };
        let name = metric.prometheus_name();
        format!(
            r#"(sum(count_over_time({name}{suffix}{{job="socialize/socialize-api"}}[{ALWAYS}])) or vector(0))"#
        )
    };
    let metrics = catalogue::all();
    let counts: Vec<String> = metrics.iter().map(of_metric).collect();
    counts.join(" + ")
}

/// The value of a query at a time; 0 where it has none.
async fn at(prometheus: &Prometheus, query: &str, time: f64) -> Result<u64, String> {
    let time = format!("{time:.3}");
    let data = prometheus.get("/api/v1/query", &[("query", query), ("time", &*time)]).await?;
    data["result"][0]["value"].get(1).map_or(Ok(0), number)
}

fn number(value: &Value) -> Result<u64, String> {
    let number: Option<f64> = value.as_str().and_then(|text| text.parse().ok());
    number.map(|number| number as u64).ok_or_else(|| format!("{value} is no number"))
}
