//! Loads a console as two busy processes of 3,000 series each do, and prints its resident memory: 48 hours of
//! metrics at once, then an hour of metrics, 200 lines and 1,000 spans a second. At the end it prints how long the
//! dashboards of a day take.
//!
//! ```sh
//! cargo run --release -p console --example load -- [SPEED]
//! ```
//!
//! With a SPEED of 10 the hour takes six minutes: the same amount arrives in a tenth of the time. The console is a
//! process of its own, of the same program.

#![expect(clippy::print_stdout, reason = "it prints what it measures")]

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::Parser;
use console::{ConsoleArguments, Settings};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::runtime::Runtime;

use data::{HOUR, Process, Random, SECOND, process as process_of};

#[path = "../tests/differential/data.rs"]
#[expect(dead_code, reason = "the comparison uses the rest")]
mod data;
#[path = "../tests/differential/queries.rs"]
#[expect(dead_code, reason = "the comparison uses the rest")]
mod queries;

/// Most series per metric. The labels that queries name do not allow for more than about 500 series of a process.
const SERIES: usize = 52;
/// Number of further series for each of these. They do not change, as most of a process.
const QUIET: usize = 5;
/// Interval between two exports of metrics, in milliseconds.
const EXPORT: i64 = 15 * SECOND;
const HOURS_BEFORE: i64 = 48;
const LINES_A_SECOND: u64 = 200;
const TRACES_A_SECOND: u64 = 100;
/// Spans of a trace: one of a request, others of database operations.
const SPANS: u64 = 10;

/// Argument with which the program is the console itself.
const CONSOLE: &str = "console";

fn main() -> anyhow::Result<()> {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some(CONSOLE) {
        let settings = Settings::try_from(Arguments::parse_from(std::env::args().skip(1)).console)?;
        return Runtime::new()?.block_on(console::run(settings));
    }
    let speed: u32 = argument.map_or(Ok(1), |speed| speed.parse()).context("SPEED is a whole number")?;
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("api.jsonl");
    let mut child = Command::new(std::env::current_exe()?)
        .args([CONSOLE, "--address", "127.0.0.1:0", "--otlp-address", "127.0.0.1:0", "--data"])
        .arg(directory.path().join("data"))
        .arg("--logs")
        .arg(&log)
        // As `socialize console` sets it for itself.
        .env("MALLOC_MMAP_THRESHOLD_", (128 * 1024).to_string())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stderr = BufReader::new(child.stderr.take().context("no standard error")?);
    let mut line = || -> anyhow::Result<String> {
        let mut line = String::new();
        stderr.read_line(&mut line)?;
        Ok(line.trim().rsplit("//").next().unwrap_or_default().to_owned())
    };
    let (address, link) = (line()?, line()?);
    let result = load(&address, &log, child.id(), speed).and_then(|()| time_dashboards(&link));
    child.kill()?;
    child.wait()?;
    result
}

/// The console's arguments, which `socialize console` has as a subcommand.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    console: ConsoleArguments,
}

fn load(address: &str, log: &Path, process: u32, speed: u32) -> anyhow::Result<()> {
    let mut receiver = Receiver::connect(address)?;
    let mut processes = [Exporter::new("api-1", "api"), Exporter::new("worker-1", "worker")];
    let series: Vec<usize> =
        processes.iter().map(|exporter| exporter.process.series.len() * (1 + QUIET)).collect();
    println!("series of each process: {series:?}");

    let started = Instant::now();
    let now = unix_milliseconds()?;
    for at in (now - HOURS_BEFORE * HOUR..now).step_by(usize::try_from(EXPORT)?) {
        receiver.send_metrics(&mut processes, at)?;
    }
    println!("48 hours of metrics: {:.0} s, {}", started.elapsed().as_secs_f64(), resident(process)?);

    let mut log = OpenOptions::new().create(true).append(true).open(log).context("the log file")?;
    let started = Instant::now();
    let mut generator = Generator(Random::new("load"));
    let mut most = 0;
    for second in 0..3600_u32 {
        let due = started + Duration::from_secs(u64::from(second)) / speed;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let at = unix_milliseconds()?;
        if second % 15 == 0 {
            receiver.send_metrics(&mut processes, at)?;
        }
        receiver.send("/v1/traces", &generator.traces(at).encode_to_vec())?;
        log.write_all(generator.lines(at).as_bytes())?;
        most = most.max(resident(process)?.0);
        if second % 300 == 299 {
            println!("minute {:2}: {}, at most {}", second / 60 + 1, resident(process)?, Resident(most));
        }
    }
    Ok(())
}

