//! One typed record per operation, rendered as a log line, a span and metric points.
//!
//! This crate knows nothing about the application's domain: its names and label values arrive as
//! closed sets and declarations, whose types are those of [`signal`]. Start reading at [`record`],
//! where a record becomes three signals.

mod attribute;
mod buffer_sizes;
mod clock;
pub mod current;
mod fact;
pub mod health;
mod histogram_aggregation;
pub mod http_client;
pub mod http_server;
mod identity;
mod json;
pub mod log;
mod measurement;
pub mod meter;
mod operations;
pub mod otlp;
mod otlp_encoding;
mod pipeline;
pub mod process;
pub mod prometheus;
mod protobuf;
pub mod record;
mod telemetry;
mod trace;
mod trace_state;

pub use attribute::Attributes;
pub use clock::Timestamp;
pub use fact::Fact;
pub use measurement::Measurement;
pub use meter::Meter;
pub use operations::{Cause, DatabaseCause, FamilyDescription, Operations};
pub use otlp_encoding::{Resource, metrics_request};
pub use pipeline::{Pipeline, PipelineError, PipelineSettings};
pub use signal::{
    ClosedSet, DatabaseOutcome, ErrorType, Identifier, InstrumentationScope, JobOutcome, Key, Outcome,
    SqlState,
};
pub use telemetry::{TakenSpans, Telemetry, TelemetrySettings};
pub use trace::{MalformedTraceparent, Sampler, SpanContext, SpanId, TraceId};
pub use trace_state::{MalformedTracestate, TraceState};
