//! Publishing endpoints that refuse, stall, send huge responses, or resolve to forbidden addresses.

use std::time::Duration;

use catalogue::labels::JobKind;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use socialize::platform::outbound::{Lookup, OutboundSettings, OutboundTimeouts};
use telemetry::JobOutcome;
use test_support::TestApp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::publishing_support::{PATIENT, Team, attempts, calls, finds, loopback};
use crate::receiver::{Reaction, Receiver};
use crate::support::runs;

/// Timeout that a stalling peer reaches; no other peer is called with it.
const SHORT: Duration = Duration::from_millis(300);

/// The job of a delivery that waits for its next attempt.
async fn next_attempt(test: &TestApp) -> (DateTime<Utc>, Option<String>, i32) {
    sqlx::query_as("select run_at, last_error_type, attempts from jobs where kind = 'publish_content_item'")
        .fetch_one(test.pool())
        .await
        .expect("a job")
}

/// Makes an attempt that fails temporarily, and asserts its error in every signal.
async fn is_deferred(test: &TestApp, url: &str, status: Option<&str>, error_type: &str) {
    let team = Team::of(test).await;
    test.publish_to(team.workspace, url).await;
    let item = team.publishing(test).await;
    let (called, deferred) = (calls(test, status, Some(error_type)), attempts(test, "deferred"));
    test.log_lines();
    let counts = test.run_due_jobs().await;
    assert_eq!((counts.of(JobOutcome::Retry), counts.total()), (1, 1), "{url}");
    assert_eq!(calls(test, status, Some(error_type)), called + 1, "{url}: {status:?} {error_type}");
    assert_eq!(attempts(test, "deferred"), deferred + 1);
    let lines = test.log_lines();
    let line = lines.iter().find(|line| line["event"] == "http.client.request").expect("a line");
    assert_eq!((&line["level"], &line["error.type"]), (&json!("warn"), &json!(error_type)));
    let run = lines.iter().find(|line| line["event"] == "job.run").expect("a line");
    assert_eq!((&run["outcome"], &run["error.cause"]), (&json!("retry"), &json!(error_type)));

    // The item waits, can be changed meanwhile, and is delivered when the endpoint works.
    let (run_at, last_error_type, attempt) = next_attempt(test).await;
    assert!(run_at > test.app.clock.now());
    assert_eq!((last_error_type.as_deref(), attempt), (Some(error_type), 1));
    assert_eq!(team.status(test, &item).await, "scheduled");
    team.act(test, &item, "unschedule").await;
    assert_eq!(team.act(test, &item, "archive").await["status"], "archived");
    test.app.clock.advance(TimeDelta::minutes(1));
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1, "it is not wanted any more");
}

