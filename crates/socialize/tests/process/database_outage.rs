//! Postgres stops, crashes or freezes under load: responses, probes and signals meanwhile, and recovery
//! without a restart.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cluster::{Cluster, ClusterSettings, Durability};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use tempfile::TempDir;
use test_support::process::{Launch, Process, User, eventually};
use tokio::task::JoinHandle;

/// Acquire timeout in these tests.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);

/// Statement timeout in these tests, enforced by Postgres.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);

/// Number of concurrent users: more than the pool has connections, so some wait.
const USERS: usize = 12;

/// Request timeout. Requests that wait for a connection or a statement time out long before, which leaves
/// time for a busy machine. So reaching this limit identifies a request that hung.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Shutdown timeout for requests in progress.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// A separate Postgres server with a schema and a user.
struct Server {
    cluster: Arc<Cluster>,
    user: User,
    _directory: TempDir,
}

impl Server {
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        // If root switches users to run Postgres, that user must be able to enter the directory.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).expect("permissions");
        let data = directory.path().join("data");
        let settings = ClusterSettings { durability: Durability::TestsOnly, ..ClusterSettings::new(data) };
        let cluster = blocking(|| Cluster::start(settings)).await.expect("a server");
        cluster.create_database("socialize").await.expect("a database");
        let url = cluster.url("socialize");
        let migrated = Launch::role("migrate", url.expose()).run().await;
        assert_eq!(migrated.status.code(), Some(0), "{}", migrated.stderr);
        let pool = PgPoolOptions::new().connect(url.expose()).await.expect("a connection");
        let user = User::insert(&pool).await;
        pool.close().await;
        Self { cluster: Arc::new(cluster), user, _directory: directory }
    }

    fn launch(&self) -> Launch {
        let seconds = |duration: Duration| format!("{}s", duration.as_secs());
        Launch::serve(self.cluster.url("socialize").expose())
            .variable("SOCIALIZE_DATABASE_ACQUIRE_TIMEOUT", seconds(ACQUIRE_TIMEOUT))
            .variable("SOCIALIZE_DATABASE_STATEMENT_TIMEOUT", seconds(STATEMENT_TIMEOUT))
            .variable("SOCIALIZE_REQUEST_TIMEOUT", seconds(REQUEST_TIMEOUT))
            .variable("SOCIALIZE_SHUTDOWN_TIMEOUT", seconds(SHUTDOWN_TIMEOUT))
    }

    async fn with_cluster<T: Send + 'static>(&self, work: impl FnOnce(&Cluster) -> T + Send + 'static) -> T {
        let cluster = Arc::clone(&self.cluster);
        blocking(move || work(&cluster)).await
    }

    /// Freezes every process of the server until the returned value is dropped.
    fn freeze(&self) -> Frozen<'_> {
        self.signal_all(Signal::SIGSTOP);
        Frozen(self)
    }

    /// The first process starts the others, so it gets the signal first.
    fn signal_all(&self, signal: Signal) {
        let main = self.cluster.process_id().expect("a running server");
        let is_child = |process: &u32| {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
            parent == Some(main.to_string().as_str())
        };
        let send = |process: u32| kill(Pid::from_raw(process.cast_signed()), signal);
        send(main).expect("the server exists");
        let processes = fs::read_dir("/proc").expect("the list of processes").flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        for child in ids.filter(is_child) {
            // It may have exited meanwhile.
            let _ = send(child);
        }
    }
}

struct Frozen<'a>(&'a Server);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.signal_all(Signal::SIGCONT);
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

/// A response to a user.
#[derive(Clone, Debug)]
struct Seen {
    user: usize,
    at: Instant,
    took: Duration,
    status: u16,
    body: Value,
}

