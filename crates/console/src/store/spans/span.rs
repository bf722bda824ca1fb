//! A stored span.

use std::sync::Arc;

use super::ids::{SpanId, TraceId};
use crate::store::FieldValue;

/// Attributes with their names, in the order in which they were received.
pub type Attributes = Vec<(Arc<str>, FieldValue)>;

/// Role of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SpanKind {
    /// Work inside the process, or an unknown kind.
    #[default]
    Internal,
    /// An incoming request.
    Server,
    /// An outgoing call.
    Client,
    /// A sent message, such as an enqueued job.
    Producer,
    /// A job that was enqueued earlier.
    Consumer,
}

impl SpanKind {
    /// Every kind.
    pub const ALL: &'static [Self] =
        &[Self::Internal, Self::Server, Self::Client, Self::Producer, Self::Consumer];

    /// Returns the name that OpenTelemetry gives the kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// A span in another trace that caused a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Trace of the other span.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
}

/// An event within a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// Unix time in nanoseconds.
    pub at_ns: u64,
    /// Name of the event.
    pub name: Arc<str>,
    /// Attributes of the event.
    pub attributes: Attributes,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Trace that the span belongs to.
    pub trace_id: TraceId,
    /// Id of the span within the trace.
    pub span_id: SpanId,
    /// The parent, if there is one.
    pub parent: Option<SpanId>,
    /// Name, such as `GET /v1/users/{id}`.
    pub name: Arc<str>,
    /// Role of the span.
    pub kind: SpanKind,
    /// Unix time in nanoseconds at the start.
    pub start_ns: u64,
    /// Unix time in nanoseconds at the end, not before the start.
    pub end_ns: u64,
    /// If true, the operation failed.
    pub failed: bool,
    /// Attributes of the span.
    pub attributes: Attributes,
    /// Spans in other traces that caused this one.
    pub links: Vec<Link>,
    /// Events within the span.
    pub events: Vec<SpanEvent>,
    /// `service.name` of the process.
    pub service: Arc<str>,
    /// `service.instance.id` of the process.
    pub instance: Arc<str>,
}

impl Span {
    pub fn attribute(&self, name: &str) -> Option<&FieldValue> {
        self.attributes.iter().find(|(key, _)| &**key == name).map(|(_, value)| value)
    }

    /// Returns an attribute as text; empty if there is none.
    pub fn text(&self, name: &str) -> std::borrow::Cow<'_, str> {
        self.attribute(name).map(FieldValue::text).unwrap_or_default()
    }

    /// Returns the duration in nanoseconds.
    pub fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}
