//! Names of span attributes and log fields that `telemetry` sets.
//!
//! A filter that accepts only known names, such as the collector's allow-list, takes them from here
//! and adds the application's.

/// Span attributes. Each one is also a field of the span's log line.
pub const SPAN_ATTRIBUTES: &[&str] = &[
    "code.location",
    "db.duration_ms",
    "db.operations",
    "db.response.status_code",
    "error.cause",
    "error.type",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "network.protocol.version",
    "url.scheme",
];

/// Fields of log lines only, besides [`LINE_HEAD`] and [`PIPELINE_FIELDS`].
pub const LINE_FIELDS: &[&str] = &[
    "code.file",
    "code.line",
    "code.target",
    "duration_ms",
    "fields.removed",
    "link.trace_id",
    "log.drop_reason",
    "log.level",
    "log.level.before",
    "log.lost_lines",
    "log.sink",
    "thread.name",
];

/// Field names of the events of telemetry's own pipeline, for the allow-list.
pub const PIPELINE_FIELDS: &[&str] =
    &["signal", "failure", "status", "failed_requests", "dropped_items", "dependency", "error.type"];

/// Fields of every log line: time, level, event, the span it belongs to, and the process that wrote
/// it.
pub const LINE_HEAD: &[&str] = &["timestamp", "level", "event", "trace_id", "span_id", SERVICE_INSTANCE_ID];

/// The resource attribute that identifies a process. Lines have it as well.
pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
