//! Tests of the demo, run as a new user would.

use std::collections::HashMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use cluster::InitializedCluster;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use otlp_sink::OtlpSink;
use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;
use test_support::TestDatabase;
use test_support::process::{Launch, Process, User, eventually};
use uuid::Uuid;

/// A directory that the operating system's user for Postgres can enter, which may not be this process's user.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).expect("permissions");
    directory
}

/// `laboratory demo` on free ports. It finds Postgres by the environment of the test.
fn demo(data_directory: &Path, arguments: &[&str]) -> Launch {
    let mut command = Command::new(env!("CARGO_BIN_EXE_laboratory"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("DATABASE_URL");
    command.args(["demo", "--listen", "127.0.0.1:0", "--operations-listen", "127.0.0.1:0"]);
    command.args(["--console-listen", "127.0.0.1:0"]);
    command.arg("--data-directory").arg(data_directory).args(arguments);
    Launch::of(command)
}

/// Returns its public address once simulated people are active.
async fn public_address(process: &Process) -> SocketAddr {
    eventually("the start of the demo", async || {
        let lines = process.line_texts();
        let link = lines.iter().find_map(|line| line.strip_prefix("API"))?;
        let address = link.trim().strip_prefix("http://")?.strip_suffix("/docs")?;
        Some(address.parse().expect("an address"))
    })
    .await
}

#[tokio::test]
async fn signals_facts_and_log_lines_agree() {
    let database = TestDatabase::create().await;
    let directory = directory();
    let data = directory.path().join("data");
    let report = directory.path().join("report.json");
    let sink = OtlpSink::start();
    let ended = demo(&data, &["--for", "8s", "--rate", "40", "--seed", "1", "--plain"])
        .arguments(&["--database-url", database.url(), "--json", &report.display().to_string()])
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint())
        .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .run()
        .await;
    assert_eq!(ended.status.code(), Some(0), "{}\n{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("Every usage counter equals the number of its facts."), "{}", ended.stdout);
    let report: Value = serde_json::from_slice(&fs::read(&report).expect("a report")).expect("JSON");
    assert_eq!(report["verdict"], "equal", "{report:#}");
    assert_eq!(report["problems"], json!([]));
    assert_eq!(report["driven"]["total"]["unexpected"], 0);
    assert_eq!(report["driven"]["answered_requests"], report["signals"]["requests"]["count"]);

    let log = log_lines(&data);
    for count in report["usage"].as_array().expect("counts") {
        let counter = count["counter"].as_str().expect("a name");
        let signal = count["signal"].as_u64().expect("a count");
        let labels = count["labels"].as_object().expect("labels");
        let label = labels.values().next().and_then(Value::as_str);
        let rows = rows(database.pool(), count["counted_in"].as_str().expect("a table"), label).await;
        assert!(
            rows.is_none_or(|rows| rows == signal),
            "{counter} {label:?}: {rows:?} rows, {signal} counted"
        );
        let lines = log.iter().filter(|line| {
            line["event"] == counter && labels.iter().all(|(key, value)| line.get(key) == Some(value))
        });
        // An attempt to log in has no line of its own, but its outcome has.
        if counter != "socialize.auth.login.attempts" {
            assert_eq!(lines.count() as u64, signal, "log lines of {counter} {label:?}");
        }
    }
    for done in ["register", "verify_email", "log_in", "create_organization"] {
        assert!(report["driven"]["actions"][done]["ok"].as_u64() > Some(0), "{done}: {report:#}");
    }
    assert!(report["signals"]["emails"]["delivered"].as_u64() > Some(0), "{report:#}");
    assert!(report["signals"]["files"]["stored"].as_u64() > Some(0), "{report:#}");
    assert_eq!(report["signals"]["files"]["failed"], 0);
    let posts = &report["signals"]["posts"];
    assert_eq!(posts["delivered"], posts["taken"], "{report:#}");

    let scopes = sink.traces().into_iter().flat_map(|request| request.resource_spans);
    let spans = scopes.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans);
    let exported = spans.filter(|span| span.kind == SpanKind::Server as i32).count();
    assert_eq!(exported as u64, report["signals"]["requests"]["count"].as_u64().expect("a count"));
}

/// Lines of the log file, which must not reveal people or credentials.
fn log_lines(data: &Path) -> Vec<Value> {
    let text = fs::read_to_string(data.join("logs/socialize.jsonl")).expect("a log file");
    for private in ["people.example", "token=", "Bearer"] {
        assert!(!text.contains(private), "{private} is in the log");
    }
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Number of rows of a table, counted independently of the demo. `None` if there is no table.
async fn rows(pool: &PgPool, table: &str, label: Option<&str>) -> Option<u64> {
    if table == "published content_items" {
        let count: i64 = sqlx::query_scalar("select count(*) from content_items where status = 'published'")
            .fetch_one(pool)
            .await
            .expect("a count");
        return Some(count.unsigned_abs());
    }
    let column = match table {
        "approval_decisions" => "decision",
        "feedback_reports" => "kind",
        "organizations" | "workspaces" | "workspace_invites" | "content_items" | "comments" | "sessions" => {
            "''"
        }
        _ => return None,
    };
    let query = sqlx::AssertSqlSafe(format!("select count(*) from {table} where {column} = $1"));
    let count: i64 =
        sqlx::query_scalar(query).bind(label.unwrap_or_default()).fetch_one(pool).await.expect("a count");
    Some(count.unsigned_abs())
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_it_is_killed() {
    let directory = directory();
    let data = directory.path().join("data");
    let mut process = demo(&data, &["--plain", "--rate", "30"]).spawn();
    let address = public_address(&process).await;
    let postgres = postgres_process(&data);

    let second = demo(&data, &["--plain"]).run().await;
    assert_eq!(second.status.code(), Some(1), "{}", second.stdout);
    let holder = format!("in use by process {} (", process.id());
    assert!(second.stderr.contains(&holder), "{holder}: {}", second.stderr);

    let user = user(&data).await;
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let writers: Vec<_> = (0..4)
        .map(|_| tokio::spawn(write_until_it_fails(address, user.clone(), acknowledged.clone())))
        .collect();
    eventually("acknowledged writes", async || {
        (acknowledged.lock().expect("a list").len() >= 50).then_some(())
    })
    .await;
    process.signal(Signal::SIGKILL);
    process.wait_for_exit().await;
    for writer in writers {
        writer.await.expect("a writer ends when nobody answers");
    }
    eventually("the end of Postgres", async || (!is_alive(&postgres)).then_some(())).await;

    let mut process = demo(&data, &["--plain", "--rate", "30"]).spawn();
    public_address(&process).await;
    let pool = PgPool::connect(&database_url(&data)).await.expect("the database");
    let kept: Vec<Uuid> =
        sqlx::query_scalar("select id from organizations").fetch_all(&pool).await.expect("organizations");
    let acknowledged = std::mem::take(&mut *acknowledged.lock().expect("a list"));
    let lost: Vec<&Uuid> = acknowledged.iter().filter(|id| !kept.contains(id)).collect();
    assert!(lost.is_empty(), "{} of {} are lost", lost.len(), acknowledged.len());

    let restarted: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select now()").fetch_one(&pool).await.expect("the time");
    eventually("the work that was left", async || {
        // Jobs running at the kill return when their lease expires.
        let left: i64 = sqlx::query_scalar(
            "select count(*) from jobs where created_at < $1 and status = 'queued' and run_at <= $1",
        )
        .bind(restarted)
        .fetch_one(&pool)
        .await
        .expect("a count");
        (left == 0).then_some(())
    })
    .await;
    pool.close().await;

    let postgres = postgres_process(&data);
    process.signal(Signal::SIGINT);
    let status = process.wait_for_exit().await;
    let said = process.line_texts().join("\n");
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("Every usage counter equals the number of its facts."), "{said}");
    assert!(!is_alive(&postgres), "Postgres ends with the demo");
}

/// Kills processes that a failed test would leave behind.
struct Leftover(PathBuf);

impl Drop for Leftover {
    fn drop(&mut self) {
        let id = self.0.file_name().and_then(|name| name.to_str()?.parse().ok());
        if let Some(id) = id.filter(|_| is_alive(&self.0)) {
            let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

/// The demo process with this data directory.
fn demo_process(data: &Path) -> PathBuf {
    let program = env!("CARGO_BIN_EXE_laboratory");
    let is_it = |process: &PathBuf| {
        let command = fs::read(process.join("cmdline")).unwrap_or_default();
        let words: Vec<&str> = command.split(|byte| *byte == 0).flat_map(std::str::from_utf8).collect();
        words.first() == Some(&program) && words.contains(&data.to_str().expect("a path of UTF-8"))
    };
    let processes = fs::read_dir("/proc").expect("the list of processes").flatten();
    processes.map(|entry| entry.path()).find(is_it).expect("the demo runs")
}

/// Runs a program on a pseudo-terminal that answers cursor position requests, and shows the program's output.
const TERMINAL: &str = r"
import fcntl, os, pty, struct, sys, termios
process, terminal = pty.fork()
if process == 0:
    os.execv(sys.argv[1], sys.argv[1:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
while True:
    written = os.read(terminal, 65536)
    if b'\x1b[6n' in written:
        os.write(terminal, b'\x1b[1;1R')
    os.write(1, written)
    if b'\x1b[?1049h' in written:
        os.write(1, b'\nlive\n')
";

#[tokio::test]
async fn a_terminal_that_is_closed_ends_the_demo_in_good_order() {
    let directory = directory();
    let data = directory.path().join("data");
    let program = env!("CARGO_BIN_EXE_laboratory");
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL, program, "demo", "--rate", "5", "--data-directory"]).arg(&data);
    command.args(["--listen", "127.0.0.1:0", "--operations-listen", "127.0.0.1:0"]);
    command.args(["--console-listen", "127.0.0.1:0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("DATABASE_URL").env("TERM", "xterm-256color");
    let mut terminal = Launch::of(command).spawn();
    public_address(&terminal).await;
    let (demo, postgres) = (Leftover(demo_process(&data)), Leftover(postgres_process(&data)));
    let log = data.join("logs/socialize.jsonl");
    eventually("people at work", async || {
        fs::read_to_string(&log)
            .is_ok_and(|log| log.contains("socialize.organizations.created"))
            .then_some(())
    })
    .await;

    assert!(terminal.line_texts().iter().any(|line| line == "live"), "it is no live view");
    terminal.signal(Signal::SIGKILL);
    terminal.wait_for_exit().await;
    eventually("the end of the demo", async || (!is_alive(&demo.0)).then_some(())).await;
    eventually("the end of Postgres", async || (!is_alive(&postgres.0)).then_some(())).await;
    let log = fs::read_to_string(&log).expect("a log");
    assert!(log.lines().any(|line| line.contains("server.stopped")), "it ended in good order");
    assert!(!data.join("postgres/postmaster.pid").exists(), "so did Postgres");
}

#[tokio::test]
async fn the_end_of_the_own_postgres_is_told() {
    let directory = directory();
    let data = directory.path().join("data");
    let mut process = demo(&data, &["--plain", "--rate", "5"]).spawn();
    public_address(&process).await;
    drop(Leftover(postgres_process(&data)));
    let status = process.wait_for_exit().await;
    assert_eq!(status.code(), Some(1), "{status}");
    let told = process.standard_error();
    let log = data.join("postgres").display().to_string();
    assert!(told.contains("own PostgreSQL has ended") && told.contains(&log), "{told}");
}

async fn write_until_it_fails(
    address: SocketAddr,
    authorization: String,
    acknowledged: Arc<Mutex<Vec<Uuid>>>,
) {
    let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    loop {
        let request = client
            .post(format!("http://{address}/v1/organizations"))
            .header("authorization", &authorization)
            .json(&json!({"name": "Kept"}));
        let Ok(response) = request.send().await else { return };
        assert_eq!(response.status(), 201);
        // The status shows that the write succeeded, but only the body contains its id.
        let Ok(body) = response.json::<Value>().await else { return };
        let id = body["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        acknowledged.lock().expect("a list").push(id);
    }
}

/// The header of a user of the demo's database.
async fn user(data: &Path) -> String {
    let pool = PgPool::connect(&database_url(data)).await.expect("the database");
    let secret = fs::read_to_string(data.join("secret")).expect("the secret");
    let user = User::insert_with(&pool, &secret).await;
    pool.close().await;
    user.authorization
}

fn database_url(data: &Path) -> String {
    let url = InitializedCluster::url_of_running(data, "socialize").expect("a running server");
    url.expose().to_owned()
}

/// The main process of the server.
fn postgres_process(data: &Path) -> PathBuf {
    let announcement = fs::read_to_string(data.join("postgres/postmaster.pid")).expect("a running server");
    PathBuf::from("/proc").join(announcement.lines().next().expect("its process").trim())
}

fn is_alive(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with(['Z', 'X']))
}

#[tokio::test]
async fn a_taken_port_is_explained() {
    let database = TestDatabase::create().await;
    let directory = directory();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    const FLAGS: [&str; 3] = ["--listen", "--operations-listen", "--console-listen"];
    for flag in FLAGS {
        let mut command = Command::new(env!("CARGO_BIN_EXE_laboratory"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.args(["demo", "--plain", flag, &address]);
        for other in FLAGS.iter().filter(|other| **other != flag) {
            command.args([other, "127.0.0.1:0"]);
        }
        command.args(["--database-url", database.url(), "--data-directory"]).arg(directory.path());
        let ended = Launch::of(command).run().await;
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        let expected = format!("{address} is taken by another process");
        assert!(ended.stderr.contains(&expected) && ended.stderr.contains(flag), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn mistakes_on_the_command_line_are_told_together() {
    let directory = directory();
    let data = directory.path().join("data");
    let ended = demo(&data, &["--for", "soon", "--rate", "many", "--seed", "x"]).run().await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    let mistakes: HashMap<&str, &str> = ended
        .stderr
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("- ")?.split_once(": "))
        .collect();
    for flag in ["--for", "--rate", "--seed"] {
        assert!(mistakes.contains_key(flag), "{flag}: {}", ended.stderr);
    }
    assert!(!data.exists(), "nothing is started");
}
