//! Series and samples, as input of the evaluator.

use std::sync::Arc;

/// The labels of a series or a result, sorted by name, without the metric's name and without empty
/// values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// Creates labels from names and values in any order. Empty values are left out, because
    /// Prometheus treats them as absent.
    pub fn new(labels: impl IntoIterator<Item = (Arc<str>, Arc<str>)>) -> Self {
        let mut labels: Vec<_> = labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        labels.sort();
        Self(labels.into())
    }

    /// Returns the value of a label; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.binary_search_by(|(key, _)| (**key).cmp(name));
        found.map_or("", |position| &self.0[position].1)
    }

    /// Returns the labels with these names.
    pub fn only(&self, names: &[String]) -> Self {
        Self(self.0.iter().filter(|(name, _)| names.iter().any(|other| **other == **name)).cloned().collect())
    }

    /// Returns the labels with one set to a value, or removed if the value is empty.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let others = self.0.iter().filter(|(key, _)| **key != *name).cloned();
        Self::new(others.chain([(name.into(), value.into())]))
    }

    /// Returns names and values in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// Identifies a series within one store while the store is borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(pub u32);

/// A native histogram with the scale [`signal::exponential::SCALE`]. All observations are positive
/// or zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Number of observations.
    pub count: f64,
    /// Sum of the observed values.
    pub sum: f64,
    /// Number of observations of zero.
    pub zero_count: f64,
    /// Number of observations in each non-empty bucket, with its index in OTLP's numbering, in ascending
    /// order.
    pub buckets: Vec<(i32, f64)>,
}

/// Marks the end of a series. Instant selectors find nothing after it, although older samples are within
/// their lookback; windows omit it. Prometheus uses the same bit pattern.
///
/// Compare with [`is_stale`], because like any NaN it does not equal itself.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Returns whether a sample is [`STALE`]. Every other NaN is a value.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

/// Samples of one series, oldest first. Times are Unix times in milliseconds.
#[derive(Clone, Debug)]
pub enum Points {
    Numbers(Vec<(i64, f64)>),
    Histograms(Vec<(i64, Arc<Histogram>)>),
}

/// A store of series that the evaluator reads.
pub trait MetricSource {
    /// Returns the series of a metric, by its name as Prometheus spells it.
    fn series(&self, name: &str) -> Vec<SeriesId>;

    fn labels(&self, series: SeriesId) -> &Labels;

    /// Returns the samples of a series in a range of Unix milliseconds that excludes its start.
    fn read(&self, series: SeriesId, after: i64, until: i64) -> Points;

    /// Returns the time from which on the store has all samples of a series, in Unix milliseconds. Older data
    /// is rolled up to one sample per five minutes.
    fn complete_since(&self, series: SeriesId) -> i64;
}
