//! The application's own account: the lines in its files, and its counters.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chrono::DateTime;
use reqwest::Client;
use serde_json::Value;
use signal::builtin::Signal;
use telemetry::ClosedSet;

/// Directory of the application's log files for the collector.
const LOG_DIRECTORY: &str = "/var/log/socialize";

/// The API's metrics.
const METRICS: &str = "http://api:9464/metrics";

/// Identity of a line: its time in nanoseconds since 1970, its event, and its ids.
pub(super) type LineId = (u64, String, String, String);

/// Lines in files.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) ids: BTreeSet<LineId>,
    /// Number of lines with the same identity as another one.
    pub(super) alike: usize,
    /// Number of lines of each request.
    pub(super) requests: BTreeMap<String, usize>,
    /// Number of spans of each request: its own, and one per database operation.
    pub(super) spans: BTreeMap<String, u64>,
}

impl Lines {
    /// Lines of both processes written at this time or later.
    pub(super) fn since(time: u64) -> Self {
        let mut lines = Self::default();
        for path in files() {
            let text = std::fs::read_to_string(&path).expect("a log file");
            for line in text.lines() {
                // The newest line may be incomplete.
                let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
                lines.add(&line, time);
            }
        }
        lines
    }

    fn add(&mut self, line: &Value, since: u64) {
        let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let time = DateTime::parse_from_rfc3339(&field("timestamp")).expect("a time");
        let time = time.timestamp_nanos_opt().expect("a time of our days").cast_unsigned();
        if time < since {
            return;
        }
        let (event, trace) = (field("event"), field("trace_id"));
        if event == "http.server.request" {
            *self.requests.entry(trace.clone()).or_default() += 1;
            let operations = line["db.operations"].as_u64().unwrap_or_default();
            *self.spans.entry(trace.clone()).or_default() += 1 + operations;
        }
        if !self.ids.insert((time, event, trace, field("span_id"))) {
            self.alike += 1;
        }
    }
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(LOG_DIRECTORY).expect("the directory of log files");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// Number of rotated files of the API.
pub(super) fn rotations() -> usize {
    let is_set_aside = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("api.") && name != "api.jsonl"
    };
    files().iter().filter(is_set_aside).count()
}

/// Accounting of the API's telemetry, according to its own metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) spans: Counted,
    pub(super) lines: Counted,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    /// Accepted by the collector.
    pub(super) exported: u64,
    /// Dropped for whatever reason.
    pub(super) dropped: u64,
}

impl Counters {
    pub(super) async fn read(client: &Client) -> Result<Self, String> {
        let answer = client.get(METRICS).send().await.map_err(|error| format!("{error:?}"))?;
        let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
        let of = |signal: Signal| Counted {
            exported: sum(&text, "telemetry_items_exported_total", signal),
            dropped: sum(&text, "telemetry_items_dropped_total", signal),
        };
        Ok(Self { spans: of(Signal::Traces), lines: of(Signal::Logs) })
    }
}

/// Sum of all series of a metric for this signal.
fn sum(metrics: &str, name: &str, signal: Signal) -> u64 {
    let label = format!("signal=\"{}\"", signal.as_str());
    let lines =
        metrics.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(&label));
    let values: Vec<u64> = lines
        .map(|line| line.rsplit_once(' ').and_then(|(_, value)| value.parse().ok()).expect("a whole number"))
        .collect();
    assert!(!values.is_empty(), "/metrics has no {name} of {label}");
    values.iter().sum()
}

impl std::ops::Sub for Counted {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { exported: self.exported - earlier.exported, dropped: self.dropped - earlier.dropped }
    }
}
