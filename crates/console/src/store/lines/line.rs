//! A stored log line.

use std::sync::Arc;

use signal::Level;

use crate::store::FieldValue;

/// Field with the line's trace.
pub const TRACE_ID: &str = "trace_id";
/// Field with the span that the line records.
pub const SPAN_ID: &str = "span_id";
/// Field with the trace that caused the line's operation.
pub const LINK_TRACE_ID: &str = "link.trace_id";

/// A log line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Unix time in microseconds.
    pub at: i64,
    /// Severity.
    pub level: Level,
    /// Name of the event.
    pub event: Arc<str>,
    /// All other fields in the order of the line, with ids and the process's instance.
    pub fields: Vec<(Arc<str>, FieldValue)>,
}

impl Line {
    pub fn field(&self, name: &str) -> Option<&FieldValue> {
        self.fields.iter().find(|(key, _)| &**key == name).map(|(_, value)| value)
    }

    /// Returns a field as text; empty if there is none.
    pub fn text(&self, name: &str) -> std::borrow::Cow<'_, str> {
        self.field(name).map(FieldValue::text).unwrap_or_default()
    }
}

/// Position of a line in search results: by time, and within a microsecond in the order of reading. Numbers
/// begin anew with each start of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Unix time in microseconds.
    pub at: i64,
    /// Number of the line in the order of reading.
    pub number: u64,
}
