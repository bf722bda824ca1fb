//! A day of load in ten minutes, which reveals per-request leaks. Run by `./test soak`.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use test_support::TestDatabase;
use test_support::process::{Launch, Process};

/// Requests a second, far below what two cores can serve.
const USUAL_RATE: f64 = 200.0;
/// Simulated people sometimes wait for each other, so the rate is not met exactly.
const LEAST_SHARE: f64 = 0.9;
/// Share of the time in which pools, caches and buffers grow to their final size.
const WARM_UP: f64 = 0.3;
const LARGEST_SLOPE: f64 = 1024.0 * 1024.0;
/// Client and database connections come and go.
const MORE_DESCRIPTORS: f64 = 40.0;
const MORE_TASKS: f64 = 100.0;

/// Resource use of the process at one moment.
struct Sample {
    minutes: f64,
    resident: f64,
    descriptors: f64,
    tasks: f64,
    connections: f64,
    pending: f64,
}

impl Sample {
    async fn take(process: &Process, since: Instant) -> Self {
        let metrics = process.metrics().await;
        let used = [("db_client_connection_state", "used")];
        Self {
            minutes: since.elapsed().as_secs_f64() / 60.0,
            resident: process.resident_bytes() as f64,
            descriptors: fs::read_dir(format!("/proc/{}/fd", process.id())).expect("a process").count()
                as f64,
            tasks: metrics.value("socialize_runtime_tasks", &[]),
            connections: metrics.sum("db_client_connection_count", &used),
            pending: metrics.sum("db_client_connection_pending_requests", &[]),
        }
    }
}

/// Growth of `value` per minute, by least squares.
fn slope(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    let count = samples.len() as f64;
    let mean = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (mean_time, mean_value) = (mean(&|sample| sample.minutes), mean(&value));
    let both = samples.iter().map(|sample| (sample.minutes - mean_time) * (value(sample) - mean_value));
    let time = samples.iter().map(|sample| (sample.minutes - mean_time).powi(2));
    both.sum::<f64>() / time.sum::<f64>()
}

/// Returns a setting of this test, a number.
fn setting(name: &str, usual: f64) -> f64 {
    #[expect(clippy::disallowed_methods, reason = "./test sets them from its arguments")]
    let set = std::env::var(name).ok();
    set.map_or(usual, |number| number.parse().unwrap_or_else(|_| panic!("{name} is not a number: {number}")))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes ten minutes: ./test soak"]
async fn nothing_grows() {
    let database = TestDatabase::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let process = Launch::serve(database.url())
        .variable("SOCIALIZE_MAIL_DIRECTORY", path("mail"))
        .variable("SOCIALIZE_BLOBS_DIRECTORY", path("blobs"))
        .variable("SOCIALIZE_LOG_FILE", path("log/socialize.jsonl"))
        // All simulated people share one address.
        .variable("SOCIALIZE_LOGIN_FAILURES", "100000")
        .variable("SOCIALIZE_EMAILS_FROM_ONE_CLIENT", "100000")
        // With the default cost it would mostly hash.
        .variables(&[("SOCIALIZE_PASSWORD_HASH_MEMORY", "4096"), ("SOCIALIZE_PASSWORD_HASH_ITERATIONS", "1")])
        .start_ready()
        .await;
    let minutes = setting("SOAK_MINUTES", 10.0);
    let rate = setting("SOAK_RATE", USUAL_RATE);
    let simulation = Launch::laboratory(&[
        "simulate",
        "--seed",
        "1",
        "--target",
        &format!("http://{}", process.public()),
        "--mail-directory",
        &path("mail"),
        "--rate",
        &rate.to_string(),
        "--for",
        &format!("{minutes}m"),
        "--json",
        &path("driven.json"),
    ]);
    let mut simulation = simulation.spawn();
    let since = Instant::now();
    let mut samples = Vec::new();
    while simulation.exit_status().is_none() {
        samples.push(Sample::take(&process, since).await);
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert!(simulation.wait_for_exit().await.success(), "{}", simulation.standard_error());
    let report = fs::read(path("driven.json")).expect("a report");
    let driven = serde_json::from_slice::<Value>(&report).expect("JSON")["driven"].take();
    show(&samples, &driven);

    let steady: Vec<Sample> =
        samples.into_iter().filter(|sample| sample.minutes > WARM_UP * minutes).collect();
    let answered = driven["answered_requests"].as_f64().expect("a count");
    assert!(answered / (60.0 * minutes) > LEAST_SHARE * rate, "{answered} requests");
    let growth = slope(&steady, |sample| sample.resident);
    assert!(growth < LARGEST_SLOPE, "memory grows by {growth:.0} bytes a minute");
    let first = steady.first().expect("a sample");
    for sample in &steady {
        assert!(
            sample.descriptors < first.descriptors + MORE_DESCRIPTORS,
            "{} descriptors",
            sample.descriptors
        );
        assert!(sample.tasks < first.tasks + MORE_TASKS, "{} tasks", sample.tasks);
    }
    let metrics = process.metrics().await;
    assert_eq!(metrics.sum("db_client_connection_timeouts_total", &[]), 0.0, "the pool was exhausted");
    assert_eq!(metrics.value("telemetry_panics_total", &[]), 0.0);
    assert_eq!(driven["unexpected_answers"], serde_json::json!({}));
}

#[expect(clippy::print_stdout, reason = "the output is quoted where the result is claimed")]
fn show(samples: &[Sample], driven: &Value) {
    println!("| minute | resident MiB | descriptors | tasks | connections in use | waiting for one |");
    println!("|---:|---:|---:|---:|---:|---:|");
    for sample in samples.iter().step_by(6) {
        println!(
            "| {:.1} | {:.1} | {} | {} | {} | {} |",
            sample.minutes,
            sample.resident / 1024.0 / 1024.0,
            sample.descriptors,
            sample.tasks,
            sample.connections,
            sample.pending
        );
    }
    println!("answered requests: {}, latency: {}", driven["answered_requests"], driven["latency_ms"]);
}
