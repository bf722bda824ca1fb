//! Simulated people on a running Socialize.

use serde_json::Value;
use test_support::TestDatabase;
use test_support::process::{Launch, program};

#[tokio::test]
async fn people_get_through_the_workflows() {
    let database = TestDatabase::create().await;
    let mail = tempfile::tempdir().expect("a directory");
    let mut server =
        Launch::serve(database.url()).variable("SOCIALIZE_MAIL_DIRECTORY", mail.path()).start_ready().await;
    let report = mail.path().join("report.json");
    let target = format!("http://{}", server.public());
    let mail_directory = mail.path().display().to_string();
    let ended = Launch::of(program(&["simulate", "--target", &target, "--mail-directory", &mail_directory]))
        .arguments(&["--for", "6s", "--rate", "40", "--json", &report.display().to_string()])
        .run()
        .await;
    assert_eq!(ended.status.code(), Some(0), "{}\n{}", ended.stdout, ended.stderr);
    let report: Value = serde_json::from_slice(&std::fs::read(report).expect("a report")).expect("JSON");
    let driven = &report["driven"];
    assert_eq!(driven["total"]["unexpected"], 0, "{report:#}");
    let count = |action: &str| driven["actions"][action]["ok"].as_u64().unwrap_or_default();
    for action in ["register", "verify_email", "log_in", "create_organization"] {
        assert!(count(action) > 0, "{action}: {report:#}");
    }
    let metrics = server.metrics().await;
    let organizations = metrics.value("socialize_organizations_created_total", &[]);
    assert_eq!(organizations, count("create_organization") as f64);
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