/// Users who read and write without pauses until the load is stopped.
struct Load {
    seen: Arc<Mutex<Vec<Seen>>>,
    is_over: Arc<AtomicBool>,
    users: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(process: &Process, user: &User) -> Self {
        let (seen, is_over) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::<AtomicBool>::default());
        let users = (0..USERS).map(|user_number| {
            let (seen, is_over) = (Arc::clone(&seen), Arc::clone(&is_over));
            let (client, authorization) = (process.client().clone(), user.authorization.clone());
            let url = format!("http://{}/v1/organizations", process.public());
            tokio::spawn(async move {
                while !is_over.load(Relaxed) {
                    let answer = one_request(&client, &url, &authorization, user_number).await;
                    seen.lock().expect("no panic").push(answer);
                }
            })
        });
        let users = users.collect();
        Self { seen, is_over, users }
    }

    fn seen_since(&self, since: Instant) -> Vec<Seen> {
        let mut seen = self.seen.lock().expect("no panic").clone();
        seen.retain(|answer| answer.at >= since);
        seen
    }

    /// Waits for a hundred consecutive responses, to requests sent from now on, with this status. On a busy
    /// machine single requests may still wait too long for a connection.
    async fn expect_from_now_on(&self, what: &str, status: u16) {
        let now = Instant::now();
        let is_expected = |answer: &Seen| answer.status == status || (status, answer.status) == (200, 201);
        eventually(what, async || {
            let answers = self.seen_since(now);
            let in_a_row = answers.iter().rev().take_while(|answer| is_expected(answer)).count();
            (in_a_row >= 100).then_some(())
        })
        .await;
    }

    async fn expect_an_answer_to_every_user_since(&self, since: Instant) {
        eventually("an answer to every user", async || {
            let answers = self.seen_since(since);
            (0..USERS).all(|user| answers.iter().any(|answer| answer.user == user)).then_some(())
        })
        .await;
    }

    /// Stops the load, and checks that every response was right or reported the outage, and that no request
    /// hung.
    async fn stop(self) -> usize {
        self.is_over.store(true, Relaxed);
        for user in self.users {
            user.await.expect("every request is answered");
        }
        let seen = self.seen.lock().expect("no panic");
        for answer in &*seen {
            let is_right = matches!(answer.status, 200 | 201);
            let is_refused = answer.status == 503
                && ["unavailable", "timeout"].contains(&answer.body["code"].as_str().unwrap_or_default());
            assert!(is_right || is_refused, "{answer:?}");
        }
        let slowest = seen.iter().max_by_key(|answer| answer.took).expect("an answer");
        assert!(slowest.took < REQUEST_TIMEOUT, "{slowest:?}");
        seen.len()
    }
}

/// Every second user writes.
async fn one_request(client: &Client, url: &str, authorization: &str, user: usize) -> Seen {
    let request = match user % 2 {
        0 => client.post(url).json(&json!({"name": "A"})),
        _ => client.get(url),
    };
    let at = Instant::now();
    let response = request.header("authorization", authorization).send().await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.json().await.expect("a body of JSON");
    Seen { user, at, took: at.elapsed(), status, body }
}

/// Waits until readiness fails on both listeners, while liveness succeeds all the time.
async fn expect_not_ready(process: &Process) {
    eventually("readiness to fail", async || {
        assert_eq!(process.get("/health/live").await.status, 200);
        (process.ready().await == 503).then_some(())
    })
    .await;
    assert_eq!(process.get("/health").await.status, 503);
    assert_eq!(process.operations_get("/health/live").await.status, 200);
    assert_eq!(process.operations_get("/health/ready").await.status, 503);
    let detail = process.operations_get("/health").await.expect(503);
    let dependencies = detail.body["health"]["dependencies"].as_array().expect("dependencies");
    let postgres = dependencies.iter().find(|dependency| dependency["name"] == "postgres").expect("Postgres");
    assert_eq!(postgres["state"], "down", "{postgres}");
    let up = process.metrics().await.value("socialize_dependency_up", &[("dependency", "postgres")]);
    assert_eq!(up, 0.0);
}

async fn expect_ready(process: &Process) {
    eventually("readiness", async || (process.ready().await == 200).then_some(())).await;
    let up = process.metrics().await.value("socialize_dependency_up", &[("dependency", "postgres")]);
    assert_eq!(up, 1.0);
}

/// Time of each loop's last success.
async fn loops(process: &Process) -> Vec<f64> {
    let metrics = process.metrics().await;
    let family = metrics.families.iter().find(|f| f.name == "socialize_loop_last_success_time_seconds");
    family.expect("the loops").samples.iter().map(|sample| sample.value).collect()
}

/// Asserts that background work resumes without a restart.
async fn expect_loops_to_run(process: &Process) {
    let before = loops(process).await;
    assert!(!before.is_empty());
    eventually("an iteration of every loop", async || {
        let after = loops(process).await;
        let all_ran = before.iter().zip(&after).all(|(before, after)| before < after);
        (all_ran && before.len() == after.len()).then_some(())
    })
    .await;
}

