//! Names of span attributes and log fields that this crate sets.
//!
//! A filter that accepts only known names, such as the collector's allow-list, takes them from here
//! and adds the application's.

/// Span attributes. Each one is also a field of the span's log line.
pub const SPAN_ATTRIBUTES: &[&str] = &[
    "code.location",
    "db.duration_ms",
    "db.operations",
    "error.cause",
    "error.type",
    "http.request.method",
    "http.request.method_original",
    "http.response.status_class",
    "http.response.status_code",
    "http.route",
    "url.scheme",
];

/// Fields of log lines only, besides [`LINE_HEAD`] and [`PIPELINE_FIELDS`](crate::PIPELINE_FIELDS).
pub const LINE_FIELDS: &[&str] = &[
    "code.file",
    "code.line",
    "code.target",
    "duration_ms",
    "fields.removed",
    "link.trace_id",
    "log.drop_reason",
    "log.lost_lines",
    "log.sink",
    "thread.name",
];

/// Fields of every log line: time, level, event, and the span it belongs to.
pub const LINE_HEAD: &[&str] = &["timestamp", "level", "event", "trace_id", "span_id"];
