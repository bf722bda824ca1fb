//! What the console keeps: metrics, log lines and spans, each within a fixed bound.

pub mod lines;
pub mod metrics;
pub mod spans;