/// Prints how long each dashboard takes with data of a day, the fastest of several times.
fn time_dashboards(link: &str) -> anyhow::Result<()> {
    let (address, token) = link.split_once("/?token=").context("no link to the pages")?;
    let (_, port) = address.rsplit_once(':').context("no port")?;
    // The others show one request, or links.
    for charts in queries::charts().iter().filter(|charts| !charts.expressions.is_empty()) {
        let name = Path::new(charts.name).file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let mut fastest = Duration::MAX;
        for _ in 0..5 {
            let mut stream = TcpStream::connect(address)?;
            let started = Instant::now();
            let request = format!(
                "GET /dashboards/{name}?range=24h HTTP/1.1\r\nhost: {address}\r\n\
                 cookie: socialize_console_{port}={token}\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(request.as_bytes())?;
            let mut response = String::new();
            stream.read_to_string(&mut response)?;
            fastest = fastest.min(started.elapsed());
            if !response.starts_with("HTTP/1.1 200") {
                bail!("/dashboards/{name} was answered with {}", response.lines().next().unwrap_or_default());
            }
        }
        println!("dashboard {name}: {fastest:.0?}");
    }
    Ok(())
}

/// Resident memory in KiB.
struct Resident(u64);

impl std::fmt::Display for Resident {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} MiB", self.0 as f64 / 1024.0)
    }
}

fn resident(process: u32) -> anyhow::Result<Resident> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("the console has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(Resident(line.trim().trim_end_matches(" kB").parse()?))
}

fn unix_milliseconds() -> anyhow::Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// A process with series that change and others that do not.
struct Exporter {
    process: Process,
    quiet: Vec<Metric>,
}

impl Exporter {
    fn new(instance: &'static str, job: &'static str) -> Self {
        let metrics = metrics(process_of(instance, job, SERIES).collect(0, 0));
        let mut quiet = Vec::new();
        for copy in 1..=QUIET {
            for mut metric in metrics.clone() {
                each_point(&mut metric, |_, attributes| {
                    attributes.push(attribute("copy", &copy.to_string()))
                });
                quiet.push(metric);
            }
        }
        Self { process: process_of(instance, job, SERIES), quiet }
    }

    /// Returns the encoded collection of a time.
    fn collection(&mut self, at: i64) -> Vec<u8> {
        let mut request = self.process.collect(at, at).unwrap_or_default();
        for metric in &mut self.quiet {
            each_point(metric, |time, _| *time = at.cast_unsigned() * 1_000_000);
        }
        if let Some(scope) = request.resource_metrics.iter_mut().flat_map(|r| &mut r.scope_metrics).next() {
            scope.metrics.extend_from_slice(&self.quiet);
        }
        request.encode_to_vec()
    }
}

fn metrics(request: Option<ExportMetricsServiceRequest>) -> Vec<Metric> {
    let resources = request.unwrap_or_default().resource_metrics;
    resources.into_iter().flat_map(|r| r.scope_metrics).flat_map(|scope| scope.metrics).collect()
}

/// Calls `change` with time and attributes of each point.
fn each_point(metric: &mut Metric, mut change: impl FnMut(&mut u64, &mut Vec<KeyValue>)) {
    let numbers = match &mut metric.data {
        Some(Data::Gauge(gauge)) => &mut gauge.data_points,
        Some(Data::Sum(sum)) => &mut sum.data_points,
        Some(Data::ExponentialHistogram(histogram)) => {
            for point in &mut histogram.data_points {
                change(&mut point.time_unix_nano, &mut point.attributes);
            }
            return;
        }
        _ => return,
    };
    for point in numbers {
        change(&mut point.time_unix_nano, &mut point.attributes);
    }
}

/// A connection to the console's receiver.
struct Receiver {
    address: String,
    stream: BufReader<TcpStream>,
}

