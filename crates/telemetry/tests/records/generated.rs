//! Round trip of generated records: the whole decoded message equals what was recorded, and so does
//! the parsed line.

use std::collections::HashMap;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{Span, Status, span::Link};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use signal::builtin::HTTP_SERVER_REQUEST_DURATION;
use signal::instrumentation_scope::PIPELINE;
use telemetry::log::Level;
use telemetry::record::{
    Constant, Constants, Operation, OperationDescription, OutcomeDescription, Record, SpanKind,
};
use telemetry::{
    Attributes, ClosedSet, ErrorType, Identifier, Key, SpanContext, SpanId, Telemetry, Timestamp, TraceId,
};
use uuid::Uuid;

use crate::support::{
    FLAG_IS_REMOTE, FLAG_REMOTE_IS_KNOWN, all_signals, assert_line_equals_point, hex, take_lines, take_spans,
    used_points,
};

/// Names that may occur together: those of the operation, of its outcomes, and of one record.
const OPERATION_KEYS: [&str; 3] = ["http.route", "operation.number", "operation.text"];
const OUTCOME_KEYS: [&str; 2] = ["error.type", "http.response.status_code"];
static RECORD_KEYS: [Key; 12] = [
    Key("a"),
    Key("user.id"),
    Key("organization.id"),
    Key("workspace.id"),
    Key("content_item.id"),
    Key("job.id"),
    Key("job.attempt"),
    Key("db.operations"),
    Key("db.duration_ms"),
    Key("error.cause"),
    Key("rows"),
    Key("a.rather.long.name.that.no.attribute.of.the.application.has.but.could.have.some.day"),
];
/// Capacity of a record.
const CAPACITY: usize = 10;

const KINDS: [SpanKind; 4] = [SpanKind::Internal, SpanKind::Server, SpanKind::Client, SpanKind::Consumer];

#[derive(Clone, Copy)]
struct Id(Uuid);

impl Identifier for Id {
    fn uuid(self) -> Uuid {
        self.0
    }
}

#[derive(Clone, Debug)]
enum AttributeValue {
    Id(Uuid),
    Number(u64),
    Name(ErrorType),
    Milliseconds(u64),
}

/// One operation and its record, as plain data.
#[derive(Clone, Debug)]
struct Generated {
    event: &'static str,
    span_name: String,
    kind: SpanKind,
    operation: Constants,
    outcomes: Vec<(Constants, Level, bool)>,
    outcome: usize,
    context: SpanContext,
    parent: Option<SpanId>,
    link: Option<SpanContext>,
    start: u64,
    nanoseconds: u64,
    /// Attributes in the order in which they are set. The last value of a repeated name wins.
    set: Vec<(usize, AttributeValue)>,
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,20}",
        vec(any::<char>(), 0..20).prop_map(|characters| characters.into_iter().collect()),
        // Longer than a one-byte length can express, and then longer than a two-byte length can.
        Just("x".repeat(200)),
        Just("ü\"\\\n".repeat(5_000)),
    ]
}

fn any_constants(keys: &'static [&'static str]) -> impl Strategy<Value = Constants> {
    let value = prop_oneof![any_text().prop_map(Constant::Text), any::<i64>().prop_map(Constant::Integer)];
    vec(option::of(value), keys.len()).prop_map(|values| {
        let present = keys.iter().zip(values).filter_map(|(key, value)| Some((*key, value?)));
        present.collect()
    })
}

fn any_context() -> impl Strategy<Value = SpanContext> {
    (any::<[u8; 16]>(), any::<[u8; 8]>(), any::<bool>()).prop_map(|(trace_id, span_id, sampled)| {
        SpanContext { trace_id: TraceId(trace_id), span_id: SpanId(span_id), sampled }
    })
}

/// Zero up to longer than any process lives, plus values around the limits of representations.
fn any_nanoseconds() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(999_999),
        Just(1_000_000),
        Just(5_000_000),
        Just((1 << 53) + 1),
        0..10_000_000_000_u64,
        any::<u64>().prop_map(|any| any >> 2),
    ]
}

fn any_attribute() -> impl Strategy<Value = AttributeValue> {
    prop_oneof![
        any::<u128>().prop_map(|bits| AttributeValue::Id(Uuid::from_u128(bits))),
        any::<u64>().prop_map(AttributeValue::Number),
        proptest::sample::select(ErrorType::ALL).prop_map(AttributeValue::Name),
        any_nanoseconds().prop_map(AttributeValue::Milliseconds),
    ]
}

