//! `socialize doctor` reports every problem with the right remedy.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::Path;

use cluster::free_loopback_port;
use otlp_sink::{OtlpSink, Reaction};
use serde_json::Value;
use test_support::TestDatabase;
use test_support::process::{Launch, program};

/// Result of a run: the exit code, and verdict and text by check.
struct Findings {
    code: Option<i32>,
    report: Value,
}

impl Findings {
    async fn of(launch: Launch) -> Self {
        let ended = launch.arguments(&["--json"]).run().await;
        let report = serde_json::from_str(&ended.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} {}", ended.stdout, ended.stderr));
        Self { code: ended.status.code(), report }
    }

    #[track_caller]
    fn expect(&self, check: &str, verdict: &str, text: &str) {
        let checks = self.report["checks"].as_array().expect("a list");
        let said = |finding: &&Value| {
            finding["check"] == check && finding["verdict"] == verdict && finding.to_string().contains(text)
        };
        assert!(checks.iter().any(|finding| said(&finding)), "{check} {verdict} {text:?}: {:#}", self.report);
    }
}

/// Returns the finding of `doctor` with this name.
pub(crate) async fn finding(database_url: &str, check: &str) -> Value {
    let ended = Launch::role("doctor", database_url).arguments(&["--json"]).run().await;
    let report: Value = serde_json::from_str(&ended.stdout).expect("a report");
    let checks = report["checks"].as_array().expect("a list");
    checks.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("{report:#}")).clone()
}

fn free_port() -> u16 {
    free_loopback_port().expect("a free port")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well() {
    let database = TestDatabase::create().await;
    let sink = OtlpSink::start();
    let mail = tempfile::tempdir().expect("a directory");
    let blobs = tempfile::tempdir().expect("a directory");
    let launch = || {
        Launch::role("doctor", database.url())
            .variable("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint())
            .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
            .variable("SOCIALIZE_MAIL_DIRECTORY", mail.path())
            .variable("SOCIALIZE_BLOBS_DIRECTORY", blobs.path())
            .arguments(&["--send-to", "ada@example.com"])
    };
    let found = Findings::of(launch()).await;
    assert_eq!(found.code, Some(0), "{:#}", found.report);
    assert_eq!(found.report["healthy"], true);
    for check in [
        "configuration",
        "proxies",
        "database",
        "connections",
        "clock",
        "migrations",
        "blobs",
        "mail",
        "disk",
    ] {
        found.expect(check, "ok", "");
    }
    found.expect("otlp_traces", "ok", "accepted");
    found.expect("otlp_metrics", "ok", "accepted");

    // The checks were really made.
    let spans = sink.traces().iter().flat_map(|request| &request.resource_spans).count();
    let points = sink.metrics().iter().flat_map(|request| &request.resource_metrics).count();
    assert_eq!((spans, points), (1, 1));
    assert_eq!(emails(&mail), 1);
    // They left nothing behind.
    assert_eq!(files(blobs.path()), 0);

    let suspicious = launch()
        .variable("SOCIALIZE_TRUSTED_PEERS", "0.0.0.0/0")
        .variable("SOCIALIZE_SECRET", "'a-server-secret-of-tests-that-nobody-may-ever-see'");
    let found = Findings::of(suspicious).await;
    found.expect("proxies", "warning", "name the proxies only");
    found.expect("secrets", "warning", "SOCIALIZE_SECRET is in quotation marks");
    assert!(!found.report.to_string().contains("a-server-secret"), "{:#}", found.report);
    let (name, at) = database.url().split_once("://").expect("a URL");
    let with_at =
        launch().variable("SOCIALIZE_DATABASE_URL", format!("{name}://{}", at.replacen('@', ":p@ss@", 1)));
    Findings::of(with_at).await.expect("database_url", "warning", "write %40");

    // The same for the text format.
    let ended = launch().run().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("Everything is as it should be."), "{}", ended.stdout);
}

fn files(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).expect("a directory").flatten();
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

fn emails(directory: &tempfile::TempDir) -> usize {
    let entries = std::fs::read_dir(directory.path()).expect("a directory").flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "eml")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_well() {
    let sink = OtlpSink::start();
    sink.react_always(Reaction::Status(401));
    let metrics = format!("http://127.0.0.1:{}/v1/metrics", free_port());
    let database = format!("postgres://socialize:do-not-show@127.0.0.1:{}/socialize", free_port());
    let mail = format!("smtp://127.0.0.1:{}?tls=none", free_port());
    let s3 = format!("http://127.0.0.1:{}", free_port());
    let launch = Launch::role("doctor", &database)
        .without("SOCIALIZE_BLOBS_DIRECTORY")
        .variables(&[("SOCIALIZE_S3_BUCKET", "socialize"), ("SOCIALIZE_S3_ENDPOINT", &s3)])
        .variables(&[("SOCIALIZE_S3_ACCESS_KEY_ID", "id"), ("SOCIALIZE_S3_SECRET_ACCESS_KEY", "do-not-show")])
        .without("SOCIALIZE_MAIL_DIRECTORY")
        .variable("SOCIALIZE_SMTP_URL", mail)
        .variable("SOCIALIZE_LOG_FILE", "/proc/no/such/place/socialize.jsonl")
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint())
        .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .variable("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", metrics);
    let found = Findings::of(launch).await;
    assert_eq!(found.code, Some(1));
    assert_eq!(found.report["healthy"], false);
    found.expect("database", "failed", "start Postgres, or correct host and port");
    found.expect("migrations", "skipped", "");
    found.expect("blobs", "failed", "correct SOCIALIZE_S3_ENDPOINT");
    found.expect("mail", "failed", "correct host and port in SOCIALIZE_SMTP_URL");
    found.expect("otlp_traces", "failed", "answers 401");
    found.expect("otlp_metrics", "failed", "refuses the connection");
    found.expect("disk", "failed", "SOCIALIZE_LOG_FILE");
    assert!(!found.report.to_string().contains("do-not-show"), "{:#}", found.report);
}

