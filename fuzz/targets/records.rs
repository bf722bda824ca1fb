//! Arbitrary records: the official messages and a JSON parser decode exactly what was recorded.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use prost::Message;
use serde_json::Value;
use telemetry::log::{Level, LevelFilter};
use telemetry::record::{Constant, Operation, OperationDescription, OutcomeDescription, Record, SpanKind};
use telemetry::{
    Attributes, Identifier, Key, Resource, SpanContext, SpanId, Telemetry, TelemetrySettings, Timestamp,
    TraceId,
};
use uuid::Uuid;

static KEYS: [Key; 4] = [Key("user.id"), Key("rows"), Key("waited_ms"), Key("x")];

#[derive(Arbitrary, Debug)]
struct Input {
    span_name: String,
    kind: u8,
    constants: Vec<(u8, Text)>,
    is_error: bool,
    trace_id: [u8; 16],
    span_id: [u8; 8],
    parent: Option<[u8; 8]>,
    link: Option<([u8; 16], [u8; 8], bool)>,
    start: u64,
    nanoseconds: u64,
    attributes: Vec<(u8, Attribute)>,
    repetitions: u8,
}

#[derive(Arbitrary, Debug)]
enum Text {
    Text(String),
    Integer(i64),
}

#[derive(Arbitrary, Clone, Debug)]
enum Attribute {
    Id(u128),
    Number(u64),
    Milliseconds(u64),
}

#[derive(Clone, Copy)]
struct Id(Uuid);

impl Identifier for Id {
    fn uuid(self) -> Uuid {
        self.0
    }
}

fuzz_target!(|input: Input| {
    let telemetry = Telemetry::new(TelemetrySettings {
        traces: true,
        levels: LevelFilter::new(Level::Debug.into()),
        resource: Resource { attributes: vec![("service.name".to_owned(), "fuzz".to_owned())] },
        ..TelemetrySettings::default()
    });
    let kinds = [SpanKind::Internal, SpanKind::Server, SpanKind::Client, SpanKind::Consumer];
    let kind = kinds[usize::from(input.kind) % kinds.len()];
    let names = ["http.route", "error.type", "operation.number"];
    let mut constants = Vec::new();
    for (position, (_, text)) in input.constants.iter().take(names.len()).enumerate() {
        let value = match text {
            Text::Text(text) => Constant::Text(text.clone()),
            Text::Integer(number) => Constant::Integer(*number),
        };
        constants.push((names[position], value));
    }
    let operation = Operation::new(OperationDescription {
        event: "http.server.request",
        span_name: input.span_name.clone(),
        kind,
        attributes: constants.clone(),
        outcomes: vec![OutcomeDescription {
            attributes: Vec::new(),
            level: Level::Info,
            is_error: input.is_error,
            histogram: None,
            counter: None,
        }],
    });
    let mut attributes = Attributes::default();
    let mut expected: Vec<(&str, Attribute)> = Vec::new();
    for (key, attribute) in &input.attributes {
        let key = &KEYS[usize::from(*key) % KEYS.len()];
        match attribute {
            Attribute::Id(bits) => attributes.id(key, Id(Uuid::from_u128(*bits))),
            Attribute::Number(number) => attributes.number(key, *number),
            Attribute::Milliseconds(nanoseconds) => attributes.milliseconds(key, *nanoseconds),
        }
        match expected.iter_mut().find(|(known, _)| *known == key.0) {
            Some((_, value)) => *value = attribute.clone(),
            None => expected.push((key.0, attribute.clone())),
        }
    }
    // Until the year 2100, and longer than any process runs.
    let (start, nanoseconds) = (input.start % 4_102_444_800_000_000_000, input.nanoseconds >> 2);
    let repetitions = 1 + usize::from(input.repetitions % 4);
    for _ in 0..repetitions {
        telemetry.finish(&Record {
            operation: &operation,
            outcome: 0,
            context: SpanContext {
                trace_id: TraceId(input.trace_id),
                span_id: SpanId(input.span_id),
                sampled: true,
            },
            parent: input.parent.map(SpanId),
            link: input.link.map(|(trace_id, span_id, sampled)| SpanContext {
                trace_id: TraceId(trace_id),
                span_id: SpanId(span_id),
                sampled,
            }),
            start: Timestamp::from_unix_nanoseconds(start),
            nanoseconds,
            attributes: &attributes,
        });
    }

    let taken = telemetry.take_spans(usize::MAX, Vec::new());
    let request = ExportTraceServiceRequest::decode(&taken.request[..]).expect("a decodable request");
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    assert_eq!(spans.len(), repetitions);
    for span in spans {
        assert_eq!(span.name, input.span_name);
        assert_eq!(span.trace_id, input.trace_id);
        assert_eq!(span.span_id, input.span_id);
        assert_eq!(span.parent_span_id, input.parent.map(Vec::from).unwrap_or_default());
        assert_eq!(span.kind, kind as i32);
        assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (start, start + nanoseconds));
        assert_eq!(span.status.as_ref().map(|status| status.code), input.is_error.then_some(2));
        let link =
            span.links.first().map(|link| (&link.trace_id[..], &link.span_id[..], link.flags & 1 == 1));
        assert_eq!(
            link,
            input.link.as_ref().map(|(trace_id, span_id, sampled)| (&trace_id[..], &span_id[..], *sampled))
        );
        assert_eq!(span.attributes.len(), constants.len() + expected.len());
        let mut read = span.attributes.iter().map(|attribute| {
            (attribute.key.as_str(), attribute.value.clone().and_then(|value| value.value).expect("a value"))
        });
        for ((name, constant), (key, value)) in constants.iter().zip(&mut read) {
            assert_eq!(*name, key);
            let constant = match constant {
                Constant::Text(text) => any_value::Value::StringValue(text.clone()),
                Constant::Integer(number) => any_value::Value::IntValue(*number),
            };
            assert_eq!(constant, value);
        }
        for ((name, attribute), (key, value)) in expected.iter().zip(read) {
            assert_eq!(*name, key);
            let attribute = match attribute {
                Attribute::Id(bits) => any_value::Value::StringValue(Uuid::from_u128(*bits).to_string()),
                Attribute::Number(number) => {
                    any_value::Value::IntValue(i64::try_from(*number).unwrap_or(i64::MAX))
                }
                Attribute::Milliseconds(ns) => any_value::Value::DoubleValue(*ns as f64 / 1e6),
            };
            assert_eq!(attribute, value);
        }
    }

    let mut lines = Vec::new();
    telemetry.take_lines(&mut Vec::new(), |piece| lines.append(piece));
    let lines = String::from_utf8(lines).expect("lines are UTF-8");
    assert_eq!(lines.split_terminator('\n').count(), repetitions);
    for line in lines.split_terminator('\n') {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for (name, constant) in &constants {
            let constant = match constant {
                Constant::Text(text) => Value::from(text.as_str()),
                Constant::Integer(number) => Value::from(*number),
            };
            assert_eq!(line[name], constant);
        }
        let hex: String = input.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(line["trace_id"], Value::from(hex));
    }
});
