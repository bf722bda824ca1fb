//! Simulated people on a running Socialize.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use catalogue::labels::Role;
use serde_json::Value as Json;
use socialize::app::App;
use socialize::run::config::{Given, Settings};
use socialize::run::serve;
use telemetry::meter::Value;
use test_support::TestDatabase;
use test_support::process::{Launch, SERVER_SECRET};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// A Socialize in this process.
struct Server {
    app: App,
    public: SocketAddr,
    stop: watch::Sender<()>,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Server {
    async fn start(database_url: &str, mail_directory: &Path) -> Self {
        // Another test may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let text = |value: &str| value.to_owned();
        let directory = mail_directory.display().to_string();
        let given = Given::of([
            ("SOCIALIZE_DATABASE_URL", text(database_url)),
            ("SOCIALIZE_LISTEN", text("127.0.0.1:0")),
            ("SOCIALIZE_OPERATIONS_LISTEN", text("127.0.0.1:0")),
            ("SOCIALIZE_MAIL_FROM", text("Socialize <socialize@example.com>")),
            ("SOCIALIZE_BLOBS_DIRECTORY", format!("{directory}/blobs")),
            ("SOCIALIZE_MAIL_DIRECTORY", directory),
            ("SOCIALIZE_DRAIN_DELAY", text("0s")),
            ("SOCIALIZE_LOG_FORMAT", text("none")),
            // One simulated person does the work of many.
            ("SOCIALIZE_ORGANIZATIONS_PER_USER", text("1000000")),
            ("SOCIALIZE_WRITES_PER_USER", text("1000000")),
        ]);
        let secret = ("SOCIALIZE_SECRET".to_owned(), SERVER_SECRET.to_owned());
        let settings = Settings::check(&given, &[secret]).expect("settings");
        let (tell, listens) = oneshot::channel();
        let (stop, stopped) = watch::channel(());
        let running = tokio::spawn(serve::run_until(settings, Role::Serve, stopped, |listening| {
            // The receiver waits below.
            let _ = tell.send(listening);
        }));
        let listening = listens.await.expect("the server starts");
        listening.app.health.wait_for_first_results().await;
        let public = listening.public.expect("a public listener");
        Self { app: listening.app, public, stop, running }
    }

    async fn stop(self) {
        drop(self.stop);
        self.running.await.expect("no panic").expect("a graceful end");
    }
}

/// The program with these arguments and an empty environment.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_laboratory"));
    command.args(arguments).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
#[tokio::test]
async fn people_get_through_the_workflows() {
    let database = TestDatabase::create().await;
    let mail = tempfile::tempdir().expect("a directory");
    let server = Server::start(database.url(), mail.path()).await;
    let report = mail.path().join("report.json");
    let target = format!("http://{}", server.public);
    let mail_directory = mail.path().display().to_string();
    let ended = Launch::of(program(&["simulate", "--target", &target, "--mail-directory", &mail_directory]))
        .arguments(&["--for", "6s", "--rate", "40", "--json", &report.display().to_string()])
        .run()
        .await;
    assert_eq!(ended.status.code(), Some(0), "{}\n{}", ended.stdout, ended.stderr);
    let report: Json = serde_json::from_slice(&std::fs::read(report).expect("a report")).expect("JSON");
    let driven = &report["driven"];
    assert_eq!(driven["total"]["unexpected"], 0, "{report:#}");
    let count = |action: &str| driven["actions"][action]["ok"].as_u64().unwrap_or_default();
    for action in ["register", "verify_email", "log_in", "create_organization"] {
        assert!(count(action) > 0, "{action}: {report:#}");
    }
    let organizations =
        server.app.telemetry.meter().snapshot().value("socialize.organizations.created", &[]).cloned();
    let created = i64::try_from(count("create_organization")).expect("a small count");
    assert_eq!(organizations, Some(Value::Integer(created)));
    server.stop().await;
}

#[tokio::test]
async fn other_machines_are_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path().display().to_string();
    // Addresses reserved for documentation, in case this fails.
    for target in ["http://192.0.2.1:8080", "https://[2001:db8::1]"] {
        let arguments = ["simulate", "--target", target, "--mail-directory", &directory, "--for", "1s"];
        let ended = Launch::of(program(&arguments)).run().await;
        assert_eq!(ended.status.code(), Some(1), "{target}: {}", ended.stderr);
        assert!(ended.stderr.contains("is not this machine"), "{}", ended.stderr);
        assert!(ended.stderr.contains("--i-own-this-host"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn mistakes_are_told_together() {
    let arguments = ["simulate", "--target", "here", "--mail-directory", "/nowhere", "--for", "0s"];
    let ended = Launch::of(program(&arguments)).run().await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    for flag in ["--target: ", "--mail-directory: ", "--for: "] {
        assert!(ended.stderr.contains(flag), "{flag}{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_target_that_is_down_is_a_failure() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path().display().to_string();
    // The port of a listener that has closed.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let target = format!("http://{}", gone.expect("a port"));
    let arguments = ["simulate", "--target", &target, "--mail-directory", &directory, "--for", "1s"];
    let ended = Launch::of(program(&arguments)).run().await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
    assert!(ended.stdout.contains("register: no connection"), "{}", ended.stdout);
}
