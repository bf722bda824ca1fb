//! A process whose worker threads all hang: its other threads report that, and none reports health.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use catalogue::labels::Role;
use clap::Parser;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};
use otlp_sink::OtlpSink;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use socialize::run::config::{Arguments, Command, Settings};
use socialize::run::{command, serve};
use test_support::TestDatabase;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};

/// Timeout for the slowest machine; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

const WORKERS: usize = 2;

fn settings(database_url: &str, endpoint: &str, directory: &str) -> Settings {
    let arguments = [
        "socialize",
        "serve",
        "--database-url",
        database_url,
        "--listen",
        "127.0.0.1:0",
        "--operations-listen",
        "127.0.0.1:0",
        "--mail-from",
        "Socialize <socialize@example.com>",
        "--mail-directory",
        directory,
        "--blobs-directory",
        directory,
    ];
    let Command::Serve(arguments) = Arguments::parse_from(arguments).command else { unreachable!("it is") };
    let variables = [
        ("SOCIALIZE_SECRET", "a-server-secret-of-tests-that-nobody-may-ever-see"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Settings::check(&arguments, &variables).expect("settings without mistakes")
}

async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} never happened");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Blocks every worker thread until the sender is dropped.
fn block(server: &Runtime) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (released, blocked) = (Arc::new(Mutex::new(released)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..WORKERS {
        let (released, blocked) = (released.clone(), blocked.clone());
        server.spawn(async move {
            blocked.fetch_add(1, Ordering::Relaxed);
            // One waits for the channel and the others for the lock.
            let _ = released.lock().map(|released| released.recv());
        });
    }
    let deadline = Instant::now() + PATIENCE;
    while blocked.load(Ordering::Relaxed) < WORKERS {
        assert!(Instant::now() < deadline, "not every worker thread is blocked");
        std::thread::yield_now();
    }
    release
}

/// All metrics that arrived after the first `known` requests.
fn arrived(sink: &OtlpSink, known: usize) -> Vec<Metric> {
    let metrics = sink.metrics().into_iter().skip(known).flat_map(|request| request.resource_metrics);
    metrics.flat_map(|metrics| metrics.scope_metrics).flat_map(|metrics| metrics.metrics).collect()
}

/// Value and time of each report of a gauge.
fn reports(metrics: &[Metric], name: &str) -> Vec<(f64, f64)> {
    let mut reports = Vec::new();
    for metric in metrics.iter().filter(|metric| metric.name == name) {
        let Some(metric::Data::Gauge(gauge)) = &metric.data else { panic!("{name} is no gauge") };
        for point in &gauge.data_points {
            let Some(number_data_point::Value::AsDouble(value)) = point.value else { panic!("no number") };
            reports.push((value, point.time_unix_nano as f64 / 1e9));
        }
    }
    reports
}

#[tokio::test]
async fn a_process_that_hangs_is_not_alive_and_does_not_say_that_its_dependencies_are_up() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let database = TestDatabase::create().await;
    let sink = OtlpSink::start();
    let directory = tempfile::tempdir().expect("a directory");
    let settings =
        settings(database.url(), sink.endpoint(), directory.path().to_str().expect("a path of UTF-8"));
    let mut server = tokio::runtime::Builder::new_multi_thread();
    let server = server.worker_threads(WORKERS).enable_all().build().expect("a runtime");
    let (stop, stopped) = watch::channel(());
    let (listening, listens) = oneshot::channel();
    let running = server.spawn(serve::run_until(settings, Role::Serve, stopped, |addresses| {
        let _ = listening.send((addresses.public, addresses.operations));
    }));
    let (public, operations) = listens.await.expect("it listens");
    let public = public.expect("a public listener");
    let client = Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().expect("a client");
    let get = async |path: &str| {
        let answer = client.get(format!("http://{operations}{path}")).send().await.expect("an answer");
        let status = answer.status();
        (status, answer.text().await.expect("a text"))
    };
    let is_up = |text: &str| text.contains("socialize_dependency_up{dependency=\"postgres\"} 1\n");

    eventually("readiness", async || (get("/health/ready").await.0 == StatusCode::OK).then_some(())).await;
    assert_eq!(get("/health/live").await.0, StatusCode::OK);
    assert!(is_up(&get("/metrics").await.1));

    let release = block(&server);
    eventually("liveness to fail", async || {
        (get("/health/live").await.0 == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    eventually("readiness to fail", async || {
        (get("/health/ready").await.0 == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    let health = command::check_health(&operations.to_string()).await.expect("an answer");
    assert_eq!(format!("{health:?}"), format!("{:?}", std::process::ExitCode::FAILURE), "for Docker as well");
    let (status, detail) = get("/health").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let detail: Value = serde_json::from_str(&detail).expect("JSON");
    assert_eq!(detail["health"]["live"], false);
    for dependency in detail["health"]["dependencies"].as_array().expect("dependencies") {
        assert_eq!((&dependency["state"], &dependency["error.type"]), (&"unknown".into(), &"stale".into()));
    }
    assert!(!get("/metrics").await.1.contains("socialize_dependency_up{"));
    let of_users = client.get(format!("http://{public}/health/live")).send().await;
    assert!(of_users.is_err_and(|error| error.is_timeout()), "nobody answers users");

    // The metrics thread keeps sending, so the age of its values must show the hang.
    let known = sink.metrics().len();
    let metrics = eventually("two more collections", async || {
        let metrics = arrived(&sink, known);
        (reports(&metrics, "socialize.heartbeat.time").len() > 2).then_some(metrics)
    })
    .await;
    for (heartbeat, reported) in reports(&metrics, "socialize.heartbeat.time") {
        assert!(reported - heartbeat > 5.0, "it is {} s old", reported - heartbeat);
    }
    assert_eq!(reports(&metrics, "socialize.dependency.up"), []);

    drop(release);
    eventually("recovery", async || (get("/health/ready").await.0 == StatusCode::OK).then_some(())).await;
    assert_eq!(get("/health/live").await.0, StatusCode::OK);
    assert!(is_up(&get("/metrics").await.1));
    drop(stop);
    running.await.expect("the task ends").expect("it ends well");
    server.shutdown_background();
}
