//! Trace context: a trusted proxy's trace is continued, another client's is linked to.

use http::Method;
use otlp_sink::OtlpSink;
use serde_json::Value;
use test_support::process::{Launch, Process};
use test_support::{Answer, TestDatabase};

use crate::telemetry_over_otlp::{Received, hex};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

async fn start(database: &TestDatabase, sink: &OtlpSink, trusted_peers: &str) -> Process {
    Launch::serve(database.url())
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint())
        .variable("SOCIALIZE_TRUSTED_TRACE_PEERS", trusted_peers)
        .start()
        .await
}

/// Sends a request that is rejected, so that the response contains a request id.
async fn send(process: &Process, headers: &[(&str, &str)]) -> Answer {
    let answer = process.call(Method::GET, "/v1/organizations", headers, &Value::Null).await;
    answer.expect_error(401, "unauthenticated")
}

fn request_id(answer: &Answer) -> String {
    answer.header("x-request-id").expect("every answer has a request id").to_owned()
}

/// Line and span of a request; without a span if it was not sampled.
fn signals_of(answer: &Answer, process: &Process, received: &Received) -> (Value, Option<usize>) {
    let id = request_id(answer);
    let lines = process.events("http.server.request");
    let line = lines.into_iter().find(|line| line["trace_id"] == id[..]).expect("a line of the request");
    (line, received.spans.iter().position(|span| hex(&span.trace_id) == id))
}

#[tokio::test]
async fn a_trusted_peer_is_continued() {
    let database = TestDatabase::create().await;
    let sink = OtlpSink::start();
    let mut process = start(&database, &sink, "10.0.0.0/8, 127.0.0.1").await;
    let sampled = send(&process, &[("traceparent", SAMPLED)]).await;
    assert_eq!(request_id(&sampled), TRACE);
    process.stop().await;
    let received = Received::all(&sink);
    let (line, span) = signals_of(&sampled, &process, &received);
    let span = &received.spans[span.expect("a span")];
    assert_eq!(hex(&span.parent_span_id), CALLER);
    assert_ne!(hex(&span.span_id), CALLER);
    assert!(span.links.is_empty());
    assert_eq!(line.get("link.trace_id"), None);

    // The caller's sampling decision applies to spans only.
    let sink = OtlpSink::start();
    let mut process = start(&database, &sink, "127.0.0.0/8").await;
    let not_sampled = send(&process, &[("traceparent", NOT_SAMPLED)]).await;
    assert_eq!(request_id(&not_sampled), TRACE);
    process.stop().await;
    let received = Received::all(&sink);
    assert_eq!(signals_of(&not_sampled, &process, &received).1, None);
}

#[tokio::test]
async fn anybody_else_is_linked_to() {
    let database = TestDatabase::create().await;
    let sink = OtlpSink::start();
    let mut process = start(&database, &sink, "10.0.0.0/8").await;
    // Other headers do not make the caller trusted.
    let forged =
        [("traceparent", NOT_SAMPLED), ("x-forwarded-for", "10.0.0.1"), ("forwarded", "for=10.0.0.1")];
    let answer = send(&process, &forged).await;
    assert_ne!(request_id(&answer), TRACE, "an outsider does not choose our ids");
    process.stop().await;
    let received = Received::all(&sink);
    let (line, span) = signals_of(&answer, &process, &received);
    let span = &received.spans[span.expect("an outsider does not choose our sampling")];
    assert!(span.parent_span_id.is_empty());
    let [link] = &span.links[..] else { panic!("one link: {span:?}") };
    assert_eq!((hex(&link.trace_id), hex(&link.span_id)), (TRACE.to_owned(), CALLER.to_owned()));
    assert_eq!(line["link.trace_id"], TRACE);
}

