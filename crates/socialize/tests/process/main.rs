//! The program as its operator runs it: a process with an environment, listeners, signals sent to it, and an exit code.

mod broken_collectors;
mod exposition;
mod harness;
mod telemetry_over_otlp;
