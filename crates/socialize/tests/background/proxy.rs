//! A proxy between worker and database that mistreats idle connections: it closes the listening ones, or
//! silently drops their traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use catalogue::labels::JobKind;
use serde_json::json;
use socialize::features::auth::clean_up_tokens::CleanUpTokens;
use socialize::queue::Worker;
use socialize::run::workers::WorkerSettings;
use sqlx::postgres::PgPoolOptions;
use telemetry::JobOutcome;
use test_support::TestApp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::support::{collect_lines, enqueued, eventually, gauge, loop_failures, runs, settings};

const KIND: JobKind = JobKind::CleanUpTokens;
const HOUR: Duration = Duration::from_secs(3600);

/// Treatment of listening connections. Others are always forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Treatment {
    Forward,
    /// Close them after this idle time.
    CloseIdle(Duration),
    /// Stop forwarding. An affected connection stays so.
    Swallow,
}

struct Proxy {
    port: u16,
    treatment: watch::Sender<Treatment>,
    /// Number of connections that have begun to listen.
    listening: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start(upstream: (String, u16), treatment: Treatment) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let treatment = watch::Sender::new(treatment);
        let listening = Arc::new(AtomicUsize::new(0));
        let (wanted, counted) = (treatment.clone(), listening.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&upstream).await.expect("the database");
                tokio::spawn(forward(client, server, wanted.subscribe(), counted.clone()));
            }
        });
        Self { port, treatment, listening }
    }
}

async fn forward(
    mut client: TcpStream,
    mut server: TcpStream,
    treatment: watch::Receiver<Treatment>,
    counted: Arc<AtomicUsize>,
) -> Option<()> {
    let (mut from_client, mut from_server) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    let (mut listens, mut is_swallowed) = (false, false);
    loop {
        let now = *treatment.borrow();
        let patience = match now {
            Treatment::CloseIdle(patience) if listens => patience,
            _ => HOUR,
        };
        tokio::select! {
            length = client.read(&mut from_client) => {
                let sent = &from_client[..length.ok().filter(|length| *length > 0)?];
                if !listens && sent.windows(6).any(|word| word == b"LISTEN") {
                    listens = true;
                    counted.fetch_add(1, SeqCst);
                }
                is_swallowed |= listens && *treatment.borrow() == Treatment::Swallow;
                if !is_swallowed {
                    server.write_all(sent).await.ok()?;
                }
            }
            length = server.read(&mut from_server) => {
                let sent = &from_server[..length.ok().filter(|length| *length > 0)?];
                is_swallowed |= listens && *treatment.borrow() == Treatment::Swallow;
                if !is_swallowed {
                    client.write_all(sent).await.ok()?;
                }
            }
            () = sleep(patience) => return Some(()),
        }
    }
}

/// A worker that polls only when it is woken, with the proxy in front of its database.
async fn sleepy_worker(
    test: &TestApp,
    treatment: Treatment,
    listen_interval: Duration,
) -> (Proxy, socialize::app::App, socialize::queue::WorkerHandle<socialize::app::App>) {
    let options = test.pool().connect_options().as_ref().clone();
    let upstream = (options.get_host().to_owned(), options.get_port());
    let proxy = Proxy::start(upstream, treatment).await;
    let pool = PgPoolOptions::new()
        .max_connections(10)
        .connect_lazy_with(options.host("127.0.0.1").port(proxy.port));
    let app = test.another_process_over(&pool);
    let sleepy = WorkerSettings { poll_interval: HOUR, listen_interval, ..settings(async |_, _| Ok(())) };
    let worker = Worker::start(app.clone(), sleepy);
    (proxy, app, worker)
}

/// Asserts that jobs wake the worker. It may find the first ones because it polls when it starts to listen,
/// but not all.
async fn wakes(test: &TestApp, app: &socialize::app::App) {
    let before = runs(app, KIND, JobOutcome::Ok);
    for count in 1..=5 {
        enqueued(test, &CleanUpTokens).await;
        eventually("it is woken", async || runs(app, KIND, JobOutcome::Ok) == before + count).await;
    }
}

#[tokio::test]
async fn a_listener_whose_idle_connections_are_closed_fails_not_once() {
    let test = TestApp::start().await;
    let (lines, _installed) = collect_lines();
    let closes = Treatment::CloseIdle(Duration::from_millis(700));
    let (proxy, app, worker) = sleepy_worker(&test, closes, HOUR).await;
    eventually("it listened for the fourth time", async || proxy.listening.load(SeqCst) >= 4).await;
    wakes(&test, &app).await;
    assert_eq!(loop_failures(&app, "job_listener"), 0);
    assert!(lines.find("loop.failed", "job_listener").is_none());
    let last_success = || gauge(&app, "socialize.loop.last_success.time", &[("loop", "job_listener")]);
    let now = test.app.clock.now().timestamp() as f64;
    test.app.clock.advance(chrono::TimeDelta::minutes(1));
    eventually("that counts as an iteration", async || last_success() == Some(now + 60.0)).await;
    worker.stop(Instant::now() + HOUR).await;
}

#[tokio::test]
async fn a_listener_that_hears_nothing_any_more_notices() {
    let test = TestApp::start().await;
    let (lines, _installed) = collect_lines();
    let (proxy, app, worker) = sleepy_worker(&test, Treatment::Forward, Duration::from_millis(100)).await;
    eventually("it listens", async || proxy.listening.load(SeqCst) == 1).await;
    wakes(&test, &app).await;
    assert_eq!((loop_failures(&app, "job_listener"), proxy.listening.load(SeqCst)), (0, 1));

    proxy.treatment.send_replace(Treatment::Swallow);
    eventually("it notices", async || loop_failures(&app, "job_listener") > 0).await;
    assert_eq!(lines.find("loop.failed", "job_listener").expect("a line")["error.type"], json!("timeout"));
    proxy.treatment.send_replace(Treatment::Forward);
    eventually("it listens again", async || lines.find("loop.recovered", "job_listener").is_some()).await;
    wakes(&test, &app).await;
    worker.stop(Instant::now() + HOUR).await;
}
