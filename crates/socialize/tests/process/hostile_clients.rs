//! Clients that are slow, disconnect, send too much or send garbage. Each is disconnected in time, and none
//! affects others.

use std::time::{Duration, Instant};

use http::Method;
use opentelemetry_proto::tonic::trace::v1::Span;
use otlp_sink::OtlpSink;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use test_support::TestDatabase;
use test_support::process::{Launch, PATIENCE, Process, User, eventually};

use crate::raw_connection::RawConnection;
use crate::telemetry_over_otlp::{Received, values};

/// Server's timeout for headers, plus an allowance for a busy machine.
const HEADERS_WITHIN: Duration = Duration::from_secs(10 + 5);

/// Asserts that a client's behaviour does not look like a fault of the server.
async fn assert_undisturbed(process: &Process) {
    process.get("/health/live").await.expect(200);
    let metrics = process.metrics().await;
    assert_eq!(metrics.value("telemetry_panics_total", &[]), 0.0);
    assert_eq!(metrics.sum("http_server_active_requests", &[]), 0.0);
    for line in process.lines() {
        assert_ne!(line["level"], "error", "{line}");
    }
}

#[tokio::test]
async fn whoever_does_not_finish_the_headers_is_closed() {
    let database = TestDatabase::create().await;
    let mut process = Launch::serve(database.url()).start_ready().await;
    let address = process.public();
    let beginnings: &[&[u8]] = &[
        b"",
        b"P",
        b"GET /nothing HT",
        b"GET /nothing HTTP/1.1\r\nhost: socialize\r\nx-slow:",
        // The preface of HTTP/2, with and without its end.
        b"PRI * HTTP/2.0\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    let since = Instant::now();
    let mut closing = tokio::task::JoinSet::new();
    for beginning in beginnings {
        for _ in 0..20 {
            let connection = RawConnection::send(address, beginning).await;
            closing.spawn(async move {
                connection.closed().await;
                String::from_utf8_lossy(beginning)
            });
        }
    }
    // Single bytes at intervals do not extend the timeout.
    closing.spawn(async move {
        let mut connection = RawConnection::send(address, "GET /nothing HTTP/1.1\r\nx-slow: ").await;
        let dripping = async {
            loop {
                connection.write("a").await;
                tokio::time::sleep(Duration::from_millis(100)).await;
                if connection.has_ended() {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, dripping).await.expect("the connection is closed");
        "dripping".into()
    });
    // After a response, a client may keep the connection for later.
    let request = "GET /nothing HTTP/1.1\r\nhost: socialize\r\n\r\n";
    let mut idle = RawConnection::send(address, request).await;
    idle.answer().await.expect_error(404, "not_found");
    // Other clients are served meanwhile.
    process.get("/nothing").await.expect_error(404, "not_found");
    while let Some(closed) = closing.join_next().await {
        let which = closed.expect("no panic");
        assert!(since.elapsed() < HEADERS_WITHIN, "{which:?} was open for {:?}", since.elapsed());
    }
    idle.write(request).await;
    idle.answer().await.expect_error(404, "not_found");
    assert_undisturbed(&process).await;
    process.stop().await;
}

pub(crate) fn head(user: &User, headers: &str) -> String {
    format!(
        "POST /v1/organizations HTTP/1.1\r\nhost: socialize\r\ncontent-type: application/json\r\n\
         authorization: {}\r\n{headers}\r\n",
        user.authorization
    )
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_or_is_too_large_is_refused() {
    let database = TestDatabase::create().await;
    let user = User::insert(database.pool()).await;
    let mut process =
        Launch::serve(database.url()).variable("SOCIALIZE_BODY_TIMEOUT", "500ms").start_ready().await;
    let address = process.public();
    let slow = head(&user, "content-length: 100\r\n");
    let chunked = head(&user, "transfer-encoding: chunked\r\n");
    let large = head(&user, "content-length: 70000\r\n");
    let table = [
        (format!("{slow}{{\"name\""), 408, "request_timeout"),
        (format!("{chunked}7\r\n{{\"name\"\r\n"), 408, "request_timeout"),
        (format!("{large}{}", "a".repeat(70_000)), 413, "body_too_large"),
        (format!("{chunked}{:x}\r\n{}\r\n", 70_000, "a".repeat(70_000)), 413, "body_too_large"),
        // The response does not wait for the whole body.
        (format!("{chunked}{:x}\r\n{}\r\n", 8 << 20, "a".repeat(8 << 20)), 413, "body_too_large"),
        (head(&user, "content-length: 1000000000000\r\n"), 413, "body_too_large"),
        (head(&user, "content-length: 70000\r\nexpect: 100-continue\r\n"), 413, "body_too_large"),
    ];
    for (request, status, code) in table {
        let mut connection = RawConnection::send(address, &request).await;
        let answer = connection.answer().await.expect_error(status, code);
        assert_eq!(answer.header("connection"), Some("close"), "the rest of the body is no next request");
        let request_id = answer.header("x-request-id").expect("a request id").to_owned();
        process
            .line("its line", |line| line["trace_id"] == request_id[..] && line["error.code"] == code)
            .await;
    }
    // Single bytes at intervals do not extend the timeout.
    let mut dripping = RawConnection::send(address, &slow).await;
    for _ in 0..4 {
        dripping.write(" ").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    dripping.answer().await.expect_error(408, "request_timeout");

    let organizations: i64 = sqlx::query_scalar("select count(*) from organizations")
        .fetch_one(database.pool())
        .await
        .expect("a count");
    assert_eq!(organizations, 0);
    assert_undisturbed(&process).await;
    process.stop().await;
}

#[tokio::test]
async fn headers_that_are_too_large_are_refused() {
    let database = TestDatabase::create().await;
    let mut process = Launch::serve(database.url()).start_ready().await;
    let send = async |headers: String| {
        let request = format!("GET /v1/organizations HTTP/1.1\r\nhost: socialize\r\n{headers}\r\n");
        RawConnection::send(process.public(), request).await.answer().await
    };
    // Large headers within the limit are accepted.
    send(format!("x-large: {}\r\n", "a".repeat(15_000))).await.expect_error(401, "unauthenticated");
    let refused = [
        format!("x-large: {}\r\n", "a".repeat(17_000)),
        format!("cookie: {}\r\n", "a".repeat(1_000)).repeat(17),
    ];
    for headers in refused {
        let answer = send(headers).await.expect_error(431, "headers_too_large");
        let request_id = answer.header("x-request-id").expect("a request id").to_owned();
        let line = process.line("its line", |line| line["trace_id"] == request_id[..]).await;
        assert_eq!(line["http.response.status_code"], 431, "{line}");
        assert_eq!(line.get("http.route"), None, "it is refused before it is looked at: {line}");
        assert_eq!(line["level"], "info", "{line}");
    }
    // Above the reading limit the response has no body.
    send(format!("x-large: {}\r\n", "a".repeat(200_000))).await.expect(431);
    send("x-many: 1\r\n".repeat(1_000)).await.expect(431);

    let client = http2_client();
    let url = format!("http://{}/nothing", process.public());
    let request = client.get(&url).header("x-large", "a".repeat(17_000));
    let answer = test_support::process::read(request.send().await.expect("an answer")).await;
    answer.expect_error(431, "headers_too_large");
    assert_undisturbed(&process).await;
    process.stop().await;
}

pub(crate) fn http2_client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().timeout(PATIENCE);
    client.build().expect("an HTTP client")
}

#[tokio::test]
async fn http_2_without_negotiation_is_spoken() {
    let database = TestDatabase::create().await;
    let mut process = Launch::serve(database.url()).start_ready().await;
    let (client, url) = (http2_client(), format!("http://{}/v1/organizations", process.public()));
    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let request = client.get(&url);
        streams.spawn(async move { request.send().await.expect("an answer") });
    }
    let mut ids = std::collections::BTreeSet::new();
    while let Some(response) = streams.join_next().await {
        let response = response.expect("no panic");
        assert_eq!(response.version(), http::Version::HTTP_2);
        let answer = test_support::process::read(response).await.expect_error(401, "unauthenticated");
        ids.insert(answer.header("x-request-id").expect("a request id").to_owned());
    }
    assert_eq!(ids.len(), 50);
    process.stop().await;
    let lines = process.events("http.server.request");
    assert!(ids.iter().all(|id| lines.iter().any(|line| line["trace_id"] == id[..])));
}

#[tokio::test]
async fn nonsense_is_refused_or_closed_and_served_never() {
    let database = TestDatabase::create().await;
    let mut process = Launch::serve(database.url()).start_ready().await;
    let post = "POST /v1/organizations HTTP/1.1\r\nhost: socialize\r\ncontent-type: application/json\r\n";
    let nonsense: Vec<Vec<u8>> = vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a greeting of TLS".to_vec(),
        (0..=255).cycle().take(10_000).collect(),
        b"\0\0\0\0\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET  HTTP/1.1\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nhost socialize\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nx-null: a\0b\r\n\r\n".to_vec(),
        // The end of these bodies is ambiguous, so a proxy might interpret them differently.
        format!("{post}content-length: 1\r\ncontent-length: 2\r\n\r\n{{}}").into_bytes(),
        format!("{post}content-length: -1\r\n\r\n{{}}").into_bytes(),
        format!("{post}transfer-encoding: gzip\r\n\r\n{{}}").into_bytes(),
        format!("{post}transfer-encoding: chunked\r\n\r\nnot a length\r\n").into_bytes(),
        // HTTP/2 with an invalid first frame.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_vec(),
    ];
    for bytes in nonsense {
        let mut connection = RawConnection::send(process.public(), &bytes).await;
        connection.end().await;
        let received = connection.closed().await;
        let text = String::from_utf8_lossy(&received);
        let is_refused = text.starts_with("HTTP/1.1 40") || text.starts_with("HTTP/1.1 505");
        let is_http_2 = received.get(3).is_some_and(|kind| *kind == 4 || *kind == 7);
        assert!(received.is_empty() || is_refused || is_http_2, "{bytes:?}: {text}");
    }
    assert_undisturbed(&process).await;
    process.stop().await;
}

/// Holds a lock that every access to organizations waits for.
pub(crate) async fn lock_organizations(database: &TestDatabase) -> PgConnection {
    let mut connection = PgConnection::connect(database.url()).await.expect("a connection");
    sqlx::raw_sql("begin; lock table organizations in access exclusive mode")
        .execute(&mut connection)
        .await
        .expect("the lock");
    connection
}

pub(crate) async fn wait_for_active_requests(process: &Process, count: f64) {
    eventually("so many requests under way", async || {
        let active = process.metrics().await.sum("http_server_active_requests", &[]);
        (active == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_request() {
    let database = TestDatabase::create().await;
    let user = User::insert(database.pool()).await;
    let sink = OtlpSink::start();
    let mut process = Launch::serve(database.url())
        .without_worker()
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint())
        .variable("SOCIALIZE_LOG_LEVEL", "debug")
        .start_ready()
        .await;
    let lock = lock_organizations(&database).await;

    let body = r#"{"name":"A"}"#;
    let request = head(&user, &format!("content-length: {}\r\n", body.len())) + body;
    let connection = RawConnection::send(process.public(), request).await;
    wait_for_active_requests(&process, 1.0).await;
    drop(connection);
    wait_for_active_requests(&process, 0.0).await;

    let (client, url) = (http2_client(), format!("http://{}/v1/organizations", process.public()));
    let request = client.get(url).header("authorization", &user.authorization);
    let stream = tokio::spawn(async move { request.send().await.map(|_| ()) });
    wait_for_active_requests(&process, 1.0).await;
    stream.abort();
    wait_for_active_requests(&process, 0.0).await;

    lock.close().await.expect("the lock is given up");
    // Cancelled transactions are rolled back, and their connections are usable.
    let organizations =
        process.call(Method::GET, "/v1/organizations", &[user.header()], &Value::Null).await.expect(200);
    assert_eq!(organizations.body["items"], json!([]));
    process.stop().await;

    let received = Received::all(&sink);
    let route = "/v1/organizations";
    for method in ["POST", "GET"] {
        let is_it =
            |line: &&Value| line["http.request.method"] == method && line["error.type"] == "cancelled";
        let lines = process.events("http.server.request");
        let [line] = &lines.iter().filter(is_it).collect::<Vec<_>>()[..] else {
            panic!("one line: {lines:?}")
        };
        assert_eq!((&line["level"], line.get("http.response.status_code")), (&json!("info"), None), "{line}");
        let is_its_span = |id: &[u8]| line["span_id"] == crate::telemetry_over_otlp::hex(id);
        let span = received.spans.iter().find(|span| is_its_span(&span.span_id)).expect("its span");
        assert_eq!(span.status, None, "it is no failure of ours");
        assert_eq!(values(&span.attributes)["error.type"], "cancelled");
        let is_ended_operation = |child: &&Span| {
            child.parent_span_id == span.span_id && values(&child.attributes).contains_key("error.type")
        };
        let ended = received.spans.iter().find(is_ended_operation).expect("an operation on the database");
        assert_eq!(values(&ended.attributes)["error.type"], "cancelled", "{ended:?}");
        let cancelled = json!({
            "http.request.method": method, "http.route": route, "url.scheme": "http", "error.type": "cancelled",
        });
        let points = received.histogram("http.server.request.duration");
        let point = points.iter().find(|point| json!(values(&point.attributes)) == cancelled);
        assert_eq!(point.expect("its series").count, 1);
    }
    assert_eq!(process.events("socialize.organizations.created"), [] as [Value; 0]);
}
