//! Connects rules to the console's store of metrics.

use std::sync::{PoisonError, RwLock};

use monitoring::query::Expression;

use super::database::{Database, RuleSample};
use crate::evaluate::evaluate_at;
use crate::store::metrics::{Labels, MetricStore, Origin, Sample, Value};

/// Locks the store separately for each evaluation, so that pages and the receiver do not wait for all rules.
impl Database for &RwLock<MetricStore> {
    fn evaluate(&self, expression: &Expression, at: i64) -> Result<Vec<(Labels, f64)>, String> {
        let store = self.read().unwrap_or_else(PoisonError::into_inner);
        evaluate_at(&*store, expression, at).map_err(|refusal| refusal.to_string())
    }

    fn append(&mut self, group: &str, at: i64, samples: Vec<RuleSample>) {
        let sample = |sample: RuleSample| Sample {
            name: sample.name,
            labels: sample.labels,
            value: Value::Number(sample.value),
        };
        let mut store = self.write().unwrap_or_else(PoisonError::into_inner);
        store.append(&Origin::rules(group), at, samples.into_iter().map(sample));
    }
}
