//! Aggregations of series into one for each group.

use std::collections::HashMap;
use std::sync::Arc;

use monitoring::query::Aggregation;

use super::histogram::HistogramSum;
use super::row::{Row, Values};
use super::sum::Sum;
use crate::store::metrics::{Labels, STALE, is_stale};

/// Groups of series, with their intermediate results.
pub(super) struct Groups<'a> {
    aggregation: Aggregation,
    by: &'a [String],
    steps: usize,
    positions: HashMap<Labels, usize>,
    groups: Vec<(Labels, Group)>,
}

/// Intermediate result of a group, for each step.
enum Group {
    Sum(Vec<Option<Sum>>, Vec<Option<HistogramSum>>),
    /// Minimum, maximum or count.
    Number(Vec<f64>),
    /// The largest values with the positions of their series, in descending order.
    Largest(Vec<Vec<(f64, usize)>>, Vec<Labels>),
}

impl<'a> Groups<'a> {
    pub(super) fn new(aggregation: Aggregation, by: &'a [String], steps: usize) -> Self {
        Self { aggregation, by, steps, positions: HashMap::new(), groups: Vec::new() }
    }

    /// Returns the memory of the groups, in units of one number.
    pub(super) fn size(&self) -> usize {
        self.groups.len() * self.steps * 2
    }

    pub(super) fn add(&mut self, row: Row) {
        let labels = row.labels.only(self.by);
        let position = *self.positions.entry(labels.clone()).or_insert_with(|| {
            self.groups.push((labels, Group::new(self.aggregation, self.steps)));
            self.groups.len() - 1
        });
        self.groups[position].1.add(self.aggregation, row);
    }

    /// Returns one series for each group, or the largest ones of each.
    pub(super) fn rows(self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (labels, group) in self.groups {
            group.rows(labels, self.steps, &mut rows);
        }
        rows
    }
}

impl Group {
    fn new(aggregation: Aggregation, steps: usize) -> Self {
        match aggregation {
            Aggregation::Sum => Self::Sum(vec![None; steps], Vec::new()),
            Aggregation::Min | Aggregation::Max | Aggregation::Count => {
                Self::Number(Values::no_numbers(steps))
            }
            Aggregation::Largest(_) => Self::Largest(vec![Vec::new(); steps], Vec::new()),
        }
    }

    fn add(&mut self, aggregation: Aggregation, row: Row) {
        match (self, row.values) {
            (Self::Sum(numbers, _), Values::Numbers(values)) => {
                for (sum, value) in numbers.iter_mut().zip(values).filter(|(_, value)| !is_stale(*value)) {
                    match sum {
                        Some(sum) => sum.add(value),
                        None => *sum = Some(Sum::of(value)),
                    }
                }
            }
            (Self::Sum(numbers, histograms), Values::Histograms(values)) => {
                histograms.resize(numbers.len(), None);
                for (sum, value) in histograms.iter_mut().zip(values) {
                    if let Some(value) = value {
                        sum.get_or_insert_default().add(&value);
                    }
                }
            }
            (Self::Number(counts), values) if aggregation == Aggregation::Count => {
                for (_, count) in counts.iter_mut().enumerate().filter(|(step, _)| values.is_at(*step)) {
                    *count = if is_stale(*count) { 1.0 } else { *count + 1.0 };
                }
            }
            (Self::Number(extremes), Values::Numbers(values)) => {
                for (extreme, value) in extremes.iter_mut().zip(values).filter(|(_, value)| !is_stale(*value))
                {
                    let replaces =
                        if aggregation == Aggregation::Min { *extreme > value } else { *extreme < value };
                    if replaces || extreme.is_nan() {
                        *extreme = value;
                    }
                }
            }
            (Self::Largest(largest, members), Values::Numbers(values)) => {
                let Aggregation::Largest(most) = aggregation else { return };
                members.push(row.labels);
                for (largest, value) in largest.iter_mut().zip(values).filter(|(_, value)| !is_stale(*value))
                {
                    let comes_before = |other: f64| other >= value || value.is_nan();
                    let place = largest.partition_point(|(other, _)| comes_before(*other));
                    largest.insert(place, (value, members.len() - 1));
                    largest.truncate(usize::from(most));
                }
            }
            // Histograms have no order.
            (Self::Number(_) | Self::Largest(..), Values::Histograms(_)) => {}
        }
    }

    fn rows(self, labels: Labels, steps: usize, rows: &mut Vec<Row>) {
        match self {
            Self::Sum(mut numbers, mut histograms) => {
                for (number, histogram) in numbers.iter_mut().zip(&mut histograms) {
                    // A number cannot be added to a histogram.
                    if number.is_some() && histogram.is_some() {
                        (*number, *histogram) = (None, None);
                    }
                }
                if histograms.iter().any(Option::is_some) {
                    let values = histograms.into_iter().map(|sum| sum.map(|sum| Arc::new(sum.value())));
                    rows.push(Row { labels: labels.clone(), values: Values::Histograms(values.collect()) });
                }
                if numbers.iter().any(Option::is_some) {
                    let values = numbers.into_iter().map(|sum| sum.map_or(STALE, Sum::total));
                    rows.push(Row { labels, values: Values::Numbers(values.collect()) });
                }
            }
            Self::Number(numbers) => {
                let values = Values::Numbers(numbers);
                if !values.is_empty() {
                    rows.push(Row { labels, values });
                }
            }
            Self::Largest(largest, members) => {
                let mut chosen: Vec<Option<Vec<f64>>> = vec![None; members.len()];
                for (step, largest) in largest.into_iter().enumerate() {
                    for (value, member) in largest {
                        chosen[member].get_or_insert_with(|| Values::no_numbers(steps))[step] = value;
                    }
                }
                let kept = members.into_iter().zip(chosen);
                rows.extend(
                    kept.filter_map(|(labels, values)| {
                        Some(Row { labels, values: Values::Numbers(values?) })
                    }),
                );
            }
        }
    }
}
