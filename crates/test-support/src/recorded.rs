//! Checks that lines and spans contain only names from the collector's allow-list.

use catalogue::recorded;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::Value;
use signal::names;
use telemetry::Telemetry;

/// Panics if a line has an unknown field, or a value that the collector would replace.
pub fn assert_known_fields(line: &Value) {
    let known = recorded::line_fields();
    for (name, value) in line.as_object().expect("a line is an object") {
        assert!(
            value.as_str().is_none_or(recorded::is_value),
            "collectors would replace the value of {name} in {line}"
        );
        assert!(
            known.contains(&name[..]) || names::LINE_HEAD.contains(&&name[..]),
            "the field {name} is missing in catalogue::recorded: collectors would remove it from {line}"
        );
    }
}

/// Panics if a span has an unknown attribute, or contents that the collector cannot check.
pub fn assert_known_attributes(span: &Span) {
    let known = recorded::span_attributes();
    for attribute in &span.attributes {
        assert!(
            known.contains(&attribute.key[..]),
            "the attribute {} is missing in catalogue::recorded: collectors would remove it from {}",
            attribute.key,
            span.name
        );
        if let Some(any_value::Value::StringValue(text)) =
            attribute.value.as_ref().and_then(|value| value.value.as_ref())
        {
            assert!(
                recorded::is_value(text),
                "collectors would replace the value of {} in {}",
                attribute.key,
                span.name
            );
        }
    }
    let (method, name) = span.name.split_once(' ').unwrap_or(("", &span.name));
    assert!(
        method.chars().all(|c| c.is_ascii_uppercase()) && recorded::is_value(name),
        "collectors would replace the name {}",
        span.name
    );
    assert_eq!(
        span.dropped_attributes_count, 0,
        "{} has more attributes than a record has room for",
        span.name
    );
    assert!(span.events.is_empty(), "collectors would remove the events of {}", span.name);
    assert!(
        span.links.iter().all(|link| link.attributes.is_empty()),
        "no collector can check the attributes of links, which {} has",
        span.name
    );
}

/// Checks everything recorded since the last check.
pub(crate) fn assert_known_names(telemetry: &Telemetry) {
    let mut lines = Vec::new();
    telemetry.take_lines(&mut Vec::new(), |piece| lines.append(piece));
    for line in String::from_utf8(lines).expect("lines are UTF-8").lines() {
        assert_known_fields(&serde_json::from_str(line).expect("every line is JSON"));
    }
    let spans = telemetry.take_spans(usize::MAX, Vec::new()).request;
    let request = ExportTraceServiceRequest::decode(&spans[..]).expect("spans as they are sent");
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    for span in scopes.flat_map(|scope| &scope.spans) {
        assert_known_attributes(span);
    }
}
