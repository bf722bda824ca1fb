//! Spans from OTLP.

use std::collections::HashSet;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span as ReceivedSpan, span, status};

use super::ids::{SpanId, TraceId};
use super::span::{Attributes, Link, Span, SpanEvent, SpanKind};
use super::usage::SpanLosses;
use crate::store::FieldValue;

/// Maximum number of attributes of a span or an event.
pub const MOST_ATTRIBUTES: usize = 64;
/// Maximum length of a name or a value in bytes. Longer ones are cut.
pub const LONGEST_VALUE: usize = 1024;
/// Maximum number of links of a span.
pub const MOST_LINKS: usize = 16;
/// Maximum number of events of a span.
pub const MOST_EVENTS: usize = 16;

/// Received spans, with counts of refused and cut parts.
#[derive(Debug, Default)]
pub struct Translated {
    pub spans: Vec<Span>,
    /// Counts of refused and cut parts.
    pub losses: SpanLosses,
    shared: HashSet<Arc<str>>,
}

/// Translates the spans of an export request.
pub fn translate(received: Vec<ResourceSpans>) -> Translated {
    let mut translated = Translated::default();
    for of_resource in received {
        let attributes = of_resource.resource.unwrap_or_default().attributes;
        let service = translated.resource(&attributes, "service.name");
        let instance = translated.resource(&attributes, "service.instance.id");
        for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            match translated.span(span, &service, &instance) {
                Some(span) => translated.spans.push(span),
                None => translated.losses.without_id += 1,
            }
        }
    }
    translated
}

impl Translated {
    fn share(&mut self, text: &str) -> Arc<str> {
        let text = match text.len() <= LONGEST_VALUE {
            true => text,
            false => {
                self.losses.values += 1;
                &text[..text.floor_char_boundary(LONGEST_VALUE)]
            }
        };
        if let Some(shared) = self.shared.get(text) {
            return shared.clone();
        }
        let shared: Arc<str> = text.into();
        self.shared.insert(shared.clone());
        shared
    }

    fn resource(&mut self, attributes: &[KeyValue], name: &str) -> Arc<str> {
        let value = attributes.iter().find(|attribute| attribute.key == name);
        let value = value.and_then(|attribute| self.value(attribute.value.as_ref()));
        match value {
            Some(FieldValue::Text(text)) => text,
            other => self.share(&other.map(|value| value.to_string()).unwrap_or_default()),
        }
    }

    fn span(&mut self, received: ReceivedSpan, service: &Arc<str>, instance: &Arc<str>) -> Option<Span> {
        let trace_id = TraceId::from_bytes(&received.trace_id)?;
        let span_id = SpanId::from_bytes(&received.span_id)?;
        Some(Span {
            trace_id,
            span_id,
            parent: SpanId::from_bytes(&received.parent_span_id),
            name: self.share(&received.name),
            kind: kind(received.kind),
            start_ns: received.start_time_unix_nano,
            end_ns: received.end_time_unix_nano.max(received.start_time_unix_nano),
            failed: received.status.is_some_and(|status| status.code == status::StatusCode::Error as i32),
            attributes: self.attributes(&received.attributes),
            links: self.links(&received.links),
            events: self.events(&received.events),
            service: service.clone(),
            instance: instance.clone(),
        })
    }

    fn attributes(&mut self, received: &[KeyValue]) -> Attributes {
        let (kept, rest) = received.split_at(received.len().min(MOST_ATTRIBUTES));
        self.losses.attributes += rest.len() as u64;
        let mut attributes = Vec::with_capacity(kept.len());
        for attribute in kept {
            if let Some(value) = self.value(attribute.value.as_ref()) {
                attributes.push((self.share(&attribute.key), value));
            }
        }
        attributes
    }

    /// Returns a value; `None` if it is empty. Lists and maps, which the application does not send, are
    /// omitted and counted.
    fn value(&mut self, value: Option<&AnyValue>) -> Option<FieldValue> {
        match value?.value.as_ref()? {
            any_value::Value::StringValue(text) => Some(FieldValue::Text(self.share(text))),
            any_value::Value::BoolValue(flag) => Some(FieldValue::Flag(*flag)),
            any_value::Value::IntValue(number) => Some(FieldValue::Integer(*number)),
            any_value::Value::DoubleValue(number) => Some(FieldValue::Number(*number)),
            _ => {
                self.losses.attributes += 1;
                None
            }
        }
    }

    fn links(&mut self, received: &[span::Link]) -> Vec<Link> {
        let (kept, rest) = received.split_at(received.len().min(MOST_LINKS));
        self.losses.links += rest.len() as u64;
        let link = |link: &span::Link| {
            let trace_id = TraceId::from_bytes(&link.trace_id)?;
            Some(Link { trace_id, span_id: SpanId::from_bytes(&link.span_id)? })
        };
        kept.iter().filter_map(link).collect()
    }

    fn events(&mut self, received: &[span::Event]) -> Vec<SpanEvent> {
        let (kept, rest) = received.split_at(received.len().min(MOST_EVENTS));
        self.losses.events += rest.len() as u64;
        let mut events = Vec::with_capacity(kept.len());
        for event in kept {
            let name = self.share(&event.name);
            let attributes = self.attributes(&event.attributes);
            events.push(SpanEvent { at_ns: event.time_unix_nano, name, attributes });
        }
        events
    }
}

fn kind(received: i32) -> SpanKind {
    match span::SpanKind::try_from(received) {
        Ok(span::SpanKind::Server) => SpanKind::Server,
        Ok(span::SpanKind::Client) => SpanKind::Client,
        Ok(span::SpanKind::Producer) => SpanKind::Producer,
        Ok(span::SpanKind::Consumer) => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}
