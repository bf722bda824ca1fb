//! Verifies that the checks of recorded data, which run in every test, can fail.

use axum::body::Body;
use http::{Method, Request};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use test_support::{TestApp, assert_known_attributes, assert_known_fields};

fn span_with(key: &str) -> Span {
    let attribute = KeyValue { key: key.to_owned(), ..KeyValue::default() };
    Span { attributes: vec![attribute], ..Span::default() }
}

#[test]
fn known_names_pass() {
    assert_known_fields(
        &json!({"timestamp": "", "event": "job.run", "job.kind": "send_email", "duration_ms": 1}),
    );
    assert_known_attributes(&span_with("http.route"));
}

#[test]
#[should_panic(expected = "missing in catalogue::recorded")]
fn an_unknown_field_of_a_line_fails() {
    assert_known_fields(&json!({"event": "job.run", "email": "somebody"}));
}

#[test]
#[should_panic(expected = "would replace the value")]
fn text_in_a_known_field_fails() {
    assert_known_fields(&json!({"event": "job.run", "job.kind": "somebody@example.com"}));
}

#[test]
#[should_panic(expected = "missing in catalogue::recorded")]
fn an_unknown_attribute_of_a_span_fails() {
    assert_known_attributes(&span_with("enduser.email"));
}

#[tokio::test]
async fn what_is_in_no_document_is_not_recorded() {
    let test = TestApp::start().await;
    test.log_lines();
    let paths =
        ["/docs", "/docs/", "/docs/index.html", "/openapi.json", "/health", "/health/live", "/health/ready"];
    for path in paths {
        let request = Request::builder().method(Method::GET).uri(path).body(Body::empty());
        let answer = test.send_unread(request.expect("a request")).await;
        assert!(answer.status().as_u16() < 400, "{path}: {}", answer.status());
        assert_eq!(answer.headers().get("x-request-id"), None, "{path}");
    }
    assert!(test.log_lines().is_empty() && test.app.telemetry.take_spans(usize::MAX, Vec::new()).count == 0);
}
