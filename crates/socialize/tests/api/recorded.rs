//! The checks that every test makes of what it recorded are able to fail.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use test_support::{assert_known_attributes, assert_known_fields};

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
#[should_panic(expected = "missing in domain::recorded")]
fn an_unknown_field_of_a_line_fails() {
    assert_known_fields(&json!({"event": "job.run", "email": "somebody"}));
}

#[test]
#[should_panic(expected = "would replace the value")]
fn text_in_a_known_field_fails() {
    assert_known_fields(&json!({"event": "job.run", "job.kind": "somebody@example.com"}));
}

#[test]
#[should_panic(expected = "missing in domain::recorded")]
fn an_unknown_attribute_of_a_span_fails() {
    assert_known_attributes(&span_with("enduser.email"));
}
