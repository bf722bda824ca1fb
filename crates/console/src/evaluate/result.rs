//! Results of evaluations.

use std::sync::Arc;

use crate::store::metrics::{Histogram, Labels};

/// One series of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultSeries {
    /// Labels that no other series of the result with the same kind of values has.
    pub labels: Labels,
    /// One value for each step of the range.
    pub values: ResultValues,
}

/// The values of a series at each step, if there is one.
#[derive(Clone, Debug, PartialEq)]
pub enum ResultValues {
    /// Numbers.
    Numbers(Vec<Option<f64>>),
    /// Histograms.
    Histograms(Vec<Option<Arc<Histogram>>>),
}

impl ResultSeries {
    /// Returns the numbers; none if the series has histograms.
    pub fn numbers(&self) -> &[Option<f64>] {
        match &self.values {
            ResultValues::Numbers(numbers) => numbers,
            ResultValues::Histograms(_) => &[],
        }
    }
}
