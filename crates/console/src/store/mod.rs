//! What the console keeps: metrics, log lines and spans, each within a fixed bound.

mod field_value;
pub mod lines;
pub mod metrics;
mod packed;
pub mod spans;
mod value_test;

pub use field_value::FieldValue;
pub use value_test::ValueTest;
