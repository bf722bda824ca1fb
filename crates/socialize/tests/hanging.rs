//! Memory and exit time of telemetry with a working and a hanging collector. Run by `./test hanging`.
//!
//! Three processes serve as many requests as possible side by side: one with almost no telemetry, one whose
//! collector accepts everything, and one whose collector accepts connections but never responds.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use cluster::free_loopback_port;
use exposition::Exposition;
use nix::sys::signal::Signal;
use tempfile::TempDir;
use test_support::TestDatabase;
use test_support::process::{Launch, Process, eventually};

const MEBIBYTE: f64 = 1024.0 * 1024.0;
/// Maximum memory that telemetry may add, with either collector.
const MOST_ADDED: f64 = 8.0 * MEBIBYTE;
/// Maximum additional exit time with a hanging collector.
const LATEST_EXIT: Duration = Duration::from_secs(2);
/// Number of connections to each process.
const CONNECTIONS: usize = 8;
/// Share of the time in which pools, caches and buffers grow to their final size.
const WARM_UP: f64 = 0.1;

fn minutes() -> f64 {
    #[expect(clippy::disallowed_methods, reason = "the one setting of this test")]
    let minutes = std::env::var("HANGING_MINUTES").ok();
    minutes.map_or(10.0, |minutes| minutes.parse().expect("HANGING_MINUTES is a number of minutes"))
}

/// One of the three processes, with its load.
struct Subject {
    name: &'static str,
    process: Process,
    operations: SocketAddr,
    database: TestDatabase,
    answered: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    load: JoinHandle<()>,
    /// Minutes since the start, and bytes.
    resident: Vec<(f64, f64)>,
    _directory: TempDir,
}

