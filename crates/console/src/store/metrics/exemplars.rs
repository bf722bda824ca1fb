//! Exemplars, which lead from a chart to traces.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{Labels, SeriesId};

/// Maximum number of stored exemplars per series.
const PER_SERIES: usize = 8;

/// Maximum number of series with exemplars.
const MOST_SERIES: usize = 2_000;

/// An exemplar: an observation of a histogram with its span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// Unix time in milliseconds.
    pub at: i64,
    /// The observed value.
    pub value: f64,
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
}

/// New exemplars of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplars {
    /// Name of the metric as Prometheus spells it.
    pub name: Arc<str>,
    /// All labels except the name.
    pub labels: Labels,
    /// The examples.
    pub exemplars: Vec<Exemplar>,
}

/// The newest exemplars of each series. They are not written to disk.
#[derive(Debug, Default)]
pub(super) struct ExemplarStore {
    of: HashMap<SeriesId, VecDeque<Exemplar>>,
}

impl ExemplarStore {
    pub(super) fn add(&mut self, series: SeriesId, exemplars: Vec<Exemplar>) {
        if self.of.len() >= MOST_SERIES && !self.of.contains_key(&series) {
            return;
        }
        let kept = self.of.entry(series).or_default();
        for exemplar in exemplars {
            // A sender repeats an exemplar until it has a newer one.
            if kept.contains(&exemplar) {
                continue;
            }
            if kept.len() == PER_SERIES {
                kept.pop_front();
            }
            kept.push_back(exemplar);
        }
    }

    pub(super) fn get(&self, series: SeriesId) -> impl Iterator<Item = &Exemplar> {
        self.of.get(&series).into_iter().flatten()
    }

    pub(super) fn remove(&mut self, series: SeriesId) {
        self.of.remove(&series);
    }

    pub(super) fn memory(&self) -> usize {
        self.of.len() * (PER_SERIES * size_of::<Exemplar>() + 64)
    }
}