/// A port of gRPC, where nobody speaks HTTP/1.1: its first bytes are those of every HTTP/2 server.
fn start_grpc_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0");
            let _ = stream.shutdown(Shutdown::Write);
            while stream.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {}
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_why_telemetry_does_not_arrive_is_named() {
    let database = TestDatabase::create().await;
    let (working, login_page, redirect) = (OtlpSink::start(), OtlpSink::start(), OtlpSink::start());
    login_page.react_always(Reaction::LoginPage);
    redirect.react_always(Reaction::Redirect);
    let encrypted = OtlpSink::start_encrypted();
    let other = OtlpSink::start_encrypted();
    let directory = tempfile::tempdir().expect("a directory");
    let authority = directory.path().join("authority.pem");
    std::fs::write(&authority, other.certificate().expect("a certificate")).expect("a file");
    let table = [
        (format!("http://127.0.0.1:{}", free_port()), "start the collector, or correct the port"),
        ("http://collector.invalid:4318".to_owned(), "correct the host name in OTEL_EXPORTER_OTLP_ENDPOINT"),
        (encrypted.endpoint().to_owned(), "issued by an authority in OTEL_EXPORTER_OTLP_CERTIFICATE"),
        (working.endpoint().replace("http:", "https:"), "whether it speaks TLS at all"),
        (format!("http://127.0.0.1:{}", start_grpc_port()), "name its port for HTTP, usually 4318"),
        (login_page.endpoint().to_owned(), "something that is not OTLP, such as a login page"),
        (redirect.endpoint().to_owned(), "it redirects, which is not followed"),
    ];
    for (endpoint, said) in table {
        let launch = Launch::role("doctor", database.url())
            .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
            .variable("OTEL_EXPORTER_OTLP_CERTIFICATE", &authority);
        let found = Findings::of(launch).await;
        for check in ["otlp_traces", "otlp_metrics"] {
            found.expect(check, "failed", said);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_is_not_ready() {
    let database = TestDatabase::create_empty().await;
    let found = Findings::of(Launch::role("doctor", database.url())).await;
    assert_eq!(found.code, Some(1));
    found.expect("database", "ok", "PostgreSQL");
    found.expect("migrations", "failed", "socialize migrate");
    found.expect("otlp_traces", "skipped", "OTEL_EXPORTER_OTLP_ENDPOINT");

    // A database under repair accepts no writes.
    let statement = format!(
        "alter database {} set default_transaction_read_only = on",
        database.url().rsplit('/').next().and_then(|name| name.split('?').next()).expect("a name")
    );
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(database.pool()).await.expect("altered");
    let found = Findings::of(Launch::role("doctor", database.url())).await;
    found.expect("writes", "failed", "accepts no writes");
}

#[tokio::test]
async fn mistakes_come_first() {
    let launch = || Launch::of(program(&["doctor", "--send-to", "nobody"]));
    let ended = launch().run().await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stdout);
    assert!(
        ended.stderr.contains("SOCIALIZE_DATABASE_URL") && ended.stderr.contains("--send-to"),
        "{}",
        ended.stderr
    );
    let found = Findings::of(launch()).await;
    assert_eq!(found.code, Some(2));
    found.expect("configuration", "failed", "SOCIALIZE_DATABASE_URL");
}
