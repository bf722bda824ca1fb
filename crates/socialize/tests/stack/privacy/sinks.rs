//! Everything that the application and the stack have stored or show, as bytes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cluster::Cluster;
use futures_util::{StreamExt, stream};
use reqwest::Client;
use serde_json::Value;

use super::peers::Peers;
use crate::application::{API, Application, Build};
use crate::compose::Compose;
use crate::programs::eventually;
use crate::prometheus::now;

const LOKI: &str = "http://loki:3100";
const TEMPO: &str = "http://tempo:3200";
const PROMETHEUS: &str = "http://prometheus:9090";

/// Directory of the application's log files for the collector.
pub(super) const LOG_FILES: &str = "/var/log/socialize";

/// Maximum wait for spans whose lines have arrived.
const LAST_SPANS: Duration = Duration::from_secs(30);

/// Maximum number of lines in a response of Loki.
const PAGE: usize = 5000;

/// A place to search.
pub(crate) struct Sink {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// Amount of searched data.
#[derive(Default)]
pub(crate) struct Seen {
    /// In the application's files, and in Loki.
    pub(crate) written_lines: usize,
    pub(crate) lines: usize,
    /// Named by lines, and in Tempo.
    pub(crate) named_traces: usize,
    pub(crate) traces: usize,
    pub(crate) series: usize,
}

/// Locations of all sinks.
pub(crate) struct Places<'a> {
    pub(crate) client: &'a Client,
    pub(crate) compose: &'a Compose,
    pub(crate) postgres: &'a Cluster,
    pub(crate) build: &'a Build<'a>,
    pub(crate) logs: &'a Path,
    pub(crate) peers: &'a Peers,
}

