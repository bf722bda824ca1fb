//! The series that a script has loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use console::store::metrics::{Labels, MetricSource, Points, SeriesId};

use super::values::Given;

/// Series by name and labels.
#[derive(Default)]
pub(crate) struct Loaded {
    samples: BTreeMap<(String, Labels), BTreeMap<i64, Given>>,
    series: Vec<(String, Labels, Points)>,
    /// Metrics with samples that the store cannot represent.
    pub(crate) unsupported: BTreeSet<String>,
}

impl Loaded {
    pub(crate) fn add(&mut self, name: String, labels: Labels, samples: impl Iterator<Item = (i64, Given)>) {
        self.samples.entry((name, labels)).or_default().extend(samples);
    }

    /// Records that each classic histogram was also loaded as one series with the same buckets.
    pub(crate) fn has_custom_buckets(&mut self) {
        let names = self.samples.keys().filter_map(|(name, _)| name.strip_suffix("_bucket"));
        self.unsupported.extend(names.map(str::to_owned).collect::<Vec<_>>());
    }

    /// Makes all samples readable.
    pub(crate) fn finish(&mut self) {
        self.series.clear();
        for ((name, labels), samples) in &self.samples {
            let histograms = samples.values().filter(|sample| matches!(sample, Given::Histogram(_))).count();
            let points = if histograms == 0 {
                let number = |(at, sample): (&i64, &Given)| match sample {
                    Given::Number(number) => Some((*at, *number)),
                    Given::Histogram(_) => None,
                };
                Points::Numbers(samples.iter().filter_map(number).collect())
            } else {
                if histograms < samples.len() {
                    self.unsupported.insert(name.clone());
                }
                let histogram = |(at, sample): (&i64, &Given)| match sample {
                    Given::Histogram(histogram) => Some((*at, Arc::new(histogram.clone()))),
                    Given::Number(_) => None,
                };
                Points::Histograms(samples.iter().filter_map(histogram).collect())
            };
            self.series.push((name.clone(), labels.clone(), points));
        }
    }
}

impl MetricSource for Loaded {
    fn series(&self, name: &str) -> Vec<SeriesId> {
        let named = (0_u32..).zip(&self.series).filter(|(_, series)| series.0 == name);
        named.map(|(position, _)| SeriesId(position)).collect()
    }

    fn labels(&self, series: SeriesId) -> &Labels {
        &self.series[series.0 as usize].1
    }

    fn read(&self, series: SeriesId, after: i64, until: i64) -> Points {
        fn within<P: Clone>(points: &[(i64, P)], after: i64, until: i64) -> Vec<(i64, P)> {
            points.iter().filter(|(at, _)| *at > after && *at <= until).cloned().collect()
        }
        match &self.series[series.0 as usize].2 {
            Points::Numbers(points) => Points::Numbers(within(points, after, until)),
            Points::Histograms(points) => Points::Histograms(within(points, after, until)),
        }
    }

    fn complete_since(&self, _: SeriesId) -> i64 {
        i64::MIN
    }
}