#[tokio::test]
async fn what_is_no_success_is_tried_again() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    for (status, error_type) in [
        ("500 Internal Server Error", "unavailable"),
        ("503 Service Unavailable", "unavailable"),
        ("400 Bad Request", "rejected"),
        ("401 Unauthorized", "rejected"),
        ("404 Not Found", "rejected"),
        ("429 Too Many Requests", "rate_limited"),
        ("304 Not Modified", "protocol"),
    ] {
        let receiver = Receiver::start(move |_, _| Reaction::status(status)).await;
        is_deferred(&test, &receiver.url(), status.get(..3), error_type).await;
        assert_eq!(receiver.count(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_peer_that_does_not_answer_properly_is_told_apart() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    is_deferred(&test, &format!("http://{nobody}/"), None, "connection_refused").await;
    let silent = Receiver::start(|_, _| Reaction::Says(String::new())).await;
    is_deferred(&test, &silent.url(), None, "connection_reset").await;
    let nonsense = Receiver::start(|_, _| Reaction::Says("SSH-2.0-OpenSSH_9.9\r\n".to_owned())).await;
    is_deferred(&test, &nonsense.url(), None, "protocol").await;
    let headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", format!("a: {}\r\n", "b".repeat(8000)).repeat(1000));
    let endless_headers = Receiver::start(move |_, _| Reaction::Says(headers.clone())).await;
    is_deferred(&test, &endless_headers.url(), None, "protocol").await;
    // The server does not encrypt.
    let plain = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", plain.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.expect("a connection");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("sent");
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    is_deferred(&test, &url, None, "tls_failure").await;
    // The certificate is self-signed.
    let encrypted = Receiver::start_encrypted(|_, _| Reaction::status("200 OK")).await;
    is_deferred(&test, &encrypted.url_of("https", "localhost"), None, "tls_failure").await;
    assert_eq!(encrypted.count(), 0);
    is_deferred(&test, "https://does-not-exist.invalid/", None, "dns_failure").await;
}

#[tokio::test]
async fn a_certificate_that_the_operator_trusts_is_good_for_its_name() {
    let receiver = Receiver::start_encrypted(|_, _| Reaction::status("200 OK")).await;
    let certificate = receiver.certificate.clone().expect("a certificate").into_bytes();
    let settings = OutboundSettings { extra_root_certificates: Some(certificate), ..loopback() };
    let test = TestApp::start_with_outbound(settings, None).await;
    let team = Team::of(&test).await;
    test.publish_to(team.workspace, &receiver.url_of("https", "localhost")).await;
    let item = team.publishing(&test).await;
    test.run_due_jobs().await;
    assert_eq!((team.status(&test, &item).await.as_str(), receiver.count()), ("published", 1));
    is_deferred(&test, &receiver.url_of("https", "127.0.0.1"), None, "tls_failure").await;
}

#[tokio::test]
async fn a_peer_that_stalls_is_waited_for_at_every_stage_only_so_long() {
    let never_answers = Receiver::start(|_, _| Reaction::Stalls).await;
    let test = TestApp::start_with_outbound(
        OutboundSettings { timeouts: OutboundTimeouts { response: SHORT, ..PATIENT }, ..loopback() },
        None,
    )
    .await;
    is_deferred(&test, &never_answers.url(), None, "timeout").await;

    // It accepts the connection but never starts TLS.
    let never_encrypts = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", never_encrypts.local_addr().expect("an address"));
    let test = TestApp::start_with_outbound(
        OutboundSettings { timeouts: OutboundTimeouts { connect: SHORT, ..PATIENT }, ..loopback() },
        None,
    )
    .await;
    is_deferred(&test, &url, None, "timeout").await;

    let never_found: Lookup = std::sync::Arc::new(|_| Box::pin(std::future::pending()));
    let test = TestApp::start_with_outbound(
        OutboundSettings { timeouts: OutboundTimeouts { resolve: SHORT, ..PATIENT }, ..loopback() },
        Some(never_found),
    )
    .await;
    is_deferred(&test, "https://receiver.example/", None, "timeout").await;
}

#[tokio::test]
async fn of_a_gibibyte_only_the_beginning_is_read() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let takes = Receiver::start(|_, _| Reaction::SaysGibibyte("200 OK")).await;
    let team = Team::of(&test).await;
    test.publish_to(team.workspace, &takes.url()).await;
    let item = team.publishing(&test).await;
    test.run_due_jobs().await;
    assert_eq!(team.status(&test, &item).await, "published");
    let refuses = Receiver::start(|_, _| Reaction::SaysGibibyte("500 Internal Server Error")).await;
    is_deferred(&test, &refuses.url(), Some("500"), "unavailable").await;
    for receiver in [takes, refuses] {
        // The rest was in the system's buffers when the connection closed.
        assert!(receiver.body_bytes_sent() < 64 << 20, "{} bytes", receiver.body_bytes_sent());
    }
}

#[tokio::test]
async fn an_endpoint_can_ask_for_time_within_reason() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    for (status, retry_after, least, most) in [
        ("429 Too Many Requests", "1800", 1800, 1800),
        ("503 Service Unavailable", "600", 600, 600),
        ("503 Service Unavailable", "1", 3, 7),
        ("503 Service Unavailable", "100000000", 3600, 3600),
        ("503 Service Unavailable", "99999999999999999999", 3, 7),
        ("429 Too Many Requests", "soon", 3, 7),
    ] {
        let header = format!("retry-after: {retry_after}");
        let receiver = Receiver::start(move |_, _| Reaction::with_header(status, &header)).await;
        let team = Team::of(&test).await;
        test.publish_to(team.workspace, &receiver.url()).await;
        let item = team.publishing(&test).await;
        assert_eq!(test.run_due_jobs().await.of(JobOutcome::Retry), 1);
        let wait = (next_attempt(&test).await.0 - test.app.clock.now()).num_seconds();
        assert!((least..=most).contains(&wait), "{status} {retry_after}: {wait} s");
        team.act(&test, &item, "unschedule").await;
        test.app.clock.advance(TimeDelta::hours(2));
        test.run_due_jobs().await;
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let inside = Receiver::start(|_, _| Reaction::status("200 OK")).await;
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let location = format!("location: {}", inside.url());
        let receiver = Receiver::start(move |_, _| Reaction::with_header(status, &location)).await;
        is_deferred(&test, &receiver.url(), status.get(..3), "protocol").await;
        assert_eq!((receiver.count(), inside.count()), (1, 0), "{status}");
    }
}