impl Places<'_> {
    /// Reads everything, after the stores have all telemetry up to the request with this id.
    pub(crate) async fn all(&self, last_request: &str) -> (Vec<Sink>, Seen) {
        self.arrived(last_request).await;
        let mut seen = Seen::default();
        let mut sinks = Vec::new();
        let mut sink = |name, bytes| sinks.push(Sink { name, bytes });
        let programs = files(self.logs, |name| ["api.log", "worker.log", "migrate.log"].contains(&name));
        sink("standard output and error", programs);
        let peers = files(self.logs, |name| {
            ["otelcol.log", "loki.log", "tempo.log", "prometheus.log"].contains(&name)
        });
        sink("output of the stack's programs", peers);
        let lines = files(Path::new(LOG_FILES), |_| true);
        let traces = values_of(&lines, "\"trace_id\":\"");
        seen.written_lines = lines.iter().filter(|byte| **byte == b'\n').count();
        seen.named_traces = traces.len();
        sink("log files", lines);
        sink("OTLP, on the wire", self.peers.sent_to_collector());
        let (bytes, series) = self.prometheus().await;
        seen.series = series;
        sink("Prometheus", bytes);
        // Only the API's last line was waited for: the worker's may still be in flight.
        let (bytes, count) = eventually("that all lines are in Loki", async || {
            let (bytes, count) = self.loki().await;
            if count >= seen.written_lines {
                Ok((bytes, count))
            } else {
                Err(format!("{count} of {}", seen.written_lines))
            }
        })
        .await;
        seen.lines = count;
        sink("Loki", bytes);
        let (bytes, count) = self.tempo(&traces).await;
        seen.traces = count;
        sink("Tempo", bytes);
        let from_both = async |path: &str| {
            [
                self.get(&format!("http://api:9464{path}")).await,
                self.get(&format!("http://worker:9464{path}")).await,
            ]
            .concat()
        };
        sink("/metrics", from_both("/metrics").await);
        let public = self.get(&format!("{API}/health")).await;
        sink("health, in detail", [from_both("/health").await, from_both("/build").await, public].concat());
        sink("error columns of jobs", self.errors_of_jobs().await);
        sink("dead-letters list", self.output("worker", &["dead-letters", "list", "--json"], &[]));
        sink("doctor", self.output("api", &["doctor"], &[]));
        (sinks, seen)
    }

    /// Every series of the processes except gauges, which come and go.
    pub(crate) async fn counted_series(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for process in ["api", "worker"] {
            let text = self.get(&format!("http://{process}:9464/metrics")).await;
            let text = String::from_utf8(text).expect("UTF-8");
            let gauges: BTreeSet<&str> = text
                .lines()
                .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" gauge"))
                .collect();
            let samples = text.lines().filter(|line| !line.starts_with('#'));
            let series = samples.filter_map(|line| Some(line.rsplit_once(' ')?.0));
            let name = |series: &&str| !gauges.contains(series.split('{').next().unwrap_or_default());
            all.extend(series.filter(name).map(|series| format!("{process}: {series}")));
        }
        all
    }

    async fn arrived(&self, last_request: &str) {
        let since = now();
        eventually("that the last line is in Loki", async || {
            let query = format!(r#"{{service_namespace="socialize"}} | trace_id="{last_request}""#);
            let found = self.lines(&query, 0).await?;
            if found.1.is_empty() { Err("not yet".to_owned()) } else { Ok(()) }
        })
        .await;
        eventually("that the last span is in Tempo", async || {
            let answer = self.client.get(format!("{TEMPO}/api/v2/traces/{last_request}")).send().await;
            let answer = answer.map_err(|error| format!("{error:?}"))?;
            let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
            if text.contains("resourceSpans") { Ok(()) } else { Err(text) }
        })
        .await;
        eventually("that all points are in Prometheus", async || {
            let query = "min(socialize_heartbeat_time_seconds)";
            let url = url(&format!("{PROMETHEUS}/api/v1/query"), &[("query", query)]);
            let body: Value = self.json(url).await?;
            let beat =
                body["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
            match beat {
                Some(beat) if beat > since as f64 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// Series, labels, metadata and exemplars.
    async fn prometheus(&self) -> (Vec<u8>, usize) {
        let every = r#"{__name__=~".+"}"#;
        let start = (now() - 3600).to_string();
        let end = (now() + 60).to_string();
        let window = [("start", start.as_str()), ("end", end.as_str())];
        let asked = |path: &str, more: &[(&str, &str)]| {
            url(&format!("{PROMETHEUS}/api/v1/{path}"), &[&window[..], more].concat())
        };
        let series = self.bytes(asked("series", &[("match[]", every)])).await;
        let count =
            serde_json::from_slice::<Value>(&series).expect("series")["data"].as_array().map_or(0, Vec::len);
        let labels = self.bytes(asked("labels", &[])).await;
        let names: Value = serde_json::from_slice(&labels).expect("labels");
        let mut all = [series, labels].concat();
        for name in names["data"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            all.extend(self.bytes(asked(&format!("label/{name}/values"), &[])).await);
        }
        for path in ["metadata", "targets", "targets/metadata", "rules", "alerts", "status/tsdb"] {
            all.extend(self.bytes(asked(path, &[])).await);
        }
        all.extend(self.bytes(asked("query_exemplars", &[("query", every)])).await);
        // Data on disk that has not been compacted yet.
        all.extend(files(Path::new("/prometheus"), |_| true));
        (all, count)
    }

    /// All lines of all streams with their structured metadata and labels.
    async fn loki(&self) -> (Vec<u8>, usize) {
        let mut all = Vec::new();
        let (mut count, mut after) = (0, 0);
        loop {
            let page = self.lines(r#"{service_name=~".+"}"#, after).await.expect("lines");
            count += page.1.len();
            all.extend(page.0);
            // The next page begins with the newest lines of this one, because others may share their time.
            match page.1.iter().max() {
                Some(last) if *last > after => after = *last,
                _ => break,
            }
            count -= page.1.iter().filter(|time| **time == after).count();
        }
        for path in ["labels", "series?match[]={service_name=~\".%2B\"}"] {
            all.extend(self.get(&format!("{LOKI}/loki/api/v1/{path}")).await);
        }
        for label in ["service_name", "service_namespace", "deployment_environment_name"] {
            all.extend(self.get(&format!("{LOKI}/loki/api/v1/label/{label}/values")).await);
        }
        all.extend(
            self.get(&format!("{LOKI}/loki/api/v1/detected_fields?query={{service_name=~\".%2B\"}}")).await,
        );
        (all, count)
    }

    /// A page of lines, oldest first, as bytes and with their times.
    async fn lines(&self, query: &str, after: u64) -> Result<(Vec<u8>, Vec<u64>), String> {
        let start = if after == 0 { (now() - 3600) * 1_000_000_000 } else { after };
        let (start, end) = (start.to_string(), format!("{}000000000", now() + 60));
        let limit = PAGE.to_string();
        let parameters = [
            ("query", query),
            ("start", &*start),
            ("end", &*end),
            ("limit", &*limit),
            ("direction", "forward"),
        ];
        let request = self.client.get(url(&format!("{LOKI}/loki/api/v1/query_range"), &parameters));
        let request = request.header("X-Loki-Response-Encoding-Flags", "categorize-labels");
        let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
        let bytes = answer.bytes().await.map_err(|error| format!("{error:?}"))?.to_vec();
        let body: Value = serde_json::from_slice(&bytes)
            .map_err(|_| format!("{query}: {}", String::from_utf8_lossy(&bytes)))?;
        let streams = body["data"]["result"].as_array().into_iter().flatten();
        let values = streams.flat_map(|stream| stream["values"].as_array().into_iter().flatten());
        let times = values.filter_map(|value| value[0].as_str()?.parse().ok()).collect();
        Ok((bytes, times))
    }

    /// Every trace named by a line, all attribute names and values, and the files on disk.
    async fn tempo(&self, traces: &BTreeSet<String>) -> (Vec<u8>, usize) {
        // The worker's last spans arrive after its lines.
        let deadline = Instant::now() + LAST_SPANS;
        let fetched =
            stream::iter(traces).map(async |trace| self.trace(trace, deadline).await).buffer_unordered(4);
        let fetched: Vec<Vec<u8>> = fetched.collect().await;
        let count = fetched.iter().filter(|bytes| has_spans(bytes)).count();
        let mut all = fetched.concat();
        all.extend(self.get(&format!("{TEMPO}/api/v2/search/tags")).await);
        all.extend(files(Path::new("/var/tempo"), |_| true));
        (all, count)
    }

    /// A trace, or Tempo's error after the deadline: spans of a killed process never arrive.
    async fn trace(&self, id: &str, deadline: Instant) -> Vec<u8> {
        loop {
            let bytes = self.get(&format!("{TEMPO}/api/v2/traces/{id}")).await;
            if has_spans(&bytes) || Instant::now() > deadline {
                return bytes;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn errors_of_jobs(&self) -> Vec<u8> {
        let pool =
            sqlx::PgPool::connect(self.postgres.url("socialize").expose()).await.expect("a connection");
        // All columns, because the table contains only ids.
        let rows: Vec<String> = sqlx::query_scalar("select row_to_json(jobs)::text from jobs order by id")
            .fetch_all(&pool)
            .await
            .expect("rows");
        pool.close().await;
        rows.join("\n").into_bytes()
    }

    /// Output of a command.
    pub(crate) fn output(&self, service: &str, arguments: &[&str], otherwise: &[(&str, &str)]) -> Vec<u8> {
        let of_service = Application::command(self.postgres, self.compose, service, self.build);
        let mut command = Command::new(self.build.program);
        let environment = of_service.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.args(arguments).env_clear().envs(environment).envs(otherwise.iter().copied());
        let output = command.output().expect("it can be started");
        assert!(!output.stdout.is_empty() || !output.stderr.is_empty(), "{arguments:?} says nothing");
        [output.stdout, output.stderr].concat()
    }

    async fn get(&self, url: &str) -> Vec<u8> {
        self.bytes(url.parse().expect("a URL")).await
    }

    async fn bytes(&self, url: url::Url) -> Vec<u8> {
        // A busy store may close a connection without a response.
        eventually(&format!("that {url} answers"), async || {
            let answer = self.client.get(url.clone()).send().await.map_err(|error| format!("{error:?}"))?;
            Ok(answer.bytes().await.map_err(|error| format!("{error:?}"))?.to_vec())
        })
        .await
    }

    async fn json(&self, url: url::Url) -> Result<Value, String> {
        let answer = self.client.get(url).send().await.map_err(|error| format!("{error:?}"))?;
        answer.json().await.map_err(|error| format!("{error:?}"))
    }
}

fn has_spans(answer: &[u8]) -> bool {
    String::from_utf8_lossy(answer).contains("resourceSpans")
}

fn url(base: &str, parameters: &[(&str, &str)]) -> url::Url {
    url::Url::parse_with_params(base, parameters).expect("a URL")
}

/// Contents of all files below a directory with wanted names.
pub(super) fn files(directory: &Path, is_wanted: fn(&str) -> bool) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(files(&path, is_wanted));
        } else if is_wanted(&entry.file_name().to_string_lossy()) {
            // A store may have deleted it meanwhile.
            all.extend(std::fs::read(&path).unwrap_or_default());
        }
    }
    all
}

/// Texts between a prefix and the next quotation mark.
pub(super) fn values_of(lines: &[u8], before: &str) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(lines);
    text.split(before).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}
