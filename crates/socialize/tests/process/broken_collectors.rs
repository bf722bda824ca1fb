//! A collector that hangs, one that rejects everything, and none: requests are unaffected, memory is bounded,
//! and losses are counted.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use cluster::free_loopback_port;
use exposition::Exposition;
use http::Method;
use nix::sys::signal::Signal;
use otlp_sink::{Export, OtlpSink, Reaction};
use serde_json::{Value, json};
use test_support::TestDatabase;
use test_support::process::{Launch, Process, User, eventually};

/// Size of the queue of one signal.
const QUEUE_BYTES: u64 = 8 << 20;

/// The queue, the thread-local buffers before it, a batch in several forms, and the allocator's reserve. With
/// two thousand series it stayed at 29 MiB, however much was recorded.
const LARGEST_GROWTH: u64 = 36 << 20;

/// More than may stay in memory.
const VOLUME: u64 = LARGEST_GROWTH + (4 << 20);

/// Maximum delay of the exit by telemetry, plus a second for a busy machine.
const EXIT_LIMIT: Duration = Duration::from_secs(3);

/// A broken collector, or none.
enum Collector {
    Hangs(OtlpSink),
    Refuses(String),
    Absent,
}

impl Collector {
    fn hanging() -> Self {
        let sink = OtlpSink::start();
        sink.react_always(Reaction::Hang);
        Self::Hangs(sink)
    }

    fn refusing() -> Self {
        let port = free_loopback_port().expect("a free port");
        Self::Refuses(format!("http://127.0.0.1:{port}"))
    }

    fn endpoint(&self) -> Option<&str> {
        match self {
            Self::Hangs(sink) => Some(sink.endpoint()),
            Self::Refuses(endpoint) => Some(endpoint),
            Self::Absent => None,
        }
    }
}

