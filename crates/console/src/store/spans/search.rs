//! Conditions on spans, and summaries of found traces.

use std::sync::Arc;

use super::ids::{SpanId, TraceId};
use super::span::{Attributes, Span, SpanKind};
use crate::store::ValueTest;

#[derive(Clone, Debug, PartialEq)]
pub enum SpanCondition {
    /// The span has this role.
    Kind(SpanKind),
    /// The span failed.
    Failed,
    /// The span took at least this many nanoseconds.
    AtLeastNs(u64),
    /// The name passes.
    Name(ValueTest),
    /// An attribute passes.
    Attribute(String, ValueTest),
    /// Any attribute has exactly this value.
    AnyAttribute(String),
    /// The `service.instance.id` of the process passes.
    Instance(ValueTest),
    /// The span belongs to this trace.
    Trace(TraceId),
    /// The span has no parent.
    Root,
}

impl SpanCondition {
    /// Returns whether a span fulfils the condition.
    pub fn accepts(&self, span: &Span) -> bool {
        match self {
            Self::Kind(kind) => span.kind == *kind,
            Self::Failed => span.failed,
            Self::AtLeastNs(least) => span.duration_ns() >= *least,
            Self::Name(test) => test.accepts_text(&span.name),
            Self::Attribute(name, test) => test.accepts(span.attribute(name)),
            Self::AnyAttribute(value) => span.attributes.iter().any(|(_, field)| field.text() == *value),
            Self::Instance(test) => test.accepts_text(&span.instance),
            Self::Trace(id) => span.trace_id == *id,
            Self::Root => span.parent.is_none(),
        }
    }
}

/// A search for traces with at least one span that fulfils all conditions.
#[derive(Clone, Debug)]
pub struct SpanSearch {
    /// Start of the searched range of start times, in Unix nanoseconds; inclusive.
    pub from_ns: u64,
    /// End of the searched range of start times, in Unix nanoseconds; exclusive.
    pub until_ns: u64,
    /// Conditions that one span of the trace must fulfil together.
    pub conditions: Vec<SpanCondition>,
    /// Maximum number of traces in the result.
    pub most: usize,
    /// Only traces before this position, for the next page of a result.
    pub before: Option<TracePosition>,
}

impl SpanSearch {
    /// Creates a search that finds the newest hundred traces in a range of Unix nanoseconds.
    pub fn new(from_ns: u64, until_ns: u64) -> Self {
        Self { from_ns, until_ns, conditions: Vec::new(), most: 100, before: None }
    }

    /// Adds a condition.
    #[must_use]
    pub fn with(mut self, condition: SpanCondition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Returns whether a span matches.
    pub(super) fn accepts(&self, span: &Span) -> bool {
        (self.from_ns..self.until_ns).contains(&span.start_ns)
            && self.conditions.iter().all(|condition| condition.accepts(span))
    }
}

/// Position of a trace in search results: by the start of its newest matching span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TracePosition {
    /// Start of the newest matching span, in Unix nanoseconds.
    pub start_ns: u64,
    pub trace_id: TraceId,
}

/// A trace that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSummary {
    pub trace_id: TraceId,
    /// Its position, at which the next page starts.
    pub position: TracePosition,
    /// Its first span without a known parent.
    pub root: SpanSummary,
    /// The newest span that fulfils the conditions.
    pub found: SpanSummary,
    /// Number of spans that fulfil the conditions.
    pub found_spans: usize,
    /// Number of stored spans of the trace.
    pub spans: usize,
    /// Number of failed spans.
    pub failed_spans: usize,
    /// Unix time in nanoseconds of the first start.
    pub start_ns: u64,
    /// Unix time in nanoseconds of the last end.
    pub end_ns: u64,
}

/// A span without its links and events.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanSummary {
    pub span_id: SpanId,
    pub name: Arc<str>,
    /// Its role.
    pub kind: SpanKind,
    /// Unix time in nanoseconds at the start.
    pub start_ns: u64,
    /// Duration in nanoseconds.
    pub duration_ns: u64,
    /// If true, the operation failed.
    pub failed: bool,
    pub attributes: Attributes,
    /// `service.name` of the process.
    pub service: Arc<str>,
}

impl From<&Span> for SpanSummary {
    fn from(span: &Span) -> Self {
        Self {
            span_id: span.span_id,
            name: span.name.clone(),
            kind: span.kind,
            start_ns: span.start_ns,
            duration_ns: span.duration_ns(),
            failed: span.failed,
            attributes: span.attributes.clone(),
            service: span.service.clone(),
        }
    }
}

/// Summarizes a trace from its spans in the order of their starts. Returns `None` if none of them matches.
pub(super) fn summarize(spans: &[Span], search: &SpanSearch) -> Option<TraceSummary> {
    let first = spans.first()?;
    let found = spans.iter().rfind(|span| search.accepts(span))?;
    let is_known = |id: SpanId| spans.iter().any(|span| span.span_id == id);
    let root = spans.iter().find(|span| span.parent.is_none());
    let root = root.or_else(|| spans.iter().find(|span| span.parent.is_none_or(|id| !is_known(id))));
    Some(TraceSummary {
        trace_id: first.trace_id,
        position: TracePosition { start_ns: found.start_ns, trace_id: first.trace_id },
        root: root.unwrap_or(first).into(),
        found: found.into(),
        found_spans: spans.iter().filter(|span| search.accepts(span)).count(),
        spans: spans.len(),
        failed_spans: spans.iter().filter(|span| span.failed).count(),
        start_ns: first.start_ns,
        end_ns: spans.iter().map(|span| span.end_ns).max().unwrap_or(first.end_ns),
    })
}