impl Subject {
    async fn start(name: &'static str, collector: Option<&str>) -> Self {
        let database = TestDatabase::create().await;
        let directory = tempfile::tempdir().expect("a directory");
        let launch = Launch::serve(database.url())
            .variable("SOCIALIZE_BLOBS_DIRECTORY", directory.path().join("blobs"))
            .variable("SOCIALIZE_DRAIN_DELAY", "0s");
        let launch = match collector {
            None => launch.variable("SOCIALIZE_LOG_LEVEL", "error"),
            Some(endpoint) => launch
                .variable("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
                .variable("SOCIALIZE_LOG_FILE", directory.path().join("log/socialize.jsonl")),
        };
        // Its log lines would fill this test's memory, so it writes none to standard output and cannot
        // announce its ports.
        let address = || SocketAddr::from(([127, 0, 0, 1], free_loopback_port().expect("a free port")));
        let (public, operations) = (address(), address());
        let mut process = launch
            .variable("SOCIALIZE_LISTEN", public.to_string())
            .variable("SOCIALIZE_OPERATIONS_LISTEN", operations.to_string())
            .variable("SOCIALIZE_LOG_FORMAT", "none")
            .spawn();
        eventually("readiness", async || {
            assert!(process.exit_status().is_none(), "it ended at start: {}", process.standard_error());
            let answer = process.client().get(format!("http://{public}/health/ready")).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        let (answered, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let load = {
            let (address, answered, is_over) = (public, answered.clone(), is_over.clone());
            std::thread::spawn(move || load(address, &answered, &is_over))
        };
        Self {
            name,
            process,
            operations,
            database,
            answered,
            is_over,
            load,
            resident: Vec::new(),
            _directory: directory,
        }
    }

    fn sample(&mut self, since: Instant) {
        let minutes = since.elapsed().as_secs_f64() / 60.0;
        self.resident.push((minutes, self.process.resident_bytes() as f64));
    }

    /// Maximum memory after the warm-up.
    fn most_resident(&self, minutes: f64) -> f64 {
        let steady = self.resident.iter().filter(|(at, _)| *at > WARM_UP * minutes);
        steady.map(|(_, bytes)| *bytes).fold(0.0, f64::max)
    }

    /// Ends the load and then the process, and returns how long the exit took.
    async fn stop(mut self) -> Duration {
        self.is_over.store(true, Relaxed);
        self.load.join().expect("every request is answered");
        let started = Instant::now();
        self.process.signal(Signal::SIGTERM);
        let status = self.process.wait_for_exit().await;
        let took = started.elapsed();
        assert_eq!(status.code(), Some(0), "{}: {}", self.name, self.process.standard_error());
        drop(self.database);
        took
    }
}

/// Sends requests without the required token as fast as responses arrive.
fn load(address: SocketAddr, answered: &AtomicU64, is_over: &AtomicBool) {
    const REQUEST: &[u8] = b"GET /v1/me HTTP/1.1\r\nhost: socialize\r\n\r\n";
    let mut connections: Vec<TcpStream> =
        (0..CONNECTIONS).map(|_| TcpStream::connect(address).expect("a connection")).collect();
    let first = &mut connections[0];
    first.write_all(REQUEST).expect("a first request");
    let mut answer = vec![0; 4096];
    let length = first.read(&mut answer).expect("an answer");
    assert!(answer[..length].ends_with(b"}"), "the whole answer is here");
    // Ids and dates have fixed lengths, so all responses do.
    while !is_over.load(Relaxed) {
        for connection in &mut connections {
            connection.write_all(REQUEST).expect("a request");
        }
        for connection in &mut connections {
            connection.read_exact(&mut answer[..length]).expect("an answer");
            assert!(answer.starts_with(b"HTTP/1.1 401 "), "{}", String::from_utf8_lossy(&answer[..length]));
        }
        answered.fetch_add(CONNECTIONS as u64, Relaxed);
    }
}

/// A collector that accepts and discards everything.
async fn taking_collector() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().fallback(async |body: Bytes| drop(body)).layer(DefaultBodyLimit::disable());
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// A collector that accepts connections but never reads or responds.
fn hanging_collector() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes ten minutes: ./test hanging"]
async fn a_hanging_collector_costs_neither_memory_nor_time() {
    let minutes = minutes();
    let (taking, hanging) = (taking_collector().await, hanging_collector());
    let mut subjects = vec![
        Subject::start("bare", None).await,
        Subject::start("steady", Some(&taking)).await,
        Subject::start("hanging", Some(&hanging)).await,
    ];
    let since = Instant::now();
    while since.elapsed().as_secs_f64() < 60.0 * minutes {
        subjects.iter_mut().for_each(|subject| subject.sample(since));
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    for subject in &subjects[1..] {
        show_pipeline(subject).await;
    }
    let most: Vec<f64> = subjects.iter().map(|subject| subject.most_resident(minutes)).collect();
    show(&subjects, &most);
    let mut exits = Vec::new();
    for subject in subjects {
        let name = subject.name;
        exits.push((name, subject.stop().await));
    }
    show_exits(&exits);
    for (subject, most_resident) in ["steady", "hanging"].iter().zip(&most[1..]) {
        let added = most_resident - most[0];
        assert!(added <= MOST_ADDED, "{subject}: telemetry needs {:.1} MiB", added / MEBIBYTE);
    }
    let later = exits[2].1.saturating_sub(exits[0].1);
    assert!(later <= LATEST_EXIT, "the exit took {later:?} longer than without a collector");
}

#[expect(clippy::print_stdout, reason = "the output is quoted where the result is claimed")]
async fn show_pipeline(subject: &Subject) {
    let url = format!("http://{}/metrics", subject.operations);
    let answer = subject.process.client().get(url).send().await.expect("an answer");
    let metrics = Exposition::parse(&answer.text().await.expect("a text"));
    let of = |name: &str| ["traces", "metrics"].map(|signal| metrics.sum(name, &[("signal", signal)]));
    println!(
        "{}: exported {:?}, dropped {:?}, bytes that wait {:?} (spans, points)",
        subject.name,
        of("telemetry_items_exported_total"),
        of("telemetry_items_dropped_total"),
        of("telemetry_queue_size_bytes"),
    );
}

#[expect(clippy::print_stdout, reason = "the output is quoted where the result is claimed")]
fn show(subjects: &[Subject], most: &[f64]) {
    println!("minute  MiB resident: bare    steady   hanging");
    let rows = subjects[0].resident.len();
    for row in (0..rows).step_by((rows / 20).max(1)) {
        let mib = |subject: &Subject| subject.resident[row].1 / MEBIBYTE;
        let minute = subjects[0].resident[row].0;
        println!(
            "{minute:6.1}  {:18.1}  {:8.1}  {:8.1}",
            mib(&subjects[0]),
            mib(&subjects[1]),
            mib(&subjects[2])
        );
    }
    let added = |index: usize| (most[index] - most[0]) / MEBIBYTE;
    println!("most    {:18.1}  {:+8.1}  {:+8.1}", most[0] / MEBIBYTE, added(1), added(2));
    for subject in subjects {
        println!("{}: {} requests answered", subject.name, subject.answered.load(Relaxed));
    }
}

#[expect(clippy::print_stdout, reason = "the output is quoted where the result is claimed")]
fn show_exits(exits: &[(&str, Duration)]) {
    for (name, took) in exits {
        println!("{name}: ended {:.2} s after it was told to", took.as_secs_f64());
    }
}