/// A proxy appends to `X-Forwarded-For` but forwards a client's `traceparent`, so trusting one does not imply
/// trusting the other.
#[tokio::test]
async fn who_is_believed_about_addresses_chooses_neither_ids_nor_sampling() {
    let database = TestDatabase::create().await;
    let sink = OtlpSink::start();
    let mut process = Launch::serve(database.url())
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", sink.endpoint())
        .variable("SOCIALIZE_TRUSTED_PEERS", "127.0.0.0/8, 10.0.0.0/8")
        .start()
        .await;
    let started = &process.events("server.started")[0];
    assert_eq!((&started["trusted.address_peers"], &started["trusted.trace_peers"]), (&2.into(), &0.into()));
    let answer = send(&process, &[("traceparent", NOT_SAMPLED)]).await;
    assert_ne!(request_id(&answer), TRACE);
    process.stop().await;
    let received = Received::all(&sink);
    let (line, span) = signals_of(&answer, &process, &received);
    let span = &received.spans[span.expect("our own sampling")];
    assert!(span.parent_span_id.is_empty());
    let [link] = &span.links[..] else { panic!("one link: {span:?}") };
    assert_eq!((hex(&link.trace_id), hex(&link.span_id)), (TRACE.to_owned(), CALLER.to_owned()));
    assert_eq!(line["link.trace_id"], TRACE);

    let doctor = Launch::role("doctor", database.url())
        .arguments(&["--json"])
        .variables(&[("SOCIALIZE_TRUSTED_PEERS", "10.0.0.1"), ("SOCIALIZE_TRUSTED_TRACE_PEERS", "10.0.0.2")]);
    let report: Value = serde_json::from_str(&doctor.run().await.stdout).expect("a report");
    let checks = report["checks"].as_array().expect("checks");
    let proxies = checks.iter().find(|check| check["check"] == "proxies").expect("a finding");
    let said = "X-Forwarded-For and X-Forwarded-Proto are believed from 10.0.0.1/32; traceparent is continued from \
                10.0.0.2/32, and linked to from everybody else";
    assert_eq!((&proxies["verdict"], &proxies["detail"]), (&"ok".into(), &said.into()));
}

#[tokio::test]
async fn what_is_malformed_is_ignored_and_counted() {
    let database = TestDatabase::create().await;
    let sink = OtlpSink::start();
    let mut process = start(&database, &sink, "127.0.0.1").await;
    let malformed: &[&[(&str, &str)]] = &[
        &[("traceparent", "")],
        &[("traceparent", "nonsense")],
        &[("traceparent", &SAMPLED[..54])],
        &[("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01")],
        &[("traceparent", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01")],
        &[("traceparent", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")],
        // Two headers are ambiguous.
        &[("traceparent", SAMPLED), ("traceparent", SAMPLED)],
    ];
    let mut answers = Vec::new();
    for headers in malformed {
        answers.push(send(&process, headers).await);
    }
    let metrics = process.metrics().await;
    assert_eq!(metrics.value("telemetry_traceparent_malformed_total", &[]), malformed.len() as f64);
    process.stop().await;
    let received = Received::all(&sink);
    for answer in answers {
        assert_ne!(request_id(&answer), TRACE);
        let (_, span) = signals_of(&answer, &process, &received);
        let span = &received.spans[span.expect("a new trace, sampled by our own decision")];
        assert!(span.parent_span_id.is_empty() && span.links.is_empty(), "{span:?}");
    }
}

#[tokio::test]
async fn a_request_id_is_ours_and_everywhere_the_same() {
    let database = TestDatabase::create().await;
    let process = Launch::serve(database.url()).start().await;
    let mut known = std::collections::BTreeSet::new();
    for (path, status) in [("/v1/organizations", 401), ("/nothing", 404)] {
        let headers = [("x-request-id", "chosen-by-the-caller"), ("x-trace-id", TRACE)];
        let answer = process.call(Method::GET, path, &headers, &Value::Null).await.expect(status);
        let id = request_id(&answer);
        assert!(
            id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
            "{id}"
        );
        assert_eq!(answer.body["request_id"], id[..]);
        process.line("its line", |line| line["trace_id"] == id[..]).await;
        assert!(known.insert(id), "no two requests have one id");
    }
}