fn any_record() -> impl Strategy<Value = Generated> {
    let outcome = (any_constants(&OUTCOME_KEYS), proptest::sample::select(Level::ALL), any::<bool>());
    let description = (
        proptest::sample::select(vec!["http.server.request", "job.run"]),
        any_text(),
        proptest::sample::select(&KINDS[..]),
        any_constants(&OPERATION_KEYS),
        vec(outcome, 1..4),
        any::<proptest::sample::Index>(),
    );
    let record = (
        any_context(),
        option::of(any::<[u8; 8]>().prop_map(SpanId)),
        option::of(any_context()),
        // Until the year 2100.
        0..4_102_444_800_000_000_000_u64,
        any_nanoseconds(),
        vec((0..RECORD_KEYS.len(), any_attribute()), 0..2 * CAPACITY),
    );
    (description, record).prop_map(|(description, record)| {
        let (event, span_name, kind, operation, outcomes, outcome) = description;
        let (context, parent, link, start, nanoseconds, set) = record;
        let outcome = outcome.index(outcomes.len());
        Generated {
            event,
            span_name,
            kind,
            operation,
            outcomes,
            outcome,
            context,
            parent,
            link,
            start,
            nanoseconds,
            set: within_capacity(set),
        }
    })
}

/// Removes the names for which a record has no room.
fn within_capacity(set: Vec<(usize, AttributeValue)>) -> Vec<(usize, AttributeValue)> {
    let mut names = Vec::new();
    let fits = |(key, _): &(usize, AttributeValue)| {
        let is_new = !names.contains(key);
        let fits = !is_new || names.len() < CAPACITY;
        names.extend((is_new && fits).then_some(*key));
        fits
    };
    set.into_iter().filter(fits).collect()
}

impl Generated {
    /// Records the generated operation.
    fn finish(&self, telemetry: &Telemetry) {
        let outcomes = self.outcomes.iter().enumerate().map(|(position, (attributes, level, is_error))| {
            // The series is named by its position, since generated attributes may coincide.
            let series = vec![("http.route", position.to_string())];
            let histogram = telemetry.meter().histogram_series(&HTTP_SERVER_REQUEST_DURATION, series);
            OutcomeDescription {
                attributes: attributes.clone(),
                level: *level,
                is_error: *is_error,
                histogram: Some(histogram.into()),
                counter: None,
            }
        });
        let operation = Operation::new(OperationDescription {
            event: self.event,
            span_name: self.span_name.clone(),
            kind: self.kind,
            scope: PIPELINE,
            attributes: self.operation.clone(),
            outcomes: outcomes.collect(),
        });
        let mut attributes = Attributes::default();
        for (key, value) in &self.set {
            let key = &RECORD_KEYS[*key];
            match value {
                AttributeValue::Id(uuid) => attributes.id(key, Id(*uuid)),
                AttributeValue::Number(number) => attributes.number(key, *number),
                AttributeValue::Name(name) => attributes.name(key, *name),
                AttributeValue::Milliseconds(nanoseconds) => attributes.milliseconds(key, *nanoseconds),
            }
        }
        telemetry.finish(&Record {
            operation: &operation,
            outcome: self.outcome,
            context: self.context,
            parent: self.parent,
            link: self.link,
            trace_state: None,
            start: Timestamp::from_unix_nanoseconds(self.start),
            nanoseconds: self.nanoseconds,
            attributes: &attributes,
        });
    }

    fn outcome(&self) -> &(Constants, Level, bool) {
        &self.outcomes[self.outcome]
    }

    /// Returns the attributes that remain: every name once, in the position of its first value,
    /// with its last value.
    fn attributes(&self) -> Vec<(usize, AttributeValue)> {
        let mut remaining: Vec<(usize, AttributeValue)> = Vec::new();
        for (key, value) in &self.set {
            match remaining.iter().position(|(known, _)| known == key) {
                Some(position) => remaining[position].1 = value.clone(),
                None => remaining.push((*key, value.clone())),
            }
        }
        remaining
    }

    /// Returns the span that the protocol requires.
    fn span(&self) -> Span {
        let flags_of = |context: SpanContext| FLAG_REMOTE_IS_KNOWN | u32::from(context.sampled);
        let has_remote_parent = self.kind == SpanKind::Server && self.parent.is_some();
        let constants = self.operation.iter().chain(&self.outcome().0).map(|(key, value)| match value {
            Constant::Text(text) => key_value(key, any_value::Value::StringValue(text.clone())),
            Constant::Integer(number) => key_value(key, any_value::Value::IntValue(*number)),
        });
        let own = self.attributes().into_iter().map(|(key, value)| {
            let value = match value {
                AttributeValue::Id(uuid) => any_value::Value::StringValue(uuid.to_string()),
                AttributeValue::Number(number) => any_value::Value::IntValue(in_protocol(number)),
                AttributeValue::Name(name) => any_value::Value::StringValue(name.as_str().to_owned()),
                AttributeValue::Milliseconds(ns) => any_value::Value::DoubleValue(ns as f64 / 1e6),
            };
            key_value(RECORD_KEYS[key].0, value)
        });
        Span {
            trace_id: self.context.trace_id.0.to_vec(),
            span_id: self.context.span_id.0.to_vec(),
            parent_span_id: self.parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
            flags: flags_of(self.context) | if has_remote_parent { FLAG_IS_REMOTE } else { 0 },
            name: self.span_name.clone(),
            kind: self.kind as i32,
            start_time_unix_nano: self.start,
            end_time_unix_nano: self.start + self.nanoseconds,
            attributes: constants.chain(own).collect(),
            links: Vec::from_iter(self.link.map(|link| Link {
                trace_id: link.trace_id.0.to_vec(),
                span_id: link.span_id.0.to_vec(),
                flags: flags_of(link) | FLAG_IS_REMOTE,
                ..Link::default()
            })),
            status: self.outcome().2.then(|| Status { code: 2, message: String::new() }),
            ..Span::default()
        }
    }

