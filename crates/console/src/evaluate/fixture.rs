//! A simple source of series for tests.

use std::sync::Arc;

use crate::store::metrics::{Histogram, Labels, MetricSource, Points, SeriesId};

/// Series in memory.
#[derive(Debug, Default)]
pub(crate) struct Fixture {
    series: Vec<(String, Labels, Points)>,
    /// The time before which samples are rolled up.
    pub(crate) complete_since: i64,
}

/// Returns labels from text such as `a=1,b=2`.
pub(crate) fn labels(text: &str) -> Labels {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    Labels::new(pairs.map(|(name, value)| (name.trim().into(), value.trim().into())))
}

impl Fixture {
    /// Adds numbers with their times.
    pub(crate) fn numbers(&mut self, name: &str, labels: Labels, points: Vec<(i64, f64)>) {
        self.series.push((name.to_owned(), labels, Points::Numbers(points)));
    }

    /// Adds numbers at equal intervals, from time zero.
    pub(crate) fn every(&mut self, step: i64, name: &str, labels: Labels, values: &[f64]) {
        let times = (0_i64..).map(|position| position * step);
        self.numbers(name, labels, times.zip(values.iter().copied()).collect());
    }

    /// Adds histograms with their times.
    pub(crate) fn histograms(&mut self, name: &str, labels: Labels, points: Vec<(i64, Histogram)>) {
        let points = points.into_iter().map(|(time, histogram)| (time, Arc::new(histogram)));
        self.series.push((name.to_owned(), labels, Points::Histograms(points.collect())));
    }
}

impl MetricSource for Fixture {
    fn series(&self, name: &str) -> Vec<SeriesId> {
        let named = (0_u32..).zip(&self.series).filter(|(_, series)| series.0 == name);
        named.map(|(position, _)| SeriesId(position)).collect()
    }

    fn labels(&self, series: SeriesId) -> &Labels {
        &self.series[series.0 as usize].1
    }

    fn read(&self, series: SeriesId, after: i64, until: i64) -> Points {
        fn within<P: Clone>(points: &[(i64, P)], after: i64, until: i64) -> Vec<(i64, P)> {
            let from = points.partition_point(|(time, _)| *time <= after);
            let to = points.partition_point(|(time, _)| *time <= until).max(from);
            points[from..to].to_vec()
        }
        match &self.series[series.0 as usize].2 {
            Points::Numbers(points) => Points::Numbers(within(points, after, until)),
            Points::Histograms(points) => Points::Histograms(within(points, after, until)),
        }
    }

    fn complete_since(&self, _: SeriesId) -> i64 {
        self.complete_since
    }
}