impl Receiver {
    fn connect(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("nothing listens on {address}"))?;
        Ok(Self { address: address.to_owned(), stream: BufReader::new(stream) })
    }

    fn send_metrics(&mut self, processes: &mut [Exporter], at: i64) -> anyhow::Result<()> {
        for process in processes {
            self.send("/v1/metrics", &process.collection(at))?;
        }
        Ok(())
    }

    fn send(&mut self, path: &str, body: &[u8]) -> anyhow::Result<()> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.stream.get_mut().write_all(&[head.as_bytes(), body].concat())?;
        let (mut status, mut length) = (String::new(), 0);
        self.stream.read_line(&mut status)?;
        loop {
            let mut header = String::new();
            self.stream.read_line(&mut header)?;
            match header.trim().split_once(": ") {
                Some(("content-length", value)) => length = value.parse()?,
                Some(_) => {}
                None => break,
            }
        }
        self.stream.read_exact(&mut vec![0; length])?;
        if !status.starts_with("HTTP/1.1 200") {
            bail!("{path} was answered with {status}");
        }
        Ok(())
    }
}

/// Generates spans and lines, the same in each run.
struct Generator(Random);

impl Generator {
    /// Returns the id of one of 2,000 customers.
    fn customer(&mut self) -> String {
        format!("0193a5b0-7c1e-7d3a-9a52-{:012x}", self.0.below(2000))
    }

    fn traces(&mut self, at: i64) -> ExportTraceServiceRequest {
        let start = at.cast_unsigned() * 1_000_000;
        let mut spans = Vec::new();
        for _ in 0..TRACES_A_SECOND {
            let trace_id = [self.0.next().to_be_bytes(), self.0.next().to_be_bytes()].concat();
            let root = self.0.next().to_be_bytes().to_vec();
            let user = self.customer();
            for position in 0..SPANS {
                let begin = start + position * 300_000 + self.0.next() % 100_000;
                let mut span = Span {
                    trace_id: trace_id.clone(),
                    start_time_unix_nano: begin,
                    end_time_unix_nano: begin + self.0.next() % 2_000_000,
                    ..Span::default()
                };
                if position == 0 {
                    span.span_id.clone_from(&root);
                    (span.name, span.kind) = ("GET /v1/things/{id}".to_owned(), 2);
                    let route = format!("/v1/things/{}/{{id}}", self.0.below(40));
                    span.attributes = vec![
                        attribute("http.request.method", "GET"),
                        attribute("http.route", &route),
                        attribute("url.scheme", "http"),
                        attribute("user.id", &user),
                        attribute("organization.id", &user),
                    ];
                } else {
                    span.span_id = self.0.next().to_be_bytes().to_vec();
                    span.parent_span_id.clone_from(&root);
                    (span.name, span.kind) = (format!("select_{}", self.0.below(60)), 3);
                    span.attributes = vec![
                        attribute("db.system.name", "postgresql"),
                        attribute("db.query.summary", &span.name),
                    ];
                }
                spans.push(span);
            }
        }
        let resource =
            [("service.namespace", "socialize"), ("service.name", "api"), ("service.instance.id", "api-1")];
        let attributes = resource.map(|(key, value)| attribute(key, value)).to_vec();
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        let resource = Some(Resource { attributes, ..Resource::default() });
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }],
        }
    }

    fn lines(&mut self, at: i64) -> String {
        let mut lines = String::new();
        for number in 0..LINES_A_SECOND {
            let customer = self.customer();
            let level = if number == 0 { "error" } else { "info" };
            let status = if number == 0 { 500 } else { 200 };
            lines.push_str(&format!(
                "{{\"timestamp\":\"{}\",\"level\":\"{level}\",\
                 \"event\":\"http.server.request\",\"http.request.method\":\"GET\",\
                 \"http.route\":\"/v1/things/{}/{{id}}\",\"trace_id\":\"{:016x}{:016x}\",\"span_id\":\"{:016x}\",\
                 \"service.instance.id\":\"api-1\",\"http.response.status_code\":{status},\"duration_ms\":{}.{:06},\
                 \"user.id\":\"{customer}\",\"organization.id\":\"{customer}\"}}\n",
                console::calendar::for_machines(at),
                self.0.below(40),
                self.0.next(),
                self.0.next(),
                self.0.next(),
                self.0.below(200),
                self.0.below(1_000_000),
            ));
        }
        lines
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}
