//! The private operations listener: accepted hosts, and changes of the log level.

use std::time::{Duration, Instant};

use test_support::TestDatabase;
use test_support::process::{Launch, Process, eventually};

use crate::raw_connection::RawConnection;

async fn ask(process: &Process, request: &str) -> u16 {
    let mut connection = RawConnection::send(process.operations(), request).await;
    connection.answer().await.status.as_u16()
}

/// A page in the operator's browser may reach the port through a name of its own, but it cannot forge the
/// `Host` header.
#[tokio::test]
async fn only_requests_for_its_own_hosts_are_answered() {
    let database = TestDatabase::create().await;
    let process = Launch::serve(database.url())
        .variable("SOCIALIZE_OPERATIONS_HOSTS", "api, monitor")
        .start_ready()
        .await;
    let port = process.operations().port();
    let get =
        async |path: &str, hosts: &str| ask(&process, &format!("GET {path} HTTP/1.1\r\n{hosts}\r\n")).await;
    for path in ["/health/live", "/health", "/metrics", "/log-level", "/build"] {
        for host in [
            format!("localhost:{port}"),
            format!("127.0.0.1:{port}"),
            "[::1]:80".to_owned(),
            "Monitor:1".to_owned(),
        ] {
            assert_eq!(get(path, &format!("host: {host}\r\n")).await, 200, "{path} {host}");
        }
        for hosts in [
            "host: evil.example\r\n".to_owned(),
            format!("host: evil.example:{port}\r\n"),
            format!("host: localhost.evil.example:{port}\r\n"),
            "host: 10.1.2.3\r\n".to_owned(),
            "host:\r\n".to_owned(),
        ] {
            assert_eq!(get(path, &hosts).await, 421, "{path} {hosts}");
        }
    }
    let put =
        |host: &str| format!("PUT /log-level HTTP/1.1\r\nhost: {host}\r\ncontent-length: 5\r\n\r\nerror");
    assert_eq!(ask(&process, &put("evil.example")).await, 421);
    let absolute = format!("GET http://evil.example/health HTTP/1.1\r\nhost: localhost:{port}\r\n\r\n");
    assert_eq!(ask(&process, &absolute).await, 421);
    let two = "GET /health HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n";
    assert!(matches!(ask(&process, two).await, 400 | 421));
    assert_eq!(process.operations_get("/log-level").await.bytes, b"info\n");
}

#[tokio::test]
async fn a_change_of_the_level_cannot_hide_itself() {
    let database = TestDatabase::create().await;
    let process = Launch::serve(database.url()).start_ready().await;
    let url = format!("http://{}/log-level", process.operations());
    for level in ["off", "fatal", "off,sqlx=off", "info"] {
        let changed = process.client().put(&url).body(level).send().await.expect("an answer");
        assert_eq!(changed.status(), 200);
    }
    let lines = eventually("four lines", async || {
        let lines = process.events("log.level.changed");
        (lines.len() == 4).then_some(lines)
    })
    .await;
    let seen: Vec<_> =
        lines.iter().map(|line| (line["log.level.before"].as_str(), line["log.level"].as_str())).collect();
    assert_eq!(
        seen,
        [
            (Some("info"), Some("off")),
            (Some("off"), Some("fatal")),
            (Some("fatal"), Some("off/sqlx:off")),
            (Some("off/sqlx:off"), Some("info")),
        ]
    );
    assert!(lines.iter().all(|line| line["level"] == "warn"), "{lines:?}");
    // An invalid level changes nothing and writes no line.
    for refused in ["loud", "info,info"] {
        let answer = process.client().put(&url).body(refused).send().await.expect("an answer");
        assert_eq!(answer.status(), 422, "{refused}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let database = TestDatabase::create().await;
    let process = Launch::serve(database.url()).start_ready().await;
    let started = Instant::now();
    let request = "PUT /log-level HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\ner";
    let mut connection = RawConnection::send(process.operations(), request).await;
    assert_eq!(connection.answer().await.status, 408);
    assert!(started.elapsed() >= Duration::from_secs(10), "{:?}", started.elapsed());
    let long = format!(
        "PUT /log-level HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5000\r\n\r\n{}",
        "a".repeat(5000)
    );
    assert_eq!(ask(&process, &long).await, 413);
    assert_eq!(process.operations_get("/log-level").await.bytes, b"info\n");
}
