//! Results of evaluations.

use std::sync::Arc;

use crate::store::metrics::{Histogram, Labels};

#[derive(Clone, Debug, PartialEq)]
pub struct ResultSeries {
    /// Labels, unique among the series of the result with the same kind of values.
    pub labels: Labels,
    /// One value for each step of the range.
    pub values: ResultValues,
}

/// Values of a series, one for each step that has one.
#[derive(Clone, Debug, PartialEq)]
pub enum ResultValues {
    Numbers(Vec<Option<f64>>),
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
