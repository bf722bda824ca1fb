//! Clients that disconnect while sending, and clients that do not send HTTP.

use bytes::Bytes;
use serde_json::{Value, json};
use test_support::TestDatabase;
use test_support::process::{Launch, Process, User, eventually};

use crate::hostile_clients::{head, http2_client};
use crate::raw_connection::RawConnection;

/// Sum of all requests with this method and outcome.
async fn requests(process: &Process, labels: &[(&str, &str)]) -> f64 {
    process.metrics().await.sum("http_server_request_duration_seconds_count", labels)
}

async fn api_errors(process: &Process) -> f64 {
    process.metrics().await.sum("socialize_api_errors_total", &[])
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_sends_cancels_its_request() {
    let database = TestDatabase::create().await;
    let user = User::insert(database.pool()).await;
    let mut process = Launch::serve(database.url()).without_worker().start_ready().await;
    let before = api_errors(&process).await;
    let address = process.public();
    let cancelled = async |count: f64| {
        eventually("the record", async || {
            let labels = [("http_request_method", "POST"), ("error_type", "cancelled")];
            (requests(&process, &labels).await == count).then_some(())
        })
        .await;
    };
    let unfinished = [
        format!("{}{{\"name\"", head(&user, "content-length: 100\r\n")),
        format!("{}7\r\n{{\"name\"\r\n", head(&user, "transfer-encoding: chunked\r\n")),
    ];
    for (count, request) in unfinished.iter().enumerate() {
        drop(RawConnection::send(address, request).await);
        cancelled(count as f64 + 1.0).await;
    }
    // A client that only closes its sending side still reads the response.
    let mut half_closed = RawConnection::send(address, &unfinished[0]).await;
    half_closed.end().await;
    let told = half_closed.answer().await.expect_error(400, "malformed_request");
    assert!(told.text("message").contains("ended before"), "{}", told.body);
    cancelled(3.0).await;

    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let pieces = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    let body = reqwest::Body::wrap_stream(futures_util::StreamExt::map(pieces, Ok::<_, std::io::Error>));
    let url = format!("http://{address}/v1/organizations");
    let request = http2_client().post(url).header("authorization", &user.authorization);
    let request = request.header("content-type", "application/json").body(body);
    let stream = tokio::spawn(async move { request.send().await.map(|_| ()) });
    sender.send(Bytes::from_static(b"{\"name\"")).await.expect("a request");
    eventually("a request in flight", async || {
        let active = process.metrics().await.sum("http_server_active_requests", &[]);
        (active == 1.0).then_some(())
    })
    .await;
    stream.abort();
    cancelled(4.0).await;
    assert_eq!(api_errors(&process).await, before, "no error of the API");

    // Invalid framing is not the same as a missing client.
    let chunk = format!("{}not a length\r\n", head(&user, "transfer-encoding: chunked\r\n"));
    let mut connection = RawConnection::send(address, &chunk).await;
    let told = connection.answer().await.expect_error(400, "malformed_request");
    assert!(told.text("message").contains("framing"), "{}", told.body);
    process.stop().await;
    let lines = process.events("http.server.request");
    let gone: Vec<&Value> = lines.iter().filter(|line| line["error.type"] == "cancelled").collect();
    assert_eq!(gone.len(), 4, "{lines:?}");
    for line in gone {
        assert_eq!((&line["level"], line.get("http.response.status_code")), (&json!("info"), None), "{line}");
    }
    let id = told.header("x-request-id").expect("a request id");
    let line = lines.iter().find(|line| line["trace_id"] == *id).expect("a line");
    assert_eq!(line["http.response.status_code"], 400, "{line}");
}

#[tokio::test]
async fn what_is_no_request_leaves_a_record_and_is_told_its_id() {
    let database = TestDatabase::create().await;
    let mut process = Launch::serve(database.url()).without_worker().start_ready().await;
    let address = process.public();
    let unmatched = async |labels: &[(&str, &str)]| {
        let route = [("http_route", ""), ("http_request_method", "_OTHER")];
        requests(&process, &[&route[..], labels].concat()).await
    };
    let long = "a".repeat(200_000);
    let refused = [
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a greeting of TLS".to_vec(),
            400,
            "malformed_request",
        ),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n".to_vec(), 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\nhost socialize\r\n\r\n".to_vec(), 400, "malformed_request"),
        (format!("GET / HTTP/1.1\r\nx-large: {long}\r\n\r\n").into_bytes(), 431, "headers_too_large"),
        (format!("GET /{long} HTTP/1.1\r\n\r\n").into_bytes(), 431, "headers_too_large"),
    ];
    for (bytes, status, code) in &refused {
        let label = status.to_string();
        let labels = [("http_response_status_code", label.as_str())];
        let before = unmatched(&labels).await;
        let mut connection = RawConnection::send(address, bytes).await;
        let answer = connection.answer().await.expect_error(*status, code);
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let id = answer.header("x-request-id").expect("a request id").to_owned();
        let line = process.line("its line", |line| line["trace_id"] == id[..]).await;
        assert_eq!((&line["http.response.status_code"], line.get("http.route")), (&json!(status), None));
        assert_eq!(line.get("network.protocol.version"), None, "{line}");
        assert_eq!((&line["error.code"], &line["level"]), (&json!(code), &json!("info")), "{line}");
        assert_eq!(unmatched(&labels).await, before + 1.0);
    }

    // No client can read a response, or HTTP/2 has none for it.
    let cancelled = [("error_type", "cancelled")];
    let malformed = [("http_response_status_code", "400")];
    let timed_out = [("http_response_status_code", "408")];
    for (bytes, labels) in [
        (&b"GET /v1/me HTTP/1.1\r\nhost: soc"[..], &cancelled[..]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n", &malformed),
    ] {
        let before = unmatched(labels).await;
        let mut connection = RawConnection::send(address, bytes).await;
        connection.end().await;
        connection.closed().await;
        eventually("the record", async || (unmatched(labels).await == before + 1.0).then_some(())).await;
    }
    let slow = RawConnection::send(address, "GET /v1/me HTTP/1.1\r\nhost: soc").await;
    assert_eq!(slow.closed().await, b"");
    eventually("the record", async || (unmatched(&timed_out).await == 1.0).then_some(())).await;

    // A connection without a byte is a load balancer's probe, and one that served a request may close at any
    // time.
    let before = unmatched(&cancelled).await;
    drop(RawConnection::open(address).await);
    let mut used = RawConnection::send(address, "GET /v1/me HTTP/1.1\r\nhost: socialize\r\n\r\n").await;
    used.answer().await.expect_error(401, "unauthenticated");
    drop(used);
    process.get("/v1/me").await.expect_error(401, "unauthenticated");
    assert_eq!(unmatched(&cancelled).await, before);
    process.stop().await;
    let ids = process.events("http.server.request").len();
    assert!(ids >= refused.len() + 5, "{ids}");
}
