//! Series of intermediate results.

use std::sync::Arc;

use super::{Refusal, ResultSeries, ResultValues};
use crate::store::metrics::{Histogram, Labels, STALE, is_stale};

/// One series with a value for some of the steps.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) labels: Labels,
    pub(super) values: Values,
}

/// A value for each step.
#[derive(Clone, Debug)]
pub(super) enum Values {
    /// Numbers. [`STALE`] marks steps without a value, since it is never a value.
    Numbers(Vec<f64>),
    Histograms(Vec<Option<Arc<Histogram>>>),
}

impl Values {
    /// Returns numbers without a value at any step.
    pub(super) fn no_numbers(steps: usize) -> Vec<f64> {
        vec![STALE; steps]
    }

    /// Returns whether there is a value at a step.
    pub(super) fn is_at(&self, step: usize) -> bool {
        match self {
            Self::Numbers(numbers) => !is_stale(numbers[step]),
            Self::Histograms(histograms) => histograms[step].is_some(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Numbers(numbers) => numbers.iter().all(|number| is_stale(*number)),
            Self::Histograms(histograms) => histograms.iter().all(Option::is_none),
        }
    }

    /// Returns the first value for each of this number of steps.
    pub(super) fn repeated(&self, steps: usize) -> Self {
        match self {
            Self::Numbers(numbers) => Self::Numbers(vec![numbers[0]; steps]),
            Self::Histograms(histograms) => Self::Histograms(vec![histograms[0].clone(); steps]),
        }
    }

    /// Removes the values of all steps for which `keep` is false.
    pub(super) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        match self {
            Self::Numbers(numbers) => {
                for (step, number) in numbers.iter_mut().enumerate() {
                    if !keep(step) {
                        *number = STALE;
                    }
                }
            }
            Self::Histograms(histograms) => {
                for (step, histogram) in histograms.iter_mut().enumerate() {
                    if !keep(step) {
                        *histogram = None;
                    }
                }
            }
        }
    }

    /// Returns the memory of the values, in units of one number.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Histograms(histograms) => {
                let buckets = |histogram: &Arc<Histogram>| 4 + 2 * histogram.buckets.len();
                histograms.len() + histograms.iter().flatten().map(buckets).sum::<usize>()
            }
        }
    }
}

/// The result of an expression.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A number at each step.
    Scalar(Vec<f64>),
    /// Series.
    Rows(Vec<Row>),
}

impl Row {
    pub(super) fn into_result(self) -> ResultSeries {
        let values = match self.values {
            Values::Numbers(numbers) => {
                let value = |number: f64| (!is_stale(number)).then_some(number);
                ResultValues::Numbers(numbers.into_iter().map(value).collect())
            }
            Values::Histograms(histograms) => ResultValues::Histograms(histograms),
        };
        ResultSeries { labels: self.labels, values }
    }

    /// Adds the values of another series with the same labels; returns it if its values are of
    /// another kind.
    fn absorb(&mut self, other: Self) -> Result<Option<Self>, Refusal> {
        let steps = match &other.values {
            Values::Numbers(numbers) => numbers.len(),
            Values::Histograms(histograms) => histograms.len(),
        };
        if (0..steps).any(|step| self.values.is_at(step) && other.values.is_at(step)) {
            return Err(Refusal::many_matches(&self.labels));
        }
        match (&mut self.values, other.values) {
            (Values::Numbers(own), Values::Numbers(others)) => {
                for (own, other) in own.iter_mut().zip(others).filter(|(_, other)| !is_stale(*other)) {
                    *own = other;
                }
            }
            (Values::Histograms(own), Values::Histograms(others)) => {
                for (own, other) in own.iter_mut().zip(others).filter(|(_, other)| other.is_some()) {
                    *own = other;
                }
            }
            (_, values) => return Ok(Some(Self { labels: other.labels, values })),
        }
        Ok(None)
    }
}

/// Sorts series by their labels and joins those with the same labels, which have values at
/// different steps.
///
/// # Errors
/// Fails if two of them have a value at the same step.
pub(super) fn merged(mut rows: Vec<Row>) -> Result<Vec<Row>, Refusal> {
    rows.sort_by(|a, b| a.labels.cmp(&b.labels));
    let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        let mut unlike = Some(row);
        let start = merged.len().saturating_sub(2);
        for earlier in &mut merged[start..] {
            match unlike.take() {
                Some(row) if row.labels == earlier.labels => unlike = earlier.absorb(row)?,
                other => unlike = other,
            }
        }
        merged.extend(unlike);
    }
    Ok(merged)
}