async fn start(database: &TestDatabase, endpoint: Option<&str>, variables: &[(&str, &str)]) -> Process {
    let mut launch = Launch::serve(database.url()).without_worker().variables(variables);
    if let Some(endpoint) = endpoint {
        launch = launch.variable("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    }
    launch.start_ready().await
}

/// The parts of responses that users see: statuses, bodies without ids, and header names.
async fn conversation(process: &Process, user: &User) -> Vec<Value> {
    const LIST: &str = "/v1/organizations";
    let requests = [
        (Method::POST, LIST, json!({"name": "Analytical Engines"})),
        (Method::GET, LIST, Value::Null),
        (Method::POST, LIST, json!({"name": ""})),
        (Method::GET, "/v1/organizations/unknown", Value::Null),
        (Method::DELETE, LIST, Value::Null),
        (Method::GET, "/nothing", Value::Null),
        (Method::GET, "/health", Value::Null),
    ];
    let mut seen = Vec::new();
    for (method, path, body) in requests {
        let answer = process.call(method, path, &[user.header()], &body).await;
        let headers: BTreeSet<&str> = answer.headers.keys().map(|name| name.as_str()).collect();
        let mut fields: Vec<_> = answer.body.as_object().into_iter().flatten().collect();
        fields.retain(|(name, _)| !["id", "request_id", "created_at", "items"].contains(&name.as_str()));
        seen.push(json!([answer.status.as_u16(), fields, headers]));
    }
    seen
}

#[tokio::test]
async fn no_collector_changes_what_users_see_or_holds_up_the_exit() {
    let mut seen = Vec::new();
    for collector in [Collector::Absent, Collector::hanging(), Collector::refusing()] {
        let database = TestDatabase::create().await;
        let user = User::insert(database.pool()).await;
        let variables = [
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "50"),
            ("SOCIALIZE_LOG_LEVEL", "debug"),
        ];
        let mut process = start(&database, collector.endpoint(), &variables).await;
        seen.push(conversation(&process, &user).await);
        match &collector {
            // Both signals wait for a response that never arrives.
            Collector::Hangs(sink) => {
                let has = |signal: fn(&Export) -> bool| sink.requests().iter().any(|r| signal(&r.export));
                eventually("a request of each signal that hangs", async || {
                    let traces = has(|export| matches!(export, Export::Traces(_)));
                    (traces && has(|export| matches!(export, Export::Metrics(_)))).then_some(())
                })
                .await;
            }
            Collector::Refuses(_) => {
                eventually("a failed attempt", async || failures(&process).await.then_some(())).await;
            }
            Collector::Absent => assert_eq!(process.threads_named("otlp-"), 0, "nothing is started"),
        }

        process.signal(Signal::SIGTERM);
        process.line("the end of the drain", |line| line["event"] == "server.stopped").await;
        let drained = Instant::now();
        let status = process.wait_for_exit().await;
        assert!(drained.elapsed() < EXIT_LIMIT, "the exit took {:?}", drained.elapsed());
        assert_eq!(status.code(), Some(0), "{}", process.standard_error());

        // Recorded items are lost, and the last lines state their number.
        let lost = process.events("telemetry.items_lost");
        let lost = |signal: &str| {
            lost.iter().find(|line| line["signal"] == signal).map(|line| &line["dropped_items"])
        };
        if collector.endpoint().is_none() {
            assert_eq!((lost("traces"), lost("metrics")), (None, None));
        } else {
            let spans = process.lines().iter().filter(|line| line.get("duration_ms").is_some()).count();
            assert_eq!(lost("traces"), Some(&json!(spans)), "a span for each operation");
            assert!(lost("metrics").and_then(Value::as_u64) > Some(100), "{:?}", lost("metrics"));
        }
    }
    assert_eq!(seen[0], seen[1], "a collector that hangs changes nothing");
    assert_eq!(seen[0], seen[2], "a collector that refuses changes nothing");
}

async fn failures(process: &Process) -> bool {
    process.metrics().await.sum("telemetry_export_failures_total", &[("signal", "traces")]) > 0.0
}

#[tokio::test]
async fn a_hanging_collector_costs_bounded_memory_and_every_loss_is_counted() {
    let collector = Collector::hanging();
    let Collector::Hangs(sink) = &collector else { unreachable!("it was just made") };
    let database = TestDatabase::create().await;
    let variables = [("OTEL_EXPORTER_OTLP_TIMEOUT", "300"), ("OTEL_METRIC_EXPORT_INTERVAL", "200")];
    let mut process = start(&database, collector.endpoint(), &variables).await;
    let mut metrics = overwhelm(&process, VOLUME).await;
    assert_one_warning_per_signal(&process, "timeout");

    // Once the collector responds, all kept items arrive, each counted exactly once.
    sink.react_always(Reaction::Accept);
    eventually("an account of every span", async || {
        metrics = process.metrics().await;
        let (sent, dropped) = (sent(&metrics, "traces"), dropped(&metrics, "traces"));
        assert!(sent + dropped <= recorded_spans(&metrics), "{sent} + {dropped}");
        (sent > 0.0 && sent + dropped == recorded_spans(&metrics)).then_some(())
    })
    .await;
    assert!(dropped(&metrics, "traces") > 0.0);
    assert_eq!(metrics.value("telemetry_queue_size_bytes", &[("signal", "traces")]), 0.0);
    process.stop().await;
    let received: usize = sink
        .traces()
        .iter()
        .flat_map(|request| &request.resource_spans)
        .flat_map(|resource| &resource.scope_spans)
        .map(|scope| scope.spans.len())
        .sum();
    assert_eq!(received as f64, sent(&metrics, "traces"), "the collector has what we say that it has");
}

#[tokio::test]
async fn a_collector_that_refuses_costs_bounded_memory() {
    let collector = Collector::refusing();
    let database = TestDatabase::create().await;
    let mut process = start(&database, collector.endpoint(), &[("OTEL_METRIC_EXPORT_INTERVAL", "200")]).await;
    let metrics = overwhelm(&process, 2 * QUEUE_BYTES).await;
    assert_eq!((sent(&metrics, "traces"), sent(&metrics, "metrics")), (0.0, 0.0));
    assert_one_warning_per_signal(&process, "connection_refused");
    process.stop().await;
    let lost = process.events("telemetry.items_lost");
    let lost = lost.iter().find(|line| line["signal"] == "traces").expect("a last account");
    assert_eq!(lost["dropped_items"].as_f64(), Some(recorded_spans(&metrics)), "all of them, exactly");
}

/// Records this many bytes of spans, more than the queue holds, and checks that memory does not grow with
/// them.
async fn overwhelm(process: &Process, volume: u64) -> Exposition {
    // Log lines are not part of this test.
    let url = format!("http://{}/log-level", process.operations());
    let quiet = process.client().put(url).body("warn").send().await.expect("an answer");
    assert_eq!(quiet.status(), 200);
    let before = process.resident_bytes();
    let mut recorded = 0;
    while recorded < volume {
        let address = process.public();
        let sending = [(); 2].map(|()| tokio::task::spawn_blocking(move || send_many(address)));
        for sending in sending {
            recorded += sending.await.expect("every request is answered");
        }
        let growth = process.resident_bytes().saturating_sub(before);
        assert!(growth < LARGEST_GROWTH, "{growth} bytes more after {recorded} bytes of spans");
        let metrics = process.metrics().await;
        assert!(metrics.value("telemetry_queue_size_bytes", &[("signal", "traces")]) <= QUEUE_BYTES as f64);
    }
    let retried = ["traces", "metrics"];
    eventually("attempts after the first", async || {
        let metrics = process.metrics().await;
        let failures = |signal| metrics.sum("telemetry_export_failures_total", &[("signal", signal)]);
        retried.iter().all(|signal| failures(signal) >= 2.0).then_some(())
    })
    .await;
    let metrics = process.metrics().await;
    let queue_full = [("signal", "traces"), ("reason", "queue_full")];
    assert!(metrics.value("telemetry_items_dropped_total", &queue_full) > 0.0, "the oldest made room");
    metrics
}

/// Sends many requests on one connection without waiting for responses, and returns the minimum number of
/// bytes of their spans.
fn send_many(address: SocketAddr) -> u64 {
    const REQUESTS: usize = 5_000;
    /// A link to the caller's trace makes the span larger.
    const REQUEST: &[u8] = b"GET /nothing HTTP/1.1\r\nhost: socialize\r\n\
        traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n";
    /// Ids, times, name, five attributes, a link.
    const SPAN: u64 = 250;
    let mut stream = TcpStream::connect(address).expect("a connection");
    // Shorter than the collector's hang, so a request that waits for the collector fails this test.
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a time limit");
    stream.write_all(REQUEST).expect("a first request");
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).expect("an answer");
    assert!(answer[..length].ends_with(b"}"), "the whole answer is here");

    // Ids and dates have fixed lengths, so all responses do.
    let mut writer = stream.try_clone().expect("a second handle");
    let writing = std::thread::spawn(move || writer.write_all(&REQUEST.repeat(REQUESTS)));
    for _ in 0..REQUESTS {
        stream.read_exact(&mut answer[..length]).expect("answers keep coming");
        assert!(answer.starts_with(b"HTTP/1.1 404 Not Found\r\n"));
    }
    writing.join().expect("no panic").expect("every request is sent");
    SPAN * REQUESTS as u64
}

fn assert_one_warning_per_signal(process: &Process, failure: &str) {
    let warnings = process.events("telemetry.export.failed");
    let mut signals: Vec<&str> = warnings.iter().filter_map(|line| line["signal"].as_str()).collect();
    signals.sort_unstable();
    assert_eq!(signals, ["metrics", "traces"], "one for each signal: {warnings:?}");
    assert!(
        warnings.iter().all(|line| line["failure"] == failure && line["level"] == "warn"),
        "{warnings:?}"
    );
}

fn sent(metrics: &Exposition, signal: &str) -> f64 {
    metrics.value("telemetry_items_exported_total", &[("signal", signal)])
}

fn dropped(metrics: &Exposition, signal: &str) -> f64 {
    metrics.sum("telemetry_items_dropped_total", &[("signal", signal)])
}

/// Number of recorded spans: each operation has one.
fn recorded_spans(metrics: &Exposition) -> f64 {
    let operations = [
        "http_server_request_duration_seconds_count",
        "db_client_operation_duration_seconds_count",
        "socialize_job_run_duration_seconds_count",
        "socialize_email_deliveries_total",
    ];
    operations.iter().map(|name| metrics.sum(name, &[])).sum()
}
