//! Stores of metrics, log lines and spans, each of bounded size.

mod field_value;
pub mod lines;
pub mod metrics;
mod packed;
pub mod spans;
mod value_test;

pub use field_value::FieldValue;
pub use value_test::ValueTest;
