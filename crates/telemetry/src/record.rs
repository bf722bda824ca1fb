//! Rendering of an operation as three signals.
//!
//! Everything known before an operation happens is an [`Operation`], rendered to bytes once at start.
//! Everything known only afterwards is a [`Record`]. Its `write_line`, `write_span` and `record_point` render
//! the same record, so the log line, the span and the metric point cannot disagree, and cannot contain text
//! that the record lacks.

use std::sync::Arc;

use signal::{ClosedSet, InstrumentationScope, Level};

use crate::attribute::Attributes;
use crate::clock::Timestamp;
use crate::meter::{BoundCounter, BoundHistogram, Exemplar, SeriesByAttributes};
use crate::protobuf::FixedFields;
use crate::trace::{SpanContext, SpanId, TraceId};
use crate::trace_state::TraceState;
use crate::{json, protobuf};

/// OTLP span kinds, with their protobuf numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Work inside the process.
    Internal = 1,
    /// An incoming request.
    Server = 2,
    /// An outgoing call.
    Client = 3,
    /// A background job that was enqueued earlier.
    Consumer = 5,
}

/// An attribute value that is known at start.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// A name from a closed set, a route template, an operation.
    Text(String),
    /// A number such as a status code.
    Integer(i64),
}

impl From<&str> for Constant {
    fn from(text: &str) -> Self {
        Constant::Text(text.to_owned())
    }
}

impl From<u16> for Constant {
    fn from(number: u16) -> Self {
        Constant::Integer(i64::from(number))
    }
}

/// Attributes that are known at start, with their names.
pub type Constants = Vec<(&'static str, Constant)>;

/// The description of an [`Operation`]; [`Operation::new`] renders it to bytes.
pub struct OperationDescription {
    /// Name of the log event, such as `http.server.request`.
    pub event: &'static str,
    /// Name of the span: short and of low cardinality, such as `GET /v1/users/{id}`.
    pub span_name: String,
    /// Role of the operation: serves, calls, or works inside the process.
    pub kind: SpanKind,
    /// The part of the program that records the operation.
    pub scope: InstrumentationScope,
    /// Attributes of line and span alike.
    pub attributes: Constants,
    /// All outcomes of the operation; a record names one of them by position.
    pub outcomes: Vec<OutcomeDescription>,
}

/// One outcome of an operation.
pub struct OutcomeDescription {
    /// Attributes of line and span alike, including `error.type` for an error.
    pub attributes: Constants,
    /// Level of the log line.
    pub level: Level,
    /// If true, the span's status is `ERROR`.
    pub is_error: bool,
    /// The histogram that records the duration.
    pub histogram: Option<DurationSeries>,
    /// The counter that is incremented.
    pub counter: Option<BoundCounter>,
}

/// The series that records the duration of operations with an outcome.
#[derive(Clone)]
pub enum DurationSeries {
    /// One series for all of them.
    One(BoundHistogram),
    /// A series for each combination of attributes of the record.
    ByAttributes(Arc<SeriesByAttributes>),
}

impl From<BoundHistogram> for DurationSeries {
    fn from(series: BoundHistogram) -> Self {
        Self::One(series)
    }
}

/// An operation with everything that is known before it happens, rendered to bytes.
pub struct Operation {
    outcomes: Box<[Outcome]>,
    scope: InstrumentationScope,
    /// Flags of a span that has a parent.
    parent_flags: u32,
}

/// The constant bytes of a record with this outcome, including those of its operation. There are as
/// few pieces as possible: each piece that is appended costs about as much as forty bytes.
struct Outcome {
    /// The part of the line between timestamp and duration, with room for the ids.
    line: Box<[u8]>,
    /// Position of the ids in it.
    ids_at: usize,
    /// The constant fields of the span.
    span: Box<[u8]>,
    level: Level,
    histogram: Option<DurationSeries>,
    counter: Option<BoundCounter>,
}

/// One completed operation.
pub struct Record<'a> {
    /// The operation's constant part.
    pub operation: &'a Operation,
    /// Position of the outcome in [`OperationDescription::outcomes`].
    pub outcome: usize,
    /// Context of the operation's span.
    pub context: SpanContext,
    /// Id of the parent span, if there is one.
    pub parent: Option<SpanId>,
    /// A span in another trace that caused this one: the request that enqueued a job, or an
    /// untrusted caller.
    pub link: Option<SpanContext>,
    /// The `tracestate` of the trace, from a trusted caller.
    pub trace_state: Option<&'a TraceState>,
    /// Wall-clock time at which the operation began.
    pub start: Timestamp,
    /// Duration in nanoseconds.
    pub nanoseconds: u64,
    /// Ids and numbers of this operation.
    pub attributes: &'a Attributes,
}

