//! The interface between rules and the store.

use std::sync::Arc;

use monitoring::query::Expression;

use crate::store::metrics::Labels;

/// A sample that a rule writes.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSample {
    /// Name of the series.
    pub name: Arc<str>,
    /// All labels except the name.
    pub labels: Labels,
    /// The value, or [`STALE`](crate::store::metrics::STALE).
    pub value: f64,
}

/// A store that rules read from and append to.
pub trait Database {
    /// Evaluates an expression at a time, in Unix milliseconds.
    ///
    /// # Errors
    /// Returns a sentence that says why it cannot be answered exactly.
    fn evaluate(&self, expression: &Expression, at: i64) -> Result<Vec<(Labels, f64)>, String>;

    /// Appends the samples that a group wrote at a time, in Unix milliseconds.
    fn append(&mut self, group: &str, at: i64, samples: Vec<RuleSample>);
}
