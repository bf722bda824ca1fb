//! Starts the real program and observes it from outside.
//!
//! Long because a process is started, observed and stopped by one type.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use exposition::Exposition;
use http::{HeaderMap, Method};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;

pub use crate::user::{SERVER_SECRET, User};

use crate::cache::variable;
use crate::{Answer, assert_known_fields};

/// Timeout for the slowest machine; a test that reaches it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` returns a value, and panics on timeout.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} never happened");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A command line with its complete environment: nothing is inherited.
pub struct Launch {
    command: Command,
    mail: TempDir,
}

impl Launch {
    /// Prepares `socialize serve` on free ports, with all required settings.
    pub fn serve(database_url: &str) -> Self {
        Self::role("serve", database_url)
    }

    /// Like [`Self::serve`], after running a shell script, such as one that changes limits.
    pub fn serve_after(script: &str, database_url: &str) -> Self {
        let mut command = bare(Command::new("/bin/sh"));
        command.arg("-c").arg(format!("{script} && exec \"$0\" serve")).arg(executable());
        Self::of(command).with_settings(database_url)
    }

    /// Prepares `socialize work` or another role with the same settings.
    pub fn role(role: &str, database_url: &str) -> Self {
        Self::of(program(&[role])).with_settings(database_url)
    }

    /// Adds all required settings. No load balancer is in front of these processes, so they need no drain delay.
    fn with_settings(self, database_url: &str) -> Self {
        self.variable("SOCIALIZE_DRAIN_DELAY", "0s")
            .variable("SOCIALIZE_DATABASE_URL", database_url)
            .variable("SOCIALIZE_SECRET", SERVER_SECRET)
            .variable("SOCIALIZE_LISTEN", "127.0.0.1:0")
            .variable("SOCIALIZE_OPERATIONS_LISTEN", "127.0.0.1:0")
            .variable("SOCIALIZE_MAIL_FROM", "Socialize <socialize@example.com>")
            // One user of a test does the work of many.
            .variables(&[
                ("SOCIALIZE_ORGANIZATIONS_PER_USER", "1000000"),
                ("SOCIALIZE_WRITES_PER_USER", "1000000"),
            ])
            .with_mail_directory()
    }

    /// Makes the server run no jobs, for tests in which every operation must come from the test.
    pub fn without_worker(self) -> Self {
        self.variable("SOCIALIZE_SERVE_WORKS", "false")
    }

    /// Prepares the laboratory with these arguments and no settings.
    pub fn laboratory(arguments: &[&str]) -> Self {
        Self::of(bare(Command::new(laboratory()))).arguments(arguments)
    }

    /// Wraps a command without adding settings.
    pub fn of(command: Command) -> Self {
        Self { command, mail: tempfile::tempdir().expect("a temporary directory") }
    }

    fn with_mail_directory(self) -> Self {
        let directory = self.mail.path().display().to_string();
        self.variable("SOCIALIZE_BLOBS_DIRECTORY", format!("{directory}/blobs"))
            .variable("SOCIALIZE_MAIL_DIRECTORY", &directory)
    }

    /// Appends these arguments to earlier ones.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable, replacing an earlier value.
    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Removes an environment variable that was set before.
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Like [`Self::variable`], for several.
    pub fn variables(mut self, variables: &[(&str, &str)]) -> Self {
        self.command.envs(variables.iter().copied());
        self
    }

    /// Starts the process and waits until it listens.
    pub async fn start(self) -> Process {
        let mut process = self.spawn();
        let started = eventually("the start of the process", async || {
            assert!(process.exit_status().is_none(), "it ended at start: {}", process.standard_error());
            process.lines().into_iter().find(|line| line["event"] == "server.started")
        })
        .await;
        let port = |field: &str| started[field].as_u64().and_then(|port| u16::try_from(port).ok());
        let loopback = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        process.operations = port("operations.port").map(loopback);
        process.public = port("server.port").map(loopback);
        process
    }