    /// Returns the fields of the line, without the time and the durations, which are compared as
    /// text.
    fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("level".to_owned(), json!(self.outcome().1.as_str()));
        fields.insert("event".to_owned(), json!(self.event));
        fields.insert("trace_id".to_owned(), json!(hex(&self.context.trace_id.0)));
        fields.insert("span_id".to_owned(), json!(hex(&self.context.span_id.0)));
        for (key, value) in self.operation.iter().chain(&self.outcome().0) {
            let value = match value {
                Constant::Text(text) => json!(text),
                Constant::Integer(number) => json!(number),
            };
            fields.insert((*key).to_owned(), value);
        }
        for (key, value) in &self.attributes() {
            let value = match value {
                AttributeValue::Id(uuid) => json!(uuid.to_string()),
                AttributeValue::Number(number) => json!(in_protocol(*number)),
                AttributeValue::Name(name) => json!(name.as_str()),
                AttributeValue::Milliseconds(_) => continue,
            };
            fields.insert(RECORD_KEYS[*key].0.to_owned(), value);
        }
        if let Some(link) = self.link {
            fields.insert("link.trace_id".to_owned(), json!(hex(&link.trace_id.0)));
        }
        fields
    }

    /// Returns names and texts of the durations in the line, exact to the nanosecond.
    fn durations(&self) -> HashMap<&'static str, String> {
        let text = |ns: u64| format!("{}.{:06}", ns / 1_000_000, ns % 1_000_000);
        let own = self.attributes().into_iter().filter_map(|(key, value)| match value {
            AttributeValue::Milliseconds(nanoseconds) => Some((RECORD_KEYS[key].0, text(nanoseconds))),
            _ => None,
        });
        own.chain([("duration_ms", text(self.nanoseconds))]).collect()
    }
}

/// Clamps a number to `i64::MAX`, in span and line alike, because the protocol has no unsigned
/// integers.
fn in_protocol(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn key_value(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

proptest! {
    #[test]
    fn every_record_is_read_as_it_was_made(records in vec(any_record(), 1..4)) {
        let telemetry = Telemetry::new(all_signals());
        for record in &records {
            record.finish(&telemetry);
        }

        let sampled = records.iter().filter(|record| record.context.sampled);
        prop_assert_eq!(take_spans(&telemetry), sampled.map(Generated::span).collect::<Vec<_>>());

        let wanted = records.iter().filter(|record| record.outcome().1 >= Level::Debug);
        let mut lines = take_lines(&telemetry).into_iter();
        for record in wanted {
            let mut line = lines.next().expect("a line of each record");
            prop_assert_eq!(line.nanoseconds(), record.nanoseconds);
            let timestamp = line.fields.remove("timestamp");
            let end = i64::try_from((record.start + record.nanoseconds) / 1_000).expect("a time");
            let end = chrono::DateTime::from_timestamp_micros(end).expect("a time");
            prop_assert_eq!(
                timestamp,
                Some(json!(end.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)))
            );
            for (name, text) in record.durations() {
                let number = line.fields.remove(name).and_then(|value| value.as_f64()).expect("a number");
                prop_assert!(line.text.contains(&format!(",\"{name}\":{text}")), "{name}, {text}: {}", line.text);
                let expected: f64 = text.parse().expect("a number");
                prop_assert!((number - expected).abs() <= expected * f64::EPSILON);
            }
            prop_assert_eq!(line.fields, record.fields());
        }
        prop_assert_eq!(lines.count(), 0);
    }

    #[test]
    fn every_record_is_counted_once_with_its_duration(record in any_record()) {
        let telemetry = Telemetry::new(all_signals());
        record.finish(&telemetry);
        let points = used_points(&telemetry, "http.server.request.duration");
        prop_assert_eq!(points.len(), 1);
        let point = &points[0];
        prop_assert_eq!(point.sum, Some(record.nanoseconds as f64 / 1e9));
        // A duration of zero has no bucket for an exemplar.
        let shown = record.context.sampled && record.nanoseconds > 0;
        prop_assert_eq!(point.exemplars.len(), usize::from(shown));
        if let [exemplar] = &point.exemplars[..] {
            prop_assert_eq!(&exemplar.trace_id[..], &record.context.trace_id.0[..]);
            prop_assert_eq!(&exemplar.span_id[..], &record.context.span_id.0[..]);
            prop_assert_eq!(exemplar.time_unix_nano, record.start + record.nanoseconds);
        }
        let mut labelled = take_lines(&telemetry);
        if let [line] = &mut labelled[..] && record.nanoseconds < 1 << 53 {
            line.fields.insert("http.route".to_owned(), json!(record.outcome.to_string()));
            assert_line_equals_point(line, point);
        }
    }
}