/// Delivers to `url` and asserts that nothing was called.
async fn is_forbidden(test: &TestApp, url: &str) {
    let team = Team::of(test).await;
    test.publish_to(team.workspace, url).await;
    let item = team.publishing(test).await;
    let called = calls(test, None, Some("forbidden_address"));
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1, "{url}");
    let failed = team.read(test, &item).await;
    assert_eq!(
        (&failed["status"], &failed["publish_failure"]),
        (&json!("publish_failed"), &json!("forbidden_address")),
        "{url}"
    );
    assert_eq!(calls(test, None, Some("forbidden_address")), called + 1, "{url}");
}

#[tokio::test]
async fn private_addresses_are_not_called_however_they_are_written() {
    let inside = Receiver::start(|_, _| Reaction::status("200 OK")).await;
    let encrypted = Receiver::start_encrypted(|_, _| Reaction::status("200 OK")).await;
    let test = TestApp::start_with_outbound(
        OutboundSettings { timeouts: PATIENT, ..OutboundSettings::default() },
        None,
    )
    .await;
    let port = encrypted.address.port();
    for host in [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "224.0.0.1",
        "[fe80::1]",
        "[ff02::1]",
    ] {
        is_forbidden(&test, &format!("https://{host}:{port}/")).await;
    }
    is_forbidden(&test, &inside.url()).await;
    is_forbidden(&test, &inside.url_of("http", "localhost")).await;
    assert_eq!((inside.count(), encrypted.count()), (0, 0));
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_called() {
    let encrypted = Receiver::start_encrypted(|_, _| Reaction::status("200 OK")).await;
    let patient = || OutboundSettings { timeouts: PATIENT, ..OutboundSettings::default() };
    for addresses in [
        &["127.0.0.1"][..],
        &["[::1]", "127.0.0.1"],
        &["169.254.169.254"],
        &["[::ffff:127.0.0.1]"],
        &["10.0.0.1"],
    ] {
        let test = TestApp::start_with_outbound(patient(), Some(finds(addresses))).await;
        is_forbidden(&test, &encrypted.url_of("https", "receiver.example")).await;
    }
    // A name that resolves to a public address when it is checked and to a private one when it is called:
    // only the first result is used.
    let lookups = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = lookups.clone();
    let rebinding: Lookup = std::sync::Arc::new(move |_| {
        let first = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        // The documentation network is not public, so a test can only start with a private address.
        let address = if first { "127.0.0.1:0" } else { "10.0.0.1:0" };
        Box::pin(async move { Ok(vec![address.parse().expect("an address")]) })
    });
    let settings = OutboundSettings {
        extra_root_certificates: encrypted.certificate.clone().map(String::into_bytes),
        ..loopback()
    };
    let test = TestApp::start_with_outbound(settings, Some(rebinding)).await;
    let team = Team::of(&test).await;
    test.publish_to(team.workspace, &encrypted.url_of("https", "localhost")).await;
    let item = team.publishing(&test).await;
    test.run_due_jobs().await;
    assert_eq!(team.status(&test, &item).await, "published");
    assert_eq!(lookups.load(std::sync::atomic::Ordering::SeqCst), 1, "it is looked up once for each call");
    is_forbidden(&test, &encrypted.url_of("https", "localhost")).await;
    assert_eq!(encrypted.count(), 1);
}

#[tokio::test]
async fn without_encryption_only_what_was_allowed_is_called() {
    let inside = Receiver::start(|_, _| Reaction::status("200 OK")).await;
    let settings = || OutboundSettings {
        allowed_networks: vec!["127.0.0.0/8".parse().expect("a network")],
        ..loopback()
    };
    let test = TestApp::start_with_outbound(settings(), Some(finds(&["127.0.0.1"]))).await;
    let team = Team::of(&test).await;
    test.publish_to(team.workspace, &inside.url_of("http", "receiver.internal")).await;
    let item = team.publishing(&test).await;
    test.run_due_jobs().await;
    assert_eq!((team.status(&test, &item).await.as_str(), inside.count()), ("published", 1));
    // A public address without a server.
    let test = TestApp::start_with_outbound(settings(), Some(finds(&["8.8.8.8"]))).await;
    is_forbidden(&test, "http://receiver.example/").await;
    is_forbidden(&test, "http://8.8.8.8/").await;
}

#[tokio::test]
async fn after_a_day_of_attempts_it_is_given_up_and_a_manager_can_try_again() {
    let receiver = Receiver::start(|number, _| match number {
        ..=12 => Reaction::status("500 Internal Server Error"),
        _ => Reaction::status("200 OK"),
    })
    .await;
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let team = Team::of(&test).await;
    test.publish_to(team.workspace, &receiver.url()).await;
    let item = team.publishing(&test).await;
    let began = test.app.clock.now();
    for attempt in 1..12 {
        assert_eq!(test.run_due_jobs().await.of(JobOutcome::Retry), 1, "attempt {attempt}");
        assert_eq!(team.status(&test, &item).await, "scheduled");
        let (run_at, _, attempts) = next_attempt(&test).await;
        assert_eq!(attempts, attempt);
        test.app.clock.advance(run_at - test.app.clock.now());
    }
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
    let hours = (test.app.clock.now() - began).num_hours();
    assert!((15..=32).contains(&hours), "{hours} hours");
    let failed = team.read(&test, &item).await;
    assert_eq!(
        (&failed["status"], &failed["publish_failure"]),
        (&json!("publish_failed"), &json!("not_accepted"))
    );
    let jobs: i64 =
        sqlx::query_scalar("select count(*) from jobs").fetch_one(test.pool()).await.expect("a count");
    assert_eq!((jobs, attempts(&test, "deferred"), attempts(&test, "failed")), (0, 11, 1));
    assert_eq!(runs(&test.app, JobKind::PublishContentItem, JobOutcome::Dead), 0);
    let lines = test.log_lines();
    let line = lines.iter().rfind(|line| line["event"] == "socialize.publishing.deliveries").expect("a line");
    assert_eq!((&line["level"], &line["publish_failure"]), (&json!("warn"), &json!("not_accepted")));

    team.act(&test, &item, "publish").await;
    assert_eq!(test.run_due_jobs().await.of(JobOutcome::Ok), 1);
    assert_eq!(team.status(&test, &item).await, "published");
    let ids: Vec<String> =
        receiver.received().iter().map(|received| received.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), 13);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_for_a_day_is_unreachable() {
    let test = TestApp::start_with_outbound(loopback(), None).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let team = Team::of(&test).await;
    test.publish_to(team.workspace, &format!("http://{nobody}/")).await;
    let item = team.publishing(&test).await;
    sqlx::query("update jobs set attempts = 11")
        .execute(test.pool())
        .await
        .expect("the last attempt is left");
    test.run_due_jobs().await;
    let failed = team.read(&test, &item).await;
    assert_eq!(
        (&failed["status"], &failed["publish_failure"]),
        (&json!("publish_failed"), &json!("unreachable"))
    );
    // A manager who published it manually marks it.
    assert_eq!(team.act(&test, &item, "mark-published").await["publish_failure"], Value::Null);
}