/// Field numbers of `opentelemetry.proto.trace.v1.Span`.
mod span_field {
    pub(super) const TRACE_ID: u32 = 1;
    pub(super) const SPAN_ID: u32 = 2;
    pub(super) const TRACE_STATE: u32 = 3;
    pub(super) const PARENT_SPAN_ID: u32 = 4;
    pub(super) const NAME: u32 = 5;
    pub(super) const KIND: u32 = 6;
    pub(super) const START_TIME: u32 = 7;
    pub(super) const END_TIME: u32 = 8;
    pub(super) const ATTRIBUTES: u32 = 9;
    pub(super) const LINKS: u32 = 13;
    pub(super) const STATUS: u32 = 15;
    pub(super) const FLAGS: u32 = 16;
}

/// Field number of spans in `ScopeSpans`.
pub(crate) const SCOPE_SPANS_SPAN: u32 = 2;

/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK`: the next bit is valid, whether set or not.
const FLAG_IS_REMOTE_KNOWN: u32 = 0x100;
/// `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`: the parent or link came from outside this process.
const FLAG_IS_REMOTE: u32 = 0x200;

const STATUS_CODE_ERROR: u64 = 2;

/// The text between both ids in a line.
const BETWEEN_IDS: &[u8] = b"\",\"span_id\":\"";

/// Length of both ids in a line, with the text between them.
const IDS_JSON: usize = 2 * size_of::<TraceId>() + BETWEEN_IDS.len() + 2 * size_of::<SpanId>();

impl Operation {
    /// Renders the constant parts of the description.
    pub fn new(description: OperationDescription) -> Self {
        let mut line = Vec::new();
        json::key(&mut line, "event");
        json::string(&mut line, description.event);
        write_constants_json(&mut line, &description.attributes);
        line.extend_from_slice(b",\"trace_id\":\"");

        let mut span = Vec::new();
        protobuf::bytes_field(&mut span, span_field::NAME, description.span_name.as_bytes());
        protobuf::uint_field(&mut span, span_field::KIND, description.kind as u64);
        write_constants_span(&mut span, &description.attributes);

        // The parent of a request is its remote caller. All other operations are children within
        // this process.
        let remote = if description.kind == SpanKind::Server { FLAG_IS_REMOTE } else { 0 };
        let parent_flags = FLAG_IS_REMOTE_KNOWN | remote;
        let outcomes = description.outcomes.into_iter().map(|outcome| Outcome::new(&line, &span, outcome));
        Self { outcomes: outcomes.collect(), scope: description.scope, parent_flags }
    }

    /// Returns the part of the program that records the operation.
    #[inline]
    pub(crate) fn scope(&self) -> InstrumentationScope {
        self.scope
    }

    /// Returns the level of the log line for an outcome.
    #[inline]
    pub(crate) fn level(&self, outcome: usize) -> Level {
        self.outcomes[outcome].level
    }
}

impl Outcome {
    /// Combines the constant parts of the operation with those of the outcome.
    fn new(operation_line: &[u8], operation_span: &[u8], description: OutcomeDescription) -> Self {
        let level = description.level.as_str();
        let mut line = [b"Z\",\"level\":\"", level.as_bytes(), b"\"", operation_line].concat();
        let ids_at = line.len();
        line.extend_from_slice(&[0; IDS_JSON]);
        line.push(b'"');
        write_constants_json(&mut line, &description.attributes);
        line.extend_from_slice(b",\"duration_ms\":");
        let mut span = operation_span.to_vec();
        write_constants_span(&mut span, &description.attributes);
        if description.is_error {
            protobuf::message_field(&mut span, span_field::STATUS, |out| {
                protobuf::uint_field(out, 3, STATUS_CODE_ERROR);
            });
        }
        let OutcomeDescription { level, histogram, counter, .. } = description;
        Self { line: line.into(), ids_at, span: span.into(), level, histogram, counter }
    }
}

fn write_constants_json(out: &mut Vec<u8>, constants: &Constants) {
    for (key, value) in constants {
        json::key(out, key);
        match value {
            Constant::Text(text) => json::string(out, text),
            Constant::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
        }
    }
}

fn write_constants_span(out: &mut Vec<u8>, constants: &Constants) {
    for (key, value) in constants {
        match value {
            Constant::Text(text) => protobuf::string_attribute(out, span_field::ATTRIBUTES, key, text),
            Constant::Integer(number) => {
                protobuf::integer_attribute(out, span_field::ATTRIBUTES, key, *number)
            }
        }
    }
}

impl Record<'_> {
    fn outcome(&self) -> &Outcome {
        &self.operation.outcomes[self.outcome]
    }

    /// Renders the metric points, the first signal.
    #[inline]
    pub(crate) fn record_point(&self, exemplars: bool) {
        let outcome = self.outcome();
        if let Some(histogram) = &outcome.histogram {
            let exemplar = (exemplars && self.context.sampled).then(|| Exemplar {
                context: self.context,
                nanoseconds: self.nanoseconds,
                unix_nanoseconds: self.start.unix_nanoseconds() + self.nanoseconds,
            });
            match histogram {
                DurationSeries::One(series) => series.record(self.nanoseconds, exemplar),
                DurationSeries::ByAttributes(all) => {
                    all.of(self.attributes).record(self.nanoseconds, exemplar);
                }
            }
        }
        if let Some(counter) = &outcome.counter {
            counter.add(1);
        }
    }

    /// Renders one JSON line, the second signal, from the end of its timestamp to its last own field.
    pub(crate) fn write_line(&self, out: &mut Vec<u8>) {
        let outcome = self.outcome();
        let ids_at = out.len() + outcome.ids_at;
        out.extend_from_slice(&outcome.line);
        out[ids_at..ids_at + IDS_JSON].copy_from_slice(&self.ids_json());
        json::milliseconds(out, self.nanoseconds);
        self.attributes.write_json(out);
        if let Some(link) = self.link {
            out.extend_from_slice(b",\"link.trace_id\":\"");
            json::hex(out, &link.trace_id.0);
            out.extend_from_slice(b"\"");
        }
    }

    /// Returns both ids as hexadecimal digits, with the text that separates them in a line.
    fn ids_json(&self) -> [u8; IDS_JSON] {
        let mut ids = [0; IDS_JSON];
        let (trace_id, rest) = ids.split_at_mut(2 * size_of::<TraceId>());
        let (between, span_id) = rest.split_at_mut(BETWEEN_IDS.len());
        json::write_hex(trace_id, &self.context.trace_id.0);
        between.copy_from_slice(BETWEEN_IDS);
        json::write_hex(span_id, &self.context.span_id.0);
        ids
    }

    /// Renders one OTLP span, the third signal, as an element of `ScopeSpans.spans`.
    pub(crate) fn write_span(&self, out: &mut Vec<u8>) {
        protobuf::message_field(out, SCOPE_SPANS_SPAN, |out| {
            let mut head = FixedFields::new();
            head.bytes(span_field::TRACE_ID, &self.context.trace_id.0);
            head.bytes(span_field::SPAN_ID, &self.context.span_id.0);
            let start = self.start.unix_nanoseconds();
            head.fixed64(span_field::START_TIME, start);
            head.fixed64(span_field::END_TIME, start + self.nanoseconds);
            let sampled = u32::from(self.context.sampled);
            // Each case appends on its own, so that the compiler knows the length.
            if let Some(parent) = self.parent {
                head.bytes(span_field::PARENT_SPAN_ID, &parent.0);
                head.fixed32(span_field::FLAGS, self.operation.parent_flags | sampled);
                out.extend_from_slice(head.as_slice());
            } else {
                head.fixed32(span_field::FLAGS, FLAG_IS_REMOTE_KNOWN | sampled);
                out.extend_from_slice(head.as_slice());
            }
            if let Some(state) = self.trace_state {
                protobuf::bytes_field(out, span_field::TRACE_STATE, state.as_str().as_bytes());
            }
            out.extend_from_slice(&self.outcome().span);
            self.attributes.write_span(out, span_field::ATTRIBUTES);
            if let Some(link) = self.link {
                let mut fields = FixedFields::new();
                fields.bytes(1, &link.trace_id.0);
                fields.bytes(2, &link.span_id.0);
                // Links come from a caller's header or a queue row, so they are always remote.
                fields.fixed32(6, FLAG_IS_REMOTE_KNOWN | FLAG_IS_REMOTE | u32::from(link.sampled));
                protobuf::bytes_field(out, span_field::LINKS, fields.as_slice());
            }
        });
    }
}
