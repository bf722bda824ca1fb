//! A Prometheus with the translation of `deploy/`, and its results.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use console::store::metrics::{Histogram, Labels};
use serde_json::Value;
use signal::exponential::BUCKETS_PER_OCTAVE;

use crate::http::{form, post};

const CONFIGURATION: &str = "\
otlp:
  translation_strategy: UnderscoreEscapingWithSuffixes
  promote_resource_attributes: [deployment.environment.name]
storage:
  tsdb:
    out_of_order_time_window: 30d
    retention:
      time: 3650d
";

/// Timeout for the start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A value at a time.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Number(f64),
    Histogram(Histogram),
}

/// Values of each series by their times in milliseconds.
pub(crate) type Results = BTreeMap<Labels, BTreeMap<i64, Found>>;

/// A running Prometheus. It is killed when dropped.
pub(crate) struct Prometheus {
    port: u16,
    child: Child,
}

impl Prometheus {
    pub(crate) fn start(directory: &Path) -> Self {
        let configuration = directory.join("prometheus.yml");
        std::fs::write(&configuration, CONFIGURATION).expect("a file in the test's directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.expect("a free port").port();
        let log = std::fs::File::create(directory.join("log")).expect("a log file");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-otlp-receiver")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("`prometheus` is in the PATH; `./test peers` builds it");
        let prometheus = Self { port, child };
        let deadline = Instant::now() + PATIENCE;
        while prometheus.get("query", &[("query", "1")]).is_err() {
            let log = || std::fs::read_to_string(directory.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "Prometheus does not answer:\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        prometheus
    }

    /// Sends an OTLP export request.
    pub(crate) fn export(&self, body: &[u8]) {
        let response = post(self.port, "/api/v1/otlp/v1/metrics", "application/x-protobuf", body);
        response.unwrap_or_else(|error| panic!("Prometheus refused an export: {error}"));
    }

    fn get(&self, path: &str, fields: &[(&str, &str)]) -> Result<Value, String> {
        let body = form(fields);
        let path = format!("/api/v1/{path}");
        let body = post(self.port, &path, "application/x-www-form-urlencoded", body.as_bytes())?;
        let value: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        Ok(value["data"].clone())
    }

    /// Evaluates a query at one time in milliseconds.
    pub(crate) fn at(&self, query: &str, at: i64) -> Result<Results, String> {
        let data = self.get("query", &[("query", query), ("time", &seconds(at))])?;
        results(&data)
    }

    /// Evaluates a query at each step of a range in milliseconds.
    pub(crate) fn over(&self, query: &str, start: i64, end: i64, step: i64) -> Result<Results, String> {
        let (start, end, step) = (seconds(start), seconds(end), seconds(step));
        let fields = [("query", query), ("start", &*start), ("end", &*end), ("step", &*step)];
        results(&self.get("query_range", &fields)?)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn seconds(milliseconds: i64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

fn results(data: &Value) -> Result<Results, String> {
    let mut results = Results::new();
    let result = &data["result"];
    if data["resultType"] == "scalar" {
        let (at, value) = point(result, Found::Number(0.0))?;
        results.entry(Labels::default()).or_default().insert(at, value);
        return Ok(results);
    }
    for series in result.as_array().ok_or("no series")? {
        let labels = series["metric"].as_object().ok_or("no labels")?;
        let labels = labels.iter().filter(|(name, _)| *name != "__name__");
        let labels = labels.map(|(name, value)| (name.as_str().into(), value.as_str().unwrap_or("").into()));
        let values = results.entry(Labels::new(labels)).or_default();
        let list = |field: &str| series[field].as_array().cloned().unwrap_or_default();
        let single = |field: &str| series.get(field).cloned().into_iter();
        for number in list("values").iter().cloned().chain(single("value")) {
            let (at, value) = point(&number, Found::Number(0.0))?;
            values.insert(at, value);
        }
        for histogram in list("histograms").iter().cloned().chain(single("histogram")) {
            let (at, value) = point(&histogram, Found::Histogram(Histogram::default()))?;
            values.insert(at, value);
        }
    }
    Ok(results)
}

/// Reads a point of the same kind as `like`.
fn point(value: &Value, like: Found) -> Result<(i64, Found), String> {
    let at = value[0].as_f64().ok_or("no time")?;
    let at = (at * 1000.0).round() as i64;
    let value = &value[1];
    let found = match like {
        Found::Number(_) => Found::Number(number(value)?),
        Found::Histogram(_) => {
            let mut histogram = Histogram {
                count: number(&value["count"])?,
                sum: number(&value["sum"])?,
                ..Histogram::default()
            };
            for bucket in value["buckets"].as_array().into_iter().flatten() {
                let (lower, upper, count) = (number(&bucket[1])?, number(&bucket[2])?, number(&bucket[3])?);
                if lower <= 0.0 {
                    histogram.zero_count = count;
                } else {
                    let index = (upper.log2() * f64::from(BUCKETS_PER_OCTAVE)).round() as i32 - 1;
                    histogram.buckets.push((index, count));
                }
            }
            Found::Histogram(histogram)
        }
    };
    Ok((at, found))
}

fn number(value: &Value) -> Result<f64, String> {
    let text = value.as_str().ok_or("no number")?;
    text.parse().map_err(|_| format!("{text} is not a number"))
}