    /// Starts a server and waits until it is ready.
    pub async fn start_ready(self) -> Process {
        let process = self.start().await;
        eventually("readiness", async || (process.ready().await == 200).then_some(())).await;
        process
    }

    /// Starts the process without waiting until it listens. It may also end by itself.
    pub fn spawn(mut self) -> Process {
        let mut child = self.command.spawn().expect("the program can be started");
        let stdout = Output::collect(child.stdout.take().expect("a piped standard output"));
        let stderr = Output::collect(child.stderr.take().expect("a piped standard error"));
        // The client needs a cryptography provider even for plain HTTP. Another test may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().expect("an HTTP client");
        Process { child, stdout, stderr, public: None, operations: None, client, _mail: self.mail }
    }

    /// Runs the process until it exits by itself, and returns all its output.
    pub async fn run(self) -> Ended {
        let mut process = self.spawn();
        let status = process.wait_for_exit().await;
        Ended { status, stdout: process.stdout.whole_text(), stderr: process.stderr.whole_text() }
    }
}

/// Returns the program under test. Cargo names it to the tests of its own package, which it builds with them.
fn executable() -> OsString {
    variable("CARGO_BIN_EXE_socialize").expect("a test of the package socialize, run by cargo")
}

/// Returns the program with these arguments and an empty environment.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = bare(Command::new(executable()));
    command.args(arguments);
    command
}

/// Returns the laboratory's program. Cargo builds for a test only the programs of its own package, so the script that
/// runs the test builds it and names it here.
pub fn laboratory() -> OsString {
    variable("SOCIALIZE_LABORATORY").expect("SOCIALIZE_LABORATORY, which ./test sets for this test")
}

/// Makes a command inherit nothing and captures its output.
fn bare(mut command: Command) -> Command {
    command.env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Result of a process that has exited.
pub struct Ended {
    /// Its code, or the signal that ended it.
    pub status: ExitStatus,
    /// Everything that it wrote to standard output.
    pub stdout: String,
    /// Everything that it wrote to standard error.
    pub stderr: String,
}

/// A running process. It is killed when dropped.
pub struct Process {
    child: Child,
    stdout: Output,
    stderr: Output,
    public: Option<SocketAddr>,
    operations: Option<SocketAddr>,
    client: Client,
    _mail: TempDir,
}

impl Process {
    /// Returns the id under which the kernel knows the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the address of the public listener. Panics if the process has not logged it yet.
    pub fn public(&self) -> SocketAddr {
        self.public.expect("the process has said where it listens")
    }

    /// Returns the address of the operations listener. Panics if the process has not logged it yet.
    pub fn operations(&self) -> SocketAddr {
        self.operations.expect("the process has said where it listens")
    }

    /// Returns the client that all requests to the process use. It ignores proxies of the environment.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns all log lines so far. Panics if one is not JSON or has an unknown field.
    pub fn lines(&self) -> Vec<Value> {
        let parse = |line: &String| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}, not a line of JSON: {line}"))
        };
        let lines: Vec<Value> = self.stdout.lock().lines.iter().map(parse).collect();
        lines.iter().for_each(assert_known_fields);
        lines
    }

    /// Returns all log lines so far as raw text, unchecked.
    pub fn line_texts(&self) -> Vec<String> {
        self.stdout.lock().lines.clone()
    }

    /// Returns the log lines so far that have this event.
    pub fn events(&self, event: &str) -> Vec<Value> {
        let mut lines = self.lines();
        lines.retain(|line| line["event"] == event);
        lines
    }

    /// Waits for a log line that satisfies `is_it`, and returns it.
    pub async fn line(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || self.lines().into_iter().find(&is_it)).await
    }

    /// Returns everything written to standard error so far.
    pub fn standard_error(&self) -> String {
        self.stderr.lock().lines.join("\n")
    }

    /// Sends a request to the public listener, with a JSON body unless it is `Null`.
    pub async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut request = self.client.request(method, format!("http://{}{path}", self.public()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        read(request.send().await.expect("an answer")).await
    }

    /// Sends a `GET` request without further headers.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], &Value::Null).await
    }

    /// Sends a `GET` request to the operations listener.
    pub async fn operations_get(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.operations());
        read(self.client.get(url).send().await.expect("an answer")).await
    }

    /// Returns the HTTP status of the public readiness probe.
    pub async fn ready(&self) -> u16 {
        self.get("/health/ready").await.status.as_u16()
    }

    /// Returns the current metrics, parsed strictly.
    pub async fn metrics(&self) -> Exposition {
        let answer = self.operations_get("/metrics").await.expect(200);
        Exposition::parse(&String::from_utf8(answer.bytes).expect("UTF-8"))
    }

    /// Returns the number of the process's threads whose name has this prefix.
    pub fn threads_named(&self, prefix: &str) -> usize {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.id())).expect("a living process");
        let names = tasks.flatten().flat_map(|task| std::fs::read_to_string(task.path().join("comm")));
        names.filter(|name| name.starts_with(prefix)).count()
    }

    /// Returns the resident memory of the process.
    pub fn resident_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("a living process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kibibytes << 10
    }

    /// Sends a signal without waiting for its effect.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.id().cast_signed()), signal).expect("the process exists");
    }

    /// Returns the exit status, or `None` while the process runs.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the process is a child of this one")
    }

    /// Waits for the exit and for all output.
    pub async fn wait_for_exit(&mut self) -> ExitStatus {
        let status = eventually("the end of the process", async || self.exit_status()).await;
        eventually("the end of its output", async || {
            (self.stdout.lock().has_ended && self.stderr.lock().has_ended).then_some(())
        })
        .await;
        status
    }

    /// Asks it to stop and asserts that it exits without an error.
    pub async fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait_for_exit().await;
        assert_eq!(status.code(), Some(0), "{status}: {}", self.standard_error());
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "a failed test is understood by what the process said")]
    fn drop(&mut self) {
        // Usually it has exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let stdout = self.stdout.lock();
            let last = &stdout.lines[stdout.lines.len().saturating_sub(20)..];
            eprintln!("The last lines of the process:\n{}\n{}", last.join("\n"), self.standard_error());
        }
    }
}

