//! Placeholder.

mod closed_set;
pub mod error_type;
pub mod log;

pub use closed_set::ClosedSet;
