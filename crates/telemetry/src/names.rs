//! The names that this crate itself puts on spans and into log lines.
//!
//! Whoever lets only known names through, such as a collector, takes them from here. Names of the application come beside them.

/// Attributes of spans, each of which is a field of the span's line too.
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

/// Fields of lines alone, beside those of [`PIPELINE_FIELDS`](crate::PIPELINE_FIELDS) and what says when, how serious, what and
/// in which span.
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

/// Fields of every line that say when, how serious, what, and in which span.
pub const LINE_HEAD: &[&str] = &["timestamp", "level", "event", "trace_id", "span_id"];
