//! Effects of each signal on long-running roles.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use test_support::TestDatabase;
use test_support::process::{Launch, Process, User, eventually};

use crate::hostile_clients::{head, lock_organizations, wait_for_active_requests};
use crate::raw_connection::RawConnection;

/// Maximum time of an immediate exit on a busy machine. A graceful shutdown takes longer, because of the work
/// in progress in these tests.
const AT_ONCE: Duration = Duration::from_secs(5);

async fn start(role: &str, database: &TestDatabase, log: &Path) -> Process {
    Launch::role(role, database.url()).variable("SOCIALIZE_LOG_FILE", log).start().await
}

/// Writes a line, so that a test sees the current log file.
async fn leave_a_line(process: &Process, level: &str) {
    let url = format!("http://{}/log-level", process.operations());
    let changed = process.client().put(url).body(level.to_owned()).send().await.expect("a response");
    assert_eq!(changed.status(), 200);
}

async fn wait_for_line(file: &Path, text: &str) {
    eventually("a line in the file", async || {
        fs::read_to_string(file).is_ok_and(|lines| lines.contains(text)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn hup_begins_the_log_file_anew_and_nothing_is_lost() {
    for role in ["serve", "work"] {
        let database = TestDatabase::create().await;
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let (log, moved) = (path("socialize.jsonl"), path("socialize.jsonl.1"));
        let mut process = start(role, &database, &log).await;
        wait_for_line(&log, "server.started").await;

        // As `logrotate` does with `create`: rename, then signal the process.
        fs::rename(&log, &moved).expect("renamed");
        process.signal(Signal::SIGHUP);
        eventually("a new file", async || log.exists().then_some(())).await;
        leave_a_line(&process, "warn").await;
        wait_for_line(&log, "log.level.changed").await;
        assert!(!fs::read_to_string(&moved).expect("a file").contains("log.level.changed"));

        // As with `copytruncate`: the file stays and is emptied.
        fs::File::options().write(true).open(&log).expect("a file").set_len(0).expect("truncated");
        leave_a_line(&process, "info").await;
        wait_for_line(&log, "log.level.changed").await;
        let text = fs::read_to_string(&log).expect("a file");
        assert!(text.starts_with('{'), "no hole at the beginning: {text:?}");

        process.stop().await;
        let written = [&moved, &log].map(|file| fs::read_to_string(file).expect("a file")).concat();
        assert!(written.contains("server.started") && written.contains("server.stopped"), "{written}");
    }
}

#[tokio::test]
async fn usr1_and_usr2_have_no_effect_and_quit_ends_in_good_order() {
    for role in ["serve", "work"] {
        let database = TestDatabase::create().await;
        let directory = tempfile::tempdir().expect("a directory");
        let mut process = start(role, &database, &directory.path().join("socialize.jsonl")).await;
        for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGHUP, Signal::SIGPIPE] {
            process.signal(signal);
            assert_eq!(process.operations_get("/health/live").await.status, 200, "{signal}");
        }
        assert_eq!(process.exit_status(), None);
        process.signal(Signal::SIGQUIT);
        let status = process.wait_for_exit().await;
        assert_eq!(status.code(), Some(0), "{role}: {status}");
        assert_eq!(process.events("server.stopped").len(), 1, "{role}");
    }
}

#[tokio::test]
async fn a_second_term_or_int_ends_at_once() {
    for (first, second, code) in [
        (Signal::SIGTERM, Signal::SIGTERM, 143),
        (Signal::SIGINT, Signal::SIGINT, 130),
        (Signal::SIGTERM, Signal::SIGINT, 130),
    ] {
        let database = TestDatabase::create().await;
        let user = User::insert(database.pool()).await;
        let mut process = Launch::serve(database.url())
            .variable("SOCIALIZE_SHUTDOWN_TIMEOUT", "60s")
            .variable("SOCIALIZE_REQUEST_TIMEOUT", "60s")
            .variable("SOCIALIZE_DATABASE_STATEMENT_TIMEOUT", "60s")
            .start_ready()
            .await;
        let lock = lock_organizations(&database).await;
        let body = r#"{"name":"A"}"#;
        let request = head(&user, &format!("content-length: {}\r\n", body.len())) + body;
        let under_way = RawConnection::send(process.public(), request).await;
        wait_for_active_requests(&process, 1.0).await;

        process.signal(first);
        process.line("the beginning of the end", |line| line["event"] == "server.stopping").await;
        assert_eq!(process.exit_status(), None, "it waits for the request");
        let told = Instant::now();
        process.signal(second);
        let status = process.wait_for_exit().await;
        assert!(told.elapsed() < AT_ONCE, "{:?}", told.elapsed());
        assert_eq!(status.code(), Some(code), "{status}");
        assert_eq!(process.events("server.stopped"), [] as [Value; 0], "it did not end in good order");
        drop((under_way, lock));
    }
}

/// A worker that waits for a job also exits at the second signal.
#[tokio::test]
async fn a_second_term_ends_a_worker_at_once() {
    let database = TestDatabase::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let mut process = Launch::role("work", database.url())
        .variable("SOCIALIZE_SHUTDOWN_TIMEOUT", "60s")
        .variable("SOCIALIZE_LOG_FILE", directory.path().join("socialize.jsonl"))
        .start()
        .await;
    process.signal(Signal::SIGTERM);
    // The second signal races with the exit after the first; either may win.
    process.signal(Signal::SIGTERM);
    let told = Instant::now();
    let status = process.wait_for_exit().await;
    assert!(told.elapsed() < AT_ONCE, "{:?}", told.elapsed());
    assert!(matches!(status.code(), Some(0 | 143)), "{status}");
}
