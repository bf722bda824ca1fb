//! The program as its operator runs it: a process with an environment, listeners, signals sent to it, and an exit code.

mod broken_collectors;
mod configuration;
mod exposition;
mod harness;
#[path = "../../../telemetry/tests/records/prometheus_text.rs"]
mod prometheus_text;
mod telemetry_over_otlp;
mod trace_context;