/// Asserts that each outage has a line at its beginning and its end, and that meanwhile errors had one of its
/// `causes`.
fn assert_lines_tell_it(process: &Process, causes: &[&[&str]]) {
    let mut lines = process.lines();
    lines.retain(|line| line["event"] == "dependency.down" || line["event"] == "dependency.up");
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line["dependency"], "postgres", "{line}");
        let event = if number % 2 == 0 { "dependency.down" } else { "dependency.up" };
        assert_eq!(line["event"], event, "one after the other: {lines:#?}");
    }
    let ends_well = lines.last().is_some_and(|line| line["event"] == "dependency.up");
    assert!(ends_well, "{lines:#?}");
    let mut downs = lines.iter().filter(|line| line["event"] == "dependency.down");
    for cause in causes {
        let is_of_it =
            |line: &&Value| line["error.type"].as_str().is_some_and(|found| cause.contains(&found));
        assert!(downs.any(|line| is_of_it(&line)), "{cause:?} in {lines:#?}");
    }
    for line in process.events("http.server.request") {
        if line["level"] == "error" {
            assert_eq!(line["http.response.status_code"], 503, "{line}");
            let error_type = line["error.type"].as_str().expect("an error type");
            assert!(["unavailable", "timeout"].contains(&error_type), "{line}");
            assert!(line["error.cause"].is_string() && line["code.location"].is_string(), "{line}");
        }
    }
}

#[tokio::test]
async fn a_server_that_stops_or_crashes_is_waited_for() {
    let server = Server::start().await;
    let mut process = server.launch().start_ready().await;
    let load = Load::start(&process, &server.user);
    load.expect_from_now_on("success before the outage", 200).await;

    for ends in [Cluster::interrupt, Cluster::kill] {
        server.with_cluster(ends).await;
        expect_not_ready(&process).await;
        load.expect_from_now_on("refusals while it is down", 503).await;

        server.with_cluster(Cluster::resume).await.expect("it starts again");
        expect_ready(&process).await;
        load.expect_from_now_on("success after the outage", 200).await;
    }
    expect_loops_to_run(&process).await;
    load.stop().await;
    // Depends on how much the server could still send.
    let ended = &["connection_refused", "connection_reset", "unavailable", "io", "database_other"][..];
    assert_lines_tell_it(&process, &[ended, ended]);
    process.stop().await;
}

#[tokio::test]
async fn a_server_that_freezes_hangs_nothing() {
    let server = Server::start().await;
    let mut process = server.launch().start_ready().await;
    let load = Load::start(&process, &server.user);
    load.expect_from_now_on("success before the outage", 200).await;

    let since = Instant::now();
    let frozen = server.freeze();
    expect_not_ready(&process).await;
    load.expect_from_now_on("refusals while it is frozen", 503).await;
    // Includes users whose statement was in progress: the frozen server does not enforce its timeout.
    load.expect_an_answer_to_every_user_since(since).await;

    drop(frozen);
    expect_ready(&process).await;
    load.expect_from_now_on("success after the outage", 200).await;
    expect_loops_to_run(&process).await;
    load.stop().await;
    assert_lines_tell_it(&process, &[&["timeout"]]);

    // The exit does not wait for the server either.
    let load = Load::start(&process, &server.user);
    load.expect_from_now_on("success before the second outage", 200).await;
    let since = Instant::now();
    let frozen = server.freeze();
    load.expect_an_answer_to_every_user_since(since).await;
    load.stop().await;
    let told = Instant::now();
    process.stop().await;
    assert!(told.elapsed() < REQUEST_TIMEOUT, "it took {:?}", told.elapsed());
    drop(frozen);
}

#[tokio::test]
async fn a_process_that_starts_before_its_database_serves_once_that_is_there() {
    let server = Server::start().await;
    server.with_cluster(Cluster::interrupt).await;
    let mut process = server.launch().start().await;
    assert_eq!(process.get("/health/live").await.status, 200);
    assert_eq!(process.ready().await, 503);
    let answer =
        process.call(http::Method::GET, "/v1/organizations", &[server.user.header()], &Value::Null).await;
    answer.expect_error(503, "unavailable");
    server.with_cluster(Cluster::resume).await.expect("it starts again");
    expect_ready(&process).await;
    let answer =
        process.call(http::Method::GET, "/v1/organizations", &[server.user.header()], &Value::Null).await;
    answer.expect(200);
    process.stop().await;
}
