//! One typed record per operation, rendered as a log line, a span and metric points.
//!
//! This crate knows nothing about the application's domain: its names and label values arrive as
//! closed sets and declarations. Start reading at [`record`], where a record becomes three signals.

mod attribute;
pub mod builtin;
pub mod catalogue;
mod clock;
mod closed_set;
pub mod current;
pub mod error_type;
pub mod events;
pub mod exponential;
mod fact;
pub mod health;
pub mod http_client;
pub mod http_server;
pub mod instrumentation_scope;
mod json;
pub mod log;
mod measurement;
pub mod meter;
pub mod names;
mod operations;
pub mod otlp;
mod otlp_encoding;
mod outcome;
mod pipeline;
pub mod process;
pub mod prometheus;
mod protobuf;
pub mod record;
mod sql_state;
mod telemetry;
mod trace;
mod trace_state;

pub use attribute::{Attributes, Identifier, Key};
pub use clock::Timestamp;
pub use closed_set::ClosedSet;
pub use error_type::ErrorType;
pub use fact::Fact;
pub use instrumentation_scope::InstrumentationScope;
pub use measurement::Measurement;
pub use meter::Meter;
pub use operations::{Cause, FamilyDescription, Operations, Outcome};
pub use otlp_encoding::{Resource, metrics_request};
pub use outcome::{DatabaseOutcome, JobOutcome};
pub use pipeline::{PIPELINE_FIELDS, Pipeline, PipelineError, PipelineSettings};
pub use sql_state::{DatabaseCause, SqlState};
pub use telemetry::{TakenSpans, Telemetry, TelemetrySettings};
pub use trace::{MalformedTraceparent, Sampler, SpanContext, SpanId, TraceId};
pub use trace_state::{MalformedTracestate, TraceState};