/// Creates a content item with the maximum number and length of revisions on a page, and returns the path of
/// their list.
pub async fn longest_list(process: &Process, user: &User, pool: &PgPool) -> String {
    let create = async |path: &str, body: Value| {
        let created = process.call(Method::POST, path, &[user.header()], &body).await.expect(201);
        created.body["id"].as_str().expect("an id").to_owned()
    };
    let organization = create("/v1/organizations", json!({"name": "A"})).await;
    let workspaces = format!("/v1/organizations/{organization}/workspaces");
    let workspace = create(&workspaces, json!({"name": "W", "required_approvals": 1})).await;
    let items = format!("/v1/workspaces/{workspace}/content-items");
    let item = create(&items, json!({"channel": "x", "title": "T", "body": ""})).await;
    sqlx::query(
        "insert into content_revisions (content_item_id, number, title, body, author_id, created_at)
         select id, number, 'T', repeat('𝄞', 10000), created_by, created_at
         from content_items, generate_series(2, 101) number where id = $1::uuid",
    )
    .bind(&item)
    .execute(pool)
    .await
    .expect("revisions");
    format!("{items}/{item}/revisions?limit=100")
}

/// Reads the whole response.
pub async fn read(response: reqwest::Response) -> Answer {
    let (status, headers): (_, HeaderMap) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.expect("a whole body").to_vec();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer { status, headers, body, bytes }
}

/// Output of a process, collected by a thread so that the process never blocks on writing.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Collected>>);

#[derive(Default)]
struct Collected {
    lines: Vec<String>,
    has_ended: bool,
}

impl Output {
    fn collect(pipe: impl Read + Send + 'static) -> Self {
        let output = Self::default();
        let collecting = output.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                collecting.lock().lines.push(line.expect("UTF-8 output"));
            }
            collecting.lock().has_ended = true;
        });
        output
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn whole_text(&self) -> String {
        self.lock().lines.join("\n")
    }
}
